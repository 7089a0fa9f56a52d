//! Sparse categorical accuracy: 1 where the largest score of a row stands at its label, else 0.
//! Of equal scores the first counts, as in NumPy's argmax.

use super::case::{integers, random};
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, expect_inputs};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{DType, Tensor};

const MODULE: Module =
    Module { stem: "accuracy", source: include_str!("../../shaders/accuracy.wgsl"), libs: &[LIB_GRID] };

/// hits (B,) of scores (B, C) and labels (B,)
#[derive(Clone, Copy, Debug)]
pub struct SparseCategoricalAccuracy;

impl<T: Real> CpuOp<T> for SparseCategoricalAccuracy {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let columns = args.io.inputs[0].shape[1];
        let (scores, labels, [hits]) = (args.real(0), args.u32(1), args.out());
        for ((scores, &label), hit) in scores.chunks(columns).zip(labels).zip(hits) {
            let best = (1..columns).fold(0, |best, c| if scores[c] > scores[best] { c } else { best });
            *hit = if best == label as usize { T::one() } else { T::zero() };
        }
    }
}

impl Op for SparseCategoricalAccuracy {
    fn name(&self) -> &'static str {
        "accuracy"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("accuracy", inputs, &[DType::F32, DType::U32])?;
        let scores = &inputs[0].shape;
        if scores.rank() != 2 || *inputs[1].shape != [scores[0]] {
            let message = format!("expected scores (batch, classes) and one label a row: {} {}", inputs[0], inputs[1]);
            return Err(Error::shape("accuracy", message));
        }
        Ok(vec![Type::float([scores[0]])])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let (rows, columns) = io.inputs[0].shape.as_rows();
        let params = Params::new().u32("rows", rows).u32("columns", columns);
        vec![Dispatch::over(MODULE, "accuracy", io, params, rows)]
    }

    fn flops(&self, io: &Io) -> u64 {
        io.inputs[0].shape.len() as u64
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [[1, 1], [5, 2], [128, 10], [97, 257]]
        .map(|[rows, columns]| {
            let inputs = vec![random([rows, columns], 160), integers([rows], columns as u32, DType::U32, 161)];
            Case::new(format!("({rows}, {columns})"), SparseCategoricalAccuracy, inputs).ulps(0.0)
        })
        .into();
    let scores = Tensor::new([3, 3], vec![1.0f32, 1.0, 0.0, 0.0, 2.0, 2.0, 5.0, 5.0, 5.0]).expect("nine");
    let inputs = vec![scores, Tensor::new([3], vec![0u32, 2, 0]).expect("three")];
    cases.push(Case::new("ties go to the first", SparseCategoricalAccuracy, inputs).ulps(0.0));
    cases
}
