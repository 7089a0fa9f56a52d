//! Metrics of one's own, made of ops.

use super::Metric;
use crate::error::Result;
use crate::graph::{Graph, Id};
use crate::nn::per_sample::{Own, PerSample};

/// A metric of one's own: see [`Metric::custom`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CustomMetric(Own);

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
        Self::Custom(CustomMetric(Own::new(name, per_sample)))
    }
}

impl CustomMetric {
    pub(super) fn name(self) -> &'static str {
        self.0.name
    }

    pub(super) fn check(self) -> Result<()> {
        self.0.check("metric")
    }

    pub(super) fn append(self, g: &mut Graph, predicted: Id, targets: Id, mask: Option<Id>) -> Result<Id> {
        self.0.append("metric", g, predicted, targets, mask)
    }
}
