//! Metrics by Keras' names. The device sums up columns of numbers over an epoch's samples; the metric is made of those sums.

mod auc;
mod columns;
mod config;
mod confusion;
mod custom;
mod f1;
mod r2;

pub use auc::AucCurve;
pub use confusion::{ClassReport, ClassScores, ConfusionMatrix, classes_of};
pub use custom::CustomMetric;
pub use f1::Average;
pub use r2::ClassAggregation;

pub use super::per_sample::PerSample;

use std::collections::HashMap;

use super::{Loss, loss, mask};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::ops::accuracy::{InTopK, SparseCategoricalAccuracy};

/// What is measured beside the loss, over all samples of an epoch at once: batches make no difference.
///
/// Where scores are compared with a threshold they are probabilities: of a model that ends with bare scores (logits) give
/// 0 for a probability of a half. Integer labels stand for one-hot targets where nothing else is said.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Dense::new(1).activation("sigmoid"));
/// model.compile("adam", "binary_crossentropy", [Metric::Accuracy, Metric::Precision { threshold: 0.7 }])?;
/// // By Keras' names.
/// model.compile("adam", "binary_crossentropy", ["accuracy", "auc"])?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Metric {
    /// The share of samples that are right, which depends on the targets as it does for Keras' `"accuracy"`: that of
    /// integer labels is [`Metric::SparseCategoricalAccuracy`], of one-hot targets [`Metric::CategoricalAccuracy`], of
    /// targets of one value [`const@Metric::BinaryAccuracy`].
    Accuracy,
    /// The share of outputs that are above the threshold where the target is 1, and not where it is 0.
    BinaryAccuracy {
        /// Keras' is 0.5.
        threshold: f64,
    },
    /// The share of samples whose largest score stands where the one-hot target is largest.
    CategoricalAccuracy,
    /// The share of samples whose largest score stands at the class of the integer label.
    SparseCategoricalAccuracy,
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
    /// Of the outputs above the threshold, the share whose target is not 0; 0 where none is. The outputs of all classes
    /// count together.
    Precision {
        /// Keras' is 0.5.
        threshold: f64,
    },
    /// Of the outputs whose target is not 0, the share above the threshold; 0 where there are none. The outputs of all
    /// classes count together.
    Recall {
        /// Keras' is 0.5.
        threshold: f64,
    },
    /// 2 precision recall / (precision + recall) of each class, of which Keras' `average` makes one number.
    F1Score {
        /// Unless told [`Average::Macro`]. Keras' own default is none, which gives a number a class.
        average: Average,
        /// An output above it says yes. `None`, as in Keras, takes a sample's largest for a yes, and all that equal it
        /// unless they are 0: for one class of several, so that a model of one output needs a threshold.
        threshold: Option<f64>,
    },
    /// The area under a curve of two rates over `num_thresholds` thresholds from 0 to 1, joined as Keras' `interpolation`
    /// does. All outputs count together; integer labels are refused.
    Auc {
        /// Which rates; Keras' is [`AucCurve::Roc`].
        curve: AucCurve,
        /// 2 or more, Keras' is 200. The log has two numbers of each for every step.
        num_thresholds: usize,
        /// Whether the model ends with bare scores, of which a sigmoid makes probabilities.
        from_logits: bool,
    },
    /// 1 - sum (t - p)^2 / sum (t - mean t)^2 of each output, of which Keras' `class_aggregation` makes one number. As in
    /// Keras an output with errors whose targets are all the same has 0, and one without errors NaN.
    R2Score {
        /// Keras' is [`ClassAggregation::UniformAverage`].
        class_aggregation: ClassAggregation,
    },
    /// The root of the mean of (p - t)^2 over the whole epoch.
    RootMeanSquaredError,
    /// A loss, as a metric of its name. That of [`Loss::CosineSimilarity`] is Keras' metric, which is 1 for the same
    /// direction, where the loss is -1.
    Loss(Loss),
    /// One's own: [`Metric::custom`].
    Custom(CustomMetric),
}

