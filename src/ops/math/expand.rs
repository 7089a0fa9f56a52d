//! Repetition along new axes, times a constant: the gradient of [`super::sum::Sum`].

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_rows, vectorised};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::sum::{Sum, around};
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::{Extent, Writer};
use crate::graph::{Graph, Id, Type};
use crate::tensor::DType;

const MODULE: Module =
    Module { stem: "expand", source: include_str!("../../../shaders/expand.wgsl"), libs: &[LIB_GRID] };

/// y = scale * x, repeated along new axes of `extents`, the first of which is axis `axis` of y
#[derive(Clone, Debug)]
pub struct Expand {
    /// Where the new axes start.
    pub axis: usize,
    /// The new axes' extents.
    pub extents: Vec<usize>,
    /// The factor.
    pub scale: f64,
}

impl<T: Real> CpuOp<T> for Expand {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let axes = self.axis..self.axis + self.extents.len();
        let [_, n, inner] = around(&args.io.outputs[0].shape, &axes);
        let (x, [y], scale) = (args.real(0), args.out(), T::of(self.scale));
        for_each_rows(y, inner.max(1), |first, y| {
            vectorised!(for (row, y) in (first..).zip(y.chunks_mut(inner.max(1))) {
                let x = &x[row / n * inner..][..inner];
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = scale * x);
            });
        });
    }
}

impl Op for Expand {
    fn name(&self) -> &'static str {
        "expand"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("expand", inputs, &[DType::F32])?;
        let shape = &inputs[0].shape;
        if self.axis > shape.rank() {
            return Err(Error::shape("expand", format!("axis {} is past those of {shape}", self.axis)));
        }
        Ok(vec![Type::float([&shape[..self.axis], &self.extents, &shape[self.axis..]].concat())])
    }

    fn grad(&self, g: &mut Graph, _x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let sum = g.apply(Sum::new(self.axis..self.axis + self.extents.len()), &[only(dy)])?;
        let scale = g.fill(self.scale, []);
        Ok(vec![Some(g.apply(super::binary::Binary::Mul, &[sum, scale])?)])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (x, y) = (writer.inputs()[0], writer.outputs()[0]);
        let new = self.axis..self.axis + self.extents.len();
        let mut extents = writer.extents(y)?;
        (0..extents.len()).filter(|axis| !new.contains(axis)).for_each(|axis| extents[axis] = Extent::Fixed(1));
        let x = writer.plain(x)?;
        let axes = writer.ints(&new.map(|axis| axis as i64).collect::<Vec<_>>());
        let x = writer.add("Unsqueeze", &[&x, &axes], vec![]);
        let shape = writer.shape(&extents);
        let mut name = writer.add("Expand", &[&x, &shape], vec![]);
        if self.scale != 1.0 {
            let scale = writer.number(self.scale);
            name = writer.add("Mul", &[&name, &scale], vec![]);
        }
        writer.give_plain(y, name);
        Ok(())
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let axes = self.axis..self.axis + self.extents.len();
        let [outer, n, inner] = around(&io.outputs[0].shape, &axes);
        let outputs = outer * n * inner;
        let params = Params::new().u32("outputs", outputs).u32("n", n).u32("inner", inner);
        vec![Dispatch::over(MODULE, "expand", io, params.f32("scale", self.scale), outputs)]
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |label, shape: &[usize], axis, extents: &[usize]| {
        let op = Expand { axis, extents: extents.to_vec(), scale: 0.25 };
        Case::new(label, op, vec![random(shape, 60)]).wrt(&[0])
    };
    vec![
        case("() to (257,)", &[], 0, &[257]),
        case("(10,) to (128, 10)", &[10], 0, &[128]),
        case("(5,) to (5, 3)", &[5], 1, &[3]),
        case("(3, 2) to (3, 7, 5, 2)", &[3, 2], 1, &[7, 5]),
    ]
}
