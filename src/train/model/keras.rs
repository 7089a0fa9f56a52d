//! A model's layers and weights under Keras' names.

use super::Model;
use crate::error::{Error, Result};
use crate::nn::layers::{Input, Layer};
use crate::nn::{KerasObject, Parameter};

impl Model {
    /// The weights' paths as Keras has them (`v.path`), in the order of [`Model::weights`], which is Keras', too. Those of a
    /// [`crate::nn::Sequential`] begin with the model's name, `sequential/dense/kernel`; those of other models with the layer's,
    /// `dense/kernel`, inside other models too. Layers without a name of their own are numbered by type within the model that has them, as
    /// Keras does in a program of one model.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let model = Sequential::new().add(Input::new([3])).add(Dense::new(2)).add(Dense::new(1));
    /// assert_eq!(model.keras_paths()?[2], "sequential/dense_1/kernel");
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built.
    pub fn keras_paths(&self) -> Result<Vec<String>> {
        let chain = if self.network.is_sequential() { &self.about.name } else { "" };
        let layers = self.network.keras_layers(chain);
        let path = |Parameter { layer, name, .. }: &Parameter| {
            let weight = self.network.layer(layer).map_or_else(|| name.clone(), |layer| layer.keras_weight(name));
            format!("{}/{weight}", layers[layer])
        };
        Ok(self.built()?.parameters.iter().map(path).collect())
    }

    /// The layer or input of this name as Keras serializes it; a model that is a layer whole, with its layers and their calls.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let model = Sequential::new().add(Dense::new(2)).add(Dropout::new(0.5));
    /// assert_eq!(model.keras_layer("dropout")?.get("rate"), Some(&0.5.into()));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names, where there is none of this one; or that names what Keras has nothing like, as
    /// [`Layer::keras`] does.
    pub fn keras_layer(&self, name: &str) -> Result<KerasObject> {
        if let Some(layer) = self.network.layers.iter().position(|(known, _)| known == name) {
            return self.network.keras_layer(layer, self.built().ok());
        }
        let input = self.network.inputs.iter().find(|input| input.name == name && !self.network.is_sequential());
        if let Some(shape) = input.and_then(|input| input.shape.clone()) {
            return Input::new(shape).keras(name);
        }
        let names: Vec<&str> = self.network.layers.iter().map(|(name, _)| name.as_str()).collect();
        Err(Error::argument("layer", crate::suggest::unknown(name, &names)))
    }
}