/// The bare names, for Keras' defaults: a variant with fields leaves the name of a value free.
#[expect(non_upper_case_globals, reason = "they are the variants' names")]
impl Metric {
    /// Binary accuracy at a threshold of 0.5.
    pub const BinaryAccuracy: Self = Self::BinaryAccuracy { threshold: 0.5 };
    /// Precision at a threshold of 0.5.
    pub const Precision: Self = Self::Precision { threshold: 0.5 };
    /// Recall at a threshold of 0.5.
    pub const Recall: Self = Self::Recall { threshold: 0.5 };
    /// The mean F1 of the classes, one of which each sample is taken for.
    pub const F1Score: Self = Self::F1Score { average: Average::Macro, threshold: None };
    /// The area under the ROC curve of probabilities at 200 thresholds.
    pub const Auc: Self = Self::Auc { curve: AucCurve::Roc, num_thresholds: 200, from_logits: false };
    /// The mean R^2 of the outputs.
    pub const R2Score: Self = Self::R2Score { class_aggregation: ClassAggregation::UniformAverage };
    /// The mean of |p - t|.
    pub const MeanAbsoluteError: Self = Self::Loss(Loss::MeanAbsoluteError);
    /// The mean of (p - t)^2.
    pub const MeanSquaredError: Self = Self::Loss(Loss::MeanSquaredError);
    /// [`const@Loss::BinaryCrossentropy`].
    pub const BinaryCrossentropy: Self = Self::Loss(Loss::BinaryCrossentropy);
    /// [`const@Loss::CategoricalCrossentropy`].
    pub const CategoricalCrossentropy: Self = Self::Loss(Loss::CategoricalCrossentropy);
    /// [`variant@Loss::SparseCategoricalCrossentropy`].
    pub const SparseCategoricalCrossentropy: Self = Self::Loss(Loss::SparseCategoricalCrossentropy);
}

/// Of an area under a curve. Each step logs two numbers a threshold.
const MOST_THRESHOLDS: usize = 1 << 16;

/// Keras' names and its short forms, those of one metric side by side, the long one first. Those of losses, which
/// [`Metric::by_name`] knows too, are in [`loss::NAMES`].
pub const NAMES: [(&str, Metric); 14] = [
    ("accuracy", Metric::Accuracy),
    ("acc", Metric::Accuracy),
    ("binary_accuracy", Metric::BinaryAccuracy),
    ("categorical_accuracy", Metric::CategoricalAccuracy),
    ("sparse_categorical_accuracy", Metric::SparseCategoricalAccuracy),
    ("top_k_categorical_accuracy", Metric::TopKCategoricalAccuracy { k: 5 }),
    ("sparse_top_k_categorical_accuracy", Metric::SparseTopKCategoricalAccuracy { k: 5 }),
    ("precision", Metric::Precision),
    ("recall", Metric::Recall),
    ("f1_score", Metric::F1Score),
    ("auc", Metric::Auc),
    ("r2_score", Metric::R2Score),
    ("root_mean_squared_error", Metric::RootMeanSquaredError),
    ("rmse", Metric::RootMeanSquaredError),
];

