//! Replaying a plan: many runs to a submit, two submits under way.
//!
//! A submit should last 10 to 30 ms: long enough that its cost does not show, short enough that no driver's watchdog
//! ends it and the progress bar stays alive. How runs are grouped never changes a bit of the result.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use super::Executor;
use crate::error::Result;
use crate::ops::AdapterKind;

/// How long a submit may take before the device counts as hung. The driver of a GPU ends one after some seconds; on a
/// processor a step of a large model takes as long as it takes.
pub(super) fn patience(kind: AdapterKind) -> Duration {
    Duration::from_secs(match kind {
        AdapterKind::Hardware => 60,
        AdapterKind::Software => 1800,
    })
}

const GOAL: Duration = Duration::from_millis(20);
const MOST: usize = 1024;

/// How long one run of a plan takes, as last measured; of the first of plans that take turns, how long any of them does.
#[derive(Debug, Default)]
pub(super) struct Pace {
    run: Option<Duration>,
}

impl Pace {
    /// Runs that fit a submit.
    fn group(&self) -> usize {
        match self.run {
            Some(run) => (GOAL.as_nanos() / run.as_nanos().max(1)).clamp(1, MOST as u128) as usize,
            None => 1,
        }
    }
}

/// The submits under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub fixed: Option<usize>,
    /// How long one of them may take: each that lands begins it anew.
    pub patience: Duration,
    submits: VecDeque<Submit>,
    last_end: Option<Instant>,
}

#[derive(Debug)]
struct Submit {
    index: wgpu::SubmissionIndex,
    start: Instant,
    plan: usize,
    runs: usize,
}

impl Flight {
    pub fn new(patience: Duration) -> Self {
        Self { fixed: None, patience, submits: VecDeque::new(), last_end: None }
    }
}

impl Executor {
    /// Submits the first of these runs of plans that take turns, and returns how many; run i is of
    /// `turns[i % turns.len()]`. At most two submits are under way: the call waits for the one before the last.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where the device refuses, runs out of memory or is lost.
    pub fn run_some(&mut self, turns: &[usize], runs: Range<usize>) -> Result<usize> {
        turns.iter().try_for_each(|&plan| self.bind(plan))?;
        let (plan, start) = (turns[0], runs.start);
        let runs = self.flight.fixed.unwrap_or_else(|| self.plans[plan].pace.group()).clamp(1, runs.len());
        let in_turn = (start..start + runs).map(|run| &self.plans[turns[run % turns.len()]]);
        let mut encoder = self.context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for (launch, bind_group) in in_turn.flat_map(|loaded| loaded.launches.iter().zip(&loaded.bind_groups)) {
            launch.encode(bind_group, &mut pass);
        }
        drop(pass);
        let index = self.context.queue.submit([encoder.finish()]);
        self.context.check(&format!("running the plan {:?}", self.plans[plan].name))?;
        self.flight.submits.push_back(Submit { index, start: Instant::now(), plan, runs });
        // The first submit of a plan is waited for, because its length sets the size of the next.
        let most = if self.plans[plan].pace.run.is_none() { 0 } else { 1 };
        self.land(most)?;
        Ok(runs)
    }

    /// Waits until everything submitted has run.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where the device is lost.
    pub fn finish(&mut self) -> Result<()> {
        self.land(0)?;
        self.context.check("finishing")
    }

    /// Waits until at most `most` submits are under way.
    pub(super) fn land(&mut self, most: usize) -> Result<()> {
        while self.flight.submits.len() > most {
            let submit = self.flight.submits.pop_front().expect("there are more than `most`");
            self.wait(Some(submit.index))?;
            let end = Instant::now();
            let start = self.flight.last_end.map_or(submit.start, |last| last.max(submit.start));
            self.plans[submit.plan].pace.run = Some((end - start) / submit.runs as u32);
            self.flight.last_end = Some(end);
        }
        Ok(())
    }

    /// Waits for a submit, the last one where none is given, as long as patience lasts.
    pub(super) fn wait(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let (context, patience) = (&self.context, self.flight.patience);
        if context.is_lost() {
            return context.check("running");
        }
        let poll = |submission_index| {
            let wait = wgpu::PollType::Wait { submission_index, timeout: Some(patience) };
            // Where the device is lost meanwhile, wgpu panics after it has said so.
            panic::catch_unwind(AssertUnwindSafe(|| context.device.poll(wait)))
        };
        let lost = match poll(submission_index) {
            Ok(Ok(_)) => None,
            Ok(Err(wgpu::PollError::Timeout)) => {
                // Whoever drops the last queue waits for what hangs.
                std::mem::forget(context.queue.clone());
                let advice = "run again, in smaller batches if it happens again";
                Some(format!("the device gave no answer for {} s and counts as lost; {advice}", patience.as_secs()))
            }
            // Of a submit that was refused. A device that was lost says so when it has nothing more to do.
            Ok(Err(e)) => {
                let _ = poll(None);
                Some(format!("waiting: {e}")).filter(|_| !context.is_lost())
            }
            Err(_) => Some("the device was lost; run again, in smaller batches if it happens again".into()),
        };
        lost.into_iter().for_each(|why| context.failure.lose(why));
        context.check("running")
    }
}
