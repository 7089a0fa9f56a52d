//! Losses by Keras' names. All but one are a few element-wise nodes and a sum over the outputs of a sample.

mod custom;
mod labels;
mod terms;

use std::any::Any;

pub use custom::CustomLoss;
pub use labels::Labels;
pub(super) use terms::EPSILON;
use terms::Terms;

use super::{Config, Configured, mask};
use crate::data::check_labels;
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::ops::Op;
use crate::ops::activation::{Activate, Function};
use crate::ops::binary::Binary;
use crate::ops::curve::{Bend, Curve};
use crate::ops::log_softmax::LogSoftmax;
use crate::ops::matmul::MatMul;
use crate::ops::one_hot::OneHot;
use crate::ops::reshape::Reshape;
use crate::ops::softmax::Softmax;
use crate::ops::unary::Unary;
use crate::tensor::{DType, Shape, Tensor};

/// What training makes smaller: the mean over a batch of what stands here for one sample with targets t and predictions
/// p. Values and clipping are Keras'; a mean without a word is over a sample's outputs.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Dense::new(3).activation("softmax"));
/// model.compile("adam", Loss::SparseCategoricalCrossentropy, [])?;
/// // By Keras' name, and with a setting.
/// model.compile("adam", "sparse_categorical_crossentropy", [])?;
/// model.compile("adam", Loss::Huber { delta: 2.0 }, [])?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Loss {
    /// mean (p - t)^2
    MeanSquaredError,
    /// mean |p - t|
    MeanAbsoluteError,
    /// 100 mean |(p - t) / t|, with 1e-7 for a smaller |t|.
    MeanAbsolutePercentageError,
    /// mean (log(1 + p) - log(1 + t))^2, with 1e-7 for a smaller p or t.
    MeanSquaredLogarithmicError,
    /// mean of half the error's square, and beyond `delta` of what goes on straight from there. Keras' `delta` is 1.
    Huber {
        /// From which error on the loss is linear.
        delta: f64,
    },
    /// mean log cosh(p - t): nearly half the square of small errors, nearly |p - t| of large ones.
    LogCosh,
    /// mean -(t log p + (1 - t) log(1 - p)) of targets from 0 to 1. Where a sigmoid ends the model it is computed from
    /// the sigmoid's input, which loses no digits; else p is clipped to 1e-7 from 0 and 1.
    BinaryCrossentropy {
        /// The share of a target, 0 to 1, that gives way to 1/2; 0 unless told.
        label_smoothing: f64,
    },
    /// Binary cross-entropy of a model that ends with the bare scores (logits).
    BinaryCrossentropyFromLogits {
        /// As [`variant@Loss::BinaryCrossentropy`] has it.
        label_smoothing: f64,
    },
    /// -sum t log(p / sum p) of targets that are one-hot, or any shares of the classes. Where a softmax ends the model it
    /// is computed from the softmax's input, which loses no digits; else shares are clipped to 1e-7 from 0 and 1.
    CategoricalCrossentropy {
        /// The share of a target, 0 to 1, that gives way to equal shares of all classes; 0 unless told.
        label_smoothing: f64,
    },
    /// Categorical cross-entropy of a model that ends with the bare scores (logits).
    CategoricalCrossentropyFromLogits {
        /// As [`variant@Loss::CategoricalCrossentropy`] has it.
        label_smoothing: f64,
    },
    /// [`const@Loss::CategoricalCrossentropy`] of targets that are integer labels: (batch,), or (batch, ...) for a model that
    /// gives (batch, ..., classes), of which a sample's loss is the mean.
    SparseCategoricalCrossentropy {
        /// The label of what is of no class, such as 255 for pixels that nobody labelled: it counts nothing, and the mean is
        /// of the other labels of a batch. `None` unless told.
        ignore_class: Option<u32>,
    },
    /// Cross-entropy with integer labels, of a model that ends with the bare scores (logits).
    SparseCategoricalCrossentropyFromLogits {
        /// As [`variant@Loss::SparseCategoricalCrossentropy`] has it.
        ignore_class: Option<u32>,
    },
    /// mean max(1 - t p, 0) of targets -1 and 1. Where all of a batch are 0 or 1, 0 stands for -1.
    Hinge,
    /// mean max(1 - t p, 0)^2, with targets as [`Loss::Hinge`] has them.
    SquaredHinge,
    /// mean p - t log(p + 1e-7)
    Poisson,
    /// sum t log(t / p), t and p clipped to 1e-7 at least and 1 at most.
    KlDivergence,
    /// -sum t p of t and p scaled to a length of 1: from -1 for the same direction to 1 for the opposite one.
    CosineSimilarity,
    /// One's own: [`Loss::custom`].
    Custom(CustomLoss),
}

