//! Softmax over the last axis: `y = exp(x - max x) / sum exp(x - max x)`, and its gradient
//! `dx = y * (dy - sum dy * y)`.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row};
use super::dispatch::{Dispatch, LIB_GRID, LIB_ROWS, Module, Params, Target};
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Tensor};

const MODULE: Module =
    Module { stem: "softmax", source: include_str!("../../shaders/softmax.wgsl"), libs: &[LIB_GRID, LIB_ROWS] };

/// y = softmax of each row
#[derive(Clone, Copy, Debug)]
pub struct Softmax;

/// dx = y * (dy - sum dy * y); inputs y and dy. y is a softmax: of numbers far beyond 1 the products overflow.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxGrad;

impl<T: Real> CpuOp<T> for Softmax {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let columns = args.io.inputs[0].shape.as_rows().1;
        let (x, [y]) = (args.real(0), args.out());
        for_each_row(y, columns, |row, y| {
            let x = &x[row * columns..][..columns];
            let most = x.iter().copied().fold(T::neg_infinity(), T::max);
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - most).exp());
            let total: T = y.iter().copied().sum();
            y.iter_mut().for_each(|y| *y /= total);
        });
    }
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("softmax", inputs, &[DType::F32])?;
        if inputs[0].shape.is_scalar() {
            return Err(Error::shape("softmax", "takes rows of one or more numbers, was given a scalar"));
        }
        Ok(inputs.to_vec())
    }

    fn grad(&self, g: &mut Graph, _x: &[Id], y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(g.apply(SoftmaxGrad, &[y[0], only(dy)])?)])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        launch("forward", io)
    }

    fn flops(&self, io: &Io) -> u64 {
        4 * io.inputs[0].shape.len() as u64
    }
}

impl<T: Real> CpuOp<T> for SoftmaxGrad {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let columns = args.io.inputs[0].shape.as_rows().1;
        let (y, dy, [dx]) = (args.real(0), args.real(1), args.out());
        for_each_row(dx, columns, |row, dx| {
            let (y, dy) = (&y[row * columns..][..columns], &dy[row * columns..][..columns]);
            let dot: T = y.iter().zip(dy).map(|(&y, &dy)| y * dy).sum();
            for ((dx, &y), &dy) in dx.iter_mut().zip(y).zip(dy) {
                *dx = y * (dy - dot);
            }
        });
    }
}

impl Op for SoftmaxGrad {
    fn name(&self) -> &'static str {
        "softmax_grad"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("softmax_grad", inputs, &[DType::F32; 2])?;
        if inputs[0] != inputs[1] {
            return Err(Error::shape("softmax_grad", format!("y {} and dy {} differ", inputs[0], inputs[1])));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        launch("gradient", io)
    }

    fn flops(&self, io: &Io) -> u64 {
        4 * io.inputs[0].shape.len() as u64
    }
}

fn launch(entry: &'static str, io: &Io) -> Vec<Dispatch> {
    vec![Dispatch::over_rows(MODULE, entry, io, &Params::new())]
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, shape) in [[1, 1], [1, 2], [3, 10], [128, 10], [97, 257], [65, 3]].into_iter().enumerate() {
        let (seed, label) = (120 + 2 * i as u64, format!("({}, {})", shape[0], shape[1]));
        cases.push(Case::new(&label, Softmax, vec![random(shape, seed)]).wrt(&[0]).ulps(8.0).sums(shape[1]));
        let inputs = vec![random(shape, seed), random(shape, seed + 1)];
        cases.push(Case::new(label, SoftmaxGrad, inputs).ulps(4.0).sums(shape[1]));
    }
    // Exercise 14: naive exponentials overflow from 89 on.
    let large = Tensor::new([4], vec![1.0f32, 2.0, 788.0, 789.0]).expect("four");
    cases.push(Case::new("[1, 2, 788, 789]", Softmax, vec![large]).ulps(8.0));
    // A maximum that took in a neighbouring row would leave the second row nothing but zeros to sum.
    cases.push(Case::new("large numbers at an end and within", Softmax, vec![large_within()]).ulps(8.0));
    cases
}

/// Rows whose maximum must be their own, and of all their numbers.
pub(super) fn large_within() -> Tensor {
    Tensor::from([[0.5f32, -1.0, 1e3], [0.25, 1.0, 0.0], [1e3, 0.0, -1.0], [0.0, 1e3, -1.0]])
}
