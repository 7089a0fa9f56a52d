//! Metrics of one's own, made of ops.

use std::fmt;

use super::Metric;
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};

/// From predictions `(batch, ...)` and targets, as the model and the data set have them, to a number a sample, `(batch,)`.
pub type PerSample = fn(&mut Graph, Id, Id) -> Result<Id>;

/// A metric of one's own: see [`Metric::custom`].
#[derive(Clone, Copy)]
pub struct CustomMetric {
    pub(super) name: &'static str,
    per_sample: PerSample,
}

impl Metric {
    /// A metric of one's own: the mean, over all samples, of the number that a function makes of each by ops. It is given
    /// the graph, the predictions `(batch, ...)` and the targets, `u32` labels `(batch,)` or `f32` values, and returns
    /// `f32` numbers `(batch,)`.
    ///
    /// A function is not saved: [`crate::nn::Model::load_with`] is given the metric anew, by
    /// [`crate::nn::CustomObjects::metric`], and finds it by its name.
    ///
    /// ```
    /// use kiln::graph::Aggregation;
    /// use kiln::ops::binary::Binary;
    /// use kiln::ops::unary::Unary;
    /// use kiln::prelude::*;
    /// // The share of outputs that are no further than a tenth from the targets.
    /// let near = Metric::custom("near", |g, predicted, targets| {
    ///     let error = g.apply(Binary::Sub, &[predicted, targets])?;
    ///     let error = g.apply(Unary::Abs, &[error])?;
    ///     let tenth = g.fill(0.1, []);
    ///     let near = g.apply(Binary::LessEqual, &[error, tenth])?;
    ///     g.reduce(Aggregation::Mean, near, Some(&[-1]), false)
    /// });
    /// let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
    /// model.compile(Sgd::default(), Loss::MeanSquaredError, [near])?;
    /// let zeros = Tensor::from([[0.0f32], [0.0]]);
    /// let logs = model.evaluate(&Dataset::new(zeros, Tensor::from([[0.05f32], [0.5]]))?)?;
    /// assert_eq!(logs.get("near"), Some(0.5));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    pub fn custom(name: &'static str, per_sample: PerSample) -> Self {
        Self::Custom(CustomMetric { name, per_sample })
    }
}

impl CustomMetric {
    /// That the name is free.
    pub(super) fn check(self) -> Result<()> {
        let name = self.name;
        if !["", "loss"].contains(&name) && !name.starts_with("val_") && Metric::by_name(name).is_err() {
            return Ok(());
        }
        Err(Error::argument(
            "metric",
            format!("{name:?} is no name for one of your own: it has a meaning; take another"),
        ))
    }

    /// A number a sample; of outputs with a mask one for each part that the mask knows, or, where it is of samples, a sample.
    pub(super) fn append(self, g: &mut Graph, predicted: Id, targets: Id, mask: Option<Id>) -> Result<Id> {
        let each = (self.per_sample)(g, predicted, targets)?;
        let expected = mask.map_or_else(|| Type::float([g.shape(predicted)[0]]), |mask| g.ty(mask).clone());
        if *g.ty(each) == expected {
            return Ok(each);
        }
        if mask.is_some() {
            let message = format!("gives {}; for outputs with a mask of {expected} it gives that", g.ty(each));
            return Err(Error::shape(self.name, message));
        }
        Err(Error::shape(self.name, format!("gives {}, a metric gives a number a sample, {expected}", g.ty(each))))
    }
}

/// By their names, which saved models know them by.
impl PartialEq for CustomMetric {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for CustomMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CustomMetric").field(&self.name).finish()
    }
}