/// The bare names, for Keras' defaults: a variant with fields leaves the name of a value free.
#[expect(non_upper_case_globals, reason = "they are the variants' names")]
impl Loss {
    /// huber of delta 1.
    pub const Huber: Self = Self::Huber { delta: 1.0 };
    /// Binary cross-entropy with targets as they are.
    pub const BinaryCrossentropy: Self = Self::BinaryCrossentropy { label_smoothing: 0.0 };
    /// Binary cross-entropy from logits with targets as they are.
    pub const BinaryCrossentropyFromLogits: Self = Self::BinaryCrossentropyFromLogits { label_smoothing: 0.0 };
    /// Categorical cross-entropy with targets as they are.
    pub const CategoricalCrossentropy: Self = Self::CategoricalCrossentropy { label_smoothing: 0.0 };
    /// Categorical cross-entropy from logits with targets as they are.
    pub const CategoricalCrossentropyFromLogits: Self =
        Self::CategoricalCrossentropyFromLogits { label_smoothing: 0.0 };
    /// Cross-entropy with integer labels, all of which count.
    pub const SparseCategoricalCrossentropy: Self = Self::SparseCategoricalCrossentropy { ignore_class: None };
    /// Cross-entropy from logits with integer labels, all of which count.
    pub const SparseCategoricalCrossentropyFromLogits: Self =
        Self::SparseCategoricalCrossentropyFromLogits { ignore_class: None };
}

/// Keras' names and its short forms, those of one loss side by side, the long one first. Those from logits, which Keras
/// has as an argument, are ours.
pub const NAMES: [(&str, Loss); 24] = [
    ("mean_squared_error", Loss::MeanSquaredError),
    ("mse", Loss::MeanSquaredError),
    ("mean_absolute_error", Loss::MeanAbsoluteError),
    ("mae", Loss::MeanAbsoluteError),
    ("mean_absolute_percentage_error", Loss::MeanAbsolutePercentageError),
    ("mape", Loss::MeanAbsolutePercentageError),
    ("mean_squared_logarithmic_error", Loss::MeanSquaredLogarithmicError),
    ("msle", Loss::MeanSquaredLogarithmicError),
    ("huber", Loss::Huber),
    ("log_cosh", Loss::LogCosh),
    ("logcosh", Loss::LogCosh),
    ("binary_crossentropy", Loss::BinaryCrossentropy),
    ("bce", Loss::BinaryCrossentropy),
    ("binary_crossentropy_from_logits", Loss::BinaryCrossentropyFromLogits),
    ("categorical_crossentropy", Loss::CategoricalCrossentropy),
    ("categorical_crossentropy_from_logits", Loss::CategoricalCrossentropyFromLogits),
    ("sparse_categorical_crossentropy", Loss::SparseCategoricalCrossentropy),
    ("sparse_categorical_crossentropy_from_logits", Loss::SparseCategoricalCrossentropyFromLogits),
    ("hinge", Loss::Hinge),
    ("squared_hinge", Loss::SquaredHinge),
    ("poisson", Loss::Poisson),
    ("kl_divergence", Loss::KlDivergence),
    ("kld", Loss::KlDivergence),
    ("cosine_similarity", Loss::CosineSimilarity),
];

impl Loss {
    /// The loss of Keras' name, with Keras' defaults: one of [`NAMES`].
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names, and the likeliest one.
    pub fn by_name(name: &str) -> Result<Self> {
        let found = NAMES.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        let unknown = || Error::argument("loss", crate::suggest::unknown(name, &NAMES.map(|(n, _)| n)));
        found.map(|&(_, loss)| loss).ok_or_else(unknown)
    }

