//! Timing each launch on the device itself, by timestamps that it writes before and after.

use std::time::Duration;

use super::{Executor, LoadedPlan};
use crate::device::Span;
use crate::error::Result;

impl Executor {
    /// Runs a plan `runs` times and times each launch.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where the adapter writes no timestamps, or refuses.
    pub async fn profile(&mut self, plan: usize, runs: usize) -> Result<Vec<Span>> {
        if !self.context.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Err(self.context.error("this adapter times no kernels; `kiln bench` times whole steps"));
        }
        self.land(0).await?;
        self.bind(plan)?;
        let mut spans = Vec::new();
        for _ in 0..runs {
            let ticks = self.timed_run(plan).await?;
            let nanoseconds = f64::from(self.context.queue.get_timestamp_period());
            let since =
                |from: u64, to: u64| Duration::from_secs_f64(to.saturating_sub(from) as f64 * nanoseconds * 1e-9);
            let zero = ticks.first().copied().unwrap_or(0);
            // One run after the other on one line of time: what lies between two submits is the host's.
            let offset = spans.last().map_or(Duration::ZERO, |last: &Span| last.start + last.duration);
            let LoadedPlan { kernels, launches, .. } = &self.plans[plan];
            for (launch, times) in launches.iter().map(|&i| &kernels[i]).zip(ticks.chunks_exact(2)) {
                let (start, duration) = (offset + since(zero, times[0]), since(times[0], times[1]));
                spans.push(Span { step: launch.step, start, duration });
            }
        }
        Ok(spans)
    }

    /// One run, each launch in a pass of its own; the device's clock before and after each.
    async fn timed_run(&mut self, plan: usize) -> Result<Vec<u64>> {
        let (loaded, device) = (&self.plans[plan], &self.context.device);
        let count = 2 * loaded.launches.len() as u32;
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("profile"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        let size = 8 * u64::from(count);
        let buffer = |usage| {
            let descriptor = wgpu::BufferDescriptor { label: Some("profile"), size, usage, mapped_at_creation: false };
            device.create_buffer(&descriptor)
        };
        let resolved = buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC);
        let staging = buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
        for part in loaded.pace.parts() {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            for i in part.clone() {
                let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
                    query_set: &queries,
                    beginning_of_pass_write_index: Some(2 * i as u32),
                    end_of_pass_write_index: Some(2 * i as u32 + 1),
                });
                let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
                loaded.encode(i..i + 1, &mut encoder.begin_compute_pass(&descriptor));
            }
            let submitted = self.context.submit(Some(encoder));
            self.context.wait(&submitted, self.flight.patience).await?;
        }
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &staging, 0, size);
        let submitted = self.context.submit(Some(encoder));
        self.map(&staging, &submitted, "the timestamps").await?;
        let view = staging.get_mapped_range(..).map_err(|e| self.context.error(format!("timestamps: {e}")))?;
        Ok(bytemuck::pod_collect_to_vec(&view))
    }
}
