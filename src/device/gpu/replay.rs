//! Replaying a plan: many runs to a submit, two submits under way. How runs are grouped and cut never changes a bit of the
//! result.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use super::waiting::Submitted;
use super::{Executor, LoadedPlan, pace};
use crate::clock::Instant;
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

/// The submits under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub fixed: Option<usize>,
    /// How long one of them may take: each that lands begins it anew.
    pub patience: Duration,
    /// How long one of them should take at most.
    pub longest: Duration,
    /// How many there were.
    pub count: u64,
    submits: VecDeque<Submit>,
    last_end: Option<Instant>,
}

#[derive(Debug)]
struct Submit {
    submitted: Submitted,
    start: Instant,
    /// The plan, unless it was forgotten.
    plan: Option<usize>,
    work: Work,
}

/// What a submit does.
#[derive(Clone, Debug)]
enum Work {
    /// So many runs.
    Runs(usize),
    /// Some launches of one run.
    Part(Range<usize>),
}

impl Flight {
    pub fn new(patience: Duration) -> Self {
        let submits = VecDeque::new();
        Self { fixed: None, patience, longest: pace::LONGEST, count: 0, submits, last_end: None }
    }

    /// Learns no more from what is under way.
    pub fn forget_plans(&mut self) {
        self.submits.iter_mut().for_each(|submit| submit.plan = None);
    }
}

impl LoadedPlan {
    fn is_cut(&self) -> bool {
        self.pace.parts().len() > 1
    }

    pub(super) fn encode(&self, launches: Range<usize>, pass: &mut wgpu::ComputePass<'_>) {
        self.launches[launches].iter().for_each(|&i| self.kernels[i].encode(&self.bind_groups[i], pass));
    }
}

impl Executor {
    /// Submits the first of these runs of plans that take turns, and returns how many; run i is of
    /// `turns[i % turns.len()]`. At most two submits are under way: the call waits for the one before the last.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where the device refuses, runs out of memory or is lost.
    pub async fn run_some(&mut self, turns: &[usize], runs: Range<usize>) -> Result<usize> {
        turns.iter().try_for_each(|&plan| self.bind(plan))?;
        let of_run = |run: usize| turns[run % turns.len()];
        let first = of_run(runs.start);
        if self.plans[first].is_cut() {
            self.run_in_parts(first).await?;
            self.land_behind(first).await?;
            return Ok(1);
        }
        let plan = turns[0];
        let most = self.flight.fixed.unwrap_or_else(|| self.plans[plan].pace.group()).clamp(1, runs.len());
        let whole = (runs.start..runs.start + most).take_while(|&run| !self.plans[of_run(run)].is_cut());
        let runs = runs.start..whole.last().map_or(runs.start, |last| last + 1);
        self.submit(plan, Work::Runs(runs.len()), |plans, pass| {
            for plan in runs.clone().map(|run| &plans[of_run(run)]) {
                plan.encode(0..plan.launches.len(), pass);
            }
        })?;
        self.land_behind(plan).await?;
        Ok(runs.len())
    }

    /// Waits until at most one submit is under way; the first of a plan is waited for, too, because its length sets the size of the
    /// next.
    async fn land_behind(&mut self, plan: usize) -> Result<()> {
        self.land(usize::from(self.plans[plan].pace.is_known())).await
    }

    /// Submits one run of a plan that is too long for one submit.
    async fn run_in_parts(&mut self, plan: usize) -> Result<()> {
        // A part that lands may change how later runs are cut.
        for part in self.plans[plan].pace.parts().to_vec() {
            self.submit(plan, Work::Part(part.clone()), |plans, pass| plans[plan].encode(part, pass))?;
            self.land(1).await?;
        }
        Ok(())
    }

    fn submit(
        &mut self,
        plan: usize,
        work: Work,
        encode: impl FnOnce(&[LoadedPlan], &mut wgpu::ComputePass<'_>),
    ) -> Result<()> {
        let mut encoder = self.context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encode(&self.plans, &mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
        let submitted = self.context.submit(Some(encoder));
        self.context.check(&format!("running the plan {:?}", self.plans[plan].name))?;
        self.flight.count += 1;
        self.flight.submits.push_back(Submit { submitted, start: Instant::now(), plan: Some(plan), work });
        Ok(())
    }

    /// Waits until everything submitted has run.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where the device is lost.
    pub async fn finish(&mut self) -> Result<()> {
        self.land(0).await?;
        self.context.check("finishing")
    }

    /// Waits until at most `most` submits are under way. A future that is dropped meanwhile leaves those that it waited for.
    pub(super) async fn land(&mut self, most: usize) -> Result<()> {
        while self.flight.submits.len() > most {
            let submitted = &self.flight.submits[0].submitted;
            let end = self.context.wait(submitted, self.flight.patience).await?;
            let Some(Submit { start, plan, work, .. }) = self.flight.submits.pop_front() else { break };
            let took = end - self.flight.last_end.map_or(start, |last| last.max(start));
            self.flight.last_end = Some(end);
            let Some(plan) = plan.map(|plan| &mut self.plans[plan]) else { continue };
            let longest = self.flight.longest;
            match work {
                Work::Runs(runs) => plan.pace.learn(runs, took, longest),
                Work::Part(part) => plan.pace.learn_part(part, took, longest),
            }
        }
        Ok(())
    }
}