    /// The name that [`Loss::by_name`] knows it by.
    pub fn name(self) -> &'static str {
        if let Self::Custom(own) = self {
            return own.name();
        }
        let same = |other: &Self| std::mem::discriminant(other) == std::mem::discriminant(&self);
        NAMES.iter().find(|(_, loss)| same(loss)).map(|(name, _)| *name).expect("every loss has a name")
    }

    /// Whether targets are integer labels, not values.
    pub(super) fn takes_labels(self) -> bool {
        matches!(
            self,
            Self::SparseCategoricalCrossentropy { .. } | Self::SparseCategoricalCrossentropyFromLogits { .. }
        )
    }

    /// The label that counts nothing.
    pub(super) fn ignore_class(self) -> Option<u32> {
        match self {
            Self::SparseCategoricalCrossentropy { ignore_class }
            | Self::SparseCategoricalCrossentropyFromLogits { ignore_class } => ignore_class,
            _ => None,
        }
    }

    /// The same loss of integer labels where this one takes one-hot targets, and the other way round.
    pub(super) fn twin(self) -> Option<Self> {
        Some(match self {
            Self::CategoricalCrossentropy { .. } => Self::SparseCategoricalCrossentropy,
            Self::CategoricalCrossentropyFromLogits { .. } => Self::SparseCategoricalCrossentropyFromLogits,
            Self::SparseCategoricalCrossentropy { .. } => Self::CategoricalCrossentropy,
            Self::SparseCategoricalCrossentropyFromLogits { .. } => Self::CategoricalCrossentropyFromLogits,
            _ => return None,
        })
    }

    /// The targets of `rows` samples, for a model whose output for one is `output`.
    pub(crate) fn targets(self, rows: usize, output: &[usize]) -> Type {
        if self.takes_labels() {
            Type::u32([&[rows], labelled(output)].concat())
        } else {
            Type::float([&[rows], output].concat())
        }
    }

    /// That the settings are in their ranges.
    pub(crate) fn check(self) -> Result<()> {
        if let Self::Custom(own) = self {
            return own.check();
        }
        if let Self::Huber { delta } = self
            && !(delta > 0.0 && delta.is_finite())
        {
            let message = format!("{delta} is no bound of an error; give a number above 0, such as 1");
            return Err(Error::argument("delta", message));
        }
        let (share, _) = self.smoothing(1);
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::argument("label_smoothing", format!("{share} is no share; give 0 to 1, such as 0.1")));
        }
        Ok(())
    }

    /// That targets `y` of this name fit the loss, for a model whose output for one sample is `output`.
    pub(crate) fn check_targets(self, name: &str, y: &Tensor, output: &[usize]) -> Result<()> {
        if matches!(self, Self::Custom(_)) {
            // What it takes it says itself, where it is applied.
            return Ok(());
        }
        if self.takes_labels() {
            check_labels(name, y, output.last().copied().unwrap_or(1), self.ignore_class())?;
            let wanted: Shape = [&[y.rows()], labelled(output)].concat().into();
            if y.shape().len() == wanted.len() {
                return Ok(());
            }
            let message = format!(
                "takes labels {wanted}, one for each row of scores, was given {}; end the model with one row of scores for \
                 each label, as Flatten and Dense do, or give one-hot targets as f32",
                y.shape()
            );
            return Err(Error::shape(self.name(), message));
        }
        let (shape, rows, name) = (y.shape(), y.rows(), self.name());
        let wanted: Shape = [&[rows], output].concat().into();
        if output.is_empty() {
            let message =
                format!("takes predictions (samples, outputs), the model gives {wanted}; end it with a Dense");
            return Err(Error::shape(name, message));
        }
        if y.dtype() != DType::F32 {
            let hint = if wanted.len() == rows { "give them as f32" } else { "give them as f32, one-hot for classes" };
            let message = format!("takes f32 targets {wanted}, was given {} {shape}; {hint}", y.dtype());
            return Err(Error::shape(name, message));
        }
        // A column may be given as a plain list.
        let fits = *shape == wanted || (wanted.len() == rows && **shape == [rows]);
        if fits {
            return Ok(());
        }
        let message = format!(
            "the targets are {shape}, the model gives {wanted}; give targets of that shape, or as many units to the last \
             layer as a target has values"
        );
        Err(Error::shape(name, message))
    }

    /// The loss of each sample (batch,), given predictions (batch, ...) and targets: labels (batch,), or values in the
    /// shape of the predictions or, where those are one a sample, (batch,).
    ///
    /// # Errors
    /// [`Error::Shape`] where they do not fit, or a dense layer's bare sums are to be probabilities of labels.
    pub fn append(self, graph: &mut Graph, predicted: Id, targets: Id) -> Result<Id> {
        self.weighed(graph, predicted, targets, None)
    }

    /// [`Loss::append`] of predictions whose parts are weighed: by numbers of their first axes, such as (batch, steps).
    pub(crate) fn weighed(self, graph: &mut Graph, predicted: Id, targets: Id, weights: Option<Id>) -> Result<Id> {
        if let Self::Custom(own) = self {
            let each = own.append(graph, predicted, targets, weights)?;
            let Some(weights) = weights else { return Ok(each) };
            let weighed = mask::weighed(graph, each, weights)?;
            return mask::per_sample(graph, weighed);
        }
        let logits = match self {
            Self::SparseCategoricalCrossentropyFromLogits { .. } => Some(predicted),
            Self::SparseCategoricalCrossentropy { .. } => logits_of(graph, predicted),
            _ => None,
        };
        let targets = if self.takes_labels() { labels::of_rows(graph, predicted, targets)? } else { targets };
        let (targets, weights) = match self.ignore_class() {
            Some(class) => {
                let (targets, shares) = labels::ignoring(graph, targets, class, weights)?;
                (targets, Some(shares))
            }
            None => (targets, weights),
        };
        if let Some(logits) = logits {
            let losses = labels::crossentropy(graph, logits, targets)?;
            let losses = weights.map_or(Ok(losses), |weights| mask::weighed(graph, losses, weights))?;
            return mask::per_sample(graph, losses);
        }
        let t = match self {
            Self::SparseCategoricalCrossentropy { .. } => one_hot(graph, predicted, targets)?,
            _ => as_predicted(graph, predicted, targets)?,
        };
        let (share, classes) = self.smoothing(graph.shape(t).last().copied().unwrap_or(1));
        let mut terms = Terms(graph);
        let t = terms.smoothed(t, share, classes)?;
        let mut of_output = terms.of(self, predicted, t)?;
        if let Some(weights) = weights {
            of_output = mask::weighed(terms.0, of_output, weights)?;
        }
        terms.per_sample(of_output, self.sums_outputs())
    }

    /// The share of a target that is smoothed away, and how many classes it is spread over, given the outputs.
    fn smoothing(self, outputs: usize) -> (f64, usize) {
        match self {
            Self::BinaryCrossentropy { label_smoothing } | Self::BinaryCrossentropyFromLogits { label_smoothing } => {
                (label_smoothing, 2)
            }
            Self::CategoricalCrossentropy { label_smoothing }
            | Self::CategoricalCrossentropyFromLogits { label_smoothing } => (label_smoothing, outputs),
            _ => (0.0, outputs),
        }
    }

    /// Whether Keras adds a sample's terms up, rather than taking their mean.
    fn sums_outputs(self) -> bool {
        matches!(
            self,
            Self::CategoricalCrossentropy { .. }
                | Self::CategoricalCrossentropyFromLogits { .. }
                | Self::SparseCategoricalCrossentropy { .. }
                | Self::KlDivergence
                | Self::CosineSimilarity
        )
    }
}

