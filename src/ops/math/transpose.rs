//! The axes in another order: axis i of y is axis `order[i]` of x, as `numpy.transpose`.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Dispatch, Target};
use super::strided::{Walk, check_axes, strides_of};
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::Writer;
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Shape};

/// y with the axes of x in the order given
#[derive(Clone, Debug)]
pub struct Transpose(pub Vec<usize>);

impl Transpose {
    fn walk(&self, x: &Shape) -> Walk {
        let strides = strides_of(x);
        Walk::new(0, self.0.iter().map(|&axis| (x[axis], strides[axis])))
    }

    /// The order that undoes this one.
    fn inverse(&self) -> Self {
        let mut inverse = vec![0; self.0.len()];
        self.0.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
        Self(inverse)
    }
}

impl<T: Real> CpuOp<T> for Transpose {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let walk = self.walk(&args.io.inputs[0].shape);
        let (x, [y]) = (args.real(0), args.out());
        walk.take(x, y);
    }
}

impl Op for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("transpose", inputs, &[DType::F32])?;
        let shape = &inputs[0].shape;
        check_axes("transpose", shape)?;
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..shape.rank()) {
            return Err(Error::shape("transpose", format!("{:?} is no order of the axes of {shape}", self.0)));
        }
        Ok(vec![Type::float(self.0.iter().map(|&axis| shape[axis]).collect::<Vec<_>>())])
    }

    fn grad(&self, g: &mut Graph, _x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(g.apply(self.inverse(), &[only(dy)])?)])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (x, y, inverse) = (writer.inputs()[0], writer.outputs()[0], self.inverse().0);
        // The tensor stays as it is: another value's axes lie in it in another order.
        let order = writer.order(x);
        let name = writer.ordered(x, &order)?;
        writer.give(y, name, order.into_iter().map(|axis| inverse[axis]).collect());
        Ok(())
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        vec![self.walk(&io.inputs[0].shape).launch("take", io)]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |label: &str, shape: &[usize], order: &[usize]| {
        Case::new(label, Transpose(order.to_vec()), vec![random(shape, 300)]).wrt(&[0]).ulps(0.0)
    };
    vec![
        case("() stays", &[], &[]),
        case("(1, 1)", &[1, 1], &[1, 0]),
        case("(3, 257) to (257, 3)", &[3, 257], &[1, 0]),
        case("(2, 3, 5) rotated", &[2, 3, 5], &[2, 0, 1]),
        case("(2, 3, 5) as it is", &[2, 3, 5], &[0, 1, 2]),
        case("all six axes", &[2, 3, 1, 2, 5, 2], &[5, 3, 1, 0, 2, 4]),
    ]
}
