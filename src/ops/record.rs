//! Writes the sums of a batch's losses and metrics into the log, in the row of the clock's step, and may end the step:
//! then it advances the clock.
//!
//! The log keeps every step apart and the host adds the rows in f64: a running f32 sum on the device would lose digits
//! as the epoch grows, and the course of a run would not be known step by step.

use super::case::{clock, random};
use super::clock::Advance;
use super::cpu::{CpuArgs, CpuOp, Real, SliceMut};
use super::dispatch::{Binding, Dispatch, Module, Params, Target};
use super::{Case, Io, Op, clock as clock_op};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{DType, Tensor};

const MODULE: Module = Module { stem: "record", source: include_str!("../../shaders/record.wgsl"), libs: &[] };

/// Columns that a dispatch can write: as many as fit the bindings beside log and clock.
const COLUMNS: usize = 4;

/// log[clock.step, c] = sum of the input of index c, (batch,); changes the log and the clock
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Rows that the step took, where it ends with this.
    pub ends: Option<usize>,
}

impl<T: Real> CpuOp<T> for Record {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let [SliceMut::Real(log), SliceMut::U32(clock)] = std::mem::take(&mut args.outputs) else {
            unreachable!("the shape rule asks for a log and a clock")
        };
        let width = args.io.outputs[0].shape[1];
        let row = &mut log[clock[0] as usize * width..][..width];
        row.iter_mut().enumerate().for_each(|(c, sum)| *sum = args.real(c).iter().copied().sum());
        if let Some(batch) = self.ends {
            Advance { batch }.advance(clock);
        }
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
        clock_op::check(targets, 1)?;
        let log = &targets[0];
        let fits = |x: &Type| x.dtype == DType::F32 && x.shape.rank() == 1 && x.shape == inputs[0].shape;
        if inputs.is_empty()
            || !inputs.iter().all(fits)
            || log.dtype != DType::F32
            || log.shape.get(1..) != Some(&[inputs.len()])
        {
            let found = inputs.iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
            return Err(Error::shape("record", format!("{found} are not the columns of the log, {log}")));
        }
        Ok(())
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let (n, width) = (io.inputs[0].shape.len(), io.inputs.len());
        let launch = |first: usize| {
            let columns = (width - first).min(COLUMNS);
            // Only the last one ends the step. A binding must hold something: the first column where there is no more.
            let ends = self.ends.filter(|_| first + columns == width);
            let params = Params::new()
                .u32("n", n)
                .u32("width", width)
                .u32("column", first)
                .u32("columns", columns)
                .u32("steps", usize::from(ends.is_some()))
                .u32("batch", ends.unwrap_or(0));
            let column = |c: usize| Binding::Input(if c < columns { first + c } else { first });
            let bindings = (0..COLUMNS).map(column).chain([Binding::Output(0), Binding::Output(1), Binding::Params]);
            let bindings = bindings.collect();
            Dispatch { module: MODULE, entry: "record", constants: vec![], bindings, params, workgroups: [1, 1, 1] }
        };
        (0..width).step_by(COLUMNS).map(launch).collect()
    }

    fn flops(&self, io: &Io) -> u64 {
        io.inputs.iter().map(|x| x.shape.len() as u64).sum()
    }
}

pub(super) fn cases() -> Vec<Case> {
    let case = |n: usize, columns: usize| {
        let inputs = (0..columns).map(|c| random([n], (100 + n + c) as u64)).collect();
        let log = Tensor::new([3, columns], vec![9.0f32; 3 * columns]).expect("three rows");
        let targets = vec![log, clock(n as u32 % 3, 5)];
        let ends = (n != 64).then_some(n + 1);
        Case::new(format!("{columns} of ({n},)"), Record { ends }, inputs).changes(targets).sums(n)
    };
    [(1, 1), (2, 2), (63, 3), (64, 4), (65, 5), (128, 2), (1000, 9)].map(|(n, columns)| case(n, columns)).into()
}
