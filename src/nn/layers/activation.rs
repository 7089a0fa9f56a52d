//! An activation as a layer of its own, <https://keras.io/api/layers/core_layers/activation/>.

use super::Layer;
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Activation, Config, KerasObject, Scope};
use crate::ops::reshape::Reshape;

/// y = activation(x), any shape: `model.add(Activation::Relu)`.
impl Layer for Activation {
    fn kind(&self) -> &'static str {
        "Activation"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        Ok(vec![Reshape::under(scope.graph, x, |graph, x| self.append(graph, x))?])
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name).with("activation", Self::keras(*self)?))
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("activation", *self)
    }
}
