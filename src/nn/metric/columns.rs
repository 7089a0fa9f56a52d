//! What metrics sum up: predictions beside targets, as ops that there are.

use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::nn::loss::{as_predicted, logits_of};
use crate::ops::Op;
use crate::ops::accuracy::SparseCategoricalAccuracy;
use crate::ops::argreduce::ArgReduce;
use crate::ops::binary::Binary;
use crate::ops::one_hot::OneHot;
use crate::ops::reshape::Reshape;
use crate::ops::sum::Sum;
use crate::tensor::DType;

fn are_labels(g: &Graph, targets: Id) -> bool {
    g.ty(targets).dtype == DType::U32
}

fn outputs(g: &Graph, predicted: Id) -> usize {
    g.shape(predicted).last().copied().unwrap_or(1)
}

/// That the targets are values, not integer labels, for which there is another metric.
pub(super) fn expect_values(g: &Graph, name: &str, targets: Id, other: &str) -> Result<()> {
    match are_labels(g, targets) {
        false => Ok(()),
        true => Err(Error::shape(name, format!("takes one-hot targets or values, these are labels; measure {other}"))),
    }
}

/// That the targets are integer labels, not values, for which there is another metric.
pub(super) fn expect_labels(g: &Graph, name: &str, targets: Id, other: &str) -> Result<()> {
    match are_labels(g, targets) {
        true => Ok(()),
        false => Err(Error::shape(name, format!("takes labels, the targets are values; measure {other}"))),
    }
}

/// That there are two outputs or more, of which one can be the largest.
pub(super) fn expect_classes(g: &Graph, name: &str, predicted: Id, instead: &str) -> Result<()> {
    match outputs(g, predicted) {
        1 => Err(Error::shape(name, format!("{}: of one output it is the largest; {instead}", g.shape(predicted)))),
        _ => Ok(()),
    }
}

/// Targets in the shape of the predictions: labels as one-hot rows.
pub(super) fn values(g: &mut Graph, name: &str, [predicted, targets]: [Id; 2]) -> Result<Id> {
    let (classes, labels) = (outputs(g, predicted), are_labels(g, targets));
    let t = if labels { g.apply(OneHot { classes }, &[targets])? } else { targets };
    if g.shape(t).len() != g.shape(predicted).len() || (labels && classes == 1) {
        let message = format!(
            "the model gives {}, the targets are {}: give targets of that shape, or integer labels to a model that \
             gives (batch, classes)",
            g.ty(predicted),
            g.ty(targets)
        );
        return Err(Error::shape(name, message));
    }
    as_predicted(g, predicted, t)
}

/// [`super::Metric::Accuracy`]
pub(super) fn accuracy(g: &mut Graph, predicted: Id, targets: Id) -> Result<Id> {
    match !are_labels(g, targets) && outputs(g, predicted) == 1 {
        true => binary_accuracy(g, "accuracy", 0.5, [predicted, targets]),
        false => judged(g, predicted, targets, SparseCategoricalAccuracy),
    }
}

/// Whether each output is above the threshold where the target is 1 and not where it is 0.
pub(super) fn binary_accuracy(g: &mut Graph, name: &str, threshold: f64, values: [Id; 2]) -> Result<Id> {
    expect_values(g, name, values[1], "sparse_categorical_accuracy")?;
    let t = self::values(g, name, values)?;
    let said = compared(g, Binary::Greater, values[0], threshold)?;
    g.apply(Binary::Equal, &[said, t])
}

/// Of each sample's outputs: how many are above the threshold and have a target that is not 0, how many are above it, how
/// many have such a target.
pub(super) fn hits(g: &mut Graph, name: &str, threshold: f64, values: [Id; 2]) -> Result<[Id; 3]> {
    let t = self::values(g, name, values)?;
    let positive = compared(g, Binary::NotEqual, t, 0.0)?;
    let said = compared(g, Binary::Greater, values[0], threshold)?;
    let hit = g.apply(Binary::Mul, &[said, positive])?;
    let mut count = |each: Id| {
        let axes = 1..g.shape(each).rank();
        g.apply(Sum::new(axes), &[each])
    };
    Ok([count(hit)?, count(said)?, count(positive)?])
}

/// 1 where the comparison with a number holds, else 0.
pub(super) fn compared(g: &mut Graph, op: Binary, x: Id, number: f64) -> Result<Id> {
    let number = g.fill(number, []);
    g.apply(op, &[x, number])
}

/// What an op says of each row of scores, along their last axis, and its label: that of one-hot targets is where they are largest.
pub(super) fn judged(g: &mut Graph, predicted: Id, targets: Id, op: impl Op) -> Result<Id> {
    // Softmax keeps the order of scores: without it one pass less.
    let scores = logits_of(g, predicted).unwrap_or(predicted);
    let labels = if are_labels(g, targets) {
        targets
    } else {
        let targets = as_predicted(g, predicted, targets)?;
        let axis = g.shape(targets).rank() - 1;
        g.apply(ArgReduce { min: false, axis }, &[targets])?
    };
    let rows = g.shape(labels).clone();
    if rows.rank() < 2 {
        return g.apply(op, &[scores, labels]);
    }
    // The op takes rows; those of sequences are the steps of all samples.
    let (count, classes) = (rows.len(), outputs(g, scores));
    let scores = g.apply(Reshape([count, classes].into()), &[scores])?;
    let labels = g.apply(Reshape([count].into()), &[labels])?;
    let each = g.apply(op, &[scores, labels])?;
    g.apply(Reshape(rows), &[each])
}
