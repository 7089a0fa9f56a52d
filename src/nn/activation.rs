//! Activations by Keras' names.

use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::ops::activation::{Activate, Function};
use crate::ops::softmax::Softmax;

/// What a layer does to its sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// Nothing.
    #[default]
    Linear,
    /// max(x, 0)
    Relu,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// exp(x) / sum exp(x) over the last axis.
    Softmax,
}

const NAMES: [(&str, Activation); 5] = [
    ("linear", Activation::Linear),
    ("relu", Activation::Relu),
    ("sigmoid", Activation::Sigmoid),
    ("tanh", Activation::Tanh),
    ("softmax", Activation::Softmax),
];

impl Activation {
    /// The activation of Keras' name.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names, and the likeliest one.
    pub fn by_name(name: &str) -> Result<Self> {
        let found = NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        let unknown = || Error::argument("activation", crate::suggest::unknown(name, &NAMES.map(|(n, _)| n)));
        found.map(|&(_, activation)| activation).ok_or_else(unknown)
    }

    /// Applies it to a value.
    pub(crate) fn apply(self, graph: &mut Graph, x: Id) -> Result<Id> {
        match self {
            Self::Linear => Ok(x),
            Self::Relu => graph.apply(Activate(Function::Relu), &[x]),
            Self::Sigmoid => graph.apply(Activate(Function::Sigmoid), &[x]),
            Self::Tanh => graph.apply(Activate(Function::Tanh), &[x]),
            Self::Softmax => graph.apply(Softmax, &[x]),
        }
    }
}
