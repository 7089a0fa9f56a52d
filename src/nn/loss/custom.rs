//! Losses of one's own, made of ops.

use super::Loss;
use crate::error::Result;
use crate::graph::{Graph, Id};
use crate::nn::per_sample::{Own, PerSample};

/// A loss of one's own: see [`Loss::custom`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CustomLoss(Own);

impl Loss {
    /// A loss of one's own: the mean, over a batch, of the number that a function makes of each sample by ops, whose gradients
    /// follow. It is given the graph, the predictions `(batch, ...)` and the targets, `u32` labels `(batch,)` or `f32` values,
    /// and returns `f32` numbers `(batch,)`.
    ///
    /// A function is not saved: [`crate::nn::Model::load_with`] is given the loss anew, by
    /// [`crate::nn::CustomObjects::loss`], and finds it by its name.
    ///
    /// ```
    /// use kiln::graph::Aggregation;
    /// use kiln::ops::binary::Binary;
    /// use kiln::ops::unary::Unary;
    /// use kiln::prelude::*;
    /// // The mean of (p - t)^4.
    /// let quartic = Loss::custom("quartic", |g, predicted, targets| {
    ///     let error = g.apply(Binary::Sub, &[predicted, targets])?;
    ///     let square = g.apply(Unary::Square, &[error])?;
    ///     let fourth = g.apply(Unary::Square, &[square])?;
    ///     g.reduce(Aggregation::Mean, fourth, Some(&[-1]), false)
    /// });
    /// let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
    /// model.compile("sgd", quartic, [])?;
    /// let data = Dataset::new(Tensor::from([[0.0f32], [0.0]]), Tensor::from([[1.0f32], [3.0]]))?;
    /// assert_eq!(model.evaluate(&data)?.get("loss"), Some((1.0 + 81.0) / 2.0));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    pub fn custom(name: &'static str, per_sample: PerSample) -> Self {
        Self::Custom(CustomLoss(Own::new(name, per_sample)))
    }
}

impl CustomLoss {
    pub(super) fn name(self) -> &'static str {
        self.0.name
    }

    pub(super) fn check(self) -> Result<()> {
        self.0.check("loss")
    }

    pub(super) fn append(self, g: &mut Graph, predicted: Id, targets: Id, mask: Option<Id>) -> Result<Id> {
        self.0.append("loss", g, predicted, targets, mask)
    }
}
