//! Layer normalization, <https://keras.io/api/layers/normalization_layers/layer_normalization/>.

use super::{Affine, Normalized, affine_setters, axes_setter, check_epsilon, feature_axes, features};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::keras::axes;
use crate::nn::{Config, Constraint, Initializer, KerasObject, Layer, OrName, Regularizer, Scope};

/// y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with the mean and the variance of each sample over some axes: the
/// last, unless told otherwise.
///
/// ```
/// use kiln::prelude::*;
/// let y = LayerNormalization::new().apply(Input::new([10, 16]))?;
/// assert_eq!(y.shape().to_string(), "(10, 16)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerNormalization {
    axes: Vec<isize>,
    epsilon: f64,
    affine: Affine,
}

impl Default for LayerNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl LayerNormalization {
    /// Over the last axis, with an epsilon of 0.001.
    pub fn new() -> Self {
        Self { axes: vec![-1], epsilon: 1e-3, affine: Affine::default() }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new();
        let (axes, epsilon) = (config.take_or("axis", default.axes)?, config.take_or("epsilon", default.epsilon)?);
        Ok(Self { axes, epsilon, affine: Affine::from_config(config)? })
    }

    axes_setter!();

    affine_setters!();
}

impl Layer for LayerNormalization {
    fn kind(&self) -> &'static str {
        "LayerNormalization"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        check_epsilon(scope, self.epsilon)?;
        let axes = feature_axes(scope, x, &self.axes)?;
        let (own, laid_out) = features(scope.graph.shape(x), &axes);
        let learned = self.affine.asked(scope, &own)?;
        let y = Normalized::of(scope.graph, x, &axes, self.epsilon)?.y;
        Ok(vec![learned.applied(scope.graph, y, &laid_out)?])
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = KerasObject::layer(self.kind(), name).with("axis", axes(&self.axes)).with("epsilon", self.epsilon);
        Ok(self.affine.keras(layer).with("rms_scaling", false))
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        self.affine.keep(Config::new(self.kind()).with("axis", self.axes.clone()).with("epsilon", self.epsilon))
    }
}
