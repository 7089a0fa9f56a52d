//! Samples as rows, <https://keras.io/api/layers/reshaping_layers/flatten/>.

use super::Layer;
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Config, KerasObject, Scope};
use crate::ops::reshape::Reshape;

/// From (batch, a, b, ...) to (batch, a * b * ...). Nothing is moved.
///
/// ```
/// use kiln::prelude::*;
/// let y = Flatten.apply(Input::new([4, 3]))?;
/// assert_eq!(y.shape().to_string(), "(12,)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Flatten;

impl Layer for Flatten {
    fn kind(&self) -> &'static str {
        "Flatten"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let shape = scope.graph.shape(x);
        let row = shape[1..].iter().product();
        let flat = Reshape([shape[0], row].into());
        Ok(vec![scope.graph.apply(flat, &[x])?])
    }

    fn config(&self) -> Config {
        Config::new(self.kind())
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name).with("data_format", "channels_last"))
    }
}
