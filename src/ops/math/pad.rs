//! A tensor within a larger one filled with a number: what lies at i of x lies at `before + i * step` of y.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::slice::{Cut, Slice};
use super::strided::{Walk, check_axes, strides_of};
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::Writer;
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Shape};

const MODULE: Module = Module { stem: "pad", source: include_str!("../../../shaders/pad.wgsl"), libs: &[LIB_GRID] };

/// y of the shape given, `value` but for the elements of x
#[derive(Clone, Debug)]
pub struct Pad {
    /// Elements before the first of x, an axis each.
    pub before: Vec<usize>,
    /// Elements from one of x to the next, 1 or more, an axis each.
    pub step: Vec<usize>,
    /// The shape of y.
    pub shape: Shape,
    /// What fills the rest.
    pub value: f64,
}

impl Pad {
    /// Where the elements of x lie in y.
    fn walk(&self, x: &Shape) -> Walk {
        let strides = strides_of(&self.shape);
        let first = self.before.iter().zip(strides).map(|(before, stride)| before * stride).sum();
        let strides = self.step.iter().zip(strides).map(|(step, stride)| step * stride);
        Walk::new(first, x.iter().copied().zip(strides))
    }
}

impl<T: Real> CpuOp<T> for Pad {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let walk = self.walk(&args.io.inputs[0].shape);
        let (x, [y]) = (args.real(0), args.out());
        y.fill(T::of(self.value));
        walk.place(x, y);
    }
}

impl Op for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("pad", inputs, &[DType::F32])?;
        let x = &inputs[0].shape;
        check_axes("pad", &self.shape)?;
        let rank = self.shape.rank();
        let fits = !x.is_empty()
            && [x.rank(), self.before.len(), self.step.len()] == [rank; 3]
            && (0..rank).all(|a| {
                let last = (x[a] - 1).checked_mul(self.step[a]).and_then(|last| last.checked_add(self.before[a]));
                self.step[a] > 0 && last.is_some_and(|last| last < self.shape[a])
            });
        if !fits {
            let (before, step) = (&self.before, &self.step);
            let message = format!("{x} behind {before:?} by steps of {step:?} does not fit {}", self.shape);
            return Err(Error::shape("pad", message));
        }
        Ok(vec![Type::float(self.shape.clone())])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let extents = g.shape(x[0]);
        let cut = |a: usize| {
            let (first, step) = (self.before[a], self.step[a]);
            Cut { first, end: first + (extents[a] - 1) * step + 1, step }
        };
        let part = Slice((0..extents.rank()).map(cut).collect());
        Ok(vec![Some(g.apply(part, &[only(dy)])?)])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (x, y) = (writer.inputs()[0], writer.outputs()[0]);
        if self.step.iter().any(|&step| step != 1) {
            return Err(writer.refused("puts elements between others"));
        }
        let added = |axis: usize| {
            let own = writer.graph().shape(x)[axis];
            [self.before[axis], writer.graph().shape(y)[axis].saturating_sub(self.before[axis] + own)]
        };
        let order = writer.order(x);
        let added: Vec<[usize; 2]> = order.iter().map(|&axis| added(axis)).collect();
        let pads: Vec<i64> = [0, 1].iter().flat_map(|&end| added.iter().map(move |added| added[end] as i64)).collect();
        writer.map(|writer, x| {
            let (pads, value) = (writer.ints(&pads), writer.number(self.value));
            writer.add("Pad", &[x, &pads, &value], vec![("mode", "constant".into())])
        })
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let n = self.shape.len();
        let fill = Dispatch::over(MODULE, "fill", io, Params::new().u32("n", n).f32("value", self.value), n);
        // The first kernel only writes: an output alone.
        let bindings = fill.bindings[1..].to_vec();
        vec![Dispatch { bindings, ..fill }, self.walk(&io.inputs[0].shape).launch("place", io)]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |label: &str, x: &[usize], before: &[usize], step: &[usize], shape: &[usize]| {
        let op = Pad { before: before.to_vec(), step: step.to_vec(), shape: shape.into(), value: 0.5 };
        Case::new(label, op, vec![random(x, 320)]).wrt(&[0]).ulps(0.0)
    };
    vec![
        case("(4,) in (10,)", &[4], &[3], &[1], &[10]),
        case("(86,) spread over (257,)", &[86], &[1], &[3], &[257]),
        case("(2, 3) framed", &[2, 3], &[1, 2], &[1, 1], &[4, 7]),
        case("(2, 3, 3) in (4, 3, 5)", &[2, 3, 3], &[1, 0, 0], &[1, 1, 2], &[4, 3, 5]),
    ]
}
