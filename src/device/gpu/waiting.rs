//! Waiting for what was submitted. The blocking face waits itself. In place of any other future a thread of the device does,
//! which then wakes it: wgpu calls back only where somebody polls.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use futures_intrusive::channel::shared::oneshot_channel;

use super::Context;
use super::context::Failure;
use crate::clock::Instant;
use crate::device::blocking;
use crate::error::Result;

/// Work that was submitted.
#[derive(Clone, Debug)]
pub(super) struct Submitted(wgpu::SubmissionIndex);

type Job = Box<dyn FnOnce() + Send>;

/// The thread that waits, from the first future on that has to. It ends with its device.
#[derive(Debug, Default)]
pub(super) struct Waiter(Mutex<Option<mpsc::Sender<Job>>>);

impl Waiter {
    /// Runs a job on the thread, after those that it was given before.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut sender = self.0.lock().expect("never poisoned");
        if sender.is_none() {
            let (jobs, received) = mpsc::channel::<Job>();
            thread::Builder::new()
                .name("kiln-wait".into())
                .spawn(move || received.into_iter().for_each(|job| job()))?;
            *sender = Some(jobs);
        }
        let sent = sender.as_ref().map(|jobs| jobs.send(Box::new(job)));
        sent.and_then(std::result::Result::ok).ok_or_else(|| io::Error::other("it has ended"))
    }
}

impl Context {
    /// Submits commands; without them, what was written.
    pub(super) fn submit(&self, commands: Option<wgpu::CommandEncoder>) -> Submitted {
        Submitted(self.queue.submit(commands.map(wgpu::CommandEncoder::finish)))
    }

    /// Waits for what was submitted, as long as patience lasts. Returns when it was done.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where the device is lost.
    pub(super) async fn wait(&self, Submitted(index): &Submitted, patience: Duration) -> Result<Instant> {
        if self.is_lost() {
            self.check("running")?;
        }
        let end = if blocking::is_allowed().await {
            self.watched().wait(index.clone(), patience)
        } else {
            let (sender, receiver) = oneshot_channel();
            let (watched, index) = (self.watched(), index.clone());
            // Where nobody receives, the future was dropped.
            let job = move || drop(sender.send(watched.wait(index, patience)));
            self.waiter.run(job).map_err(|e| self.error(format!("there is no thread to wait for it: {e}")))?;
            receiver.receive().await.ok_or_else(|| self.error("the thread that waits for it has ended"))?
        };
        self.check("running").map(|()| end)
    }

    fn watched(&self) -> Watched {
        Watched { device: self.device.clone(), queue: self.queue.clone(), failure: self.failure.clone() }
    }
}

/// What a thread needs of a device to wait for it.
struct Watched {
    device: wgpu::Device,
    queue: wgpu::Queue,
    failure: Failure,
}

#[cfg(test)]
thread_local! {
    /// How often this thread has waited for a device.
    pub(super) static WAITS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

impl Watched {
    /// Waits on this thread. What fails is noted.
    fn wait(&self, index: wgpu::SubmissionIndex, patience: Duration) -> Instant {
        let Self { device, queue, failure } = self;
        #[cfg(test)]
        WAITS.set(WAITS.get() + 1);
        let poll = |submission_index| {
            let wait = wgpu::PollType::Wait { submission_index, timeout: Some(patience) };
            // Where the device is lost meanwhile, wgpu panics after it has said so.
            panic::catch_unwind(AssertUnwindSafe(|| device.poll(wait)))
        };
        let lost = match poll(Some(index)) {
            Ok(Ok(_)) => None,
            Ok(Err(wgpu::PollError::Timeout)) => {
                // Whoever drops the last queue waits for what hangs.
                std::mem::forget(queue.clone());
                let advice = "run again, in smaller batches if it happens again";
                Some(format!("the device gave no answer for {} s and counts as lost; {advice}", patience.as_secs()))
            }
            // Of a submit that was refused. A device that was lost says so when it has nothing more to do.
            Ok(Err(e)) => {
                let _ = poll(None);
                Some(format!("waiting: {e}")).filter(|_| !failure.is_lost())
            }
            Err(_) => Some("the device was lost; run again, in smaller batches if it happens again".into()),
        };
        lost.into_iter().for_each(|why| failure.lose(why));
        Instant::now()
    }
}
