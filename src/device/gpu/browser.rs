//! Waiting in a browser, which wakes futures by itself. Its own watchdog ends what hangs.

use std::time::Duration;

use futures_intrusive::channel::shared::{OneshotBroadcastReceiver, oneshot_broadcast_channel};

use super::Context;
use crate::clock::Instant;
use crate::error::Result;

/// Work that was submitted, and who says when it was done.
#[derive(Clone, Debug)]
pub(super) struct Submitted(OneshotBroadcastReceiver<Instant>);

impl Context {
    /// Submits commands; without them, what was written.
    pub(super) fn submit(&self, commands: Option<wgpu::CommandEncoder>) -> Submitted {
        self.queue.submit(commands.map(wgpu::CommandEncoder::finish));
        let (sender, receiver) = oneshot_broadcast_channel();
        // Where nobody receives, nobody waits for it.
        self.queue.on_submitted_work_done(move || drop(sender.send(Instant::now())));
        Submitted(receiver)
    }

    /// Waits for what was submitted. Returns when it was done.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where the device is lost.
    pub(super) async fn wait(&self, Submitted(done): &Submitted, _patience: Duration) -> Result<Instant> {
        let end = done.receive().await;
        self.check("running")?;
        end.ok_or_else(|| self.error("gave no answer and counts as lost; run again"))
    }
}
