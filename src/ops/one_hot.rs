//! Integer labels as rows of zeros with a 1 at the label.

use super::case::integers;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, expect_inputs};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::DType;

const MODULE: Module =
    Module { stem: "one_hot", source: include_str!("../../shaders/one_hot.wgsl"), libs: &[LIB_GRID] };

/// y (..., C) of labels (...); a label of C or more has a row of zeros
#[derive(Clone, Copy, Debug)]
pub struct OneHot {
    /// C, 1 or more.
    pub classes: usize,
}

impl<T: Real> CpuOp<T> for OneHot {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (labels, [y]) = (args.u32(0), args.out());
        for_each_row(y, self.classes, |row, y| {
            y.fill(T::zero());
            if let Some(hit) = y.get_mut(labels[row] as usize) {
                *hit = T::one();
            }
        });
    }
}

impl Op for OneHot {
    fn name(&self) -> &'static str {
        "one_hot"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("one_hot", inputs, &[DType::U32])?;
        if self.classes == 0 {
            return Err(Error::shape("one_hot", "0 classes have no row; give 1 or more"));
        }
        Ok(vec![Type::float([&inputs[0].shape[..], &[self.classes]].concat())])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let n = io.outputs[0].shape.len();
        vec![Dispatch::over(MODULE, "one_hot", io, Params::new().u32("n", n).u32("classes", self.classes), n)]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

pub(super) fn cases() -> Vec<Case> {
    [(vec![1], 1), (vec![], 3), (vec![5], 2), (vec![128], 10), (vec![2, 3], 257)]
        .map(|(shape, classes)| {
            let label = format!("{shape:?}, {classes} classes");
            // One class more, for labels that have none.
            let labels = integers(shape, classes as u32 + 1, DType::U32, 180 + classes as u64);
            Case::new(label, OneHot { classes }, vec![labels]).ulps(0.0)
        })
        .into()
}
