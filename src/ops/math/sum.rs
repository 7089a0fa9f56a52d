//! Sum over neighbouring axes, times a constant: `y = scale * sum of x`. With the scale 1 / n it is the mean;
//! over the first axes it is the gradient of a repeated bias, of which fusion makes two at once.

use std::ops::Range;

use super::case::{positive, random};
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{AdapterKind, Binding, Dispatch, LIB_GRID, LIB_REDUCTION, Module, Params, Target};
use super::reduction::{Kernel, Shares};
use super::sums::{sum_axes, sum_rows};
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::{Extent, Writer};
use crate::graph::{Graph, Id, Type};
use crate::ops::expand::Expand;
use crate::tensor::{DType, Shape};

const MODULE: Module =
    Module { stem: "sum", source: include_str!("../../../shaders/sum.wgsl"), libs: &[LIB_GRID, LIB_REDUCTION] };

/// scale * sum over `axes`
#[derive(Clone, Debug)]
pub struct Sum {
    axes: Range<usize>,
    scale: f64,
}

/// A shape seen as (outer, n, inner), where n are the elements along a range of axes.
pub(crate) fn around(shape: &Shape, axes: &Range<usize>) -> [usize; 3] {
    let count = |extents: &[usize]| extents.iter().product();
    [count(&shape[..axes.start]), count(&shape[axes.clone()]), count(&shape[axes.end..])]
}

impl Sum {
    /// The sum over neighbouring axes, which the output no longer has.
    pub fn new(axes: Range<usize>) -> Self {
        Self::scaled(axes, 1.0)
    }

    /// [`Sum::new`] times a constant.
    pub fn scaled(axes: Range<usize>, scale: f64) -> Self {
        Self { axes, scale }
    }

    /// The mean over all of `shape`.
    pub fn mean(shape: &Shape) -> Self {
        Self::scaled(0..shape.rank(), 1.0 / shape.len() as f64)
    }
}

impl<T: Real> CpuOp<T> for Sum {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let extents = around(&args.io.inputs[0].shape, &self.axes);
        let (x, [y], scale) = (args.real(0), args.out(), T::of(self.scale));
        sum_axes(x, extents, y);
        if self.scale != 1.0 {
            y.iter_mut().for_each(|y| *y *= scale);
        }
    }
}

impl Op for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("sum", inputs, &[DType::F32])?;
        let (shape, axes) = (&inputs[0].shape, &self.axes);
        if axes.end > shape.rank() || axes.start > axes.end {
            return Err(Error::shape("sum", format!("axes {axes:?} are not all among those of {shape}")));
        }
        Ok(vec![Type::float([&shape[..axes.start], &shape[axes.end..]].concat())])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let extents = g.shape(x[0])[self.axes.clone()].to_vec();
        let dx = match g.filled_with(only(dy)) {
            // The usual start: the mean over a batch has the gradient 1 / n everywhere, known before any run.
            Some(number) => g.fill(number * self.scale, g.shape(x[0]).clone()),
            None => g.apply(Expand { axis: self.axes.start, extents, scale: self.scale }, &[only(dy)])?,
        };
        Ok(vec![Some(dx)])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (x, y) = (writer.inputs()[0], writer.outputs()[0]);
        let count: usize = writer.graph().shape(x)[self.axes.clone()].iter().product();
        let follows = writer.extents(x)?[self.axes.clone()].iter().any(|extent| matches!(extent, Extent::Batch(_)));
        if follows && self.scale != 1.0 {
            return Err(writer.refused("takes a mean over the batch, whose size is left open"));
        }
        let is_mean = self.scale != 1.0 && (self.scale * count as f64 - 1.0).abs() < 1e-9;
        let op_type = if is_mean { "ReduceMean" } else { "ReduceSum" };
        let (mut name, order) = writer.reduced(op_type, self.axes.clone())?;
        if self.scale != 1.0 && !is_mean {
            let scale = writer.number(self.scale);
            name = writer.add("Mul", &[&name, &scale], vec![]);
        }
        writer.give(y, name, order);
        Ok(())
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        launches([Binding::Input(0), Binding::Output(0)], around(&io.inputs[0].shape, &self.axes), self.scale, target)
    }

    fn flops(&self, io: &Io) -> u64 {
        io.inputs[0].shape.len() as u64
    }
}

/// The kernel that sums units.
pub(crate) fn kernel() -> Kernel {
    Kernel::new(MODULE, ["sum", "sum_shared"], Vec::new())
}

/// The launches that sum x (outer, n, inner) over n: one, or one for the sums of parts and one for theirs.
pub(crate) fn launches([x, y]: [Binding; 2], extents: [usize; 3], scale: f64, target: &Target) -> Vec<Dispatch> {
    let shares = Shares::new(extents, target);
    if shares.is_whole() {
        return vec![shares.launch(&kernel(), [x, y], scale)];
    }
    let parts = Binding::Scratch(shares.units());
    vec![shares.launch(&kernel(), [x, parts], 1.0), shares.second(target).launch(&kernel(), [parts, y], scale)]
}

