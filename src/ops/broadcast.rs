//! NumPy's broadcasting, for ops of several operands: shapes are aligned at the last axis, and an axis that an operand
//! lacks or has once is repeated.
//!
//! Neighbouring axes that every operand either has or repeats are walked as one: a pair of one shape is a single axis,
//! a bias on rows two, whatever their ranks.

use super::cpu::{Real, for_each_piece};
use super::dispatch::{Dispatch, Module, Params};
use super::reshape::Reshape;
use super::sum::Sum;
use super::{Io, expect_inputs};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::kernel::room::{SIDE_BY_SIDE, repeat, with_room};
use crate::tensor::{DType, Shape};

/// Operands that one op may have: a vector of `shaders/lib/broadcast.wgsl` holds an extent and as many strides.
const OPERANDS: usize = 3;
/// Axes left after neighbours were joined.
const MOST_AXES: usize = 6;

/// An axis of the output, and how far each operand moves along it: not at all where it is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    extent: usize,
    strides: [usize; OPERANDS],
}

/// An operand of a run along the innermost axis.
#[derive(Clone, Copy, Debug)]
pub(super) enum Run<'a, T> {
    /// An element for each of the output.
    Each(&'a [T]),
    /// One for all.
    Same(T),
}

impl<T: Copy> Run<'_, T> {
    /// The element for the output's element k of the run.
    #[inline]
    pub(super) fn at(&self, k: usize) -> T {
        match self {
            Self::Each(x) => x[k],
            Self::Same(x) => *x,
        }
    }
}

/// The shape that float operands have together.
pub(super) fn output(op: &str, inputs: &[Type], operands: usize) -> Result<Vec<Type>> {
    expect_inputs(op, inputs, &[DType::F32; OPERANDS][..operands])?;
    let shapes: Vec<&Shape> = inputs.iter().map(|t| &t.shape).collect();
    let output = Type::float(Shape::broadcast(op, &shapes)?);
    if axes(&output.shape, inputs).1 > MOST_AXES {
        let message = format!("repeats axes of {} in more than {MOST_AXES} alternations", output.shape);
        return Err(Error::shape(op, message));
    }
    Ok(vec![output])
}

/// The output's axes from the innermost, joined where every operand allows it, and how many they are: at least one.
/// Where one more is counted than an op takes, there may be others.
fn axes(output: &Shape, inputs: &[Type]) -> ([Axis; MOST_AXES + 1], usize) {
    let mut axes = [Axis { extent: 1, strides: [0; OPERANDS] }; MOST_AXES + 1];
    let (mut count, mut sizes) = (0, [1; OPERANDS]);
    for (back, &extent) in output.iter().rev().enumerate().filter(|(_, extent)| **extent != 1) {
        let mut axis = Axis { extent, strides: [0; OPERANDS] };
        for ((stride, size), input) in axis.strides.iter_mut().zip(&mut sizes).zip(inputs) {
            if input.shape.iter().rev().nth(back).is_some_and(|&found| found != 1) {
                (*stride, *size) = (*size, *size * extent);
            }
        }
        match axes[..count].last_mut().filter(|last| last.strides.map(|s| s == 0) == axis.strides.map(|s| s == 0)) {
            Some(last) => last.extent *= extent,
            None if count > MOST_AXES => break,
            None => {
                axes[count] = axis;
                count += 1;
            }
        }
    }
    (axes, count.max(1))
}

