//! Losses by Keras' names. All but one are a few element-wise nodes and a sum over the outputs of a sample.

use std::any::Any;

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::ops::Op;
use crate::ops::activation::{Activate, Function};
use crate::ops::binary::Binary;
use crate::ops::curve::{Bend, Curve};
use crate::ops::log_softmax::LogSoftmax;
use crate::ops::reduce::{Reduce, Reduction};
use crate::ops::reshape::Reshape;
use crate::ops::select::Select;
use crate::ops::softmax::Softmax;
use crate::ops::softmax_cross_entropy::SoftmaxCrossEntropy;
use crate::ops::sum::Sum;
use crate::ops::unary::Unary;
use crate::tensor::{DType, Shape};

/// What training makes smaller: the mean over a batch of what stands here for one sample with targets t and predictions
/// p. Values and clipping are Keras'; a mean without a word is over a sample's outputs.
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
    BinaryCrossentropy,
    /// Binary cross-entropy of a model that ends with the bare scores (logits).
    BinaryCrossentropyFromLogits,
    /// -sum t log(p / sum p) of targets that are one-hot, or any shares of the classes. Where a softmax ends the model it
    /// is computed from the softmax's input, which loses no digits; else shares are clipped to 1e-7 from 0 and 1.
    CategoricalCrossentropy,
    /// Categorical cross-entropy of a model that ends with the bare scores (logits).
    CategoricalCrossentropyFromLogits,
    /// Cross-entropy with integer labels, of the probabilities of a softmax that ends the model. It is computed from
    /// the softmax's input, which loses no digits.
    SparseCategoricalCrossentropy,
    /// Cross-entropy with integer labels, of a model that ends with the bare scores (logits).
    SparseCategoricalCrossentropyFromLogits,
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
    ("huber", Loss::Huber { delta: 1.0 }),
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

/// Keras' `epsilon`.
const EPSILON: f64 = 1e-7;

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
        let same = |other: &Self| std::mem::discriminant(other) == std::mem::discriminant(&self);
        NAMES.iter().find(|(_, loss)| same(loss)).map(|(name, _)| *name).expect("every loss has a name")
    }

    /// Whether targets are integer labels, not values.
    fn takes_labels(self) -> bool {
        matches!(self, Self::SparseCategoricalCrossentropy | Self::SparseCategoricalCrossentropyFromLogits)
    }

    /// The targets of `rows` samples, for a model whose output for one is `output`.
    pub(crate) fn targets(self, rows: usize, output: &[usize]) -> Type {
        if self.takes_labels() { Type::u32([rows]) } else { Type::float([&[rows], output].concat()) }
    }

    /// That the settings are in their ranges.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Huber { delta } if !(delta > 0.0 && delta.is_finite()) => Err(Error::argument(
                "delta",
                format!("{delta} is no bound of an error; give a number above 0, such as 1"),
            )),
            _ => Ok(()),
        }
    }

    /// That a set's targets fit the loss, for a model whose output for one sample is `output`.
    pub(crate) fn check_targets(self, data: &Dataset, output: &[usize]) -> Result<()> {
        if self.takes_labels() {
            return data.check_labels(output.last().copied().unwrap_or(1));
        }
        let (shape, name) = (data.y().shape(), self.name());
        let wanted: Shape = [&[data.len()], output].concat().into();
        if output.is_empty() {
            let message =
                format!("takes predictions (samples, outputs), the model gives {wanted}; end it with a Dense");
            return Err(Error::shape(name, message));
        }
        if data.y().dtype() != DType::F32 {
            let hint =
                if wanted.len() == data.len() { "give them as f32" } else { "give them as f32, one-hot for classes" };
            let message = format!("takes f32 targets {wanted}, was given {} {shape}; {hint}", data.y().dtype());
            return Err(Error::shape(name, message));
        }
        // A column may be given as a plain list.
        let fits = *shape == wanted || (wanted.len() == data.len() && **shape == [data.len()]);
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
    /// [`Error::Shape`] where they do not fit, or probabilities are needed that no softmax made.
    pub fn append(self, graph: &mut Graph, predicted: Id, targets: Id) -> Result<Id> {
        if self.takes_labels() {
            let logits = match self {
                Self::SparseCategoricalCrossentropyFromLogits => predicted,
                _ => logits_of(graph, predicted).ok_or_else(|| {
                    let message = "takes probabilities: end the model with a softmax, or take the loss from logits";
                    Error::shape("SparseCategoricalCrossentropy", message)
                })?,
            };
            return graph.apply(SoftmaxCrossEntropy, &[logits, targets]);
        }
        let t = as_predicted(graph, predicted, targets)?;
        let mut terms = Terms(graph);
        let of_output = terms.of(self, predicted, t)?;
        terms.per_sample(of_output, self.sums_outputs())
    }

    /// Whether Keras adds a sample's terms up, rather than taking their mean.
    fn sums_outputs(self) -> bool {
        matches!(
            self,
            Self::CategoricalCrossentropy
                | Self::CategoricalCrossentropyFromLogits
                | Self::KlDivergence
                | Self::CosineSimilarity
        )
    }
}

