//! A part of a tensor: along each axis from a first element to an end, every step-th, as NumPy's `x[a:b:s]`.

use std::ops::Range;

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Dispatch, Target};
use super::pad::Pad;
use super::strided::{Walk, check_axes, strides_of};
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::{Extent, Writer, place};
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Shape};

/// The elements `first`, `first + step`, ... before `end` along one axis
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first element.
    pub first: usize,
    /// One past the last that may be taken.
    pub end: usize,
    /// Elements from one taken to the next, 1 or more.
    pub step: usize,
}

impl Cut {
    /// Every element from `first` to before `end`.
    pub fn new(first: usize, end: usize) -> Self {
        Self { first, end, step: 1 }
    }

    fn len(self) -> usize {
        self.end.saturating_sub(self.first).div_ceil(self.step)
    }
}

/// y, a part of x: one [`Cut`] an axis
#[derive(Clone, Debug)]
pub struct Slice(pub Vec<Cut>);

impl Slice {
    /// The elements of a range along one axis of a tensor of this shape, all along the others.
    pub fn along(shape: &Shape, axis: usize, range: Range<usize>) -> Self {
        let mut cuts: Vec<Cut> = shape.iter().map(|&extent| Cut::new(0, extent)).collect();
        cuts[axis] = Cut::new(range.start, range.end);
        Self(cuts)
    }

    fn walk(&self, x: &Shape) -> Walk {
        let strides = strides_of(x);
        let first = self.0.iter().zip(strides).map(|(cut, stride)| cut.first * stride).sum();
        Walk::new(first, self.0.iter().zip(strides).map(|(cut, stride)| (cut.len(), cut.step * stride)))
    }
}

impl<T: Real> CpuOp<T> for Slice {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let walk = self.walk(&args.io.inputs[0].shape);
        let (x, [y]) = (args.real(0), args.out());
        walk.take(x, y);
    }
}

impl Op for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("slice", inputs, &[DType::F32])?;
        let shape = &inputs[0].shape;
        check_axes("slice", shape)?;
        let inside = |(cut, &extent): (&Cut, &usize)| cut.step > 0 && cut.first < cut.end && cut.end <= extent;
        if self.0.len() != shape.rank() || !self.0.iter().zip(shape.iter()).all(inside) {
            let message =
                format!("{:?} is no part of {shape}: one cut an axis, inside it, of one element or more", self.0);
            return Err(Error::shape("slice", message));
        }
        Ok(vec![Type::float(self.0.iter().map(|cut| cut.len()).collect::<Vec<_>>())])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let before = self.0.iter().map(|cut| cut.first).collect();
        let spread =
            Pad { before, step: self.0.iter().map(|cut| cut.step).collect(), shape: g.shape(x[0]).clone(), value: 0.0 };
        Ok(vec![Some(g.apply(spread, &[only(dy)])?)])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let x = writer.inputs()[0];
        let (extents, order) = (writer.extents(x)?, writer.order(x));
        let mut lists: [Vec<i64>; 4] = Default::default();
        for (axis, (cut, extent)) in self.0.iter().zip(&extents).enumerate() {
            let own = writer.graph().shape(x)[axis];
            if *cut == Cut::new(0, own) {
                continue;
            }
            if let Extent::Batch(_) = extent {
                return Err(writer.refused("takes some samples of the batch, whose size is left open"));
            }
            let numbers = [cut.first, cut.end.min(own), place(&order, axis), cut.step];
            lists.iter_mut().zip(numbers).for_each(|(list, number)| list.push(number as i64));
        }
        writer.map(|writer, x| {
            if lists[0].is_empty() {
                return x.to_string();
            }
            let lists = lists.map(|list| writer.ints(&list));
            writer.add("Slice", &[x, &lists[0], &lists[1], &lists[2], &lists[3]], vec![])
        })
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        vec![self.walk(&io.inputs[0].shape).launch("take", io)]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |label: &str, shape: &[usize], cuts: &[Cut]| {
        Case::new(label, Slice(cuts.to_vec()), vec![random(shape, 310)]).wrt(&[0]).ulps(0.0)
    };
    let whole = |extent| Cut::new(0, extent);
    vec![
        case("[3:7] of (10,)", &[10], &[Cut::new(3, 7)]),
        case("[1:257:3] of (257,)", &[257], &[Cut { first: 1, end: 257, step: 3 }]),
        case("[:, 2] of (5, 4)", &[5, 4], &[whole(5), Cut::new(2, 3)]),
        case("[1:3, :, ::2] of (4, 3, 5)", &[4, 3, 5], &[Cut::new(1, 3), whole(3), Cut { first: 0, end: 5, step: 2 }]),
        case("all of (2, 3)", &[2, 3], &[whole(2), whole(3)]),
    ]
}
