//! A model's weights and gradients as tensors.

use super::Sequential;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::nn::Parameter;
use crate::tensor::Tensor;

impl Sequential {
    /// All weights in the order of the layers, each layer's kernel before its bias.
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built, and what the device reports.
    pub fn weights(&mut self) -> Result<Vec<Tensor>> {
        pollster::block_on(self.weights_async())
    }

    /// [`Sequential::weights`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Sequential::weights`].
    pub async fn weights_async(&mut self) -> Result<Vec<Tensor>> {
        self.open()?.weights().await
    }

    /// The gradients of the mean loss of the last training step with respect to each weight, in the order of
    /// [`Sequential::weights`] and as the optimizer clips them; zeros before the first step.
    ///
    /// # Errors
    /// As [`Sequential::weights`].
    pub fn gradients(&mut self) -> Result<Vec<Tensor>> {
        pollster::block_on(self.gradients_async())
    }

    /// [`Sequential::gradients`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Sequential::weights`].
    pub async fn gradients_async(&mut self) -> Result<Vec<Tensor>> {
        self.open()?.gradients().await
    }

    /// The weights' names in the order of [`Sequential::weights`]: `dense/kernel`, `dense/bias`.
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built.
    pub fn parameter_paths(&self) -> Result<Vec<String>> {
        Ok(self.built()?.parameters.iter().map(Parameter::path).collect())
    }

    /// Replaces all weights; in the order of [`Sequential::weights`]. They are `f32` or `f64`.
    ///
    /// # Errors
    /// [`Error::Shape`] that lists both shapes and types where they do not fit.
    pub fn set_weights(&mut self, weights: &[Tensor]) -> Result<()> {
        self.open()?.set_weights(weights)
    }
}