/// Targets in the shape of the predictions: a plain list becomes the one column that they are.
pub(crate) fn as_predicted(graph: &mut Graph, predicted: Id, targets: Id) -> Result<Id> {
    let shape = graph.shape(predicted).clone();
    if *graph.shape(targets) == shape { Ok(targets) } else { graph.apply(Reshape(shape), &[targets]) }
}

/// The terms of a loss, one an output, in a graph under way.
struct Terms<'a>(&'a mut Graph);

impl Terms<'_> {
    fn with(&mut self, op: Binary, a: Id, b: Id) -> Result<Id> {
        self.0.apply(op, &[a, b])
    }

    fn number(&mut self, op: Binary, a: Id, number: f64) -> Result<Id> {
        let number = self.0.fill(number, []);
        self.0.apply(op, &[a, number])
    }

    fn map(&mut self, op: impl Op, x: Id) -> Result<Id> {
        self.0.apply(op, &[x])
    }

    /// 1 - x
    fn rest(&mut self, x: Id) -> Result<Id> {
        let one = self.0.fill(1.0, []);
        self.with(Binary::Sub, one, x)
    }

    /// x, at least EPSILON and at most `most`.
    fn clipped(&mut self, x: Id, most: f64) -> Result<Id> {
        let x = self.number(Binary::Max, x, EPSILON)?;
        self.number(Binary::Min, x, most)
    }

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
            Loss::BinaryCrossentropy => match input_of(self.0, p, |op: &Activate| op.0 == Function::Sigmoid) {
                Some(logits) => self.binary_of_logits(logits, t),
                None => self.binary(p, t),
            },
            Loss::BinaryCrossentropyFromLogits => self.binary_of_logits(p, t),
            Loss::CategoricalCrossentropy => match logits_of(self.0, p) {
                Some(logits) => self.of(Loss::CategoricalCrossentropyFromLogits, logits, t),
                None => self.categorical(p, t),
            },
            Loss::CategoricalCrossentropyFromLogits => {
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
            Loss::SparseCategoricalCrossentropy | Loss::SparseCategoricalCrossentropyFromLogits => {
                unreachable!("its targets are labels")
            }
        }
    }
}

