//! The shape of samples, given up front, <https://keras.io/api/layers/core_layers/input/>.

use super::Layer;
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Config, Scope};
use crate::tensor::Shape;

/// Says what a sample's shape is, without the batch's axis, so that the model needs no data and no
/// [`crate::nn::Sequential::build`] to have weights and a summary. It comes first, computes nothing, and stands in no
/// summary.
#[derive(Clone, Debug)]
pub struct Input {
    shape: Shape,
}

impl Input {
    /// For samples of this shape: `Input::new([28, 28])`.
    pub fn new(shape: impl Into<Shape>) -> Self {
        Self { shape: shape.into() }
    }
}

impl Layer for Input {
    fn kind(&self) -> &'static str {
        "InputLayer"
    }

    fn call(&self, scope: &mut Scope<'_>, x: Id) -> Result<Id> {
        if scope.index > 0 {
            let message = "says what samples are, so it comes first and once; here it stands behind another layer";
            return Err(scope.error(message));
        }
        Ok(x)
    }

    fn sample_shape(&self) -> Option<&Shape> {
        Some(&self.shape)
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("shape", self.shape.to_vec())
    }
}
