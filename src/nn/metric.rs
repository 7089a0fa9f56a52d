//! Metrics by Keras' names.

use crate::error::Result;
use crate::graph::{Graph, Id};
use crate::ops::accuracy::SparseCategoricalAccuracy;

/// What is measured beside the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Metric {
    /// The share of samples whose largest score stands at their label.
    Accuracy,
}

impl Metric {
    /// The name in logs and [`crate::train::History`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
        }
    }

    /// The metric of each sample (batch,), given predictions and targets.
    pub(crate) fn apply(self, graph: &mut Graph, predicted: Id, labels: Id) -> Result<Id> {
        match self {
            Self::Accuracy => {
                // Softmax keeps the order of scores: without it one pass less.
                let scores = super::loss::logits_of(graph, predicted).unwrap_or(predicted);
                graph.apply(SparseCategoricalAccuracy, &[scores, labels])
            }
        }
    }
}
