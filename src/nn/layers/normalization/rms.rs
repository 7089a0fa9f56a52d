//! Normalization by the root of the mean square, <https://keras.io/api/layers/normalization_layers/rms_normalization/>.

use super::{axes_setter, check_epsilon, divided, feature_axes, features, reshaped};
use crate::error::Result;
use crate::graph::{Aggregation, Id};
use crate::nn::keras::axes;
use crate::nn::{Config, Initializer, KerasObject, Layer, Scope};
use crate::ops::binary::Binary;
use crate::ops::unary::Unary;

/// y = scale x / sqrt(mean(x^2) + epsilon), with the mean of each sample over some axes: the last, unless told otherwise.
///
/// ```
/// use kiln::prelude::*;
/// let y = RmsNormalization::new().apply(Input::new([10, 16]))?;
/// assert_eq!(y.shape().to_string(), "(10, 16)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RmsNormalization {
    axes: Vec<isize>,
    epsilon: f64,
}

impl Default for RmsNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl RmsNormalization {
    /// Over the last axis, with an epsilon of 0.000001.
    pub fn new() -> Self {
        Self { axes: vec![-1], epsilon: 1e-6 }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new();
        Ok(Self { axes: config.take_or("axis", default.axes)?, epsilon: config.take_or("epsilon", default.epsilon)? })
    }

    axes_setter!();

    /// Sets what is added to the mean square; default 0.000001.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }
}

impl Layer for RmsNormalization {
    fn kind(&self) -> &'static str {
        "RMSNormalization"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        check_epsilon(scope, self.epsilon)?;
        let axes = feature_axes(scope, x, &self.axes)?;
        let (own, laid_out) = features(scope.graph.shape(x), &axes);
        let scale = scope.parameter("scale", own, Initializer::Ones)?;
        let axes: Vec<isize> = axes.into_iter().map(|axis| axis as isize).collect();
        let graph = &mut *scope.graph;
        let squares = graph.apply(Unary::Square, &[x])?;
        let mean = graph.reduce(Aggregation::Mean, squares, Some(&axes), true)?;
        let y = divided(graph, x, mean, self.epsilon)?;
        let scale = reshaped(graph, scale, &laid_out)?;
        Ok(vec![graph.apply(Binary::Mul, &[y, scale])?])
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("axis", self.axes.clone()).with("epsilon", self.epsilon)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name).with("axis", axes(&self.axes)).with("epsilon", self.epsilon))
    }
}
