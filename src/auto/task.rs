//! What data ask of a network: classes or values, and how good is measured.

use crate::data::{Dataset, Scaler, class_counts};
use crate::error::{Error, Result};
use crate::nn::{Loss, Metric};
use crate::tensor::{DType, Shape, Values};

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of so many classes.
    Classes(usize),
    /// So many values.
    Values(usize),
}

/// What data ask of a network.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub kind: Kind,
    pub sample: Shape,
    /// Height, width and channels, where samples are pictures.
    pub picture: Option<[usize; 3]>,
    /// Whether weights for classes could matter, and may be given.
    pub is_imbalanced: bool,
}

/// A class that has so many times the samples of another makes a set imbalanced.
const IMBALANCED: f64 = 1.5;

/// The least side of a picture.
const LEAST_SIDE: usize = 8;

impl Task {
    /// That of a set.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is nothing to learn, or there are several arrays of samples or targets.
    pub fn of(data: &Dataset) -> Result<Self> {
        let refused = |message: String| Err(Error::argument("data", message));
        let [inputs, targets] = [data.inputs().len(), data.targets().len()];
        if inputs > 1 || targets > 1 {
            return refused(format!("have {inputs} arrays of samples and {targets} of targets; give one of each"));
        }
        let (sample, mut is_imbalanced) = (data.sample_shape(), false);
        let kind = match data.y().values() {
            Values::U32(labels) if labels.len() == data.len() => {
                let counts = counts(labels, data.len())?;
                let present = || counts.iter().copied().filter(|&count| count > 0);
                if present().count() < 2 {
                    return refused(format!(
                        "all {} labels are {}: there is nothing to tell apart",
                        labels.len(),
                        labels[0]
                    ));
                }
                let [least, most] = [present().min(), present().max()].map(|count| count.unwrap_or(1) as f64);
                is_imbalanced = most >= IMBALANCED * least && data.sample_weight().is_none();
                Kind::Classes(counts.len())
            }
            Values::U32(_) => return refused(format!("have labels of shape {}; give one a sample", data.y().shape())),
            values => {
                let values = values.to_f64();
                if values.iter().all(|value| *value == values[0]) {
                    return refused(format!("all {} targets are {}: there is nothing to learn", data.len(), values[0]));
                }
                Kind::Values(values.len() / data.len())
            }
        };
        let picture = picture(&sample, data.x().dtype());
        Ok(Self { kind, sample, picture, is_imbalanced })
    }

    /// What is measured unless told.
    pub fn metric(&self) -> Metric {
        match self.kind {
            Kind::Classes(_) => Metric::Accuracy,
            Kind::Values(_) => Metric::R2Score,
        }
    }

    pub fn loss(&self) -> Loss {
        match self.kind {
            Kind::Classes(_) => Loss::SparseCategoricalCrossentropy,
            Kind::Values(_) => Loss::MeanSquaredError,
        }
    }

    /// The units of the output layer.
    pub fn outputs(&self) -> usize {
        let (Kind::Classes(outputs) | Kind::Values(outputs)) = self.kind;
        outputs
    }

    /// What the targets are scaled by in training, where they are values.
    pub fn target_scaler(&self, train: &Dataset) -> Result<Option<Scaler>> {
        match self.kind {
            Kind::Classes(_) => Ok(None),
            Kind::Values(_) => Scaler::standardize_targets(train).map(Some),
        }
    }

    /// The weight of each class by which all count alike in these data.
    pub fn class_weight(&self, train: &Dataset) -> Vec<(u32, f32)> {
        let (Kind::Classes(classes), Values::U32(labels)) = (self.kind, train.y().values()) else { return Vec::new() };
        let counts = class_counts(labels, classes);
        let present = counts.iter().filter(|&&count| count > 0).count();
        let weight = |count: usize| labels.len() as f32 / (present * count.max(1)) as f32;
        (0..).zip(counts.into_iter().map(weight)).collect()
    }
}

/// How many samples each class has.
///
/// # Errors
/// [`Error::Argument`] for a label that makes more classes than there are samples.
pub(super) fn counts(labels: &[u32], rows: usize) -> Result<Vec<usize>> {
    let largest = labels.iter().copied().max().unwrap_or(0) as usize;
    if largest >= rows {
        let message =
            format!("the label {largest} makes {} classes of {rows} samples; number the labels from 0 on", largest + 1);
        return Err(Error::argument("data", message));
    }
    Ok(class_counts(labels, largest + 1))
}

/// Height, width and channels of what is a picture by its shape: one with channels, or bytes of rows and columns.
fn picture(sample: &Shape, dtype: DType) -> Option<[usize; 3]> {
    let picture = match sample[..] {
        [height, width, channels @ (1 | 3 | 4)] => [height, width, channels],
        [height, width] if dtype == DType::U8 => [height, width, 1],
        _ => return None,
    };
    Some(picture).filter(|[height, width, _]| *height.min(width) >= LEAST_SIDE)
}
