//! Weights alone in files, by name.

use std::collections::HashSet;
use std::path::Path;

use super::Model;
use crate::device::blocking::block_on;
use crate::error::Result;
use crate::io::{Ending, TensorFile, whole};
use crate::nn::Parameter;
use crate::nn::matching::OPTIMIZER;
use crate::tensor::{Shape, Tensor};

pub(super) fn weights_file(parameters: &[Parameter], weights: Vec<Tensor>) -> TensorFile {
    let named = parameters.iter().map(Parameter::path).zip(weights);
    named.fold(TensorFile::new(), |file, (path, tensor)| file.with(path, tensor))
}

/// The tensors of parameters, by names that `name` gives them.
pub(super) fn tensors(
    file: &TensorFile,
    parameters: &[Parameter],
    name: impl Fn(&Parameter) -> String,
) -> Result<Vec<Tensor>> {
    let tensor = |p: &Parameter| {
        let name = name(p);
        let tensor = file.tensor(&name)?;
        match misfit(tensor, &p.shape) {
            None => Ok(tensor.clone()),
            Some(why) => Err(file.error(format!("tensor {name:?} {why}"))),
        }
    };
    parameters.iter().map(tensor).collect()
}

/// Why a tensor cannot be a weight of this shape.
pub(super) fn misfit(tensor: &Tensor, shape: &Shape) -> Option<String> {
    if tensor.shape() != shape {
        return Some(format!("has shape {}, the model's has {shape}", tensor.shape()));
    }
    let dtype = tensor.dtype();
    (!dtype.is_float()).then(|| format!("is {dtype}; weights are f32 or f64"))
}

impl Model {
    /// Writes all weights by name: an `.npz` of NumPy's where the name ends so, else a safetensors file.
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) where the model was not built; [`Error::Io`](crate::Error::Io) where the system refuses; and
    /// what the device reports.
    pub fn save_weights(&mut self, path: impl AsRef<Path>) -> Result<()> {
        block_on(self.save_weights_async(path))
    }

    /// [`Model::save_weights`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::save_weights`].
    pub async fn save_weights_async(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        #[cfg(feature = "keras")]
        if crate::io::keras::is_weights(path) {
            let file = self.variables_file(path).await?;
            return whole::write(path, &[&file]);
        }
        Ending::check(path, &Ending::OF_WEIGHTS)?;
        let session = self.open().await?;
        let weights = session.weights().await?;
        weights_file(session.parameters(), weights).write(path)
    }

    /// Replaces all weights by those of a safetensors file or an `.npz`, by name: `hidden/kernel` is layer `hidden`'s.
    /// An optimizer's state in the file is passed over.
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) where the model was not built; [`Error::Io`](crate::Error::Io) where the system refuses;
    /// [`Error::Format`](crate::Error::Format) that names file, tensor and both shapes where one does not fit, is missing, or is none of
    /// the model's.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let parameters = &self.built()?.parameters;
        let path = path.as_ref();
        let bytes = whole::read(path)?;
        #[cfg(feature = "keras")]
        if crate::io::keras::has_weights(&bytes) {
            let weights = self.variables(bytes, path)?;
            return self.set_weights(&weights);
        }
        let file = TensorFile::parse(&bytes, path)?;
        let weights = tensors(&file, parameters, Parameter::path)?;
        let paths: HashSet<String> = parameters.iter().map(Parameter::path).collect();
        let known = |name: &str| name.starts_with(OPTIMIZER) || paths.contains(name);
        if let Some(name) = file.names().find(|name| !known(name)) {
            let message = format!("tensor {name:?} is none of the model's; load_weights_partial passes it over");
            return Err(file.error(message));
        }
        self.set_weights(&weights)
    }

    /// [`Model::load_weights`] of those that are in the file and fit; the others stay as they are. Returns the names
    /// of those.
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) where the model was not built; [`Error::Io`](crate::Error::Io) where the system refuses;
    /// [`Error::Format`](crate::Error::Format) where the file is damaged.
    pub fn load_weights_partial(&mut self, path: impl AsRef<Path>) -> Result<Vec<String>> {
        let parameters = self.built()?.parameters.clone();
        let file = TensorFile::read(path)?;
        let (mut weights, mut left) = (self.weights()?, Vec::new());
        for (weight, parameter) in weights.iter_mut().zip(&parameters) {
            match file.tensor(&parameter.path()) {
                Ok(tensor) if misfit(tensor, &parameter.shape).is_none() => *weight = tensor.clone(),
                _ => left.push(parameter.path()),
            }
        }
        self.set_weights(&weights)?;
        Ok(left)
    }
}
