//! Masks beside values: numbers of the value's first axes, most often (batch, steps), 1 where it counts and 0 where not.

use crate::error::Result;
use crate::graph::{Graph, Id};
use crate::ops::binary::Binary;
use crate::ops::reshape::Reshape;
use crate::ops::select::Select;
use crate::ops::sum::Sum;

/// A mask with axes of 1 behind its own, up to a rank.
pub(super) fn laid_out(graph: &mut Graph, mask: Id, rank: usize) -> Result<Id> {
    let shape = graph.shape(mask).clone();
    if shape.rank() >= rank {
        return Ok(mask);
    }
    let ones = vec![1; rank - shape.rank()];
    graph.apply(Reshape([&shape[..], &ones].concat().into()), &[mask])
}

/// Values multiplied by weights of their first axes.
pub(super) fn weighed(graph: &mut Graph, values: Id, weights: Id) -> Result<Id> {
    let weights = laid_out(graph, weights, graph.shape(values).rank())?;
    graph.apply(Binary::Mul, &[values, weights])
}

/// One mask that holds where any does.
pub(super) fn any(graph: &mut Graph, masks: &[Id]) -> Result<Option<Id>> {
    let rank = masks.iter().map(|&mask| graph.shape(mask).rank()).max().unwrap_or(0);
    let masks = masks.iter().map(|&mask| laid_out(graph, mask, rank)).collect::<Result<Vec<_>>>()?;
    let Some((&first, others)) = masks.split_first() else { return Ok(None) };
    others.iter().try_fold(first, |a, &b| graph.apply(Binary::Max, &[a, b])).map(Some)
}

/// The first of two values where the mask holds, elsewhere the second.
pub(super) fn chosen(graph: &mut Graph, mask: Id, [a, b]: [Id; 2]) -> Result<Id> {
    let rank = graph.shape(a).rank().max(graph.shape(b).rank());
    let mask = laid_out(graph, mask, rank)?;
    graph.apply(Select, &[mask, a, b])
}

/// What losses are multiplied by, so that their mean is that of what the mask lets count: as Keras has it, the mask times how
/// many parts there are, divided by how many count.
pub(crate) fn shares(graph: &mut Graph, mask: Id) -> Result<Id> {
    let shape = graph.shape(mask).clone();
    let counted = graph.apply(Sum::new(0..shape.rank()), &[mask])?;
    // Where none counts the mask is 0 everywhere.
    let one = graph.fill(1.0, []);
    let counted = graph.apply(Binary::Max, &[counted, one])?;
    let all = graph.fill(shape.len() as f64, []);
    let share = graph.apply(Binary::Div, &[all, counted])?;
    graph.apply(Binary::Mul, &[mask, share])
}

/// The mean over all axes but the samples'.
pub(super) fn per_sample(graph: &mut Graph, values: Id) -> Result<Id> {
    let shape = graph.shape(values).clone();
    if shape.rank() == 1 {
        return Ok(values);
    }
    let share = 1.0 / shape[1..].iter().product::<usize>() as f64;
    graph.apply(Sum::scaled(1..shape.rank(), share), &[values])
}