/// Invocations that share a column of a pair of matrices.
const PAIR_SHARE: usize = 16;

/// The column sums of two matrices, each of any axes as rows of its last: what [`Sum`] makes of each over all but that.
#[derive(Clone, Copy, Debug)]
pub struct SumPair;

impl Sum {
    /// Whether it is the plain sum over all axes of `shape` but the last.
    pub(crate) fn is_of_rows(&self, shape: &Shape) -> bool {
        self.axes == (0..shape.rank().saturating_sub(1)) && shape.rank() > 1 && self.scale == 1.0
    }
}

impl<T: Real> CpuOp<T> for SumPair {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        for (i, y) in args.out::<2>().into_iter().enumerate() {
            sum_rows(args.real(i), y);
        }
    }
}

impl Op for SumPair {
    fn name(&self) -> &'static str {
        "sum_pair"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32; 2])?;
        let of_rows = |x: &Type| match x.shape.last() {
            Some(&columns @ 1..) if x.shape.rank() > 1 => Ok(Type::float([columns])),
            _ => Err(Error::shape("sum_pair", format!("{x} has no rows"))),
        };
        inputs.iter().map(of_rows).collect()
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        let matrices @ [(rows_0, columns_0), (rows_1, columns_1)] = [0, 1].map(|i| io.inputs[i].shape.as_rows());
        let extents = matrices.map(|(rows, columns)| [1, rows, columns]);
        if extents.iter().any(|&extents| !Shares::new(extents, target).is_whole()) {
            let sum = |i: usize| launches([Binding::Input(i), Binding::Output(i)], extents[i], 1.0, target);
            return [0, 1].into_iter().flat_map(sum).collect();
        }
        let params = Params::new().u32("rows_0", rows_0).u32("columns_0", columns_0);
        let params = params.u32("rows_1", rows_1).u32("columns_1", columns_1);
        let columns = columns_0 + columns_1;
        vec![match target.kind {
            AdapterKind::Software => Dispatch::over(MODULE, "pair", io, params, columns),
            AdapterKind::Hardware => {
                // In workgroups of four times as many invocations as `over` takes for.
                let launch = Dispatch::over(MODULE, "pair_shared", io, params, (columns * PAIR_SHARE).div_ceil(4));
                launch.constant("SHARE", PAIR_SHARE as u32)
            }
        }]
    }

    fn flops(&self, io: &Io) -> u64 {
        io.inputs.iter().map(|x| x.shape.len() as u64).sum()
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let pair = |a: Vec<usize>, b: Vec<usize>| {
        let (label, rows) = (format!("{a:?} and {b:?}"), a[0].max(b[0]));
        Case::new(label, SumPair, vec![random(a, 51), random(b, 52)]).sums(rows)
    };
    let mut cases = vec![
        pair(vec![128, 10], vec![128, 512]),
        pair(vec![1, 1], vec![3, 2]),
        pair(vec![97, 65], vec![5, 63]),
        pair(vec![7, 3, 5], vec![2, 64]),
        pair(vec![70_000, 2], vec![3, 5]),
        pair(vec![1, 70_000], vec![200_000, 1]),
    ];
    cases.extend(single_cases());
    cases
}

fn single_cases() -> Vec<Case> {
    [
        ("all of (257,)", vec![257], 0..1),
        ("rows of (128, 10)", vec![128, 10], 0..1),
        ("rows of (97, 513)", vec![97, 513], 0..1),
        ("columns of (5, 3)", vec![5, 3], 1..2),
        ("the middle of (3, 7, 5, 2)", vec![3, 7, 5, 2], 1..3),
        ("no axis of (3, 2)", vec![3, 2], 1..1),
        ("all of (70000,)", vec![70_000], 0..1),
        ("rows of (70000, 1)", vec![70_000, 1], 1..2),
        ("columns of (200000, 2)", vec![200_000, 2], 0..1),
    ]
    .into_iter()
    .flat_map(|(label, shape, axes)| {
        let terms = shape[axes.clone()].iter().product();
        let (short, x, positive) = (terms < 1000, random(shape.clone(), 50), positive(shape, 53));
        let mean = Sum::scaled(axes.clone(), 1.0 / terms as f64);
        let sum = Case::new(label, Sum::new(axes.clone()), vec![x.clone()]).sums(terms);
        // Nothing cancels, and one long sum would lose digits.
        let of_positive = Case::new(format!("positive, {label}"), Sum::new(axes), vec![positive]).ulps(24.0);
        let mean = Case::new(format!("mean, {label}"), mean, vec![x]).sums(terms);
        if short { [sum.wrt(&[0]), of_positive, mean.wrt(&[0])] } else { [sum, of_positive, mean] }
    })
    .collect()
}