/// Calls `f(operands, y_run)` for pieces of `y` that lie along the innermost axis, in parallel where it pays. Where that axis is
/// short and operands that repeat along the next have nothing else, as a bias has, a run goes along both.
pub(super) fn for_each_run<T: Real, const N: usize>(
    io: &Io,
    inputs: [&[T]; N],
    y: &mut [T],
    f: impl Fn([Run<'_, T>; N], &mut [T]) + Sync,
) {
    let (axes, count) = axes(&io.outputs[0].shape, &io.inputs);
    let period = axes[0].extent;
    let repeats = |k: usize| axes[0].strides[k] != 0 && axes[1..count].iter().all(|axis| axis.strides[k] == 0);
    let goes_on = |k: usize| axes[1].strides[k] == period * axes[0].strides[k];
    if count < 2 || !(1..=SIDE_BY_SIDE / 2).contains(&period) || !(0..N).all(|k| repeats(k) || goes_on(k)) {
        return runs(&axes[..count], [usize::MAX; N], usize::MAX, inputs, y, f);
    }
    let most = SIDE_BY_SIDE / period * period;
    let mut joined = axes;
    joined[1].extent *= period;
    joined[1].strides = axes[0].strides;
    // From any of its elements on there are as many as a run has.
    let len = most + period;
    with_room(N * len, |room: &mut [T]| {
        for (k, room) in room.chunks_mut(len).enumerate().filter(|(k, _)| repeats(*k)) {
            room[..period].copy_from_slice(&inputs[k][..period]);
            repeat(room, period);
        }
        let of = |k: usize| if repeats(k) { &room[k * len..][..len] } else { inputs[k] };
        let periods = std::array::from_fn(|k| if repeats(k) { period } else { usize::MAX });
        runs(&joined[1..count], periods, most, std::array::from_fn(of), y, f);
    });
}

/// Calls `f` for runs of at most so many elements along the first axis, along which an operand begins anew after its period.
fn runs<T: Real, const N: usize>(
    axes: &[Axis],
    periods: [usize; N],
    most: usize,
    inputs: [&[T]; N],
    y: &mut [T],
    f: impl Fn([Run<'_, T>; N], &mut [T]) + Sync,
) {
    let (inner, outer) = (axes[0], &axes[1..]);
    for_each_piece(y, |start, mut y| {
        let mut start = start;
        while !y.is_empty() {
            let (mut rest, column) = (start / inner.extent, start % inner.extent);
            let mut first: [usize; N] = std::array::from_fn(|k| column % periods[k] * inner.strides[k]);
            for axis in outer {
                first.iter_mut().zip(axis.strides).for_each(|(at, stride)| *at += rest % axis.extent * stride);
                rest /= axis.extent;
            }
            let len = (inner.extent - column).min(y.len()).min(most);
            let (run, after) = std::mem::take(&mut y).split_at_mut(len);
            let operands = std::array::from_fn(|k| match inner.strides[k] {
                0 => Run::Same(inputs[k][first[k]]),
                _ => Run::Each(&inputs[k][first[k]..][..len]),
            });
            start += len;
            f(operands, run);
            y = after;
        }
    });
}

/// The launch of a kernel that takes its operands' places from `shaders/lib/broadcast.wgsl`.
pub(super) fn launch(module: Module, entry: &'static str, io: &Io) -> Dispatch {
    let (n, (axes, count)) = (io.outputs[0].shape.len(), axes(&io.outputs[0].shape, &io.inputs));
    let mut words: Vec<usize> = axes[..count].iter().flat_map(|a| std::iter::once(a.extent).chain(a.strides)).collect();
    words.resize(MOST_AXES * (1 + OPERANDS), 0);
    let params = Params::new().u32s("axes", &words).u32("n", n);
    Dispatch::over(module, entry, io, params, n).constant("AXES", count as u32)
}

/// The gradient of an operand of this shape from that of the output: the sum over the axes that were repeated.
pub(super) fn reduce(g: &mut Graph, dy: Id, shape: &Shape) -> Result<Id> {
    let from = g.shape(dy).clone();
    let lacking = from.rank() - shape.rank();
    let repeated = |axis: usize| axis < lacking || (shape[axis - lacking] == 1 && from[axis] != 1);
    let (mut dx, mut end) = (dy, from.rank());
    // From the back, so that the axes before keep their numbers.
    while end > 0 {
        let start = (0..end).rev().find(|&axis| !repeated(axis)).map_or(0, |axis| axis + 1);
        if start < end {
            dx = g.apply(Sum::new(start..end), &[dx])?;
        }
        end = start.saturating_sub(1);
    }
    if g.shape(dx) == shape { Ok(dx) } else { g.apply(Reshape(shape.clone()), &[dx]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(shapes: [&[usize]; 2]) -> Vec<(usize, usize, usize)> {
        let inputs = shapes.map(|s| Type::float(s.to_vec()));
        let output = output("test", &inputs, 2).expect("shapes that fit").remove(0);
        let (axes, count) = axes(&output.shape, &inputs);
        axes[..count].iter().map(|a| (a.extent, a.strides[0], a.strides[1])).collect()
    }

    #[test]
    fn neighbouring_axes_are_walked_as_one() {
        assert_eq!(joined([&[2, 3, 4], &[2, 3, 4]]), [(24, 1, 1)]);
        assert_eq!(joined([&[2, 3, 4], &[4]]), [(4, 1, 1), (6, 4, 0)]);
        assert_eq!(joined([&[2, 3, 4], &[1, 3, 4]]), [(12, 1, 1), (2, 12, 0)]);
        assert_eq!(joined([&[2, 3, 4], &[2, 1, 1]]), [(12, 1, 0), (2, 12, 1)]);
        assert_eq!(joined([&[2, 1, 4], &[2, 1, 4]]), [(8, 1, 1)]);
        assert_eq!(joined([&[5, 1, 3], &[4, 1]]), [(3, 1, 0), (4, 0, 1), (5, 3, 0)]);
        assert_eq!(joined([&[], &[]]), [(1, 0, 0)]);
    }
}