/// What several losses, or the longer ones, are made of.
impl Terms<'_> {
    /// log(1 + x), of EPSILON where x is less.
    fn logarithm(&mut self, x: Id) -> Result<Id> {
        let x = self.number(Binary::Max, x, EPSILON)?;
        let x = self.number(Binary::Add, x, 1.0)?;
        self.map(Unary::Log, x)
    }

    /// |p - t|
    fn distance(&mut self, p: Id, t: Id) -> Result<Id> {
        let error = self.with(Binary::Sub, p, t)?;
        self.map(Unary::Abs, error)
    }

    /// q^2 / 2 + delta (|p - t| - q) with q = min(|p - t|, delta): both branches at once, as smooth as the loss is.
    fn huber(&mut self, p: Id, t: Id, delta: f64) -> Result<Id> {
        let size = self.distance(p, t)?;
        let near = self.number(Binary::Min, size, delta)?;
        let square = self.map(Unary::Square, near)?;
        let half = self.number(Binary::Mul, square, 0.5)?;
        let far = self.with(Binary::Sub, size, near)?;
        let far = self.number(Binary::Mul, far, delta)?;
        self.with(Binary::Add, half, far)
    }

    /// -t log p - (1 - t) log(1 - p)
    fn binary(&mut self, p: Id, t: Id) -> Result<Id> {
        let p = self.clipped(p, 1.0 - EPSILON)?;
        let (not_p, not_t) = (self.rest(p)?, self.rest(t)?);
        let (log_p, log_not_p) = (self.map(Unary::Log, p)?, self.map(Unary::Log, not_p)?);
        let hit = self.minus_product(t, log_p)?;
        let other = self.with(Binary::Mul, not_t, log_not_p)?;
        self.with(Binary::Sub, hit, other)
    }

    /// t softplus(-x) + (1 - t) softplus(x): neither cancels where the model is certain.
    fn binary_of_logits(&mut self, x: Id, t: Id) -> Result<Id> {
        let (minus_x, not_t) = (self.map(Unary::Neg, x)?, self.rest(t)?);
        let if_one = self.map(Bend(Curve::Softplus), minus_x)?;
        let if_zero = self.map(Bend(Curve::Softplus), x)?;
        let if_one = self.with(Binary::Mul, t, if_one)?;
        let if_zero = self.with(Binary::Mul, not_t, if_zero)?;
        self.with(Binary::Add, if_one, if_zero)
    }

    /// -t log(p / sum p)
    fn categorical(&mut self, p: Id, t: Id) -> Result<Id> {
        let total = self.row_sum(p)?;
        let share = self.with(Binary::Div, p, total)?;
        let share = self.clipped(share, 1.0 - EPSILON)?;
        let log = self.map(Unary::Log, share)?;
        self.minus_product(t, log)
    }

    /// max(1 - t p, 0), where t becomes 2 t - 1 if the whole batch is of 0 and 1, as Keras has it.
    fn hinge(&mut self, p: Id, t: Id) -> Result<Id> {
        let (zeros, ones) = (self.number(Binary::Equal, t, 0.0)?, self.number(Binary::Equal, t, 1.0)?);
        let either = self.with(Binary::Max, zeros, ones)?;
        let axes = 0..self.0.shape(t).rank();
        let binary = self.map(Reduce { reduction: Reduction::Min, axes }, either)?;
        let twice = self.number(Binary::Mul, t, 2.0)?;
        let signs = self.number(Binary::Sub, twice, 1.0)?;
        let t = self.0.apply(Select, &[binary, signs, t])?;
        let agreed = self.with(Binary::Mul, t, p)?;
        let short = self.rest(agreed)?;
        self.number(Binary::Max, short, 0.0)
    }

    /// x at a length of 1 over the last axis. As in Keras what is shorter than EPSILON is not stretched to it.
    fn direction(&mut self, x: Id) -> Result<Id> {
        let squares = self.map(Unary::Square, x)?;
        let total = self.row_sum(squares)?;
        // The root's slope at 0 is infinite: nothing below the smallest square that counts may reach it.
        let total = self.number(Binary::Max, total, EPSILON * EPSILON)?;
        let length = self.map(Unary::Sqrt, total)?;
        self.with(Binary::Div, x, length)
    }

    fn minus_product(&mut self, a: Id, b: Id) -> Result<Id> {
        let product = self.with(Binary::Mul, a, b)?;
        self.map(Unary::Neg, product)
    }

    /// The sum over the last axis, which stays as 1.
    fn row_sum(&mut self, x: Id) -> Result<Id> {
        let shape = self.0.shape(x).clone();
        let last = shape.rank() - 1;
        let sum = self.map(Sum::new(last..shape.rank()), x)?;
        self.map(Reshape([&shape[..last], &[1]].concat().into()), sum)
    }

    /// One number a sample: over the outputs the mean, or the sum over the last axis and the mean over those between.
    fn per_sample(&mut self, terms: Id, sums: bool) -> Result<Id> {
        let shape = self.0.shape(terms).clone();
        let rank = shape.rank();
        let last = shape.last().copied().unwrap_or(1);
        let terms_of_mean = shape[1..].iter().product::<usize>() / if sums { last } else { 1 };
        self.map(Sum::scaled(1..rank, 1.0 / terms_of_mean as f64), terms)
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
