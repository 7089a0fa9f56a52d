//! Activations by Keras' names.

use super::{Config, Configured, KerasObject, Setting};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::ops::activation::{Activate, Function};
use crate::ops::curve::{Bend, Curve};
use crate::ops::log_softmax::LogSoftmax;
use crate::ops::softmax::Softmax;

/// What a layer does to its sum.
///
/// ```
/// use kiln::prelude::*;
/// // In a layer, or as one.
/// let mut model = Sequential::new().add(Activation::Relu).device(Device::cpu());
/// assert_eq!(model.predict(&Tensor::from([[-1.0f32, 2.0]]))?, Tensor::from([[0.0f32, 2.0]]));
/// let dense = Dense::new(4).activation(Activation::LeakyRelu { negative_slope: 0.1 });
/// # let _ = dense;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
    /// The logarithm of softmax, exact where softmax itself is 0.
    LogSoftmax,
    /// x where x >= 0, else `negative_slope` x. By name 0.2, as Keras' function of the name has it; its layer has 0.3.
    LeakyRelu {
        /// The slope where x < 0: 0 or more.
        negative_slope: f64,
    },
    /// min(max(x, 0), 6)
    Relu6,
    /// x where x >= 0, else `alpha` (exp(x) - 1). By name 1: Clevert et al., 2016.
    Elu {
        /// What falls to -alpha far from 0: 0 or more.
        alpha: f64,
    },
    /// elu with two numbers that keep mean and variance: Klambauer et al., 2017.
    Selu,
    /// exp(x)
    Exponential,
    /// min(max(x + 3, 0), 6) / 6
    HardSigmoid,
    /// x times the normal distribution's Phi(x), exact: `approximate=False`, as Keras' name gives it.
    Gelu,
    /// gelu with tanh for erf: Keras' `approximate=True`.
    GeluTanh,
    /// x / (1 + exp(-x)), also called swish.
    Silu,
    /// x tanh(log(1 + exp(x)))
    Mish,
    /// log(1 + exp(x))
    Softplus,
    /// x / (1 + |x|)
    Softsign,
    /// x min(max(x + 3, 0), 6) / 6, also called hard swish.
    HardSilu,
}

/// The bare names, for Keras' defaults: a variant with fields leaves the name of a value free.
#[expect(non_upper_case_globals, reason = "they are the variants' names")]
impl Activation {
    /// leaky_relu of slope 0.2.
    pub const LeakyRelu: Self = Self::LeakyRelu { negative_slope: 0.2 };
    /// elu of alpha 1.
    pub const Elu: Self = Self::Elu { alpha: 1.0 };
}

/// Keras' names and its aliases; `gelu_tanh`, which Keras has as an argument, is ours.
pub const NAMES: [(&str, Activation); 21] = [
    ("linear", Activation::Linear),
    ("relu", Activation::Relu),
    ("sigmoid", Activation::Sigmoid),
    ("tanh", Activation::Tanh),
    ("softmax", Activation::Softmax),
    ("log_softmax", Activation::LogSoftmax),
    ("leaky_relu", Activation::LeakyRelu),
    ("relu6", Activation::Relu6),
    ("elu", Activation::Elu),
    ("selu", Activation::Selu),
    ("exponential", Activation::Exponential),
    ("hard_sigmoid", Activation::HardSigmoid),
    ("gelu", Activation::Gelu),
    ("gelu_tanh", Activation::GeluTanh),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("mish", Activation::Mish),
    ("softplus", Activation::Softplus),
    ("softsign", Activation::Softsign),
    ("hard_silu", Activation::HardSilu),
    ("hard_swish", Activation::HardSilu),
];

impl Activation {
    /// The activation of Keras' name, with Keras' defaults: one of [`NAMES`].
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names, and the likeliest one.
    pub fn by_name(name: &str) -> Result<Self> {
        let found = NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        let unknown = || Error::argument("activation", crate::suggest::unknown(name, &NAMES.map(|(n, _)| n)));
        found.map(|&(_, activation)| activation).ok_or_else(unknown)
    }

    /// Whether each number that it gives depends on all those along the last axis.
    pub(crate) fn is_of_rows(self) -> bool {
        matches!(self, Self::Softmax | Self::LogSoftmax)
    }

