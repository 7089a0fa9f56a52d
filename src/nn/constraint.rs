//! What holds a layer's weights within bounds, <https://keras.io/api/layers/constraints/>.

use super::keras::axes as axes_of;
use super::{Config, Configured, KerasObject};
use crate::error::{Error, Result};
use crate::graph::{Aggregation, Graph, Id};
use crate::ops::binary::Binary;
use crate::ops::unary::Unary;
use crate::tensor::{Shape, axis_of};

/// A bound that a weight is brought back within after each step of training, on the device: as in Keras, after one that only
/// [accumulates gradients](crate::nn::optimizer::Optimizer::gradient_accumulation_steps), too.
///
/// A norm is the root of the sum of squares along some axes of the weight, by Keras' default the first: for each unit of a
/// [`super::layers::Dense`] the length of the weights that lead to it. 1e-7 is added to norms before weights are divided by them, as
/// in Keras. Weights that are not trained stay as they are.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new()
///     .add(Input::new([2]))
///     .add(Dense::new(1).kernel_constraint(Constraint::non_neg()).use_bias(false))
///     .device(Device::cpu());
/// model.compile(Sgd { learning_rate: 0.1, ..Sgd::default() }, Loss::MeanSquaredError, [])?;
/// let data = Dataset::new(Tensor::from([[1.0f32, 0.0], [0.0, 1.0]]), Tensor::from([[-2.0f32], [2.0]]))?;
/// model.fit(&data, Fit::new().epochs(50).verbose(0))?;
/// let kernel = model.weights()?[0].values().to_f32();
/// assert!(kernel[0] == 0.0 && kernel[1] > 1.0);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Constraint {
    /// A norm above `max_value` is brought down to it.
    MaxNorm {
        /// The largest norm, 0 or more.
        max_value: f64,
        /// The axes that a norm is taken along; below 0 they count from the last.
        axes: Vec<isize>,
    },
    /// What is below 0 becomes 0.
    NonNeg,
    /// Each norm is brought to 1.
    UnitNorm {
        /// The axes that a norm is taken along; below 0 they count from the last.
        axes: Vec<isize>,
    },
    /// A norm n outside `min_value` to `max_value` is brought to `rate` times the nearer of these plus `1 - rate` times n.
    MinMaxNorm {
        /// The smallest norm, 0 or more.
        min_value: f64,
        /// The largest norm, `min_value` or more.
        max_value: f64,
        /// What share of the way back is made at each step, 0 to 1.
        rate: f64,
        /// The axes that a norm is taken along; below 0 they count from the last.
        axes: Vec<isize>,
    },
}

/// The names that [`Constraint::by_name`] knows.
pub const NAMES: [&str; 4] = ["max_norm", "non_neg", "unit_norm", "min_max_norm"];

/// What is added to a norm that is divided by: Keras' epsilon.
const EPSILON: f64 = 1e-7;

impl Constraint {
    /// Norms along axis 0 of at most this; Keras' default is 2.
    pub fn max_norm(max_value: f64) -> Self {
        Self::MaxNorm { max_value, axes: vec![0] }
    }

    /// Nothing below 0.
    pub fn non_neg() -> Self {
        Self::NonNeg
    }

    /// Norms along axis 0 of 1.
    pub fn unit_norm() -> Self {
        Self::UnitNorm { axes: vec![0] }
    }

    /// Norms along axis 0 within bounds, all the way at once; Keras' defaults are 0 and 1.
    pub fn min_max_norm(min_value: f64, max_value: f64) -> Self {
        Self::MinMaxNorm { min_value, max_value, rate: 1.0, axes: vec![0] }
    }

    /// The constraint of Keras' name with Keras' defaults: one of [`NAMES`].
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names, and the likeliest one.
    pub fn by_name(name: &str) -> Result<Self> {
        match name.to_lowercase().as_str() {
            "max_norm" => Ok(Self::max_norm(2.0)),
            "non_neg" => Ok(Self::non_neg()),
            "unit_norm" => Ok(Self::unit_norm()),
            "min_max_norm" => Ok(Self::min_max_norm(0.0, 1.0)),
            _ => Err(Error::argument("constraint", crate::suggest::unknown(name, &NAMES))),
        }
    }

