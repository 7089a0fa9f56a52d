//! Softmax over the last axis: `y = exp(x - max x) / sum exp(x - max x)`, and its gradient
//! `dx = y * (dy - sum dy * y)`.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row, vectorised};
use super::dispatch::{Binding, Dispatch, LIB_GRID, LIB_LOGARITHM, LIB_NAN, LIB_REDUCTION, LIB_ROWS, Module, Target};
use super::reduction::{Kernel, Shares};
use super::reshape::Reshape;
use super::sum::around;
use super::sums::sum;
use super::transpose::Transpose;
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::{Writer, place};
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Tensor, axis_of};

const MODULE: Module = Module {
    stem: "softmax",
    source: include_str!("../../../shaders/softmax.wgsl"),
    libs: &[LIB_GRID, LIB_NAN, LIB_REDUCTION, LIB_ROWS, LIB_LOGARITHM],
};
const GRADIENT_MODULE: Module = Module {
    stem: "softmax_gradient",
    source: include_str!("../../../shaders/softmax_gradient.wgsl"),
    libs: &[LIB_GRID, LIB_REDUCTION],
};

/// The launches of a kernel that goes by what is known of whole rows.
pub(crate) fn launches_of_rows(second: &Kernel, io: &Io, target: &Target) -> Vec<Dispatch> {
    let (rows, columns) = io.inputs[0].shape.as_rows();
    let first = Kernel::new(MODULE, ["parts_alone", "parts_shared"], Vec::new());
    Shares::new([rows, columns, 1], target).launches(Binding::Input(0), (&first, 3), second, target)
}

/// The launches of softmax, or of its logarithm.
pub(crate) fn forward(log: bool, io: &Io, target: &Target) -> Vec<Dispatch> {
    let kernel = Kernel::new(MODULE, ["forward", "forward_shared"], vec![Binding::Output(0)]);
    launches_of_rows(&kernel.constant("LOG", log), io, target)
}

/// The launches of the gradient of softmax, or of its logarithm: inputs y and dy.
pub(crate) fn gradient(log: bool, io: &Io, target: &Target) -> Vec<Dispatch> {
    let (rows, columns) = io.inputs[0].shape.as_rows();
    let kernel = |entries, own| Kernel::new(GRADIENT_MODULE, entries, own).constant("LOG", log);
    let first = kernel(["parts_alone", "parts_shared"], vec![Binding::Input(0)]);
    let second = kernel(["gradient", "gradient_shared"], vec![Binding::Input(0), Binding::Output(0)]);
    Shares::new([rows, columns, 1], target).launches(Binding::Input(1), (&first, 1), &second, target)
}

/// y = softmax of each row
#[derive(Clone, Copy, Debug)]
pub struct Softmax;

/// dx = y * (dy - sum dy * y); inputs y and dy. y is a softmax: of numbers far beyond 1 the products overflow.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxGrad;

impl Softmax {
    /// Appends the softmax over any axis, counted from the last where it is below 0: Keras' `ops.softmax(x, axis)`.
    ///
    /// # Errors
    /// [`Error::Shape`] where x is not of floats or has no such axis.
    pub fn over(graph: &mut Graph, x: Id, axis: isize) -> Result<Id> {
        over(graph, Self, x, axis)
    }
}

/// An op on rows, on what lies along an axis.
pub(super) fn over(graph: &mut Graph, op: impl Op, x: Id, axis: isize) -> Result<Id> {
    let shape = graph.shape(x).clone();
    let axis = axis_of(op.name(), axis, &shape)?;
    if axis + 1 == shape.rank() {
        return graph.apply(op, &[x]);
    }
    let turned = Transpose(vec![0, 2, 1]);
    let x = graph.apply(Reshape(around(&shape, &(axis..axis + 1)).into()), &[x])?;
    let rows = graph.apply(turned.clone(), &[x])?;
    let y = graph.apply(op, &[rows])?;
    let y = graph.apply(turned, &[y])?;
    graph.apply(Reshape(shape), &[y])
}

impl<T: Real> CpuOp<T> for Softmax {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let columns = args.io.inputs[0].shape.as_rows().1;
        let (x, [y]) = (args.real(0), args.out());
        for_each_row(y, columns, |row, y| {
            let x = &x[row * columns..][..columns];
            vectorised!({
                let most = x.iter().copied().fold(T::neg_infinity(), T::max);
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - most).exponential());
            });
            let total = sum(y);
            vectorised!(y.iter_mut().for_each(|y| *y /= total));
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

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let x = writer.inputs()[0];
        let axis = place(&writer.order(x), writer.rank(x) - 1);
        writer.follow("Softmax", vec![("axis", axis.into())])
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        forward(false, io, target)
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
            vectorised!(dx.iter_mut().zip(y).zip(dy).for_each(|((dx, &y), &dy)| *dx = y * dy));
            let dot = sum(dx);
            vectorised!(dx.iter_mut().zip(y).zip(dy).for_each(|((dx, &y), &dy)| *dx = y * (dy - dot)));
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

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        gradient(false, io, target)
    }

    fn flops(&self, io: &Io) -> u64 {
        4 * io.inputs[0].shape.len() as u64
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, shape) in [[1, 1], [1, 2], [3, 10], [128, 10], [97, 257], [65, 3]].into_iter().enumerate() {
        let (seed, label) = (120 + 2 * i as u64, format!("({}, {})", shape[0], shape[1]));
        cases.push(Case::new(&label, Softmax, vec![random(shape, seed)]).wrt(&[0]).ulps(8.0).sums(shape[1]));
        let inputs = vec![random(shape, seed), random(shape, seed + 1)];
        cases.push(Case::new(label, SoftmaxGrad, inputs).ulps(4.0).sums(shape[1]));
    }
    for shape in [[1, 70_000], [70_000, 1], [2, 200_000]] {
        let label = format!("({}, {})", shape[0], shape[1]);
        cases.push(Case::new(&label, Softmax, vec![random(shape, 134)]).ulps(8.0).sums(shape[1]));
        cases
            .push(Case::new(label, SoftmaxGrad, vec![random(shape, 134), random(shape, 135)]).ulps(4.0).sums(shape[1]));
    }
    cases.push(Case::new("a part of nothing but -infinity", Softmax, vec![masked()]).ulps(8.0).sums(70_000));
    // Exercise 14: naive exponentials overflow from 89 on.
    let large = Tensor::new([4], vec![1.0f32, 2.0, 788.0, 789.0]).expect("four");
    cases.push(Case::new("[1, 2, 788, 789]", Softmax, vec![large]).ulps(8.0));
    // A maximum that took in a neighbouring row would leave the second row nothing but zeros to sum.
    cases.push(Case::new("large numbers at an end and within", Softmax, vec![large_within()]).ulps(8.0));
    cases
}

/// Rows whose maximum must be their own, and of all their numbers.
pub(crate) fn large_within() -> Tensor {
    Tensor::from([[0.5f32, -1.0, 1e3], [0.25, 1.0, 0.0], [1e3, 0.0, -1.0], [0.0, 1e3, -1.0]])
}

/// Rows that are long enough to be made by parts, of which some hold nothing but -infinity: what a mask leaves of a row.
pub(crate) fn masked() -> Tensor {
    let x = random([2, 70_000], 136).values().to_f32();
    let x = x.into_iter().enumerate().map(|(i, x)| if i % 70_000 < 69_000 { f32::NEG_INFINITY } else { x });
    Tensor::new([2, 70_000], x.collect::<Vec<_>>()).expect("as many as before")
}