    /// Appends it to a graph, applied to the value `x`.
    ///
    /// # Errors
    /// [`Error::Shape`] for softmax and its logarithm of a scalar, [`Error::Argument`] for a slope or alpha below 0.
    pub fn append(self, graph: &mut Graph, x: Id) -> Result<Id> {
        let function = match self {
            Self::Linear => return Ok(x),
            Self::Softmax => return graph.apply(Softmax, &[x]),
            Self::LogSoftmax => return graph.apply(LogSoftmax, &[x]),
            Self::Gelu => return graph.apply(Bend(Curve::Gelu), &[x]),
            Self::GeluTanh => return graph.apply(Bend(Curve::GeluTanh), &[x]),
            Self::Silu => return graph.apply(Bend(Curve::Silu), &[x]),
            Self::Mish => return graph.apply(Bend(Curve::Mish), &[x]),
            Self::Softplus => return graph.apply(Bend(Curve::Softplus), &[x]),
            Self::Softsign => return graph.apply(Bend(Curve::Softsign), &[x]),
            Self::HardSilu => return graph.apply(Bend(Curve::HardSilu), &[x]),
            _ => self.function()?.expect("the others are among them"),
        };
        graph.apply(Activate(function), &[x])
    }

    /// The activation where its slope follows from its value; linear is none of them.
    ///
    /// # Errors
    /// [`Error::Argument`] for a slope or alpha below 0.
    pub(crate) fn function(self) -> Result<Option<Function>> {
        Ok(Some(match self {
            Self::Relu => Function::Relu,
            Self::Sigmoid => Function::Sigmoid,
            Self::Tanh => Function::Tanh,
            Self::LeakyRelu { negative_slope } => {
                told("negative_slope", negative_slope, Function::LeakyRelu { negative_slope })?
            }
            Self::Relu6 => Function::Relu6,
            Self::Elu { alpha } => told("alpha", alpha, Function::Elu { alpha })?,
            Self::Selu => Function::Selu,
            Self::Exponential => Function::Exponential,
            Self::HardSigmoid => Function::HardSigmoid,
            _ => return Ok(None),
        }))
    }
}

impl Activation {
    /// The activation as a setting of Keras' layers: its name or, with another slope or alpha than the name stands for, Keras' layer.
    ///
    /// # Errors
    /// [`Error::Argument`] for [`Activation::GeluTanh`], which Keras has no name for.
    pub fn keras(self) -> Result<Setting> {
        Ok(match self {
            Self::GeluTanh => {
                let message = "gelu_tanh is gelu of approximate=True, for which Keras has no name; use Gelu";
                return Err(Error::argument("activation", message));
            }
            Self::LeakyRelu { negative_slope } if self != Self::LeakyRelu => {
                KerasObject::layer("LeakyReLU", "leaky_re_lu").with("negative_slope", negative_slope).into()
            }
            Self::Elu { alpha } if self != Self::Elu => KerasObject::layer("ELU", "elu").with("alpha", alpha).into(),
            _ => self.name().into(),
        })
    }

    /// Keras' name of it, whatever its settings.
    fn name(self) -> &'static str {
        let same = |other: &Self| std::mem::discriminant(other) == std::mem::discriminant(&self);
        let name = NAMES.iter().find(|(_, activation)| same(activation)).map(|(name, _)| *name);
        name.expect("every activation has a name")
    }
}

impl Configured for Activation {
    fn config(&self) -> Config {
        let config = Config::new(self.name());
        match *self {
            Self::LeakyRelu { negative_slope } => config.with("negative_slope", negative_slope),
            Self::Elu { alpha } => config.with("alpha", alpha),
            _ => config,
        }
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        let mut activation = Self::by_name(config.class())?;
        match &mut activation {
            Self::LeakyRelu { negative_slope } => {
                *negative_slope = config.take_or("negative_slope", *negative_slope)?;
            }
            Self::Elu { alpha } => *alpha = config.take_or("alpha", *alpha)?,
            _ => {}
        }
        Ok(activation)
    }
}

/// The function that is told a number for its negative side. Of 0, which leaves nothing there, both are relu.
fn told(name: &str, number: f64, function: Function) -> Result<Function> {
    if !(0.0..=f64::from(f32::MAX)).contains(&number) {
        let message = format!("{number} is none for the negative side; give a number of 0 or more that f32 holds");
        return Err(Error::argument(name, message));
    }
    // What f32 has no number for is 0.
    Ok(if number < f64::from(f32::MIN_POSITIVE) { Function::Relu } else { function })
}
