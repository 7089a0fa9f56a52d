//! Softmax and cross-entropy in one, on logits and integer labels: `loss = log sum exp(x - m) + m - x[label]` with
//! `m = max x`, and its gradient `dx = dloss * (softmax(x) - onehot(label))`. No logarithm of a rounded probability.
//! Fusion makes one pass of both, and of the accuracy, which looks for the same maximum.

use super::case::{integers, random};
use super::cpu::{CpuArgs, CpuOp, Real, first_largest, for_each_row, for_each_row_of, vectorised};
use super::dispatch::{Binding, Dispatch, LIB_GRID, LIB_NAN, LIB_REDUCTION, LIB_ROWS, Module, Target};
use super::reduction::Kernel;
use super::softmax::{large_within, launches_of_rows};
use super::sums::sum_of;
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Tensor};
use crate::threads::{Chunks, for_each_block};

const MODULE: Module = Module {
    stem: "softmax_cross_entropy",
    source: include_str!("../../../shaders/softmax_cross_entropy.wgsl"),
    libs: &[LIB_GRID, LIB_NAN, LIB_REDUCTION, LIB_ROWS],
};

/// loss (B,) of logits x (B, C) and labels (B,); NaN where a label is no class
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxCrossEntropy;

/// dx (B, C) of logits x (B, C), labels (B,) and dloss (B,); a row of NaN where a label is no class
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxCrossEntropyGrad;

/// loss (B,), dx (B, C) and hits (B,), as [`super::accuracy`] has them, of logits x (B, C), labels (B,) and dloss (B,)
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxCrossEntropyStep;

/// What loss, gradient and accuracy of a row are made of.
struct Row<T> {
    /// Where the maximum stands, the first of several.
    best: usize,
    /// The maximum.
    most: T,
    /// The sum of the exponentials less the maximum.
    total: T,
}

impl<T: Real> Row<T> {
    fn new(x: &[T]) -> Self {
        let best = first_largest(x);
        let most = x[best];
        Self { best, most, total: sum_of(x, &|x| (x - most).exponential()) }
    }

    fn loss(&self, x: &[T], label: u32) -> T {
        x.get(label as usize).map_or(T::nan(), |&own| self.total.ln() + (self.most - own))
    }

    fn gradient(&self, x: &[T], label: u32, dloss: T, dx: &mut [T]) {
        let own = label as usize;
        let dloss = if own < x.len() { dloss } else { T::nan() };
        let Self { most, total, .. } = *self;
        vectorised!(dx.iter_mut().zip(x).for_each(|(dx, &x)| *dx = dloss * ((x - most).exponential() / total)));
        if let Some((dx, &x)) = dx.get_mut(own).zip(x.get(own)) {
            *dx = dloss * ((x - most).exponential() / total - T::one());
        }
    }
}

impl<T: Real> CpuOp<T> for SoftmaxCrossEntropy {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let columns = args.io.inputs[0].shape[1];
        let (x, labels, [loss]) = (args.real(0), args.u32(1), args.out());
        for_each_row_of(x.len(), loss, 1, |row, loss| {
            let x = &x[row * columns..][..columns];
            loss[0] = Row::new(x).loss(x, labels[row]);
        });
    }
}

impl Op for SoftmaxCrossEntropy {
    fn name(&self) -> &'static str {
        "softmax_cross_entropy"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32, DType::U32])?;
        check_rows(self.name(), inputs)?;
        Ok(vec![Type::float([inputs[0].shape[0]])])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(g.apply(SoftmaxCrossEntropyGrad, &[x[0], x[1], only(dy)])?), None])
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        launches_of_rows(&kernel(["forward", "forward_shared"], &[Binding::Output(0)]).each_output(), io, target)
    }

    fn flops(&self, io: &Io) -> u64 {
        3 * io.inputs[0].shape.len() as u64
    }
}

impl<T: Real> CpuOp<T> for SoftmaxCrossEntropyGrad {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let columns = args.io.inputs[0].shape[1];
        let (x, labels, dloss, [dx]) = (args.real(0), args.u32(1), args.real(2), args.out());
        for_each_row(dx, columns, |row, dx| {
            let x = &x[row * columns..][..columns];
            Row::new(x).gradient(x, labels[row], dloss[row], dx);
        });
    }
}

impl Op for SoftmaxCrossEntropyGrad {
    fn name(&self) -> &'static str {
        "softmax_cross_entropy_grad"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32, DType::U32, DType::F32])?;
        check_rows(self.name(), inputs)?;
        Ok(vec![inputs[0].clone()])
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        launches_of_rows(&kernel(["gradient", "gradient_shared"], &[Binding::Input(2), Binding::Output(0)]), io, target)
    }

    fn flops(&self, io: &Io) -> u64 {
        6 * io.inputs[0].shape.len() as u64
    }
}

