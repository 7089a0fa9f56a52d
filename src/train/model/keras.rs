//! A model's layers and weights under Keras' names.

use super::Model;
use crate::error::{Error, Result};
use crate::nn::layers::{Input, Layer};
use crate::nn::{KerasObject, Parameter};

impl Model {
    /// The weights' paths as Keras has them (`v.path`), in the order of [`Model::weights`]: those of a [`crate::nn::Sequential`] begin with
    /// the model's name, `sequential/dense/kernel`; those of other models with the layer's, `dense/kernel`. Layers without a
    /// name of their own are numbered by type within the model, as Keras does in a program of one model.
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
        let paths = self.built()?.parameters.iter().map(Parameter::path);
        if !self.network.is_sequential() {
            return Ok(paths.collect());
        }
        Ok(paths.map(|path| format!("{}/{path}", self.about.name)).collect())
    }

    /// The layer or input of this name as Keras serializes it.
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
        if let Some((name, layer)) = self.network.layers.iter().find(|(known, _)| known == name) {
            return layer.keras(name);
        }
        let input = self.network.inputs.iter().find(|input| input.name == name && !self.network.is_sequential());
        if let Some(shape) = input.and_then(|input| input.shape.clone()) {
            return Input::new(shape).keras(name);
        }
        let names: Vec<&str> = self.network.layers.iter().map(|(name, _)| name.as_str()).collect();
        Err(Error::argument("layer", crate::suggest::unknown(name, &names)))
    }
}
