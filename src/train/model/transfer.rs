//! Weights that a model begins with: those that a file of another model has, of another program even.

use std::path::Path;

use super::Model;
use crate::device::blocking::block_on;
use crate::error::{Error, Result};
use crate::io::{TensorFile, whole};
use crate::nn::WeightMatches;
use crate::nn::matching::Wanted;

impl Model {
    /// Takes the weights that a file has for layers of this model, and leaves the others as they are; says what was taken. The file may
    /// be of another network, and of another program: a model or weights as safetensors, an `.npz`, Keras' `.keras` and `.weights.h5`.
    ///
    /// A layer gets all of its weights or none, and only such as have its shapes. Layers go together by their names: those of Kiln,
    /// `hidden/kernel`, or of Keras, `sequential/hidden/kernel` (`v.path`). Names that Keras makes of classes count by their order:
    /// a file's `dense_4` and `dense_7` are `dense` and `dense_1` here. A `.weights.h5` has no names of layers, but counts classes alike.
    /// An optimizer's state is passed over.
    ///
    /// Of PyTorch's names, `features.0.weight`, modules and layers go together where their names are the same, dots or slashes being
    /// underscores, or else by what they are and by their shapes; modules that are alike then have to have an order by numbers, as
    /// `fc1` and `fc2` do. Linear layers, convolutions, embeddings, normalizations, recurrent layers and attention are brought into
    /// Keras' layouts, and so is what reads images made flat, which have their channels first there.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let path = std::env::temp_dir().join("kiln-from.safetensors");
    /// let mut first = Sequential::from_text("input 4, dense 8 relu name=hidden, dense 3 softmax")?.device(Device::cpu());
    /// first.save(&path)?;
    /// // The same first layer, for another number of classes.
    /// let mut second = Sequential::from_text("input 4, dense 8 relu name=hidden, dense 5 softmax")?.device(Device::cpu());
    /// let taken = second.load_weights_from(&path)?;
    /// assert_eq!(second.weight("hidden/kernel")?, first.weight("hidden/kernel")?);
    /// assert_eq!((taken.matched.len(), taken.is_complete(), taken.left[0].0.as_str()), (2, false, "dense"));
    /// assert!(taken.to_string().starts_with("2 of 4 weights are in the file"));
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built; [`Error::Io`] where the system refuses; [`Error::Format`] where the file is damaged,
    /// has no layer of the model's, or has several that may be one; and what the device reports.
    pub fn load_weights_from(&mut self, path: impl AsRef<Path>) -> Result<WeightMatches> {
        block_on(self.load_weights_from_async(path))
    }

    /// [`Model::load_weights_from`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::load_weights_from`].
    pub async fn load_weights_from_async(&mut self, path: impl AsRef<Path>) -> Result<WeightMatches> {
        let path = path.as_ref();
        let built = self.built()?;
        let file = tensors_of(&whole::read(path)?, path)?;
        #[cfg(feature = "keras")]
        let in_keras_files = self.network.keras_variables(&built.parameters);
        #[cfg(not(feature = "keras"))]
        let in_keras_files = Vec::new();
        let wanted = Wanted { network: &self.network, built, in_keras_files };
        let (found, report) = wanted.matched(&file).map_err(|e| Error::format(path, e))?;
        let mut weights = self.weights_async().await?;
        for (index, weight) in found {
            weights[index] = weight;
        }
        self.set_weights_async(&weights).await?;
        Ok(report)
    }
}

/// The weights in a file, by the names that it has for them.
fn tensors_of(bytes: &[u8], path: &Path) -> Result<TensorFile> {
    #[cfg(feature = "keras")]
    if crate::io::keras::Archive::is(bytes) {
        let model = Model::of_archive(bytes, path, &crate::nn::CustomObjects::new())?;
        let names = model.parameter_paths()?;
        let weights = model.loaded.map(|loaded| loaded.weights).unwrap_or_default();
        return Ok(names
            .into_iter()
            .zip(weights)
            .fold(TensorFile::new(), |file, (name, weight)| file.with(name, weight)));
    }
    #[cfg(feature = "keras")]
    if bytes.starts_with(crate::io::hdf5::SIGNATURE) {
        let read = || crate::io::hdf5::Hdf5::parse(bytes.to_vec(), bytes.len())?.tensors("layers/");
        return read().map_err(|e| Error::format(path, e));
    }
    TensorFile::parse(bytes, path)
}
