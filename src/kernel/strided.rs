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

    /// y, the elements of x that the walk goes by.
    pub fn take<T: Copy>(&self, x: &[T], y: &mut [T]) {
        match self.runs() {
            (axes, 1) => steps(self.first, axes, |i, at| y[i] = x[at]),
            (axes, run) => steps(self.first, axes, |i, at| y[i * run..][..run].copy_from_slice(&x[at..][..run])),
        }
    }

    /// Puts the elements of x where the walk goes by in y.
    pub fn place<T: Copy>(&self, x: &[T], y: &mut [T]) {
        match self.runs() {
            (axes, 1) => steps(self.first, axes, |i, at| y[at] = x[i]),
            (axes, run) => steps(self.first, axes, |i, at| y[at..][..run].copy_from_slice(&x[i * run..][..run])),
        }
    }

    /// The axes before those whose elements all lie one behind the other, and how many elements the latter have.
    fn runs(&self) -> (&[(usize, usize)], usize) {
        let (mut axes, mut run) = (&self.axes[..], 1);
        while let Some((&(extent, stride), before)) = axes.split_last()
            && (stride == run || extent == 1)
        {
            (axes, run) = (before, run * extent);
        }
        (axes, run)
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

/// Calls `f(i, at)` for every step along axes of these extents and strides, in order: its number and where it leads.
fn steps(first: usize, axes: &[(usize, usize)], mut f: impl FnMut(usize, usize)) {
    let (mut index, mut at) = ([0; MOST_AXES], first);
    for i in 0..axes.iter().map(|(extent, _)| extent).product() {
        f(i, at);
        for (index, &(extent, stride)) in index.iter_mut().zip(axes).rev() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_a_row_goes_as_one() {
        let walk = |first, axes: &[(usize, usize)]| Walk::new(first, axes.iter().copied());
        let runs = |axes: &[(usize, usize)]| {
            let walk = walk(0, axes);
            let (before, run) = walk.runs();
            (before.iter().filter(|(extent, _)| *extent > 1).count(), run)
        };
        assert_eq!(runs(&[(2, 12), (3, 4), (4, 1)]), (0, 24));
        assert_eq!(runs(&[(2, 20), (3, 4), (4, 1)]), (1, 12));
        assert_eq!(runs(&[(2, 20), (1, 7), (4, 1)]), (1, 4));
        assert_eq!(runs(&[(3, 4), (2, 2)]), (2, 1));
        let x: Vec<usize> = (0..20).collect();
        let mut y = [0; 6];
        walk(6, &[(3, 5), (2, 1)]).take(&x, &mut y);
        assert_eq!(y, [6, 7, 11, 12, 16, 17]);
        let mut back = [0; 20];
        walk(6, &[(3, 5), (2, 1)]).place(&y, &mut back);
        assert!((0..20).all(|i| back[i] == if y.contains(&i) { i } else { 0 }));
    }
}
