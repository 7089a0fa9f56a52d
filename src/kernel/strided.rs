//! Walks over tensors by extents and strides: what transposing, slicing and padding share, their kernels too.

use super::Io;
use super::dispatch::{Dispatch, LIB_GRID, Module, Params};
use crate::error::{Error, Result};
use crate::tensor::Shape;

/// The most axes that a walk has.
pub const MOST_AXES: usize = 6;

const MODULE: Module =
    Module { stem: "strided", source: include_str!("../../shaders/strided.wgsl"), libs: &[LIB_GRID] };

/// Which elements of a buffer make a tensor: element (i0, i1, ...) lies at first + i0 * stride 0 + ...
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    first: usize,
    /// Extent and stride of each, behind as many of one element as are missing.
    axes: [(usize, usize); MOST_AXES],
}

/// Elements between neighbours along each axis of a tensor that lies in one piece.
pub(crate) fn strides_of(shape: &[usize]) -> [usize; MOST_AXES] {
    std::array::from_fn(|axis| shape.iter().skip(axis + 1).product())
}

/// That a walk over this shape has axes enough.
pub(crate) fn check_axes(op: &str, shape: &Shape) -> Result<()> {
    if shape.rank() <= MOST_AXES {
        return Ok(());
    }
    Err(Error::shape(op, format!("takes at most {MOST_AXES} axes, was given {shape}")))
}

impl Walk {
    /// A walk from an element on, along axes of these extents and strides.
    pub fn new(first: usize, axes: impl DoubleEndedIterator<Item = (usize, usize)>) -> Self {
        let mut walk = Self { first, axes: [(1, 0); MOST_AXES] };
        walk.axes.iter_mut().rev().zip(axes.rev()).for_each(|(to, axis)| *to = axis);
        walk
    }

    /// Calls `f(i, at)` for every element in order: its number and where it lies.
    pub fn for_each(&self, mut f: impl FnMut(usize, usize)) {
        let (mut index, mut at) = ([0; MOST_AXES], self.first);
        for i in 0..self.len() {
            f(i, at);
            for (index, &(extent, stride)) in index.iter_mut().zip(&self.axes).rev() {
                *index += 1;
                at += stride;
                if *index < extent {
                    break;
                }
                at -= stride * extent;
                *index = 0;
            }
        }
    }

    fn len(&self) -> usize {
        self.axes.iter().map(|(extent, _)| extent).product()
    }

    /// The launch of an entry of `shaders/strided.wgsl` over the walk.
    pub fn launch(&self, entry: &'static str, io: &Io) -> Dispatch {
        let axes = self.axes.map(|(extent, stride)| [extent, stride, 0, 0]);
        let params = Params::new().u32s("axes", axes.as_flattened()).u32("n", self.len()).u32("first", self.first);
        Dispatch::over(MODULE, entry, io, params, self.len())
    }
}
