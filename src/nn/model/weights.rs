//! A model's weights and gradients as tensors.

use std::sync::Arc;

use super::Model;
use crate::device::blocking::block_on;
use crate::error::{Error, Result};
use crate::nn::Parameter;
#[cfg(doc)]
use crate::nn::layers::Layer;
use crate::nn::layers::Trainable;
use crate::tensor::Tensor;

impl Model {
    /// All weights in the order of the layers, each layer's kernel before its bias.
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built, and what the device reports.
    pub fn weights(&mut self) -> Result<Vec<Tensor>> {
        block_on(self.weights_async())
    }

    /// [`Model::weights`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::weights`].
    pub async fn weights_async(&mut self) -> Result<Vec<Tensor>> {
        self.open().await?.weights().await
    }

    /// The gradients of the mean loss of the last training step with respect to each weight, in the order of
    /// [`Model::weights`] and as the optimizer clips them; zeros before the first step, and for those that are not
    /// trained. Where gradients are accumulated, after a step that updated they are the mean that it updated by.
    ///
    /// # Errors
    /// As [`Model::weights`].
    pub fn gradients(&mut self) -> Result<Vec<Tensor>> {
        block_on(self.gradients_async())
    }

    /// [`Model::gradients`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::weights`].
    pub async fn gradients_async(&mut self) -> Result<Vec<Tensor>> {
        self.open().await?.gradients().await
    }

    /// The weights' names in the order of [`Model::weights`]: `dense/kernel`, `dense/bias`.
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built.
    pub fn parameter_paths(&self) -> Result<Vec<String>> {
        Ok(self.built()?.parameters.iter().map(Parameter::path).collect())
    }

    /// Whether the weights of the layer of this name are trained from here on: see [`Layer::trainable`]. Unlike in Keras
    /// the model need not be compiled again; the optimizer's state stays.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the layers' names, where there is none of this one; and what the device reports.
    pub fn set_trainable(&mut self, layer: &str, trainable: bool) -> Result<()> {
        let Some((_, found)) = self.network.layers.iter_mut().find(|(name, _)| name == layer) else {
            let names: Vec<&str> = self.network.layers.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Error::argument("layer", crate::suggest::unknown(layer, &names)));
        };
        *found = Arc::new(Trainable::new(Arc::clone(found), trainable));
        if let Some(built) = self.built.get_mut() {
            built
                .parameters
                .iter_mut()
                .filter(|p| p.layer == layer && !p.is_state)
                .for_each(|p| p.trainable = trainable);
        }
        self.session.as_mut().map_or(Ok(()), |session| block_on(session.forget_trained()))
    }

    /// Replaces all weights; in the order of [`Model::weights`]. They are `f32` or `f64`.
    ///
    /// # Errors
    /// [`Error::Shape`] that lists both shapes and types where they do not fit.
    pub fn set_weights(&mut self, weights: &[Tensor]) -> Result<()> {
        block_on(self.set_weights_async(weights))
    }

    /// [`Model::set_weights`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::set_weights`].
    pub async fn set_weights_async(&mut self, weights: &[Tensor]) -> Result<()> {
        self.open().await?.set_weights(weights).await
    }
}
