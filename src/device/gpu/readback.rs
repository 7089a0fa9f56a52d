//! Reading buffers back: waiting for the device, or in passing.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_intrusive::channel::shared::oneshot_channel;

use super::Executor;
use super::waiting::Submitted;
use crate::error::Result;
use crate::memory;
use crate::plan::BufferId;
use crate::tensor::{DType, Values};

/// A copy under way that nobody waits for.
#[derive(Debug)]
pub(super) struct Peek {
    id: BufferId,
    staging: wgpu::Buffer,
    ready: Arc<AtomicBool>,
}

impl Executor {
    /// Elements of a buffer, once everything submitted has run.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where the device refuses or is lost.
    pub async fn read(&mut self, id: BufferId, range: Range<usize>) -> Result<Values> {
        self.finish().await?;
        if range.is_empty() {
            return self.values(id, &[]);
        }
        let (staging, submitted) = self.stage(id, &range);
        self.map(&staging, &submitted, id).await?;
        self.unpack(id, &staging)
    }

    /// Waits until what was submitted has filled a buffer that the host may look at.
    pub(super) async fn map(
        &self,
        staging: &wgpu::Buffer,
        submitted: &Submitted,
        what: impl std::fmt::Display,
    ) -> Result<()> {
        let (sender, receiver) = oneshot_channel();
        // The receiver is awaited below, so a failed send only means that this future was dropped.
        staging.map_async(wgpu::MapMode::Read, .., move |mapped| drop(sender.send(mapped)));
        self.context.wait(submitted, self.flight.patience).await?;
        match receiver.receive().await {
            Some(Ok(())) => Ok(()),
            _ => Err(self.context.error(format!("{what} could not be read back; the device may be lost"))),
        }
    }

    /// What elements of a buffer were lately, if a copy has come in; else starts one and returns `None`. Never waits.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where the device refuses or is lost.
    pub fn peek(&mut self, id: BufferId, range: Range<usize>) -> Result<Option<Values>> {
        self.context.check("looking")?;
        if range.is_empty() {
            return self.values(id, &[]).map(Some);
        }
        match self.peek.take() {
            Some(peek) if peek.ready.load(Ordering::Acquire) => self.unpack(peek.id, &peek.staging).map(Some),
            Some(peek) => {
                self.peek = Some(peek);
                Ok(None)
            }
            None => {
                let (staging, ready) = (self.stage(id, &range).0, Arc::new(AtomicBool::new(false)));
                let done = ready.clone();
                staging.map_async(wgpu::MapMode::Read, .., move |mapped| done.store(mapped.is_ok(), Ordering::Release));
                self.peek = Some(Peek { id, staging, ready });
                Ok(None)
            }
        }
    }

    /// Forgets a copy under way, before what it shows is out of date.
    pub fn forget_peek(&mut self) {
        self.peek = None;
    }

    /// Submits a copy of elements of a buffer to one that the host can map.
    fn stage(&self, id: BufferId, range: &Range<usize>) -> (wgpu::Buffer, Submitted) {
        let (start, size) = (4 * range.start as u64, 4 * range.len().max(1) as u64);
        let staging = self.context.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(&self.session[&id].buffer, start, &staging, 0, size);
        let submitted = self.context.submit(Some(encoder));
        (staging, submitted)
    }

    fn unpack(&self, id: BufferId, staging: &wgpu::Buffer) -> Result<Values> {
        let view = staging.get_mapped_range(..).map_err(|e| self.context.error(format!("{id}: {e}")))?;
        self.values(id, &view)
    }

    /// Bytes of a buffer as elements.
    fn values(&self, id: BufferId, bytes: &[u8]) -> Result<Values> {
        let (words, what) = (bytes.chunks_exact(4), format!("a copy of {id}"));
        Ok(match self.session[&id].layout.dtype {
            DType::U32 => Values::U32(memory::list(words.map(bytemuck::pod_read_unaligned), &what)?),
            _ => Values::F32(memory::list(words.map(bytemuck::pod_read_unaligned), &what)?),
        })
    }
}
