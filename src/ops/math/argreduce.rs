//! Where the largest or smallest number stands along one axis, as u32; of equal ones the first, as in NumPy, and
//! where there is a NaN, the first of those.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row_of};
use super::dispatch::{Binding, Dispatch, LIB_BEST, LIB_GRID, LIB_NAN, LIB_REDUCTION, Module, Target};
use super::reduction::{Kernel, Shares};
use super::sum::around;
use super::{Case, Io, Op, expect_inputs};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::Writer;
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Tensor};

const MODULE: Module = Module {
    stem: "argreduce",
    source: include_str!("../../../shaders/argreduce.wgsl"),
    libs: &[LIB_GRID, LIB_NAN, LIB_REDUCTION, LIB_BEST],
};

/// Columns that are looked through at once on the CPU.
const COLUMNS: usize = 64;

/// The launches of a kernel that goes by where the extremes of all outputs stand.
pub(crate) fn launches(min: bool, extents: [usize; 3], second: Kernel, target: &Target) -> Vec<Dispatch> {
    let first = Kernel::new(MODULE, ["parts_alone", "parts_shared"], Vec::new()).constant("MIN", min);
    let second = second.constant("MIN", min).each_output();
    Shares::new(extents, target).launches(Binding::Input(0), (&first, 1), &second, target)
}

/// y, the index of the extreme of x along `axis`, which y no longer has
#[derive(Clone, Copy, Debug)]
pub struct ArgReduce {
    /// Whether the smallest is looked for.
    pub min: bool,
    /// The axis.
    pub axis: usize,
}

impl<T: Real> CpuOp<T> for ArgReduce {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let [_, n, inner] = around(&args.io.inputs[0].shape, &(self.axis..self.axis + 1));
        let (x, y) = (args.real(0), args.out_u32());
        let beyond = |a: T, b: T| if self.min { a < b } else { a > b };
        let better = |a: T, b: T| beyond(a, b) || (a.is_nan() && !b.is_nan());
        for_each_row_of(x.len(), y, inner, |outer, y| {
            let x = &x[outer * n * inner..][..n * inner];
            for_each_row_of(x.len(), y, COLUMNS, |strip, y| {
                y.fill(0);
                for k in 1..n {
                    let row = &x[k * inner + strip * COLUMNS..][..y.len()];
                    for (i, (best, &a)) in y.iter_mut().zip(row).enumerate() {
                        if better(a, x[*best as usize * inner + strip * COLUMNS + i]) {
                            *best = k as u32;
                        }
                    }
                }
            });
        });
    }
}

impl Op for ArgReduce {
    fn name(&self) -> &'static str {
        if self.min { "argmin" } else { "argmax" }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32])?;
        let shape = &inputs[0].shape;
        if shape.get(self.axis).is_none_or(|&n| n == 0) {
            return Err(Error::shape(
                self.name(),
                format!("axis {} is not among those of {shape}, or empty", self.axis),
            ));
        }
        Ok(vec![Type::u32([&shape[..self.axis], &shape[self.axis + 1..]].concat())])
    }

    fn grad(&self, _g: &mut Graph, _x: &[Id], _y: &[Id], _dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![None])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (x, y) = (writer.inputs()[0], writer.outputs()[0]);
        let x = writer.plain(x)?;
        let op_type = if self.min { "ArgMin" } else { "ArgMax" };
        let name = writer.add(op_type, &[&x], vec![("axis", self.axis.into()), ("keepdims", 0i64.into())]);
        writer.give_plain(y, name);
        Ok(())
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        let kernel = Kernel::new(MODULE, ["argreduce", "argreduce_shared"], vec![Binding::Output(0)]);
        launches(self.min, around(&io.inputs[0].shape, &(self.axis..self.axis + 1)), kernel, target)
    }

    fn flops(&self, io: &Io) -> u64 {
        io.inputs[0].shape.len() as u64
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for min in [false, true] {
        for (label, shape, axis) in [
            ("(257,)", vec![257], 0),
            ("rows of (128, 10)", vec![128, 10], 1),
            ("the middle of (3, 5, 7)", vec![3, 5, 7], 1),
            ("(70000,)", vec![70_000], 0),
            ("rows of (70000, 1)", vec![70_000, 1], 1),
            ("columns of (200000, 2)", vec![200_000, 2], 0),
        ] {
            cases.push(Case::new(label, ArgReduce { min, axis }, vec![random(shape, 340)]).ulps(0.0));
        }
        let ties = Tensor::new([2, 4], vec![1.0f32, 3.0, 3.0, 1.0, -2.0, -2.0, -2.0, -2.0]).expect("eight");
        cases.push(Case::new("ties go to the first", ArgReduce { min, axis: 1 }, vec![ties]).ulps(0.0));
        let last = (0..70_000).map(|i| if i == 69_999 { 3.0 } else { -3.0 } * if min { -1.0f32 } else { 1.0 });
        let last = Tensor::new([70_000], last.collect::<Vec<_>>()).expect("as many");
        cases.push(Case::new("the last of 70000", ArgReduce { min, axis: 0 }, vec![last]).ulps(0.0));
        let nan = Tensor::from([[1.0, f32::NAN, 3.0, f32::NAN], [f32::NAN, 3.0, f32::NAN, 0.0]]);
        cases.push(Case::new("the first NaN", ArgReduce { min, axis: 1 }, vec![nan]).ulps(0.0));
    }
    cases
}
