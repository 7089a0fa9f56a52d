//! A model's weights and gradients as tensors.

use std::collections::HashMap;

use super::{Loaded, Model};
use crate::device::blocking::block_on;
use crate::error::{Error, Result};
use crate::nn::layers::{Layer, recurrent};
use crate::nn::nested::inside;
use crate::nn::{Network, Parameter};
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

    /// The weight of this name, one of [`Model::parameter_paths`].
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let mut model = Sequential::new().add(Input::new([3])).add(Dense::new(2)).device(Device::cpu());
    /// model.set_weight("dense/bias", &Tensor::from([1.0f32, 2.0]))?;
    /// assert_eq!(model.weight("dense/bias")?, Tensor::from([1.0f32, 2.0]));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names, where there is none of this one; and as [`Model::weights`].
    pub fn weight(&mut self, path: &str) -> Result<Tensor> {
        block_on(self.weight_async(path))
    }

    /// [`Model::weight`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::weight`].
    pub async fn weight_async(&mut self, path: &str) -> Result<Tensor> {
        let index = self.index_of(path)?;
        self.open().await?.weight(index).await
    }

    /// Replaces the weight of this name; it is `f32` or `f64`.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names, where there is none of this one; [`Error::Shape`] with both shapes and types
    /// where it does not fit.
    pub fn set_weight(&mut self, path: &str, weight: &Tensor) -> Result<()> {
        block_on(self.set_weight_async(path, weight))
    }

    /// [`Model::set_weight`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::set_weight`].
    pub async fn set_weight_async(&mut self, path: &str, weight: &Tensor) -> Result<()> {
        let index = self.index_of(path)?;
        self.use_averages(false)?;
        self.open().await?.set_weight(index, weight).await
    }

    fn index_of(&self, path: &str) -> Result<usize> {
        let paths = self.parameter_paths()?;
        paths
            .iter()
            .position(|known| known == path)
            .ok_or_else(|| Error::argument("weight", crate::suggest::unknown(path, &paths)))
    }

    /// Makes the state that a stateful recurrent layer keeps from batch to batch zeros again: Keras' `reset_states`.
    ///
    /// # Errors
    /// [`Error::Argument`] where no layer of this name keeps any, and those of [`Model::set_weight`].
    pub fn reset_states(&mut self, layer: &str) -> Result<()> {
        let is_kept = |p: &&Parameter| p.layer == layer && p.is_state && recurrent::is_kept(&p.name);
        let kept: Vec<Parameter> = self.built()?.parameters.iter().filter(is_kept).cloned().collect();
        if kept.is_empty() {
            let message = format!("{layer:?} keeps no state from batch to batch; a recurrent layer does by `stateful`");
            return Err(Error::argument("layer", message));
        }
        for parameter in kept {
            let zeros = vec![0.0f32; parameter.shape.len()];
            self.set_weight(&parameter.path(), &Tensor::new(parameter.shape.clone(), zeros)?)?;
        }
        Ok(())
    }

    /// The layers by their names, in the order in which they were added or first applied.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let model = Sequential::new().add(Flatten).add(Dense::new(2)).add(Dense::new(1).named("last"));
    /// let layers: Vec<_> = model.layers().map(|(name, layer)| format!("{name}: {}", layer.kind())).collect();
    /// assert_eq!(layers, ["flatten: Flatten", "dense: Dense", "last: Dense"]);
    /// assert_eq!(model.layer("last")?.kind(), "Dense");
    /// # Ok::<(), kiln::Error>(())
    /// ```
    pub fn layers(&self) -> impl Iterator<Item = (&str, &dyn Layer)> {
        self.network.layers.iter().map(|(name, layer)| (name.as_str(), &**layer))
    }

    /// The layer of this name; `encoder/dense` is one of a model inside the model.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names, where there is none of this one.
    pub fn layer(&self, name: &str) -> Result<&dyn Layer> {
        self.network.layer(name).map(|layer| &**layer).ok_or_else(|| self.no_layer(name))
    }

    fn no_layer(&self, name: &str) -> Error {
        Error::argument("layer", crate::suggest::unknown(name, &self.network.paths()))
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

    /// The weights' names in the order of [`Model::weights`]: `dense/kernel`, `dense/bias`; of a model inside the model
    /// `encoder/dense/kernel`.
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built.
    pub fn parameter_paths(&self) -> Result<Vec<String>> {
        Ok(self.built()?.parameters.iter().map(Parameter::path).collect())
    }

    /// What the model knows of each weight, in the order of [`Model::weights`]: its layer, name, [path](Parameter::path), shape and
    /// whether it is trained.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let model = Sequential::new().add(Input::new([3])).add(Dense::new(2));
    /// let kernel = &model.parameters()?[0];
    /// assert_eq!((kernel.path().as_str(), kernel.shape.to_string().as_str()), ("dense/kernel", "(3, 2)"));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built.
    pub fn parameters(&self) -> Result<&[Parameter]> {
        Ok(&self.built()?.parameters)
    }

    /// Whether the weights of the layer of this name are trained from here on: see [`Layer::trainable`]. Of a model inside the
    /// model that is said of all its layers; `encoder/dense` is one of them. Unlike in Keras the model need not be compiled
    /// again; the optimizer's state stays.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the layers' names, where there is none of this one; and what the device reports.
    pub fn set_trainable(&mut self, layer: &str, trainable: bool) -> Result<()> {
        let before = self.trained();
        if !self.network.set_trainable(layer, trainable) {
            return Err(self.no_layer(layer));
        }
        if let Some(built) = self.built.get_mut() {
            let changed = |p: &&mut Parameter| inside(&p.layer, layer).is_some() && !p.is_state;
            for parameter in built.parameters.iter_mut().filter(changed) {
                parameter.trainable = self.network.is_trained(&parameter.layer);
            }
        }
        self.begin_averages(&before)?;
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
        self.use_averages(false)?;
        self.open().await?.set_weights(weights).await
    }

    /// A model that is a layer of this one, as a model of its own with the weights that it has now: the encoder of a trained
    /// autoencoder, to put it into another model. Not compiled.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let encoder = Sequential::new().add(Dense::new(2)).named("encoder");
    /// let mut autoencoder = Sequential::new().add(Input::new([6])).add(encoder).add(Dense::new(6)).device(Device::cpu());
    /// autoencoder.compile(Adam::default(), Loss::MeanSquaredError, [])?;
    /// let x = Tensor::new([3, 6], vec![0.5f32; 18])?;
    /// autoencoder.fit(&Dataset::new(x.clone(), x)?, Fit::new().verbose(0))?;
    /// let encoder = autoencoder.inner("encoder")?;
    /// let classifier = Sequential::new().add(encoder.trainable(false)).add(Dense::new(3)).device(Device::cpu());
    /// assert_eq!(classifier.summary()?.non_trainable(), 6 * 2 + 2);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the layers' names, where there is none of this one or it is no model; and what the device
    /// reports.
    pub fn inner(&mut self, layer: &str) -> Result<Self> {
        block_on(self.inner_async(layer))
    }

    /// [`Model::inner`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::inner`].
    pub async fn inner_async(&mut self, layer: &str) -> Result<Self> {
        let Some(network) = self.network.inner(self.built()?, layer)? else {
            let paths = self.network.paths();
            let is_model = |path: &&String| self.network.layer(path).is_some_and(|layer| layer.nested().is_some());
            let models: Vec<&str> = paths.iter().filter(is_model).map(String::as_str).collect();
            return Err(Error::argument("layer", crate::suggest::unknown(layer, &models)));
        };
        let inner = Self::of_network(layer.rsplit('/').next().unwrap_or(layer), network);
        self.give_weights(inner, |p| Some(format!("{}/{}", inside(&p.layer, layer)?, p.name))).await
    }

    /// The model from the same inputs to what a layer gives at its first call: Keras'
    /// `Model(model.inputs, model.get_layer(name).output)`. It has copies of the weights, and takes samples as this one does.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let mut model = Sequential::from_text("input 4, dense 3 relu name=hidden, dense 2 softmax")?.device(Device::cpu());
    /// let x = Tensor::new([5, 4], vec![0.5f32; 20])?;
    /// assert_eq!(model.up_to("hidden")?.predict(&x)?.shape().to_string(), "(5, 3)");
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the layers' names, where there is none of this one; and what the device reports.
    pub fn up_to(&mut self, layer: &str) -> Result<Self> {
        block_on(self.up_to_async(layer))
    }

    /// [`Model::up_to`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::up_to`].
    pub async fn up_to_async(&mut self, layer: &str) -> Result<Self> {
        let samples = self.built()?.samples.clone();
        let network = self.network.up_to(layer, samples).ok_or_else(|| self.no_layer(layer))?;
        let mut part = Self::of_network(&self.about.name, network);
        part.about.inputs.clone_from(&self.about.inputs);
        self.give_weights(part, |p| Some(p.path())).await
    }

    /// Gives a part of the model its weights: by the paths that `own` says the weights have there.
    async fn give_weights(&mut self, mut part: Self, own: impl Fn(&Parameter) -> Option<String>) -> Result<Self> {
        let paths: Vec<Option<String>> = self.built()?.parameters.iter().map(own).collect();
        let weights = paths.into_iter().zip(self.weights_async().await?);
        let mut weights: HashMap<String, Tensor> = weights.filter_map(|(path, weight)| Some((path?, weight))).collect();
        part.about.seed = self.about.seed;
        part.device.clone_from(&self.device);
        let taken = part.built()?.parameters.iter().map(|p| {
            let missing = || self.error(format!("has no weight {} of {}", p.path(), part.about.name));
            weights.remove(&p.path()).ok_or_else(missing)
        });
        let weights = taken.collect::<Result<_>>()?;
        part.loaded = Some(Loaded { weights, moments: Vec::new() });
        Ok(part)
    }

    /// The weights by their paths, where the model has any by now: trained, loaded or set.
    pub(super) async fn taken_weights(&mut self) -> Result<Vec<(String, Tensor)>> {
        let weights = match (&self.session, self.loaded.take()) {
            (None, None) => return Ok(Vec::new()),
            (None, Some(loaded)) => loaded.weights,
            (Some(_), _) => self.weights_async().await?,
        };
        Ok(self.parameter_paths()?.into_iter().zip(weights).collect())
    }

    /// The name and the network, whose inputs have the shapes that the model was built for.
    pub(super) fn into_network(self) -> (String, Network) {
        let mut network = self.network;
        if let Some(built) = self.built.get() {
            for (port, sample) in network.inputs.iter_mut().zip(&built.samples) {
                port.shape = Some(sample.clone());
            }
        }
        (self.about.name, network.without_leading_input())
    }
}
