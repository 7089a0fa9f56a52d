//! Normalization to length 1, <https://keras.io/api/layers/normalization_layers/unit_normalization/>.

use super::{axes_setter, feature_axes};
use crate::error::Result;
use crate::graph::{Aggregation, Id};
use crate::nn::keras::axes;
use crate::nn::{Config, KerasObject, Layer, Scope};
use crate::ops::binary::Binary;
use crate::ops::unary::Unary;

/// The square of the least length that is divided by: Keras' 1e-12.
const LEAST: f64 = 1e-24;

/// y = x / |x|, by the length of each sample over some axes: the last, unless told otherwise. Zeros stay.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(UnitNormalization::new()).device(Device::cpu());
/// assert_eq!(model.predict(&Tensor::from([[3.0f32, 4.0]]))?, Tensor::from([[0.6f32, 0.8]]));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct UnitNormalization {
    axes: Vec<isize>,
}

impl Default for UnitNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl UnitNormalization {
    /// Over the last axis.
    pub fn new() -> Self {
        Self { axes: vec![-1] }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self { axes: config.take_or("axis", vec![-1])? })
    }

    axes_setter!();
}

impl Layer for UnitNormalization {
    fn kind(&self) -> &'static str {
        "UnitNormalization"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let axes = feature_axes(scope, x, &self.axes)?;
        let axes: Vec<isize> = axes.into_iter().map(|axis| axis as isize).collect();
        let graph = &mut *scope.graph;
        let squares = graph.apply(Unary::Square, &[x])?;
        let sum = graph.reduce(Aggregation::Sum, squares, Some(&axes), true)?;
        let least = graph.fill(LEAST, []);
        let sum = graph.apply(Binary::Max, &[sum, least])?;
        let length = graph.apply(Unary::Sqrt, &[sum])?;
        Ok(vec![graph.apply(Binary::Div, &[x, length])?])
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name).with("axis", axes(&self.axes)))
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("axis", self.axes.clone())
    }
}
