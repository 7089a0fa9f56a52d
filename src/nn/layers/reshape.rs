//! Samples of another shape, <https://keras.io/api/layers/reshaping_layers/reshape/>.

use super::Layer;
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Config, KerasObject, Scope};
use crate::ops::reshape;
use crate::tensor::{Shape, reshaped};

/// From (batch, ...) to (batch, target shape): the same numbers in the same order. Nothing is moved.
///
/// ```
/// use kiln::prelude::*;
/// let y = Reshape::new([4, -1]).apply(Input::new([12]))?;
/// assert_eq!(y.shape().to_string(), "(4, 3)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reshape {
    target_shape: Vec<isize>,
}

impl Reshape {
    /// To samples of this shape, one extent of which may be -1, what is left for it: `Reshape::new([7, -1])`.
    pub fn new(target_shape: impl Into<Vec<isize>>) -> Self {
        Self { target_shape: target_shape.into() }
    }
}

impl Layer for Reshape {
    fn kind(&self) -> &'static str {
        "Reshape"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let shape = scope.graph.shape(x);
        let sample = reshaped(&Shape::from(&shape[1..]), &self.target_shape).map_err(|why| scope.error(why))?;
        let all = [&shape[..1], &sample].concat();
        Ok(vec![scope.graph.apply(reshape::Reshape(all.into()), &[x])?])
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("target_shape", self.target_shape.clone())
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name).with("target_shape", self.target_shape.clone()))
    }
}
