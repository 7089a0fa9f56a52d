//! Rows of a table by their numbers, as Keras' `ops.take` along axis 0: what an embedding does. (Its name keeps it from
//! [`super::gather`], which has no gradient: it makes batches of the resident data by the session's own order and clock.)
//!
//! A number that is no row gives a row of NaN, as Keras on JAX does: nothing is read there, and the fault shows in the
//! loss. No gradient goes that way.

use super::case::{integers, random};
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Tensor};

const MODULE: Module = Module { stem: "take", source: include_str!("../../shaders/take.wgsl"), libs: &[LIB_GRID] };

/// y, the rows of x by `indices`; inputs x (n, ...) and u32 indices of any shape, which stands before the row's in y's
#[derive(Clone, Copy, Debug)]
pub struct Take;

/// dx (rows, ...) of u32 indices and dy: each row the sum of the dy that it went to, in their order, so that two runs
/// give the same bits
#[derive(Clone, Copy, Debug)]
pub struct TakeGrad {
    /// The rows of x.
    pub rows: usize,
}

impl<T: Real> CpuOp<T> for Take {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let width = args.io.inputs[0].shape[1..].iter().product();
        let (x, indices, [y]) = (args.real(0), args.u32(1), args.out());
        for_each_row(y, width, |r, y| match x.chunks(width.max(1)).nth(indices[r] as usize) {
            Some(x) => y.copy_from_slice(x),
            None => y.fill(T::nan()),
        });
    }
}

impl Op for Take {
    fn name(&self) -> &'static str {
        "take"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("take", inputs, &[DType::F32, DType::U32])?;
        match inputs[0].shape.split_first() {
            Some((1.., row)) => Ok(vec![Type::float([&inputs[1].shape, row].concat())]),
            _ => Err(Error::shape("take", format!("takes one row or more, was given {}", inputs[0]))),
        }
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let rows = g.shape(x[0])[0];
        Ok(vec![Some(g.apply(TakeGrad { rows }, &[x[1], only(dy)])?), None])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let (x, n) = (&io.inputs[0].shape, io.outputs[0].shape.len());
        let params = Params::new().u32("n", n).u32("rows", x[0]).u32("width", x.len() / x[0]);
        vec![Dispatch::over(MODULE, "forward", io, params.f32("missing", f64::NAN), n)]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

impl<T: Real> CpuOp<T> for TakeGrad {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (indices, dy, [dx]) = (args.u32(0), args.real(1), args.out());
        let width = (dx.len() / self.rows).max(1);
        dx.fill(T::zero());
        for (&row, dy) in indices.iter().zip(dy.chunks(width)) {
            let dx = dx.chunks_mut(width).nth(row as usize).unwrap_or_default();
            dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += dy);
        }
    }
}

impl Op for TakeGrad {
    fn name(&self) -> &'static str {
        "take_grad"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("take_grad", inputs, &[DType::U32, DType::F32])?;
        match inputs[1].shape.strip_prefix(&*inputs[0].shape) {
            Some(row) if self.rows > 0 => Ok(vec![Type::float([&[self.rows], row].concat())]),
            _ => Err(Error::shape("take_grad", format!("dy {} is no row for each of {}", inputs[1], inputs[0]))),
        }
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let (indices, n) = (io.inputs[0].shape.len(), io.outputs[0].shape.len());
        let params = Params::new().u32("n", n).u32("indices", indices).u32("width", n / self.rows);
        vec![Dispatch::over(MODULE, "gradient", io, params, n)]
    }

    fn flops(&self, io: &Io) -> u64 {
        io.inputs[1].shape.len() as u64
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, (label, x, indices)) in [
        ("one of one number", vec![1], vec![1]),
        ("a scalar index into (5, 3)", vec![5, 3], vec![]),
        ("(2, 3) of (7, 2, 3)", vec![7, 2, 3], vec![2, 3]),
        ("(257,) of (10, 5), many of them the same", vec![10, 5], vec![257]),
    ]
    .into_iter()
    .enumerate()
    {
        let (seed, rows) = (370 + 3 * i as u64, x[0]);
        let dy = random([&indices[..], &x[1..]].concat(), seed + 2);
        let terms = indices.iter().product();
        let (x, indices) = (random(x, seed), integers(indices, rows as u32, DType::U32, seed + 1));
        cases.push(Case::new(label, Take, vec![x, indices.clone()]).wrt(&[0]).ulps(0.0));
        cases.push(Case::new(label, TakeGrad { rows }, vec![indices, dy]).sums(terms));
    }
    let outside = Tensor::new([4], vec![3u32, 2, u32::MAX, 0]).expect("four");
    let label = "indices that are no row";
    cases.push(Case::new(label, Take, vec![random([3, 2], 390), outside.clone()]).ulps(0.0));
    cases.push(Case::new(label, TakeGrad { rows: 3 }, vec![outside, random([4, 2], 391)]).ulps(0.0));
    cases
}
