//! Metrics by Keras' names.

use super::Loss;
use super::loss::as_predicted;
use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::ops::Op;
use crate::ops::accuracy::{InTopK, SparseCategoricalAccuracy};
use crate::ops::argreduce::ArgReduce;
use crate::ops::binary::Binary;
use crate::ops::sum::Sum;
use crate::tensor::DType;

/// What is measured beside the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Metric {
    /// The share of samples that are right, which depends on the targets as it does for Keras' `"accuracy"`. Of integer
    /// labels, and of one-hot targets: the largest score stands at the class. Of targets of one value: the prediction is
    /// above 0.5 where the target is 1; of logits too, so end the model with a sigmoid to mean a probability by it.
    Accuracy,
    /// The share of samples of which fewer than `k` classes have a higher score than the class of the one-hot target; Keras'
    /// `k` is 5 unless given. A class with an equal score is not above it: where all are equal, each sample counts.
    /// Of a model that ends in a softmax the logits are compared: they tell apart what underflows to equal probabilities.
    TopKCategoricalAccuracy {
        /// How many classes count as found; 1 or more.
        k: usize,
    },
    /// [`Metric::TopKCategoricalAccuracy`] of integer labels.
    SparseTopKCategoricalAccuracy {
        /// How many classes count as found; 1 or more.
        k: usize,
    },
    /// The mean of |p - t|.
    MeanAbsoluteError,
    /// The mean of (p - t)^2.
    MeanSquaredError,
    /// The root of the mean of (p - t)^2 over the whole epoch.
    RootMeanSquaredError,
}

impl Metric {
    /// The name in logs and [`crate::train::History`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::TopKCategoricalAccuracy { .. } => "top_k_categorical_accuracy",
            Self::SparseTopKCategoricalAccuracy { .. } => "sparse_top_k_categorical_accuracy",
            Self::MeanAbsoluteError => "mean_absolute_error",
            Self::MeanSquaredError => "mean_squared_error",
            Self::RootMeanSquaredError => "root_mean_squared_error",
        }
    }

    /// Whether more is better.
    pub(crate) fn rises(self) -> bool {
        match self {
            Self::Accuracy | Self::TopKCategoricalAccuracy { .. } | Self::SparseTopKCategoricalAccuracy { .. } => true,
            Self::MeanAbsoluteError | Self::MeanSquaredError | Self::RootMeanSquaredError => false,
        }
    }

    /// That its settings are in their ranges.
    pub(crate) fn check(self) -> Result<()> {
        let (Self::TopKCategoricalAccuracy { k } | Self::SparseTopKCategoricalAccuracy { k }) = self else {
            return Ok(());
        };
        if k > 0 {
            Ok(())
        } else {
            Err(Error::argument("k", format!("0 classes of {} find none; give 1 or more", self.name())))
        }
    }

    /// What the device sums up of each sample (batch,), given predictions and targets.
    pub(crate) fn apply(self, graph: &mut Graph, predicted: Id, targets: Id) -> Result<Id> {
        let labels = graph.ty(targets).dtype == DType::U32;
        let loss = match self {
            Self::Accuracy => return accuracy(graph, predicted, targets),
            Self::TopKCategoricalAccuracy { k } if !labels => {
                return judged(graph, predicted, targets, InTopK(k));
            }
            Self::SparseTopKCategoricalAccuracy { k } if labels => return judged(graph, predicted, targets, InTopK(k)),
            Self::TopKCategoricalAccuracy { .. } => {
                let message = "takes one-hot targets, these are labels; measure sparse_top_k_categorical_accuracy";
                return Err(Error::shape(self.name(), message));
            }
            Self::SparseTopKCategoricalAccuracy { .. } => {
                let message = "takes labels, the targets are values; measure top_k_categorical_accuracy";
                return Err(Error::shape(self.name(), message));
            }
            Self::MeanAbsoluteError => Loss::MeanAbsoluteError,
            Self::MeanSquaredError | Self::RootMeanSquaredError => Loss::MeanSquaredError,
        };
        if labels {
            return Err(Error::shape(self.name(), "compares values, the targets are labels; measure accuracy instead"));
        }
        loss.append(graph, predicted, targets)
    }

    /// The metric, from the mean over all samples of what [`Metric::apply`] gives.
    pub(crate) fn of_mean(self, mean: f64) -> f64 {
        if self == Self::RootMeanSquaredError { mean.sqrt() } else { mean }
    }
}

fn accuracy(graph: &mut Graph, predicted: Id, targets: Id) -> Result<Id> {
    let last = graph.shape(predicted).rank() - 1;
    if graph.ty(targets).dtype == DType::F32 && graph.shape(predicted)[last] == 1 {
        let t = as_predicted(graph, predicted, targets)?;
        let half = graph.fill(0.5, []);
        let said = graph.apply(Binary::Greater, &[predicted, half])?;
        let right = graph.apply(Binary::Equal, &[said, t])?;
        let terms = graph.shape(right)[1..].iter().product::<usize>();
        return graph.apply(Sum::scaled(1..last + 1, 1.0 / terms as f64), &[right]);
    }
    judged(graph, predicted, targets, SparseCategoricalAccuracy)
}

/// What an op says of each row of scores and its label: that of one-hot targets is where they are largest.
fn judged(graph: &mut Graph, predicted: Id, targets: Id, op: impl Op) -> Result<Id> {
    // Softmax keeps the order of scores: without it one pass less.
    let scores = super::loss::logits_of(graph, predicted).unwrap_or(predicted);
    let labels = match graph.ty(targets).dtype {
        DType::F32 => {
            let targets = as_predicted(graph, predicted, targets)?;
            let last = graph.shape(targets).rank() - 1;
            graph.apply(ArgReduce { min: false, axis: last }, &[targets])?
        }
        _ => targets,
    };
    graph.apply(op, &[scores, labels])
}
