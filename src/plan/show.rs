//! The plan in print.

use std::fmt;

use super::{BufferId, Plan, Step};
use crate::ops::{Dispatch, Target};

impl Plan {
    /// The plan as a table for a kind of adapter: steps, kernels, workgroups, places, bytes and operations.
    pub fn report(&self, target: Target) -> Report<'_> {
        Report { plan: self, target }
    }

    /// Floating-point operations of one run.
    pub fn flops(&self) -> u64 {
        self.steps.iter().map(|s| s.op.flops(&s.io)).sum()
    }

    /// Bytes of f32 and u32 that the steps of one run read and write.
    pub fn bytes_moved(&self) -> u64 {
        self.steps.iter().map(Step::bytes_moved).sum()
    }
}

impl Step {
    /// Bytes that the step reads and writes, each operand counted once. A gather reads only its batch of the data.
    pub fn bytes_moved(&self) -> u64 {
        let outputs: usize = self.outputs.iter().map(|p| p.range.len()).sum();
        let inputs = self.inputs.iter().zip(&self.io.inputs).map(|(place, ty)| match place.buffer {
            BufferId::Data(_) => outputs * ty.dtype.size() / 4,
            BufferId::Order | BufferId::Clock | BufferId::Schedule => 0,
            _ => place.range.len(),
        });
        let touched = if matches!(self.outputs.first().map(|p| p.buffer), Some(BufferId::Log | BufferId::Clock)) {
            0
        } else {
            outputs
        };
        4 * (inputs.sum::<usize>() + touched) as u64
    }
}

/// A [`Plan`] as a table: see [`Plan::report`].
#[derive(Debug)]
pub struct Report<'a> {
    plan: &'a Plan,
    target: Target,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut dispatches, mut scratch) = (0, Scratch::default());
        writeln!(f, "Plan {:?}", self.plan.name)?;
        writeln!(
            f,
            "{:>3} {:<8} {:<10} {:<28} {:<26} {:>12} {:>10} {:>12}  reads -> writes",
            "#", "phase", "layer", "op", "kernel", "workgroups", "bytes", "FLOPs"
        )?;
        for (i, step) in self.plan.steps.iter().enumerate() {
            let launches = step.op.gpu(&step.io, &self.target);
            dispatches += launches.iter().map(|launch| launch.repeats).sum::<usize>();
            let handed = scratch.add(&launches);
            let kernels: Vec<String> = launches.iter().map(Dispatch::kernel).collect();
            let grids: Vec<String> = launches
                .iter()
                .map(|d| d.workgroups.iter().filter(|&&n| n > 1).map(u32::to_string).collect::<Vec<_>>().join("x"))
                .map(|grid| if grid.is_empty() { "1".into() } else { grid })
                .collect();
            let places = |p: &[super::Place]| p.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            writeln!(
                f,
                "{i:>3} {:<8} {:<10} {:<28} {:<26} {:>12} {:>10} {:>12}  {} -> {}",
                step.phase,
                &*step.layer,
                step.op.name(),
                kernels.join(" "),
                grids.join(" "),
                step.bytes_moved() + handed,
                step.op.flops(&step.io),
                places(&step.inputs),
                places(&step.outputs)
            )?;
        }
        writeln!(f, "\n{:<12} {:<5} {:>12} {:>12}", "buffer", "type", "elements", "bytes")?;
        for b in &self.plan.buffers {
            writeln!(f, "{:<12} {:<5} {:>12} {:>12}", b.id.to_string(), b.dtype.to_string(), b.len, b.len_bytes())?;
        }
        self.totals(f, dispatches, &scratch)
    }
}

/// What the launches of single steps hand to each other: the kernels of one kind of adapter, not the plan, know of it.
#[derive(Default)]
struct Scratch {
    /// Bytes written and read.
    moved: u64,
    /// Bytes of the two buffers, which the steps use in turn.
    held: [usize; 2],
}

impl Scratch {
    /// Counts the launches of a step. Returns the bytes that they write and read.
    fn add(&mut self, launches: &[Dispatch]) -> u64 {
        let moved = launches.iter().map(|launch| 4 * (launch.scratch() * launch.repeats) as u64).sum();
        self.moved += moved;
        for (which, len) in launches.iter().flat_map(|launch| &launch.bindings).filter_map(|binding| binding.scratch())
        {
            self.held[which] = self.held[which].max(4 * len);
        }
        moved
    }
}

impl Report<'_> {
    fn totals(&self, f: &mut fmt::Formatter<'_>, dispatches: usize, scratch: &Scratch) -> fmt::Result {
        let plan = self.plan;
        let values = plan.steps.iter().flat_map(|s| s.outputs.iter());
        let in_temps = values.filter(|p| matches!(p.buffer, BufferId::Temp(_)));
        let (count, unshared) = in_temps.fold((0usize, 0usize), |(n, bytes), p| (n + 1, bytes + 4 * p.range.len()));
        let temps: Vec<_> = plan.buffers.iter().filter(|b| matches!(b.id, BufferId::Temp(_))).collect();
        let shared: usize = temps.iter().map(|b| b.len_bytes()).sum();
        let all: usize = plan.buffers.iter().map(super::Buffer::len_bytes).sum();
        writeln!(f)?;
        writeln!(f, "{} steps, {dispatches} dispatches a run", plan.steps.len())?;
        writeln!(f, "{} FLOPs, {} bytes read and written a run", plan.flops(), plan.bytes_moved() + scratch.moved)?;
        writeln!(f, "{count} intermediate values ({unshared} bytes) share {} slots ({shared} bytes)", temps.len())?;
        let held: usize = scratch.held.iter().sum();
        if held > 0 {
            writeln!(f, "{held} bytes that the launches of a step hand to each other, which steps use in turn")?;
        }
        writeln!(f, "{} bytes of buffers in all", all + held)
    }
}
