//! What a model is given, <https://keras.io/api/layers/core_layers/input/>.

use super::Layer;
use crate::error::Result;
use crate::graph::Id;
use crate::nn::network::batches_of;
use crate::nn::{Config, KerasObject, Scope, Value};
use crate::tensor::Shape;

/// An input of a model: the shape of its samples, without the batch's axis.
///
/// Layers are applied to it, and [`crate::nn::Model::new`] makes a model of it and of what they give. As the first layer of a
/// [`crate::nn::Sequential`] it says what a sample's shape is, so that the model needs no data and no
/// [`crate::nn::Model::build`] to have weights and a summary; it computes nothing there, and stands in no summary. Clones
/// are the same input.
///
/// ```
/// use kiln::prelude::*;
/// let x = Input::new([4]).named("features");
/// let model = Model::new(&x, Dense::new(2).apply(&x)?)?;
/// assert_eq!(model.input_names(), ["features"]);
/// // As the first layer of a chain.
/// let chain = Sequential::new().add(Input::new([4])).add(Dense::new(2));
/// assert_eq!(chain.summary()?.parameters(), 4 * 2 + 2);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Input {
    name: Option<String>,
    value: Value,
}

impl Input {
    /// For samples of this shape: `Input::new([28, 28])`.
    pub fn new(shape: impl Into<Shape>) -> Self {
        Self { name: None, value: Value::of_input(None, shape.into()) }
    }

    /// An input of the same shape with a name, by which data are given to it.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        let name = Some(name.into());
        Self { value: Value::of_input(name.clone(), self.value.shape().clone()), name }
    }

    /// What layers are applied to.
    pub fn value(&self) -> Value {
        self.value.clone()
    }
}

impl Layer for Input {
    fn kind(&self) -> &'static str {
        "InputLayer"
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        if scope.place > 0 || !scope.network.is_empty() {
            let message = "says what samples are, so it comes first and once; here it stands behind another layer";
            return Err(scope.error(message));
        }
        Ok(vec![x])
    }

    fn sample_shape(&self) -> Option<&Shape> {
        Some(self.value.shape())
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("shape", self.value.shape().to_vec())
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::new("keras.layers", self.kind())
            .with("batch_shape", batches_of(self.value.shape()))
            .with("dtype", "float32")
            .with("sparse", false)
            .with("ragged", false)
            .with("name", name)
            .with("optional", false))
    }
}
