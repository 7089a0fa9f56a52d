//! Losses by Keras' names.

use std::any::Any;

use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::ops::softmax::Softmax;
use crate::ops::softmax_cross_entropy::SoftmaxCrossEntropy;

/// What training makes smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// Cross-entropy with integer labels, of the probabilities of a softmax that ends the model. It is computed from
    /// the softmax's input, which loses no digits.
    SparseCategoricalCrossentropy,
    /// Cross-entropy with integer labels, of a model that ends with the bare scores (logits).
    SparseCategoricalCrossentropyFromLogits,
}

impl Loss {
    /// The loss of each sample (batch,), given predictions (batch, classes) and labels (batch,).
    pub(crate) fn apply(self, graph: &mut Graph, predicted: Id, labels: Id) -> Result<Id> {
        let logits = match self {
            Self::SparseCategoricalCrossentropyFromLogits => predicted,
            Self::SparseCategoricalCrossentropy => logits_of(graph, predicted).ok_or_else(|| {
                let message = "takes probabilities: end the model with a softmax, or take the loss from logits";
                Error::shape("SparseCategoricalCrossentropy", message)
            })?,
        };
        graph.apply(SoftmaxCrossEntropy, &[logits, labels])
    }
}

/// What a softmax was taken of; `None` where the value is no softmax.
pub(crate) fn logits_of(graph: &Graph, predicted: Id) -> Option<Id> {
    let node = graph.producer(predicted)?;
    (node.op.as_ref() as &dyn Any).is::<Softmax>().then(|| node.inputs[0])
}
