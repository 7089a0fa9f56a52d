//! Writes the sum of a batch's losses or hits into the log, in the row of the clock's step.
//!
//! The log keeps every step apart and the host adds the rows in f64: a running f32 sum on the device would lose digits
//! as the epoch grows, and the course of a run would not be known step by step.

use super::case::{clock, random};
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Dispatch, Module, Params, Target};
use super::{Case, Io, Op, clock as clock_op};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{DType, Tensor};

const MODULE: Module = Module { stem: "record", source: include_str!("../../shaders/record.wgsl"), libs: &[] };

/// log[clock.step, column] = sum of x; inputs x (batch,) and the clock
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// The column of the log.
    pub column: usize,
}

impl<T: Real> CpuOp<T> for Record {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (x, step, width) = (args.real(0), args.u32(1)[0] as usize, args.io.outputs[0].shape[1]);
        let [log] = args.out();
        log[step * width + self.column] = x.iter().copied().sum();
    }
}

impl Op for Record {
    fn name(&self) -> &'static str {
        "record"
    }

    fn outputs(&self, _inputs: &[Type]) -> Result<Vec<Type>> {
        Ok(Vec::new())
    }

    fn check_targets(&self, inputs: &[Type], targets: &[Type]) -> Result<()> {
        clock_op::check(inputs, 1)?;
        let (x, log) = (&inputs[0], &targets[0]);
        if x.dtype != DType::F32 || log.dtype != DType::F32 || log.shape.rank() != 2 || self.column >= log.shape[1] {
            let message = format!("{x} does not go to column {} of the log, {log}", self.column);
            return Err(Error::shape("record", message));
        }
        Ok(())
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let (n, width) = (io.inputs[0].shape.len(), io.outputs[0].shape[1]);
        let params = Params::new().u32("n", n).u32("width", width).u32("column", self.column);
        vec![Dispatch { workgroups: [1, 1, 1], ..Dispatch::over(MODULE, "record", io, params, 1) }]
    }

    fn flops(&self, io: &Io) -> u64 {
        io.inputs[0].shape.len() as u64
    }
}

pub(super) fn cases() -> Vec<Case> {
    let log = || vec![Tensor::new([3, 2], vec![9.0f32; 6]).expect("six")];
    [1, 2, 63, 64, 65, 128, 1000]
        .map(|n| {
            let inputs = vec![random([n], 100 + n as u64), clock(n as u32 % 3, 5)];
            Case::new(format!("({n},)"), Record { column: n % 2 }, inputs).changes(log()).sums(n)
        })
        .into()
}
