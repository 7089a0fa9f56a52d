//! Reductions over any axes, made of the ops that reduce neighbouring ones.

use crate::error::{Error, Result};
use crate::graph::{Aggregation, Graph, Id};
use crate::ops::argreduce::ArgReduce;
use crate::ops::reduce::{Reduce, Reduction};
use crate::ops::reshape::Reshape;
use crate::ops::sum::Sum;
use crate::ops::transpose::Transpose;
use crate::tensor::{Shape, axis_of};

impl Graph {
    /// x reduced over `axes`, which may stand in any order and count from the last where they are below 0, as in NumPy;
    /// `None` stands for all. The reduced axes are gone from the result, or, with `keepdims`, have an extent of 1.
    ///
    /// [`Aggregation::ArgMax`] and [`Aggregation::ArgMin`] give places as u32, counted over the reduced axes alone, the
    /// last of them fastest. Axes that are no neighbours are moved beside each other first, by a transposition.
    ///
    /// # Errors
    /// [`Error::Shape`] where an axis is out of range or named twice, where there is nothing to take the largest or
    /// smallest of, or where axes are to be moved and there are more than six.
    pub fn reduce(&mut self, aggregation: Aggregation, x: Id, axes: Option<&[isize]>, keepdims: bool) -> Result<Id> {
        self.check("reduce", &[x])?;
        let shape = self.shape(x).clone();
        let reduced = sorted(&shape, axes).map_err(|e| self.in_layer(e))?;
        let (first, count) = (reduced.first().copied().unwrap_or(0), reduced.len());
        let neighbours = reduced.iter().copied().eq(first..first + count);
        let y = if neighbours {
            self.reduce_neighbours(aggregation, x, first..first + count)?
        } else {
            let kept = (0..shape.rank()).filter(|axis| !reduced.contains(axis));
            let moved = self.apply(Transpose(kept.chain(reduced.iter().copied()).collect()), &[x])?;
            self.reduce_neighbours(aggregation, moved, shape.rank() - count..shape.rank())?
        };
        if !keepdims {
            return Ok(y);
        }
        let extents: Vec<usize> = (0..shape.rank()).map(|a| if reduced.contains(&a) { 1 } else { shape[a] }).collect();
        self.apply(Reshape(extents.into()), &[y])
    }

    /// The sum of all elements, times `scale`. It goes an axis at a time: each pass has as many invocations as numbers are
    /// left.
    ///
    /// # Errors
    /// [`Error::Shape`] where x is not of floats.
    pub(crate) fn sum_of_all(&mut self, x: Id, scale: f64) -> Result<Id> {
        let mut sum = x;
        while self.shape(sum).rank() > 0 {
            let scale = if self.shape(sum).rank() == 1 { scale } else { 1.0 };
            sum = self.apply(Sum::scaled(0..1, scale), &[sum])?;
        }
        Ok(sum)
    }

    fn reduce_neighbours(&mut self, aggregation: Aggregation, x: Id, axes: std::ops::Range<usize>) -> Result<Id> {
        let shape = self.shape(x).clone();
        let count: usize = shape[axes.clone()].iter().product();
        let mut place = |min| {
            let axis = axes.start;
            let joined = [&shape[..axis], &[count], &shape[axes.end..]].concat();
            let x = self.apply(Reshape(joined.into()), &[x])?;
            self.apply(ArgReduce { min, axis }, &[x])
        };
        match aggregation {
            Aggregation::ArgMax => place(false),
            Aggregation::ArgMin => place(true),
            Aggregation::Sum => self.apply(Sum::new(axes), &[x]),
            Aggregation::Mean => self.apply(Sum::scaled(axes, 1.0 / count as f64), &[x]),
            Aggregation::Max => self.apply(Reduce { reduction: Reduction::Max, axes }, &[x]),
            Aggregation::Min => self.apply(Reduce { reduction: Reduction::Min, axes }, &[x]),
            // Of nothing it is 1, as the sum is 0.
            Aggregation::Prod if count == 0 => Ok(self.fill(1.0, [&shape[..axes.start], &shape[axes.end..]].concat())),
            Aggregation::Prod => self.apply(Reduce { reduction: Reduction::Prod, axes }, &[x]),
        }
    }
}

/// The axes in order, counted from the first.
fn sorted(shape: &Shape, axes: Option<&[isize]>) -> Result<Vec<usize>> {
    let Some(axes) = axes else { return Ok((0..shape.rank()).collect()) };
    let mut sorted = axes.iter().map(|&axis| axis_of("reduce", axis, shape)).collect::<Result<Vec<_>>>()?;
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        let message = format!("axes {axes:?} of {shape} name axis {} twice, expected each once", pair[0]);
        return Err(Error::shape("reduce", message));
    }
    Ok(sorted)
}
