//! The logarithm of softmax over the last axis: `y = x - max x - log sum exp(x - max x)`, and its gradient
//! `dx = dy - exp(y) * sum dy`. Where softmax underflows to 0 this is still exact.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, first_largest, for_each_row, vectorised};
use super::dispatch::{Dispatch, Target};
use super::softmax::{self, large_within, masked};
use super::sums::sum;
use super::{Case, Io, Op, one_shape, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::{Writer, place};
use crate::graph::{Graph, Id, Type};
use crate::tensor::Tensor;

/// y = log softmax of each row
#[derive(Clone, Copy, Debug)]
pub struct LogSoftmax;

/// dx = dy - exp(y) * sum dy; inputs y and dy
#[derive(Clone, Copy, Debug)]
pub struct LogSoftmaxGrad;

impl LogSoftmax {
    /// Appends the logarithm of the softmax over any axis, counted from the last where it is below 0.
    ///
    /// # Errors
    /// [`Error::Shape`] where x is not of floats or has no such axis.
    pub fn over(graph: &mut Graph, x: Id, axis: isize) -> Result<Id> {
        softmax::over(graph, Self, x, axis)
    }
}

impl<T: Real> CpuOp<T> for LogSoftmax {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let columns = args.io.inputs[0].shape.as_rows().1;
        let (x, [y]) = (args.real(0), args.out());
        for_each_row(y, columns, |row, y| {
            let x = &x[row * columns..][..columns];
            let best = first_largest(x);
            let most = x[best];
            // Without the largest, whose term is 1: near certainty the others' sum would be lost beside it.
            vectorised!(y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - most).exponential()));
            y[best] = T::zero();
            let log = sum(y).ln_1p();
            // In this order: most + log would lose the digits of log where x is large.
            vectorised!(y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - most) - log));
        });
    }
}

impl Op for LogSoftmax {
    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        let outputs = one_shape("log_softmax", inputs, 1)?;
        if outputs[0].shape.is_scalar() {
            return Err(Error::shape("log_softmax", "takes rows of one or more numbers, was given a scalar"));
        }
        Ok(outputs)
    }

    fn grad(&self, g: &mut Graph, _x: &[Id], y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(g.apply(LogSoftmaxGrad, &[y[0], only(dy)])?)])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let x = writer.inputs()[0];
        let axis = place(&writer.order(x), writer.rank(x) - 1);
        writer.follow("LogSoftmax", vec![("axis", axis.into())])
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        softmax::forward(true, io, target)
    }

    fn flops(&self, io: &Io) -> u64 {
        4 * io.inputs[0].shape.len() as u64
    }
}

impl<T: Real> CpuOp<T> for LogSoftmaxGrad {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let columns = args.io.inputs[0].shape.as_rows().1;
        let (y, dy, [dx]) = (args.real(0), args.real(1), args.out());
        for_each_row(dx, columns, |row, dx| {
            let (y, dy) = (&y[row * columns..][..columns], &dy[row * columns..][..columns]);
            let total = sum(dy);
            let operands = y.iter().zip(dy);
            vectorised!(dx.iter_mut().zip(operands).for_each(|(dx, (&y, &dy))| *dx = dy - y.exponential() * total));
        });
    }
}

impl Op for LogSoftmaxGrad {
    fn name(&self) -> &'static str {
        "log_softmax_grad"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        one_shape("log_softmax_grad", inputs, 2)
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        softmax::gradient(true, io, target)
    }

    fn flops(&self, io: &Io) -> u64 {
        3 * io.inputs[0].shape.len() as u64
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, shape) in [[1, 1], [1, 2], [3, 10], [128, 10], [97, 257], [65, 3]].into_iter().enumerate() {
        let (seed, label) = (140 + 2 * i as u64, format!("({}, {})", shape[0], shape[1]));
        cases.push(Case::new(&label, LogSoftmax, vec![random(shape, seed)]).wrt(&[0]).ulps(8.0).sums(shape[1]));
        let logs: Vec<f32> = random(shape, seed).values().to_f32().iter().map(|x| x - 1.0).collect();
        let inputs = vec![Tensor::new(shape, logs).expect("as many"), random(shape, seed + 1)];
        cases.push(Case::new(label, LogSoftmaxGrad, inputs).ulps(8.0).sums(shape[1]));
    }
    for shape in [[1, 70_000], [70_000, 1], [2, 200_000]] {
        let label = format!("({}, {})", shape[0], shape[1]);
        cases.push(Case::new(&label, LogSoftmax, vec![random(shape, 154)]).ulps(8.0).sums(shape[1]));
        let inputs = vec![random(shape, 154), random(shape, 155)];
        cases.push(Case::new(label, LogSoftmaxGrad, inputs).ulps(8.0).sums(shape[1]));
    }
    cases.push(Case::new("a part of nothing but -infinity", LogSoftmax, vec![masked()]).ulps(8.0).sums(70_000));
    let row =
        |label, x: [f32; 4]| Case::new(label, LogSoftmax, vec![Tensor::new([4], x.to_vec()).expect("four")]).ulps(8.0);
    cases.push(row("[1, 2, 788, 789]", [1.0, 2.0, 788.0, 789.0]));
    cases.push(row("zeros and far from zero", [-0.0, 0.0, -1e30, 1e30]));
    cases.push(row("nearly certain", [0.0, -12.0, -13.0, -1e30]));
    cases.push(Case::new("large numbers at an end and within", LogSoftmax, vec![large_within()]).ulps(8.0));
    cases
}