impl Metric {
    /// The metric of Keras' name, with Keras' defaults: one of [`NAMES`] or a loss.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names, and the likeliest one.
    pub fn by_name(name: &str) -> Result<Self> {
        let losses = loss::NAMES.into_iter().map(|(name, loss)| (name, Self::Loss(loss)));
        let all: Vec<(&str, Self)> = NAMES.into_iter().chain(losses).collect();
        let names = || all.iter().map(|&(known, _)| known).collect::<Vec<_>>();
        let found = all.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|&(_, metric)| metric);
        found.ok_or_else(|| Error::argument("metric", crate::suggest::unknown(name, &names())))
    }

    /// The name in logs and [`crate::train::History`]. A second metric of one name is `auc_1` there, a third `auc_2`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss(loss) => return loss.name(),
            Self::Custom(own) => return own.name(),
            _ => {}
        }
        let same = |other: &Self| std::mem::discriminant(other) == std::mem::discriminant(&self);
        NAMES.iter().find(|(_, metric)| same(metric)).map(|(name, _)| *name).expect("every metric has a name")
    }

    /// Whether more is better; `None` of one's own, where nobody knows.
    pub(crate) fn rises(self) -> Option<bool> {
        match self {
            Self::Custom(_) | Self::Loss(Loss::Custom(_)) => None,
            Self::Loss(loss) => Some(loss == Loss::CosineSimilarity),
            Self::RootMeanSquaredError => Some(false),
            _ => Some(true),
        }
    }

    /// That its settings are in their ranges.
    pub(crate) fn check(self) -> Result<()> {
        let (name, refused) = match self {
            Self::Loss(loss) => return loss.check(),
            Self::Custom(own) => return own.check(),
            Self::TopKCategoricalAccuracy { k: 0 } | Self::SparseTopKCategoricalAccuracy { k: 0 } => {
                ("k", format!("0 classes of {} find none; give 1 or more", self.name()))
            }
            Self::BinaryAccuracy { threshold }
            | Self::Precision { threshold }
            | Self::Recall { threshold }
            | Self::F1Score { threshold: Some(threshold), .. }
                if !threshold.is_finite() =>
            {
                ("threshold", format!("{threshold} of {} parts nothing; give a number, such as 0.5", self.name()))
            }
            Self::TopKCategoricalAccuracy { k } | Self::SparseTopKCategoricalAccuracy { k }
                if u32::try_from(k).is_err() =>
            {
                ("k", format!("{k} of {} is more than any model has classes", self.name()))
            }
            Self::Auc { num_thresholds, .. } if num_thresholds > MOST_THRESHOLDS => {
                ("num_thresholds", format!("{num_thresholds} of auc are too many; {MOST_THRESHOLDS} at most"))
            }
            Self::Auc { num_thresholds, .. } if num_thresholds < 2 => {
                ("num_thresholds", format!("{num_thresholds} of auc make no curve; give 2 or more, such as 200"))
            }
            _ => return Ok(()),
        };
        Err(Error::argument(name, refused))
    }

    /// How many columns it has, of a model whose output for one sample is `output`, and has a mask or not.
    pub(crate) fn width(self, output: &[usize], masked: bool) -> usize {
        match self {
            Self::Precision { .. } | Self::Recall { .. } => 2,
            Self::F1Score { .. } => 3 * output.last().copied().unwrap_or(1),
            Self::R2Score { .. } => r2::COLUMNS * output.last().copied().unwrap_or(1),
            Self::Auc { num_thresholds, .. } => 2 * num_thresholds,
            _ => 1 + usize::from(masked && self.is_mean()),
        }
    }

    /// Whether it is a mean, of which a mask leaves something out. As in Keras the others know of no mask.
    pub(crate) fn is_mean(self) -> bool {
        !matches!(
            self,
            Self::Precision { .. }
                | Self::Recall { .. }
                | Self::F1Score { .. }
                | Self::R2Score { .. }
                | Self::Auc { .. }
                | Self::RootMeanSquaredError
        )
    }

    /// What the device sums up, given predictions and targets: values (rows, columns) of as many columns together as
    /// [`Metric::width`] says, or (batch,), which are one. Of a mean under a mask the second counts what it lets through.
    pub(crate) fn append(self, g: &mut Graph, predicted: Id, targets: Id, mask: Option<Id>) -> Result<Vec<Id>> {
        if !self.is_mean() {
            return self.columns(g, predicted, targets);
        }
        let each = match self {
            Self::Loss(loss) => {
                Self::check_targets_of(g, loss, targets)?;
                loss.weighed(g, predicted, targets, mask)?
            }
            Self::Custom(own) => own.append(g, predicted, targets, mask)?,
            _ => self.each(g, predicted, targets)?,
        };
        let Some(mask) = mask else { return Ok(vec![mask::per_sample(g, each)?]) };
        // A loss weighs its terms itself, before it takes their mean.
        let weighed = if let Self::Loss(_) = self { each } else { mask::weighed(g, each, mask)? };
        Ok(vec![mask::per_sample(g, weighed)?, mask::per_sample(g, mask)?])
    }

    /// Of an accuracy, whether each part of the outputs is right.
    fn each(self, g: &mut Graph, predicted: Id, targets: Id) -> Result<Id> {
        let name = self.name();
        match self {
            Self::BinaryAccuracy { threshold } => columns::binary_accuracy(g, name, threshold, [predicted, targets]),
            Self::CategoricalAccuracy => {
                columns::expect_values(g, name, targets, "sparse_categorical_accuracy")?;
                columns::expect_classes(g, name, predicted, "binary_accuracy")?;
                columns::judged(g, predicted, targets, SparseCategoricalAccuracy)
            }
            Self::SparseCategoricalAccuracy => {
                columns::expect_labels(g, name, targets, "categorical_accuracy")?;
                columns::judged(g, predicted, targets, SparseCategoricalAccuracy)
            }
            Self::TopKCategoricalAccuracy { k } => {
                columns::expect_values(g, name, targets, "sparse_top_k_categorical_accuracy")?;
                columns::judged(g, predicted, targets, InTopK(k))
            }
            Self::SparseTopKCategoricalAccuracy { k } => {
                columns::expect_labels(g, name, targets, "top_k_categorical_accuracy")?;
                columns::judged(g, predicted, targets, InTopK(k))
            }
            _ => columns::accuracy(g, predicted, targets),
        }
    }

    /// That a loss which is measured takes such targets. One's own says so itself.
    fn check_targets_of(g: &Graph, loss: Loss, targets: Id) -> Result<()> {
        let name = loss.name();
        if loss.ignore_class().is_some() {
            let message =
                "ignore_class is for the loss that is trained; measure the loss without it, or read it in the log";
            return Err(Error::argument(name, message));
        }
        match loss.twin() {
            _ if matches!(loss, Loss::Custom(_)) => Ok(()),
            Some(sparse) if sparse.takes_labels() => columns::expect_values(g, name, targets, sparse.name()),
            Some(values) => columns::expect_labels(g, name, targets, values.name()),
            None => columns::expect_values(g, name, targets, "accuracy"),
        }
    }

    /// The columns of a metric that is no mean.
    fn columns(self, g: &mut Graph, predicted: Id, targets: Id) -> Result<Vec<Id>> {
        let name = self.name();
        match self {
            Self::Precision { threshold } => {
                let [hits, said, _] = columns::hits(g, name, threshold, [predicted, targets])?;
                Ok(vec![hits, said])
            }
            Self::Recall { threshold } => {
                let [hits, _, positives] = columns::hits(g, name, threshold, [predicted, targets])?;
                Ok(vec![hits, positives])
            }
            Self::F1Score { threshold, .. } => f1::columns(g, threshold, predicted, targets),
            Self::Auc { num_thresholds, from_logits, .. } => {
                Ok(vec![auc::columns(g, num_thresholds, from_logits, [predicted, targets])?])
            }
            Self::R2Score { .. } => r2::columns(g, predicted, targets),
            _ => {
                columns::expect_values(g, name, targets, "accuracy")?;
                Ok(vec![Loss::MeanSquaredError.append(g, predicted, targets)?])
            }
        }
    }

    /// Adds the columns of a step to those of the steps before.
    pub(crate) fn add(self, totals: &mut [f64], step: &[f64]) {
        match self {
            Self::R2Score { .. } => r2::add(totals, step),
            _ => totals.iter_mut().zip(step).for_each(|(total, x)| *total += x),
        }
    }

    /// The metric, from the sum of each column over `samples` samples.
    pub(crate) fn of_sums(self, sums: &[f64], samples: f64) -> f64 {
        match self {
            Self::Precision { .. } | Self::Recall { .. } => share(sums[0], sums[1]),
            Self::F1Score { average, .. } => average.f1(sums),
            Self::Auc { curve, .. } => curve.area(sums),
            Self::R2Score { class_aggregation } => class_aggregation.r2(sums, samples),
            Self::RootMeanSquaredError => (sums[0] / samples).sqrt(),
            Self::Loss(Loss::CosineSimilarity) => -sums[0] / samples,
            _ => sums[0] / samples,
        }
    }
}

/// a / b, and 0 where b is 0: Keras' `divide_no_nan`.
fn share(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

/// The names in logs, of which no two are the same.
pub(crate) fn names(metrics: &[Metric]) -> impl Iterator<Item = String> + '_ {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    metrics.iter().map(move |metric| {
        let name = metric.name();
        let before = seen.entry(name).or_insert(0);
        *before += 1;
        if *before == 1 { name.to_string() } else { format!("{name}_{}", *before - 1) }
    })
}
