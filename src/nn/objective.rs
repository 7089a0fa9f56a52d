//! What a model's outputs are trained for.

use super::{IntoMetrics, Loss, Metric, Misnamed, OrName};
use crate::error::{Error, Result};

/// What an output of a model is trained for: a loss, how much it counts in the sum of all, and metrics. See
/// [`Model::compile_with`](super::Model::compile_with).
///
/// ```
/// use kiln::prelude::*;
/// let age = Objective::new(Loss::MeanSquaredError).loss_weight(0.1).metrics([Metric::MeanAbsoluteError]);
/// assert_eq!(age, Objective::new("mse").loss_weight(0.1).metrics(["mae"]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    pub(crate) loss: Loss,
    pub(crate) loss_weight: f64,
    pub(crate) metrics: Vec<Metric>,
    misnamed: Misnamed,
}

impl Objective {
    /// A loss that counts once, without metrics.
    pub fn new(loss: impl OrName<Loss>) -> Self {
        let mut misnamed = Misnamed::default();
        // Without a loss it is refused.
        let loss = misnamed.read(loss.given()).unwrap_or(Loss::MeanSquaredError);
        Self { loss, loss_weight: 1.0, metrics: Vec::new(), misnamed }
    }

    /// What the loss is multiplied by in the sum that is trained; default 1. Its own value in the logs is without.
    #[must_use]
    pub fn loss_weight(mut self, weight: f64) -> Self {
        self.loss_weight = weight;
        self
    }

    /// What is measured of the output beside its loss; default nothing.
    #[must_use]
    pub fn metrics(mut self, metrics: impl IntoMetrics) -> Self {
        self.metrics = self.misnamed.read(metrics.into_metrics()).unwrap_or_default();
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.misnamed.check()?;
        if !self.loss_weight.is_finite() {
            let message = format!("{} is no weight of a loss; give a finite number", self.loss_weight);
            return Err(Error::argument("loss_weight", message));
        }
        self.loss.check()?;
        self.metrics.iter().try_for_each(|metric| metric.check())
    }
}
