//! Sparse categorical accuracy: 1 where the largest score of a row stands at its label, else 0; of equal scores the first
//! counts, and a NaN is larger than all numbers, as in NumPy's argmax. A label that is no class is no hit. And its form for the k largest, where an equal score does not stand above the label's.

use super::argreduce;
use super::case::{integers, random};
use super::cpu::{CpuArgs, CpuOp, Real, first_largest, for_each_row_of};
use super::dispatch::{Binding, Dispatch, LIB_BEST, LIB_GRID, LIB_NAN, LIB_REDUCTION, Module, Target};
use super::reduction::{Kernel, Shares};
use super::{Case, Io, Op, expect_inputs};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{DType, Tensor};

const MODULE: Module = Module {
    stem: "accuracy",
    source: include_str!("../../../shaders/accuracy.wgsl"),
    libs: &[LIB_GRID, LIB_NAN, LIB_REDUCTION, LIB_BEST],
};
const TOP_K_MODULE: Module = Module {
    stem: "accuracy_topk",
    source: include_str!("../../../shaders/accuracy_topk.wgsl"),
    libs: &[LIB_GRID, LIB_NAN, LIB_REDUCTION],
};

/// hits (B,) of scores (B, C) and labels (B,)
#[derive(Clone, Copy, Debug)]
pub struct SparseCategoricalAccuracy;

impl<T: Real> CpuOp<T> for SparseCategoricalAccuracy {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let columns = args.io.inputs[0].shape[1];
        let (scores, labels, [hits]) = (args.real(0), args.u32(1), args.out());
        for_each_row_of(scores.len(), hits, 1, |row, hit| {
            let best = first_largest(&scores[row * columns..][..columns]);
            hit[0] = if best == labels[row] as usize { T::one() } else { T::zero() };
        });
    }
}

/// hits (B,) of scores (B, C) and labels (B,): 1 where fewer than k scores of a row are above its label's. A label's
/// score that is NaN counts as -infinity, another one's is above nothing: as in Keras' `in_top_k` on JAX.
#[derive(Clone, Copy, Debug)]
pub struct InTopK(pub usize);

impl<T: Real> CpuOp<T> for InTopK {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let columns = args.io.inputs[0].shape[1];
        let (scores, labels, [hits]) = (args.real(0), args.u32(1), args.out());
        for_each_row_of(scores.len(), hits, 1, |row, hit| {
            let scores = &scores[row * columns..][..columns];
            let own = scores.get(labels[row] as usize).map(|&own| if own.is_nan() { T::neg_infinity() } else { own });
            let above = |own| scores.iter().filter(|&&score| score > own).count();
            hit[0] = if own.is_some_and(|own| above(own) < self.0) { T::one() } else { T::zero() };
        });
    }
}

fn outputs(op: &str, inputs: &[Type]) -> Result<Vec<Type>> {
    expect_inputs(op, inputs, &[DType::F32, DType::U32])?;
    let scores = &inputs[0].shape;
    if scores.rank() != 2 || scores[1] == 0 || *inputs[1].shape != [scores[0]] {
        let message = format!("expected scores (batch, classes) and one label a row: {} {}", inputs[0], inputs[1]);
        return Err(Error::shape(op, message));
    }
    Ok(vec![Type::float([scores[0]])])
}

/// Scores as (outer, n, inner).
fn extents(io: &Io) -> [usize; 3] {
    let (rows, columns) = io.inputs[0].shape.as_rows();
    [rows, columns, 1]
}

impl Op for SparseCategoricalAccuracy {
    fn name(&self) -> &'static str {
        "accuracy"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        outputs("accuracy", inputs)
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        let own = vec![Binding::Input(1), Binding::Output(0)];
        argreduce::launches(false, extents(io), Kernel::new(MODULE, ["accuracy", "accuracy_shared"], own), target)
    }

    fn flops(&self, io: &Io) -> u64 {
        io.inputs[0].shape.len() as u64
    }
}

impl Op for InTopK {
    fn name(&self) -> &'static str {
        "in_top_k"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        outputs("in_top_k", inputs)
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        let extents = extents(io);
        let kernel =
            |entries, own| Kernel::new(TOP_K_MODULE, entries, own).constant("K", self.0.min(extents[1]) as u32);
        let first = kernel(["parts_alone", "parts_shared"], vec![Binding::Input(1)]);
        let own = vec![Binding::Input(1), Binding::Output(0)];
        let second = kernel(["in_top_k", "in_top_k_shared"], own).each_output();
        Shares::new(extents, target).launches(Binding::Input(0), (&first, 1), &second, target)
    }

    fn flops(&self, io: &Io) -> u64 {
        io.inputs[0].shape.len() as u64
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, columns] in [[1, 1], [5, 2], [128, 10], [97, 257], [1, 70_000], [70_000, 1], [2, 200_000]] {
        let inputs = vec![random([rows, columns], 160), integers([rows], columns as u32, DType::U32, 161)];
        let label = format!("({rows}, {columns})");
        cases.push(Case::new(&label, InTopK(5), inputs.clone()).ulps(0.0));
        cases.push(Case::new(label, SparseCategoricalAccuracy, inputs).ulps(0.0));
    }
    let ties = vec![1.0f32, 1.0, 0.0, 0.0, 2.0, 2.0, 5.0, 5.0, 5.0];
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let lost = vec![nan, 1.0, 0.0, nan, 1.0, 0.0, nan, nan, -inf];
    let inputs = |scores: Vec<f32>| {
        let labels = Tensor::new([3], vec![0u32, 2, 0]).expect("three");
        vec![Tensor::new([3, 3], scores).expect("nine"), labels]
    };
    for labels in [[0u32, 1, 2], [1, 2, 0]] {
        let labels = Tensor::new([3], labels.to_vec()).expect("three");
        let scores = Tensor::new([3, 3], vec![0.0, nan, 9.0, 9.0, 1.0, nan, nan, nan, 9.0]).expect("nine");
        cases.push(Case::new("the first NaN", SparseCategoricalAccuracy, vec![scores, labels]).ulps(0.0));
    }
    cases.push(Case::new("ties go to the first", SparseCategoricalAccuracy, inputs(ties.clone())).ulps(0.0));
    cases.push(Case::new("a NaN is the largest", SparseCategoricalAccuracy, inputs(lost.clone())).ulps(0.0));
    let none = vec![random([3, 3], 162), Tensor::from([3u32, u32::MAX, 4])];
    cases.push(Case::new("labels that are no class", SparseCategoricalAccuracy, none.clone()).ulps(0.0));
    cases.push(Case::new("labels that are no class", InTopK(3), none).ulps(0.0));
    for k in [1, 2, 3, 7] {
        cases.push(Case::new(format!("ties, k = {k}"), InTopK(k), inputs(ties.clone())).ulps(0.0));
        cases.push(Case::new(format!("NaN, k = {k}"), InTopK(k), inputs(lost.clone())).ulps(0.0));
    }
    cases
}
