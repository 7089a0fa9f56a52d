//! Models as bytes, where there are no files: in a browser, a data base, a test.

use std::path::Path;

use super::Model;
use crate::device::blocking::block_on;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::nn::CustomObjects;

/// What stands in errors where a path does otherwise.
pub(in crate::train) const MEMORY: &str = "the bytes given";

impl Model {
    /// The model as bytes: those of the file that [`Model::save`] writes. [`Model::from_bytes`] makes it from them again.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let mut model = Sequential::new().add(Input::new([3])).add(Dense::new(2)).device(Device::cpu());
    /// let bytes = model.to_bytes()?;
    /// let mut again = Sequential::from_bytes(&bytes)?.device(Device::cpu());
    /// assert_eq!(again.weights()?, model.weights()?);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built, or has a layer that no file keeps; and what the device reports.
    pub fn to_bytes(&mut self) -> Result<Vec<u8>> {
        block_on(self.to_bytes_async())
    }

    /// [`Model::to_bytes`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::to_bytes`].
    pub async fn to_bytes_async(&mut self) -> Result<Vec<u8>> {
        Ok(self.whole_file().await?.to_bytes())
    }

    /// The model of the bytes that [`Model::to_bytes`] gave or a file holds that [`Model::save`] wrote, ready to predict or to
    /// be trained further: see [`Model::load`].
    ///
    /// # Errors
    /// [`Error::Format`] that says what is wrong with the bytes, as [`Model::load`] does of a file.
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Result<Self> {
        Self::from_bytes_with(bytes, &CustomObjects::new())
    }

    /// [`Model::from_bytes`] of a model that has layers, an optimizer, losses or metrics of one's own.
    ///
    /// # Errors
    /// As [`Model::from_bytes`], and what the makers of one's own return.
    pub fn from_bytes_with(bytes: impl AsRef<[u8]>, custom: &CustomObjects<'_>) -> Result<Self> {
        Self::of_content(bytes.as_ref(), Path::new(MEMORY), custom)
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn bytes_are_the_files_and_a_run_goes_on_from_them() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("model.safetensors");
        let x: Vec<f32> = (0..80).map(|i| (i % 7) as f32 / 7.0).collect();
        let data = Dataset::new(Tensor::new([20, 4], x).unwrap(), Tensor::new([20], vec![0u32; 20]).unwrap()).unwrap();
        let fit = |initial, epochs| Fit::new().initial_epoch(initial).epochs(epochs).batch_size(8).verbose(0);
        let mut model = Sequential::new().add(Dense::new(3).activation(Activation::Softmax)).device(Device::cpu());
        model.compile(Adam::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
        model.fit(&data, fit(0, 1)).unwrap();
        let bytes = model.to_bytes().unwrap();
        model.save(&path).unwrap();
        assert_eq!(bytes, std::fs::read(&path).unwrap());
        let mut again = Sequential::from_bytes(&bytes).unwrap().device(Device::cpu());
        assert_eq!(again.to_bytes().unwrap(), bytes);
        for model in [&mut model, &mut again] {
            model.fit(&data, fit(1, 2)).unwrap();
        }
        assert_eq!(again.to_bytes().unwrap(), model.to_bytes().unwrap());
    }

    #[test]
    fn bytes_that_are_no_model_are_refused_with_the_reason() {
        let x = Input::new([2]);
        let y = Dense::new(1).apply(&x).unwrap();
        let z = Dense::new(1).apply(&x).unwrap();
        let bytes = Model::new(&x, [y, z]).unwrap().device(Device::cpu()).to_bytes().unwrap();
        let told = |bytes: &[u8]| Sequential::from_bytes(bytes).unwrap_err().to_string();
        let text = told(&bytes);
        assert!(text.contains("the bytes given") && text.contains("Model::from_bytes"), "{text}");
        let text = told(&bytes[..40]);
        assert!(text.contains("the bytes given"), "{text}");
        assert!(!told(b"").is_empty());
    }
}
