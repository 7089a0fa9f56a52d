//! A model of layers one after the other, <https://keras.io/api/models/sequential/>.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use super::Model;
use super::model::MEMORY;
use crate::data;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::network::Network;
use crate::nn::{Chain, CustomObjects, IntoLayer};
use crate::train::{Fit, History};

/// Layers one after the other: a way to write a [`Model`], whose methods it has.
///
/// ```
/// use kiln::prelude::*;
///
/// // Four points of exclusive or: one hidden layer learns it.
/// let x = Tensor::new([4, 2], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
/// let y = Tensor::new([4], vec![0u32, 1, 1, 0])?;
/// let data = Dataset::new(x, y)?;
/// let mut model = Sequential::new()
///     .add(Dense::new(16).activation(Activation::Tanh))
///     .add(Dense::new(2).activation(Activation::Softmax))
///     .device(Device::cpu());
/// model.compile(Adam { learning_rate: 0.05, ..Adam::default() }, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
/// model.fit(&data, Fit::new().epochs(200).batch_size(4).verbose(0))?;
/// assert_eq!(model.evaluate(&data)?.get("accuracy"), Some(1.0));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Debug)]
pub struct Sequential {
    model: Model,
}

impl Default for Sequential {
    fn default() -> Self {
        Self { model: Model::of_network("sequential", Network::chain()) }
    }
}

impl Sequential {
    /// A model without layers, named `sequential`.
    pub fn new() -> Self {
        Self::default()
    }

    /// A model of layers that are written as text: see [`Chain`].
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let model = Sequential::from_text("input 28 28, flatten, dense 128 relu, dropout 0.5, dense 10 softmax")?;
    /// assert_eq!(model.summary()?.parameters(), 785 * 128 + 129 * 10);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] with the text and a line of carets under the word that is wrong.
    pub fn from_text(text: &str) -> Result<Self> {
        Ok(Self::from(&text.parse::<Chain>()?))
    }

    /// See [`Model::named`].
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { model: self.model.named(name) }
    }

    /// See [`Model::seed`].
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { model: self.model.seed(seed) }
    }

    /// See [`Model::device`].
    #[must_use]
    pub fn device(self, device: Device) -> Self {
        Self { model: self.model.device(device) }
    }

    /// Adds a layer, or a model as a layer, at the end. Without a name of its own it gets its type's, with a number from the
    /// second on.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "Keras' name; no arithmetic is meant")]
    pub fn add(mut self, layer: impl IntoLayer) -> Self {
        let layer = layer.into_layer();
        let name = self.model.network.names.of(layer.name(), layer.kind());
        self.model.network.append(name, layer);
        self
    }

    /// See [`Model::fit`]. (A method of its own, so that what it is given may ask the model: `Fit::new().initial_epoch(model.epoch())`
    /// borrows it, which what stands behind `Deref` does not let.)
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub fn fit(&mut self, data: &dyn data::Source, options: Fit<'_>) -> Result<History> {
        self.model.fit(data, options)
    }

    /// See [`Model::fit_async`].
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub async fn fit_async(&mut self, data: &dyn data::Source, options: Fit<'_>) -> Result<History> {
        self.model.fit_async(data, options).await
    }

    /// [`Model::load`] of a model that was a [`Sequential`].
    ///
    /// # Errors
    /// Those of [`Model::load`], and [`Error::Format`] where it was none.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, &CustomObjects::new())
    }

    /// [`Sequential::load`] of a model that has layers, an optimizer, losses or metrics of one's own.
    ///
    /// # Errors
    /// As [`Sequential::load`], and what the makers of one's own return.
    pub fn load_with(path: impl AsRef<Path>, custom: &CustomObjects<'_>) -> Result<Self> {
        Self::of_model(Model::load_with(&path, custom)?, path.as_ref(), "load")
    }

    /// [`Model::from_bytes`] of a model that was a [`Sequential`].
    ///
    /// # Errors
    /// Those of [`Model::from_bytes`], and [`Error::Format`] where it was none.
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Result<Self> {
        Self::from_bytes_with(bytes, &CustomObjects::new())
    }

    /// [`Sequential::from_bytes`] of a model that has layers, an optimizer, losses or metrics of one's own.
    ///
    /// # Errors
    /// As [`Sequential::from_bytes`], and what the makers of one's own return.
    pub fn from_bytes_with(bytes: impl AsRef<[u8]>, custom: &CustomObjects<'_>) -> Result<Self> {
        Self::of_model(Model::from_bytes_with(bytes, custom)?, Path::new(MEMORY), "from_bytes")
    }

    /// The model that came from a path, if it is a chain; `call` is what takes any.
    fn of_model(model: Model, path: &Path, call: &str) -> Result<Self> {
        if model.network.is_sequential() {
            return Ok(Self { model });
        }
        Err(Error::format(path, format!("holds a model that was no Sequential; load it by Model::{call}")))
    }

    /// The model that is written so.
    pub fn into_model(self) -> Model {
        self.model
    }
}

impl From<&Chain> for Sequential {
    fn from(chain: &Chain) -> Self {
        let mut sequential = Self::new();
        for link in chain.links() {
            sequential.model.network.append(link.name.clone(), Arc::clone(&link.layer));
        }
        sequential
    }
}

impl From<Sequential> for Model {
    fn from(sequential: Sequential) -> Self {
        sequential.model
    }
}

impl Deref for Sequential {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}

impl DerefMut for Sequential {
    fn deref_mut(&mut self) -> &mut Model {
        &mut self.model
    }
}