impl Configured for Loss {
    fn config(&self) -> Config {
        let config = Config::new(self.name());
        match *self {
            Self::Huber { delta } => config.with("delta", delta),
            Self::BinaryCrossentropy { label_smoothing }
            | Self::BinaryCrossentropyFromLogits { label_smoothing }
            | Self::CategoricalCrossentropy { label_smoothing }
            | Self::CategoricalCrossentropyFromLogits { label_smoothing } => {
                config.with("label_smoothing", label_smoothing)
            }
            Self::SparseCategoricalCrossentropy { ignore_class: Some(class) }
            | Self::SparseCategoricalCrossentropyFromLogits { ignore_class: Some(class) } => {
                config.with("ignore_class", class)
            }
            _ => config,
        }
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        let mut loss = Self::by_name(config.class())?;
        match &mut loss {
            Self::Huber { delta } => *delta = config.take_or("delta", *delta)?,
            Self::BinaryCrossentropy { label_smoothing }
            | Self::BinaryCrossentropyFromLogits { label_smoothing }
            | Self::CategoricalCrossentropy { label_smoothing }
            | Self::CategoricalCrossentropyFromLogits { label_smoothing } => {
                *label_smoothing = config.take_or("label_smoothing", *label_smoothing)?;
            }
            Self::SparseCategoricalCrossentropy { ignore_class }
            | Self::SparseCategoricalCrossentropyFromLogits { ignore_class } => {
                *ignore_class = config.take_or("ignore_class", *ignore_class)?;
            }
            _ => {}
        }
        Ok(loss)
    }
}

/// The axes of the labels of a sample whose output has these.
fn labelled(output: &[usize]) -> &[usize] {
    output.split_last().map_or(&[], |(_, labelled)| labelled)
}

/// Targets in the shape of the predictions: a plain list becomes the one column that they are.
pub(crate) fn as_predicted(graph: &mut Graph, predicted: Id, targets: Id) -> Result<Id> {
    let shape = graph.shape(predicted).clone();
    if *graph.shape(targets) == shape { Ok(targets) } else { graph.apply(Reshape(shape), &[targets]) }
}