impl<T: Real> CpuOp<T> for SoftmaxCrossEntropyStep {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let columns = args.io.inputs[0].shape[1];
        let (x, labels, dloss, [loss, dx, hits]) = (args.real(0), args.u32(1), args.real(2), args.out());
        // As many numbers a thread takes at least.
        let few = (1usize << 12).div_ceil(columns);
        for_each_block([Chunks(dx, columns), Chunks(loss, 1), Chunks(hits, 1)], few, &|r, [dx, loss, hit]| {
            let x = &x[r * columns..][..columns];
            let row = Row::new(x);
            loss[0] = row.loss(x, labels[r]);
            row.gradient(x, labels[r], dloss[r], dx);
            hit[0] = if row.best == labels[r] as usize { T::one() } else { T::zero() };
        });
    }
}

impl Op for SoftmaxCrossEntropyStep {
    fn name(&self) -> &'static str {
        "softmax_cross_entropy_step"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        let dx = SoftmaxCrossEntropyGrad.outputs(inputs)?;
        let row = Type::float([inputs[0].shape[0]]);
        Ok([vec![row.clone()], dx, vec![row]].concat())
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        let [loss, dx, hits] = [0, 1, 2].map(Binding::Output);
        launches_of_rows(&kernel(["step", "step_shared"], &[Binding::Input(2), loss, dx, hits]), io, target)
    }

    fn flops(&self, io: &Io) -> u64 {
        7 * io.inputs[0].shape.len() as u64
    }
}

/// That the logits are rows of classes, and everything else has one element a row.
fn check_rows(op: &str, inputs: &[Type]) -> Result<()> {
    let x = &inputs[0].shape;
    let fits = x.rank() == 2 && x[1] > 0 && inputs[1..].iter().all(|t| *t.shape == [x[0]]);
    if fits {
        return Ok(());
    }
    let found = inputs.iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
    Err(Error::shape(op, format!("expected logits (batch, classes) and one integer label a row, was given {found}")))
}

/// A kernel of rows that binds labels, and more.
fn kernel(entries: [&'static str; 2], more: &[Binding]) -> Kernel {
    Kernel::new(MODULE, entries, [&[Binding::Input(1)], more].concat())
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, [rows, columns]) in [[1, 1], [1, 2], [3, 10], [128, 10], [97, 257]].into_iter().enumerate() {
        let (seed, label) = (140 + 3 * i as u64, format!("({rows}, {columns})"));
        let inputs = vec![random([rows, columns], seed), integers([rows], columns as u32, DType::U32, seed)];
        let dloss = random([rows], seed + 2);
        cases.push(Case::new(&label, SoftmaxCrossEntropy, inputs.clone()).wrt(&[0]).ulps(8.0).sums(columns));
        let inputs = [inputs, vec![dloss]].concat();
        cases.push(Case::new(&label, SoftmaxCrossEntropyGrad, inputs.clone()).ulps(8.0).sums(columns));
        cases.push(Case::new(label, SoftmaxCrossEntropyStep, inputs).ulps(8.0).sums(columns));
    }
    for [rows, columns] in [[1, 70_000], [70_000, 1], [2, 200_000]] {
        let label = format!("({rows}, {columns})");
        let inputs = vec![random([rows, columns], 171), integers([rows], columns as u32, DType::U32, 172)];
        cases.push(Case::new(&label, SoftmaxCrossEntropy, inputs.clone()).ulps(8.0).sums(columns));
        let inputs = [inputs, vec![random([rows], 173)]].concat();
        cases.push(Case::new(&label, SoftmaxCrossEntropyGrad, inputs.clone()).ulps(8.0).sums(columns));
        cases.push(Case::new(label, SoftmaxCrossEntropyStep, inputs).ulps(8.0).sums(columns));
    }
    for columns in [3, 5_000] {
        let label = format!("labels that are no class, {columns} classes");
        let none = Tensor::from([columns as u32, 2, u32::MAX, columns as u32 + 1, 0]);
        let inputs = vec![random([5, columns], 174), none];
        cases.push(Case::new(&label, SoftmaxCrossEntropy, inputs.clone()).ulps(8.0).sums(columns));
        let inputs = [inputs, vec![random([5], 175)]].concat();
        cases.push(Case::new(&label, SoftmaxCrossEntropyGrad, inputs.clone()).ulps(8.0).sums(columns));
        cases.push(Case::new(label, SoftmaxCrossEntropyStep, inputs).ulps(8.0).sums(columns));
    }
    let x = Tensor::new([3, 3], vec![1.0f32, 1.0, 0.0, 0.0, 2.0, 2.0, 5.0, 5.0, 5.0]).expect("nine");
    let inputs = vec![x, Tensor::new([3], vec![0u32, 2, 0]).expect("three"), random([3], 170)];
    cases.push(Case::new("ties go to the first", SoftmaxCrossEntropyStep, inputs).ulps(8.0).sums(3));
    let x = Tensor::new([2, 3], vec![1e30f32, -1e30, 0.0, 200.0, 0.0, -200.0]).expect("six");
    let inputs = vec![x, Tensor::new([2], vec![0u32, 2]).expect("two")];
    cases.push(Case::new("certain, right and wrong", SoftmaxCrossEntropy, inputs).ulps(8.0));
    // A maximum that took in a neighbouring row would leave the second row nothing but zeros to sum.
    let inputs = vec![large_within(), Tensor::from([2u32, 0, 0, 0])];
    cases.push(Case::new("large numbers at an end and within", SoftmaxCrossEntropy, inputs).ulps(8.0));
    cases
}
