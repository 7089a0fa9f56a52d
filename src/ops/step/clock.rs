//! The clock: what varies from step to step, kept and advanced by the device, so that the host only replays commands.
//!
//! Words: 0 the step of this run, which picks the row of [`Leaf::Schedule`](crate::graph::Leaf::Schedule) and
//! [`Leaf::Log`](crate::graph::Leaf::Log); 1 the rows of the data set already taken; 2 the steps since the model's
//! first, which random numbers are keyed by; 3 their seed.

use super::case::clock;
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Binding, Dispatch, Module, Params, Target};
use super::{Case, Io, Op, expect_inputs};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{DType, Tensor};

/// The number of words.
pub const WORDS: usize = 4;

const MODULE: Module = Module { stem: "clock", source: include_str!("../../../shaders/clock.wgsl"), libs: &[] };

/// Ends a step that took `batch` rows and records nothing; see [`super::record`] for one that does.
#[derive(Clone, Copy, Debug)]
pub struct Advance {
    /// Rows that the step took.
    pub batch: usize,
}

impl Advance {
    /// The same on the host.
    pub(crate) fn advance(self, clock: &mut [u32]) {
        clock[0] += 1;
        clock[1] += self.batch as u32;
        clock[2] = clock[2].wrapping_add(1);
    }
}

impl<T: Real> CpuOp<T> for Advance {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        self.advance(args.out_u32());
    }
}

impl Op for Advance {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("clock", inputs, &[])?;
        Ok(Vec::new())
    }

    fn check_targets(&self, _inputs: &[Type], targets: &[Type]) -> Result<()> {
        check(targets, 0)
    }

    fn gpu(&self, _io: &Io, _target: &Target) -> Vec<Dispatch> {
        vec![Dispatch {
            module: MODULE,
            entry: "advance",
            constants: Vec::new(),
            bindings: vec![Binding::Output(0), Binding::Params],
            params: Params::new().u32("batch", self.batch),
            workgroups: [1, 1, 1],
            repeats: 1,
        }]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

/// That the value of this index is a clock.
pub(crate) fn check(types: &[Type], index: usize) -> Result<()> {
    match types.get(index) {
        Some(ty) if *ty == Type { shape: [WORDS].into(), dtype: DType::U32 } => Ok(()),
        _ => Err(Error::shape("clock", format!("expected {WORDS} words of u32"))),
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let far = Tensor::new([WORDS], vec![7, 896, u32::MAX, 5]).expect("four words");
    vec![
        Case::new("at the start", Advance { batch: 128 }, vec![]).changes(vec![clock(0, 0)]).ulps(0.0),
        Case::new("where the count of steps wraps", Advance { batch: 97 }, vec![]).changes(vec![far]).ulps(0.0),
    ]
}
