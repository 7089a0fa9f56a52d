//! Models as layers of models: see [`crate::nn::IntoLayer`].

use std::sync::Arc;

use super::Model;
use crate::device::blocking::block_on;
use crate::error::Result;
use crate::nn::layers::{Layer, Trainable};
use crate::nn::nested::Nested;
use crate::nn::{IntoLayer, Shared, Value, Values};
use crate::tensor::Tensor;
use crate::train::Sequential;

/// Weights that are on a device are read from there, for which this waits: see [`Model::into_layer_async`].
impl IntoLayer for Model {
    fn into_layer(mut self) -> Arc<dyn Layer> {
        let weights = block_on(self.taken_weights());
        self.into_nested(weights)
    }
}

impl IntoLayer for Sequential {
    fn into_layer(self) -> Arc<dyn Layer> {
        self.into_model().into_layer()
    }
}

impl Model {
    /// [`IntoLayer::into_layer`] for callers that cannot block. Where the weights cannot be read, the model that has the layer says
    /// so when it is built.
    pub async fn into_layer_async(mut self) -> Arc<dyn Layer> {
        let weights = self.taken_weights().await;
        self.into_nested(weights)
    }

    fn into_nested(self, weights: Result<Vec<(String, Tensor)>>) -> Arc<dyn Layer> {
        let (name, network) = self.into_network();
        // A name that nobody gave is made anew, with a number where there are several.
        let name = Some(name).filter(|name| *name != network.class().to_lowercase());
        Arc::new(Nested::new(name, network, weights.map_err(|e| e.to_string())))
    }

    /// What the model makes of values, as a layer of another one: [`Layer::apply`]. Its weights go along.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let code = Sequential::new().add(Dense::new(3)).named("code");
    /// let x = Input::new([8]);
    /// let y = Dense::new(1).apply(code.apply(&x)?)?;
    /// assert_eq!(Model::new(&x, y)?.summary()?.parameters(), 8 * 3 + 3 + 3 + 1);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Layer::apply`].
    pub fn apply(self, inputs: impl Into<Values>) -> Result<Value> {
        self.shared().apply(inputs)
    }

    /// [`Model::apply`] of a model of several outputs.
    ///
    /// # Errors
    /// As [`Layer::apply_all`].
    pub fn apply_all(self, inputs: impl Into<Values>) -> Result<Vec<Value>> {
        self.shared().apply_all(inputs)
    }

    /// The model as a layer that is applied more than once, with the same weights each time: [`Layer::shared`].
    pub fn shared(self) -> Shared {
        Shared::new(self.into_layer())
    }

    /// The model as a layer whose weights are trained, or keep their values: [`Layer::trainable`]. It is said of all layers
    /// inside, as Keras does.
    pub fn trainable(self, trainable: bool) -> Trainable {
        Trainable::new(self.into_layer(), trainable)
    }
}

impl Sequential {
    /// See [`Model::apply`].
    ///
    /// # Errors
    /// As [`Model::apply`].
    pub fn apply(self, inputs: impl Into<Values>) -> Result<Value> {
        self.into_model().apply(inputs)
    }

    /// See [`Model::apply_all`].
    ///
    /// # Errors
    /// As [`Model::apply_all`].
    pub fn apply_all(self, inputs: impl Into<Values>) -> Result<Vec<Value>> {
        self.into_model().apply_all(inputs)
    }

    /// See [`Model::shared`].
    pub fn shared(self) -> Shared {
        self.into_model().shared()
    }

    /// See [`Model::trainable`].
    pub fn trainable(self, trainable: bool) -> Trainable {
        self.into_model().trainable(trainable)
    }
}
