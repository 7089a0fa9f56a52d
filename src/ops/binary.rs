//! Element-wise arithmetic: `y = a + b`, `a - b`, `a * b`, `a / b`.
//!
//! b has a's shape, or the shape of a's last axes and is repeated along the others: a bias, a scalar.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::ops::sum::Sum;
use crate::tensor::DType;

const MODULE: Module =
    Module { stem: "binary", source: include_str!("../../shaders/binary.wgsl"), libs: &[LIB_GRID] };

/// An arithmetic op on two floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// a + b
    Add = 0,
    /// a - b
    Sub = 1,
    /// a * b
    Mul = 2,
    /// a / b
    Div = 3,
}

impl Binary {
    const ALL: [Self; 4] = [Self::Add, Self::Sub, Self::Mul, Self::Div];

    #[inline]
    fn of<T: Real>(self, a: T, b: T) -> T {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
        }
    }
}

impl<T: Real> CpuOp<T> for Binary {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (a, b, [y]) = (args.real(0), args.real(1), args.out());
        let width = b.len();
        for_each_row(y, width, |row, y| {
            for ((y, &a), &b) in y.iter_mut().zip(&a[row * width..]).zip(b) {
                *y = self.of(a, b);
            }
        });
    }
}

impl Op for Binary {
    fn name(&self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Div => "div",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32; 2])?;
        let (a, b) = (&inputs[0].shape, &inputs[1].shape);
        if !a.ends_with(b) {
            let message = format!("the second shape {b} is neither the first, {a}, nor that of its last axes");
            return Err(Error::shape(self.name(), message));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let (dy, [a, b]) = (only(dy), [x[0], x[1]]);
        let (da, db) = match self {
            Self::Add => (dy, dy),
            Self::Sub => {
                let minus = g.fill(-1.0, []);
                (dy, g.apply(Self::Mul, &[dy, minus])?)
            }
            Self::Mul => (g.apply(Self::Mul, &[dy, b])?, g.apply(Self::Mul, &[dy, a])?),
            Self::Div => {
                // d(a/b)/db = -y/b
                let da = g.apply(Self::Div, &[dy, b])?;
                let (da_y, minus) = (g.apply(Self::Mul, &[da, y[0]])?, g.fill(-1.0, []));
                (da, g.apply(Self::Mul, &[da_y, minus])?)
            }
        };
        let repeated = g.shape(a).rank() - g.shape(b).rank();
        let db = if repeated == 0 { db } else { g.apply(Sum::new(0..repeated), &[db])? };
        Ok(vec![Some(da), Some(db)])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let (n, width) = (io.outputs[0].shape.len(), io.inputs[1].shape.len());
        let params = Params::new().u32("n", n).u32("width", width);
        vec![Dispatch::over(MODULE, "binary", io, params, n).constant("OPERATION", *self as u32)]
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, op) in Binary::ALL.into_iter().enumerate() {
        for (label, a, b) in [
            ("(1,)", vec![1], vec![1]),
            ("(257,) and (257,)", vec![257], vec![257]),
            ("a row on (5, 3)", vec![5, 3], vec![3]),
            ("a plane on (2, 3, 85)", vec![2, 3, 85], vec![3, 85]),
            ("a scalar on (7, 11)", vec![7, 11], vec![]),
        ] {
            let (a, b) = (random(a, 30 + i as u64), random(b, 40 + i as u64));
            cases.push(Case::new(label, op, vec![a, b]).wrt(&[0, 1]).ulps(3.0));
        }
    }
    cases
}
