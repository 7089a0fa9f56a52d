//! The elements along one axis in the other order, as `numpy.flip`.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::sum::around;
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::{Writer, place};
use crate::graph::{Graph, Id, Type};
use crate::tensor::DType;

const MODULE: Module =
    Module { stem: "reverse", source: include_str!("../../../shaders/reverse.wgsl"), libs: &[LIB_GRID] };

/// y[o, k, i] = x[o, n - 1 - k, i], where k runs along this axis
#[derive(Clone, Copy, Debug)]
pub struct Reverse(pub usize);

impl<T: Real> CpuOp<T> for Reverse {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let [_, n, inner] = around(&args.io.inputs[0].shape, &(self.0..self.0 + 1));
        let (x, [y]) = (args.real(0), args.out());
        let block = (n * inner).max(1);
        for (x, y) in x.chunks(block).zip(y.chunks_mut(block)) {
            let rows = x.chunks(inner.max(1)).rev().zip(y.chunks_mut(inner.max(1)));
            rows.for_each(|(x, y)| y.copy_from_slice(x));
        }
    }
}

impl Op for Reverse {
    fn name(&self) -> &'static str {
        "reverse"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("reverse", inputs, &[DType::F32])?;
        if self.0 >= inputs[0].shape.rank() {
            return Err(Error::shape("reverse", format!("{} has no axis {}", inputs[0], self.0)));
        }
        Ok(inputs.to_vec())
    }

    fn grad(&self, g: &mut Graph, _x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(g.apply(*self, &[only(dy)])?)])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let x = writer.inputs()[0];
        let axis = place(&writer.order(x), self.0) as i64;
        writer.map(|writer, x| {
            let [first, end, axis, step] = [-1, i64::MIN, axis, -1].map(|number| writer.ints(&[number]));
            writer.add("Slice", &[x, &first, &end, &axis, &step], vec![])
        })
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let [outer, n, inner] = around(&io.inputs[0].shape, &(self.0..self.0 + 1));
        let len = outer * n * inner;
        let params = Params::new().u32("len", len).u32("n", n).u32("inner", inner);
        vec![Dispatch::over(MODULE, "reverse", io, params, len)]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |label: &str, shape: &[usize], axis, seed| {
        Case::new(label, Reverse(axis), vec![random(shape.to_vec(), seed)]).wrt(&[0]).ulps(0.0)
    };
    vec![
        case("one", &[1], 0, 92_000),
        case("steps of (3, 7, 5)", &[3, 7, 5], 1, 92_001),
        case("the last of (4, 11)", &[4, 11], 1, 92_002),
        case("the first of (13, 3)", &[13, 3], 0, 92_003),
    ]
}
