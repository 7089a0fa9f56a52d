//! Walks over tensors by extents and strides: what transposing, slicing and padding share, their kernels too.

use std::ops::Range;

use super::Io;
use super::cpu::{Real, for_each_rows, vectorised};
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
    pub fn take<T: Real>(&self, x: &[T], y: &mut [T]) {
        if y.is_empty() {
            return;
        }
        let (axes, run) = self.runs();
        match axes[..] {
            // Rows of y are columns of x.
            [ref planes @ .., (height, 1), (width, stride)] if run == 1 => for_each_rows(y, width, |first, mut y| {
                let (mut row, end) = (first, first + y.len() / width);
                while row < end {
                    let (plane, column) = (row / height, row % height);
                    let rows = (height - column).min(end - row);
                    let (some, rest) = y.split_at_mut(rows * width);
                    steps(self.first, planes, plane..plane + 1, |_, at| turn(&x[at + column..], stride, some, width));
                    (y, row) = (rest, row + rows);
                }
            }),
            _ => for_each_rows(y, run, |first, y| {
                let all = first..first + y.len() / run;
                match run {
                    1 => steps(self.first, &axes, all, |i, at| y[i - first] = x[at]),
                    _ => steps(self.first, &axes, all, |i, at| {
                        y[(i - first) * run..][..run].copy_from_slice(&x[at..][..run]);
                    }),
                }
            }),
        }
    }

    /// Puts the elements of x where the walk goes by in y.
    pub fn place<T: Copy>(&self, x: &[T], y: &mut [T]) {
        let (axes, run) = self.runs();
        let all = 0..x.len() / run;
        match run {
            1 => steps(self.first, &axes, all, |i, at| y[at] = x[i]),
            _ => steps(self.first, &axes, all, |i, at| y[at..][..run].copy_from_slice(&x[i * run..][..run])),
        }
    }

    /// The axes, of which no two are as one, before those whose elements all lie one behind the other, and how many elements the latter
    /// have. As in a walk, axes of one element come first.
    fn runs(&self) -> ([(usize, usize); MOST_AXES], usize) {
        let (mut axes, mut count) = ([(1, 0); MOST_AXES], 0);
        for &(extent, stride) in self.axes.iter().filter(|(extent, _)| *extent != 1) {
            match axes[..count].last_mut() {
                Some(last) if last.1 == extent * stride => *last = (last.0 * extent, stride),
                _ => {
                    axes[count] = (extent, stride);
                    count += 1;
                }
            }
        }
        let mut run = 1;
        if let Some(last) = axes[..count].last_mut().filter(|(_, stride)| *stride == 1) {
            (run, *last) = (last.0.max(1), (1, 0));
            count -= 1;
        }
        axes.rotate_right(MOST_AXES - count);
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

/// Columns of x, whose rows lie `stride` apart, as rows of y, which are `width` wide.
pub(super) fn turn<T: Real>(x: &[T], stride: usize, y: &mut [T], width: usize) {
    const SIDE: usize = 16;
    vectorised!({
        for (i, y) in y.chunks_mut(SIDE * width).enumerate() {
            let x = &x[i * SIDE..];
            let whole = if y.len() == SIDE * width { width / SIDE * SIDE } else { 0 };
            for row in (0..whole).step_by(SIDE) {
                let mut block = [[T::zero(); SIDE]; SIDE];
                for r in 0..SIDE {
                    block[r].copy_from_slice(&x[(row + r) * stride..][..SIDE]);
                }
                for c in 0..SIDE {
                    let mut column = [T::zero(); SIDE];
                    for r in 0..SIDE {
                        column[r] = block[r][c];
                    }
                    y[c * width + row..][..SIDE].copy_from_slice(&column);
                }
            }
            for (c, y) in y.chunks_mut(width).enumerate() {
                for row in whole..width {
                    y[row] = x[row * stride + c];
                }
            }
        }
    });
}

/// Calls `f(i, at)` for some of the steps along axes of these extents and strides, in order: its number and where it leads.
fn steps(first: usize, axes: &[(usize, usize)], some: Range<usize>, mut f: impl FnMut(usize, usize)) {
    let (mut index, mut at, mut before) = ([0; MOST_AXES], first, some.start);
    for (index, &(extent, stride)) in index.iter_mut().zip(axes).rev() {
        (*index, before) = (before % extent.max(1), before / extent.max(1));
        at += *index * stride;
    }
    for i in some {
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
            let (before, run) = walk(0, axes).runs();
            (before.into_iter().skip_while(|axis| *axis == (1, 0)).collect::<Vec<_>>(), run)
        };
        assert_eq!(runs(&[(2, 12), (3, 4), (4, 1)]), (vec![], 24));
        assert_eq!(runs(&[(2, 20), (3, 4), (4, 1)]), (vec![(2, 20)], 12));
        assert_eq!(runs(&[(2, 20), (1, 7), (4, 1)]), (vec![(2, 20)], 4));
        assert_eq!(runs(&[(3, 4), (2, 2)]), (vec![(6, 2)], 1));
        assert_eq!(runs(&[(5, 1), (3, 20), (4, 5)]), (vec![(5, 1), (12, 5)], 1));
        let x: Vec<f32> = (0..20u8).map(f32::from).collect();
        let mut y = [0.0; 6];
        walk(6, &[(3, 5), (2, 1)]).take(&x, &mut y);
        assert_eq!(y, [6.0, 7.0, 11.0, 12.0, 16.0, 17.0]);
        let mut back = [0.0; 20];
        walk(6, &[(3, 5), (2, 1)]).place(&y, &mut back);
        assert!((0..20).all(|i| back[i] == if y.contains(&x[i]) { x[i] } else { 0.0 }));
    }

    #[test]
    fn nothing_is_taken_of_nothing() {
        for axes in [[(3, 1), (0, 3)], [(0, 1), (3, 0)], [(0, 3), (3, 1)], [(3, 0), (0, 1)]] {
            Walk::new(0, axes.into_iter()).take::<f32>(&[], &mut []);
            Walk::new(0, axes.into_iter()).place::<f32>(&[], &mut []);
        }
    }

    /// Of sizes that several threads share, in blocks and beside them; a walk backwards over what it made gives x again.
    #[test]
    fn any_order_of_axes_is_taken_element_by_element() {
        let shape = [3usize, 37, 40, 53];
        let x: Vec<f64> = (0..shape.iter().product::<usize>()).map(|i| i as f64).collect();
        let strides = strides_of(&shape);
        for order in [[0, 1, 2, 3], [0, 3, 1, 2], [3, 2, 1, 0], [1, 0, 2, 3], [2, 0, 3, 1], [0, 1, 3, 2], [3, 0, 1, 2]]
        {
            let mut y = vec![f64::NAN; x.len()];
            Walk::new(0, order.iter().map(|&axis| (shape[axis], strides[axis]))).take(&x, &mut y);
            let turned = order.map(|axis| shape[axis]);
            for (i, &y) in y.iter().enumerate() {
                let index = |axis: usize| i / turned[axis + 1..].iter().product::<usize>() % turned[axis];
                let at: usize = (0..4).map(|axis| index(axis) * strides[order[axis]]).sum();
                assert!(y == x[at], "{order:?}, element {i}");
            }
        }
    }
}