/// Labels as targets in the shape of the predictions, which are probabilities that no softmax made.
fn one_hot(graph: &mut Graph, predicted: Id, labels: Id) -> Result<Id> {
    let refused = |message| Err(Error::shape("sparse_categorical_crossentropy", message));
    let sum = input_of(graph, predicted, |op: &Binary| *op == Binary::Add);
    if sum.and_then(|sum| input_of(graph, sum, |_: &MatMul| true)).is_some() {
        return refused("takes probabilities: end the model with a softmax, or take the loss from logits".into());
    }
    let classes = graph.shape(predicted).last().copied().unwrap_or(1);
    let t = graph.apply(OneHot { classes }, &[labels])?;
    if graph.shape(t) != graph.shape(predicted) {
        let (p, t) = (graph.ty(predicted), graph.ty(labels));
        return refused(format!("expected (batch, classes) and one integer label a row, was given {p} and {t}"));
    }
    Ok(t)
}

impl Terms<'_> {
    /// The terms of a loss by predictions p and targets t of one shape.
    fn of(&mut self, loss: Loss, p: Id, t: Id) -> Result<Id> {
        match loss {
            Loss::MeanSquaredError => {
                let error = self.with(Binary::Sub, p, t)?;
                self.map(Unary::Square, error)
            }
            Loss::MeanAbsoluteError => self.distance(p, t),
            Loss::MeanAbsolutePercentageError => {
                let size = self.map(Unary::Abs, t)?;
                let size = self.number(Binary::Max, size, EPSILON)?;
                let distance = self.distance(p, t)?;
                let share = self.with(Binary::Div, distance, size)?;
                self.number(Binary::Mul, share, 100.0)
            }
            Loss::MeanSquaredLogarithmicError => {
                let (p, t) = (self.logarithm(p)?, self.logarithm(t)?);
                self.of(Loss::MeanSquaredError, p, t)
            }
            Loss::Huber { delta } => self.huber(p, t, delta),
            Loss::LogCosh => {
                // log cosh e = e + softplus(-2 e) - log 2, which overflows nowhere.
                let error = self.with(Binary::Sub, p, t)?;
                let twice = self.number(Binary::Mul, error, -2.0)?;
                let bent = self.map(Bend(Curve::Softplus), twice)?;
                let sum = self.with(Binary::Add, error, bent)?;
                self.number(Binary::Sub, sum, std::f64::consts::LN_2)
            }
            Loss::BinaryCrossentropy { .. } => match input_of(self.0, p, |op: &Activate| op.0 == Function::Sigmoid) {
                Some(logits) => self.binary_of_logits(logits, t),
                None => self.binary(p, t),
            },
            Loss::BinaryCrossentropyFromLogits { .. } => self.binary_of_logits(p, t),
            Loss::CategoricalCrossentropy { .. } => match logits_of(self.0, p) {
                Some(logits) => self.of(Loss::CategoricalCrossentropyFromLogits, logits, t),
                None => self.categorical(p, t),
            },
            Loss::CategoricalCrossentropyFromLogits { .. } => {
                let log = self.map(LogSoftmax, p)?;
                self.minus_product(t, log)
            }
            Loss::Hinge => self.hinge(p, t),
            Loss::SquaredHinge => {
                let hinge = self.hinge(p, t)?;
                self.map(Unary::Square, hinge)
            }
            Loss::Poisson => {
                let shifted = self.number(Binary::Add, p, EPSILON)?;
                let log = self.map(Unary::Log, shifted)?;
                let gain = self.with(Binary::Mul, t, log)?;
                self.with(Binary::Sub, p, gain)
            }
            Loss::KlDivergence => {
                let (t, p) = (self.clipped(t, 1.0)?, self.clipped(p, 1.0)?);
                let ratio = self.with(Binary::Div, t, p)?;
                let log = self.map(Unary::Log, ratio)?;
                self.with(Binary::Mul, t, log)
            }
            Loss::CosineSimilarity => {
                let (t, p) = (self.direction(t)?, self.direction(p)?);
                self.minus_product(t, p)
            }
            Loss::SparseCategoricalCrossentropy { .. } => self.categorical(p, t),
            Loss::SparseCategoricalCrossentropyFromLogits { .. } | Loss::Custom(_) => unreachable!("made before"),
        }
    }
}

/// What a softmax was taken of; `None` where the value is no softmax.
pub(crate) fn logits_of(graph: &Graph, predicted: Id) -> Option<Id> {
    input_of(graph, predicted, |_: &Softmax| true)
}

/// What an op of this kind was applied to; `None` where the value comes of another.
fn input_of<O: Op>(graph: &Graph, value: Id, is: impl Fn(&O) -> bool) -> Option<Id> {
    let node = graph.producer(value)?;
    (node.op.as_ref() as &dyn Any).downcast_ref().is_some_and(is).then(|| node.inputs[0])
}
