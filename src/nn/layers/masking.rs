//! Steps that are passed over, <https://keras.io/api/layers/core_layers/masking/>.

use super::Layer;
use crate::error::Result;
use crate::graph::{Aggregation, Id};
use crate::nn::{Config, KerasObject, Scope, mask};
use crate::ops::binary::Binary;

/// Masks each step (batch, steps, features) all of whose features are a number: layers behind it that let masks through, losses
/// and metrics pass it over. The values there become 0.
///
/// ```
/// use kiln::nn::layers::Masking;
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Masking::new(-1.0)).device(Device::cpu());
/// model.compile(Sgd::default(), Loss::MeanSquaredError, [])?;
/// // Two steps of one feature, the second of which is not there.
/// let data = Dataset::new(Tensor::from([[[3.0f32], [-1.0]]]), Tensor::from([[[1.0f32], [9.0]]]))?;
/// assert_eq!(model.evaluate(&data)?.get("loss"), Some(4.0));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Masking {
    mask_value: f64,
}

impl Default for Masking {
    fn default() -> Self {
        Self::new(0.0)
    }
}

impl Masking {
    /// Of steps whose features are all this number; Keras' is 0.
    pub fn new(mask_value: f64) -> Self {
        Self { mask_value }
    }
}

impl Layer for Masking {
    fn kind(&self) -> &'static str {
        "Masking"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        if scope.graph.shape(x).rank() < 2 {
            return Err(scope.error("expected samples of one or more axes, was given single numbers"));
        }
        let graph = &mut *scope.graph;
        let number = graph.fill(self.mask_value, []);
        let differs = graph.apply(Binary::NotEqual, &[x, number])?;
        let mask = graph.reduce(Aggregation::Max, differs, Some(&[-1]), false)?;
        let zero = graph.fill(0.0, []);
        let y = mask::chosen(graph, mask, [x, zero])?;
        scope.set_mask(y, mask)?;
        Ok(vec![y])
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("mask_value", self.mask_value)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name).with("mask_value", self.mask_value))
    }
}