    /// Keras' name of the class.
    fn class(&self) -> &'static str {
        match self {
            Self::MaxNorm { .. } => "MaxNorm",
            Self::NonNeg => "NonNeg",
            Self::UnitNorm { .. } => "UnitNorm",
            Self::MinMaxNorm { .. } => "MinMaxNorm",
        }
    }

    /// Its numbers under Keras' names.
    fn numbers(&self) -> Vec<(&'static str, f64)> {
        match *self {
            Self::NonNeg | Self::UnitNorm { .. } => Vec::new(),
            Self::MaxNorm { max_value, .. } => vec![("max_value", max_value)],
            Self::MinMaxNorm { min_value, max_value, rate, .. } => {
                vec![("min_value", min_value), ("max_value", max_value), ("rate", rate)]
            }
        }
    }

    /// The constraint as Keras serializes it.
    pub fn keras(&self) -> KerasObject {
        let object = KerasObject::new("keras.constraints", self.class()).with_all(self.numbers());
        if *self == Self::NonNeg { object } else { object.with("axis", axes_of(self.axes())) }
    }

    /// Why a weight of this shape cannot be held by it, if so.
    pub(super) fn refusal(&self, shape: &Shape) -> Option<String> {
        let numbers = self.numbers();
        let mut bounds = numbers.iter().filter(|(name, _)| *name != "rate");
        if let Some((name, bound)) = bounds.find(|(_, bound)| !(0.0..f64::INFINITY).contains(bound)) {
            return Some(format!("has {name} {bound}; give a number of 0 or more"));
        }
        if let Self::MinMaxNorm { min_value, max_value, rate, .. } = *self {
            if min_value > max_value {
                return Some(format!("has min_value {min_value} above max_value {max_value}; give the smaller first"));
            }
            if !(0.0..=1.0).contains(&rate) {
                return Some(format!("has rate {rate}; give 0 to 1, the share of the way back"));
            }
        }
        let mut axes: Vec<usize> = Vec::new();
        for &axis in self.axes() {
            match axis_of("its axes", axis, shape) {
                Ok(axis) if axes.contains(&axis) => return Some(format!("names axis {axis} of {shape} twice")),
                Ok(axis) => axes.push(axis),
                Err(why) => return Some(format!("takes norms along an axis that is not there: {why}")),
            }
        }
        (axes.is_empty() && *self != Self::NonNeg).then(|| "takes norms along no axis; give one or more".into())
    }

    /// The axes that norms are taken along.
    fn axes(&self) -> &[isize] {
        match self {
            Self::NonNeg => &[],
            Self::MaxNorm { axes, .. } | Self::UnitNorm { axes } | Self::MinMaxNorm { axes, .. } => axes,
        }
    }

    /// The weight, brought within the bound.
    pub(crate) fn append(&self, g: &mut Graph, w: Id) -> Result<Id> {
        if *self == Self::NonNeg {
            let zero = g.fill(0.0, []);
            return g.apply(Binary::Max, &[w, zero]);
        }
        let squares = g.apply(Unary::Square, &[w])?;
        let sums = g.reduce(Aggregation::Sum, squares, Some(self.axes()), true)?;
        let norms = g.apply(Unary::Sqrt, &[sums])?;
        let epsilon = g.fill(EPSILON, []);
        let divisor = g.apply(Binary::Add, &[norms, epsilon])?;
        let desired = match *self {
            Self::MaxNorm { max_value, .. } => clipped(g, norms, None, max_value)?,
            Self::MinMaxNorm { min_value, max_value, rate, .. } => {
                let within = clipped(g, norms, Some(min_value), max_value)?;
                let [within, kept] = [(within, rate), (norms, 1.0 - rate)].map(|(x, share)| {
                    let share = g.fill(share, []);
                    g.apply(Binary::Mul, &[share, x])
                });
                g.apply(Binary::Add, &[within?, kept?])?
            }
            _ => return g.apply(Binary::Div, &[w, divisor]),
        };
        let factor = g.apply(Binary::Div, &[desired, divisor])?;
        g.apply(Binary::Mul, &[w, factor])
    }
}

/// Norms, which are 0 or more, within bounds.
fn clipped(g: &mut Graph, norms: Id, least: Option<f64>, most: f64) -> Result<Id> {
    let norms = match least {
        None => norms,
        Some(least) => {
            let least = g.fill(least, []);
            g.apply(Binary::Max, &[norms, least])?
        }
    };
    let most = g.fill(most, []);
    g.apply(Binary::Min, &[norms, most])
}

impl Configured for Constraint {
    fn config(&self) -> Config {
        let config = Config::new(self.class()).with_all(self.numbers());
        if *self == Self::NonNeg { config } else { config.with("axes", self.axes().to_vec()) }
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        let class = config.class();
        let known = ["MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm"];
        let Some(at) = (0..known.len()).find(|&i| [known[i], NAMES[i]].contains(&class)) else {
            return Err(Error::argument("constraint", crate::suggest::unknown(class, &[known, NAMES].concat())));
        };
        let mut constraint = Self::by_name(NAMES[at])?;
        match &mut constraint {
            Self::NonNeg => {}
            Self::MaxNorm { max_value, axes } => {
                *max_value = config.take_or("max_value", *max_value)?;
                *axes = config.take_or("axes", axes.clone())?;
            }
            Self::UnitNorm { axes } => *axes = config.take_or("axes", axes.clone())?,
            Self::MinMaxNorm { min_value, max_value, rate, axes } => {
                *min_value = config.take_or("min_value", *min_value)?;
                *max_value = config.take_or("max_value", *max_value)?;
                *rate = config.take_or("rate", *rate)?;
                *axes = config.take_or("axes", axes.clone())?;
            }
        }
        Ok(constraint)
    }
}
