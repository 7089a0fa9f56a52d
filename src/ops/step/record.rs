//! Writes the sums of a batch's losses and metrics into the log, in the row of the clock's step, and may end the step:
//! then it advances the clock. What is counted by class or by threshold has a column of the log each.
//!
//! The log keeps every step apart and the host adds the rows in f64: a running f32 sum on the device would lose digits
//! as the epoch grows, and the course of a run would not be known step by step.

use std::ops::Range;

use super::case::{clock, random};
use super::clock::Advance;
use super::cpu::{CpuArgs, CpuOp, Real, SliceMut};
use super::dispatch::{Binding, Dispatch, Module, Params, Target};
use super::reduction::Shares;
use super::{Case, Io, Op, clock as clock_op, sum};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{DType, Tensor};

const MODULE: Module = Module { stem: "record", source: include_str!("../../../shaders/record.wgsl"), libs: &[] };

/// Vectors that a dispatch can sum: as many as fit the bindings beside log and clock.
const VECTORS: usize = 4;

/// log[clock.step, ...] = the sum of each input (batch,) and those of each column of an input (rows, columns), side by
/// side in the order of the inputs; changes the log and the clock
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Rows that the step took, where it ends with this.
    pub ends: Option<usize>,
}

/// How many columns of the log an input has.
fn columns(x: &Type) -> usize {
    x.shape.get(1).copied().unwrap_or(1)
}

/// The inputs of each launch: vectors that stand side by side, as many as fit the bindings, or one matrix.
fn launches(inputs: &[Type]) -> Vec<Range<usize>> {
    let mut launches: Vec<Range<usize>> = Vec::new();
    for (i, x) in inputs.iter().enumerate() {
        match launches.last_mut() {
            Some(last) if last.len() < VECTORS && inputs[last.start].shape.rank() == 1 && x.shape.rank() == 1 => {
                last.end = i + 1;
            }
            _ => launches.push(i..i + 1),
        }
    }
    launches
}

impl<T: Real> CpuOp<T> for Record {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let [SliceMut::Real(log), SliceMut::U32(clock)] = std::mem::take(&mut args.outputs) else {
            unreachable!("the shape rule asks for a log and a clock")
        };
        let width = args.io.outputs[0].shape[1];
        let row = &mut log[clock[0] as usize * width..][..width];
        let sums = args.io.inputs.iter().enumerate().flat_map(|(i, x)| {
            let (x, columns) = (args.real(i), columns(x));
            // In f64: one after the other in f32, hundreds of rows lose digits that the kernel's 64 partial sums keep.
            (0..columns).map(move |c| T::of(x.iter().skip(c).step_by(columns).map(|x| x.f64()).sum()))
        });
        row.iter_mut().zip(sums).for_each(|(column, sum)| *column = sum);
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
        let vector = inputs.iter().find(|x| x.shape.rank() == 1);
        let fits = |x: &Type| {
            x.dtype == DType::F32 && (x.shape.rank() == 2 || vector.is_some_and(|vector| x.shape == vector.shape))
        };
        if inputs.is_empty()
            || !inputs.iter().all(fits)
            || log.dtype != DType::F32
            || log.shape.get(1..) != Some(&[inputs.iter().map(columns).sum()])
        {
            let found = inputs.iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
            return Err(Error::shape("record", format!("{found} are not the columns of the log, {log}")));
        }
        Ok(())
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        launches(&io.inputs).into_iter().flat_map(|inputs| self.launch(inputs, io, target)).collect()
    }

    fn flops(&self, io: &Io) -> u64 {
        io.inputs.iter().map(|x| x.shape.len() as u64).sum()
    }
}

/// Elements that an invocation may sum of all that it has to.
const MOST: usize = 4096;

impl Record {
    /// The launches that record some inputs.
    fn launch(&self, inputs: Range<usize>, io: &Io, target: &Target) -> Vec<Dispatch> {
        let (rank, rows, width) =
            (io.inputs[inputs.start].shape.rank(), io.inputs[inputs.start].shape[0], columns(&io.inputs[inputs.start]));
        // How many rows one launch may sum: 64 invocations share a vector, one has all rows of some columns of a matrix.
        let most = if rank == 1 { 64 * 64 } else { (MOST / width.div_ceil(256)).max(1) };
        if rows <= most {
            let bindings = inputs.clone().map(Binding::Input).collect();
            return vec![self.last(inputs, io, bindings, rows)];
        }
        inputs
            .flat_map(|i| {
                let shares = Shares::at_most(most, [1, rows, width], target);
                let parts = Binding::Scratch(shares.units());
                let sums = shares.launch(&sum::kernel(), [Binding::Input(i), parts], 1.0);
                [sums, self.last(i..i + 1, io, vec![parts], shares.parts)]
            })
            .collect()
    }

    /// The launch that writes inputs into the log, bound so, of so many rows.
    fn last(&self, inputs: Range<usize>, io: &Io, mut bound: Vec<Binding>, rows: usize) -> Dispatch {
        let x = &io.inputs[inputs.start];
        let stride = if x.shape.rank() == 2 { columns(x) } else { 0 };
        // Only the last one ends the step.
        let ends = self.ends.filter(|_| inputs.end == io.inputs.len());
        let params = Params::new()
            .u32("n", rows)
            .u32("stride", stride)
            .u32("width", io.inputs.iter().map(columns).sum())
            .u32("column", io.inputs[..inputs.start].iter().map(columns).sum())
            .u32("columns", stride.max(inputs.len()))
            .u32("steps", usize::from(ends.is_some()))
            .u32("batch", ends.unwrap_or(0));
        // A binding must hold something: the first one where there is no more.
        bound.resize(VECTORS, bound[0]);
        let bindings = [&bound[..], &[Binding::Output(0), Binding::Output(1), Binding::Params]].concat();
        Dispatch::of(MODULE, "record", bindings, params, 1)
    }
}

pub(crate) fn cases() -> Vec<Case> {
    // An extent is a vector's, two are a matrix'.
    let case = |n: usize, shapes: Vec<Vec<usize>>| {
        let label = format!("{} of {n} rows", shapes.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(" "));
        let inputs = shapes.into_iter().zip(100 + n as u64..).map(|(shape, seed)| random(shape, seed));
        let inputs: Vec<Tensor> = inputs.collect();
        let width: usize = inputs.iter().map(|x| x.shape()[1..].iter().product::<usize>()).sum();
        let log = Tensor::new([3, width], vec![9.0f32; 3 * width]).expect("three rows");
        let targets = vec![log, clock(n as u32 % 3, 5)];
        let ends = (n != 64).then_some(n + 1);
        Case::new(label, Record { ends }, inputs).changes(targets).sums(n)
    };
    let vectors = [(1, 1), (2, 2), (63, 3), (64, 4), (65, 5), (128, 2), (1000, 9)];
    let mut cases: Vec<Case> = vectors.map(|(n, count)| case(n, vec![vec![n]; count])).into();
    cases.push(case(66, vec![vec![66], vec![66, 3], vec![66], vec![66], vec![1, 400]]));
    cases.push(case(64, vec![vec![64, 257], vec![64, 1]]));
    cases.push(case(70_000, vec![vec![70_000], vec![70_000, 2], vec![70_000]]));
    cases.push(case(200_000, vec![vec![200_000, 1], vec![200_000]]));
    cases.push(case(1, vec![vec![1, 70_000]]));
    cases
}
