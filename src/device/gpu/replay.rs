//! Replaying a plan: many runs to a submit, two submits under way.
//!
//! A submit should last 10 to 30 ms: long enough that its cost does not show, short enough that no driver's watchdog
//! ends it and the progress bar stays alive. How runs are grouped never changes a bit of the result.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::Executor;
use crate::error::Result;

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
#[derive(Debug, Default)]
pub(super) struct Flight {
    pub fixed: Option<usize>,
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
        self.land(0)
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

    pub(super) fn wait(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let waited = self.context.device.poll(wgpu::PollType::Wait { submission_index, timeout: None });
        waited.map_err(|e| self.context.error(format!("waiting: {e}")))?;
        self.context.check("running")
    }
}
