//! Walks over tensors by extents and strides: what transposing, slicing and padding share, their kernels too.

use super::Io;
use super::dispatch::{Dispatch, LIB_GRID, Module, Params};
use crate::error::{Error, Result};
use crate::tensor::Shape;

/// The most axes that a walk has.
pub const MOST_AXES: usize = 6;

const MODULE: Module =
    Module { stem: "strided", source: include_str!("../../shaders/strided.wgsl"), libs: &[LIB_GRID] };

/// Which elements of a buffer make a tensor: element (i0, i1, ...) lies at first + i0 * strides[0] + ...
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    pub first: usize,
    pub extents: Vec<usize>,
    pub strides: Vec<usize>,
}

/// Elements between neighbours along each axis of a tensor that lies in one piece.
pub(super) fn strides_of(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

/// That a walk over this shape has axes enough.
pub(super) fn check_axes(op: &str, shape: &Shape) -> Result<()> {
    if shape.rank() <= MOST_AXES {
        return Ok(());
    }
    Err(Error::shape(op, format!("takes at most {MOST_AXES} axes, was given {shape}")))
}

impl Walk {
    /// Calls `f(i, at)` for every element in order: its number and where it lies.
    pub fn for_each(&self, mut f: impl FnMut(usize, usize)) {
        let n: usize = self.extents.iter().product();
        let mut index = vec![0; self.extents.len()];
        let mut at = self.first;
        for i in 0..n {
            f(i, at);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.extents[axis] {
                    break;
                }
                at -= self.strides[axis] * self.extents[axis];
                index[axis] = 0;
            }
        }
    }

    /// The launch of an entry of `shaders/strided.wgsl` over the walk, axes of one element before its first.
    pub fn launch(&self, entry: &'static str, io: &Io) -> Dispatch {
        const EXTENTS: [&str; MOST_AXES] = ["e0", "e1", "e2", "e3", "e4", "e5"];
        const STRIDES: [&str; MOST_AXES] = ["s0", "s1", "s2", "s3", "s4", "s5"];
        let (missing, n) = (MOST_AXES - self.extents.len(), self.extents.iter().product());
        let padded = |values: &[usize], axis: usize, none| if axis < missing { none } else { values[axis - missing] };
        let params = Params::new().u32("n", n).u32("first", self.first);
        let params = (0..MOST_AXES).fold(params, |p, i| p.u32(EXTENTS[i], padded(&self.extents, i, 1)));
        let params = (0..MOST_AXES).fold(params, |p, i| p.u32(STRIDES[i], padded(&self.strides, i, 0)));
        Dispatch::over(MODULE, entry, io, params, n)
    }
}
