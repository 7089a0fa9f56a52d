//! Group normalization, <https://keras.io/api/layers/normalization_layers/group_normalization/>.

use super::{Affine, Normalized, affine_setters, along, check_epsilon, feature_axis};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Config, Constraint, Initializer, KerasObject, Layer, OrName, Regularizer, Scope};
use crate::ops::reshape::Reshape;

/// y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with the mean and the variance of each sample over a group of features
/// and all axes but theirs and the samples'.
///
/// ```
/// use kiln::prelude::*;
/// let y = GroupNormalization::new(4).apply(Input::new([8, 8, 16]))?;
/// assert_eq!(y.shape().to_string(), "(8, 8, 16)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GroupNormalization {
    groups: usize,
    axis: isize,
    epsilon: f64,
    affine: Affine,
}

impl GroupNormalization {
    /// Of so many groups of the features along the last axis, with an epsilon of 0.001. With one group it is layer normalization
    /// over all axes, with as many as there are features instance normalization.
    pub fn new(groups: usize) -> Self {
        Self { groups, axis: -1, epsilon: 1e-3, affine: Affine::default() }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new(config.take_or("groups", 32)?);
        let (axis, epsilon) = (config.take_or("axis", default.axis)?, config.take_or("epsilon", default.epsilon)?);
        Ok(Self { axis, epsilon, affine: Affine::from_config(config)?, ..default })
    }

    /// Sets the features' axis, the batch's counted; default -1, the last.
    #[must_use]
    pub fn axis(mut self, axis: isize) -> Self {
        self.axis = axis;
        self
    }

    affine_setters!();
}

impl Layer for GroupNormalization {
    fn kind(&self) -> &'static str {
        "GroupNormalization"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        check_epsilon(scope, self.epsilon)?;
        let shape = scope.graph.shape(x).clone();
        let axis = feature_axis(scope, x, self.axis)?;
        let features = shape[axis];
        if self.groups == 0 || !features.is_multiple_of(self.groups) {
            let message = format!("{features} features are not cut into {} groups of one size", self.groups);
            return Err(scope.error(message));
        }
        let learned = self.affine.asked(scope, &[features].into())?;
        let cut = [&shape[..axis], &[self.groups, features / self.groups], &shape[axis + 1..]].concat();
        let axes: Vec<usize> = (1..cut.len()).filter(|&a| a != axis).collect();
        let graph = &mut *scope.graph;
        let grouped = graph.apply(Reshape(cut.into()), &[x])?;
        let y = Normalized::of(graph, grouped, &axes, self.epsilon)?.y;
        let y = graph.apply(Reshape(shape.clone()), &[y])?;
        Ok(vec![learned.applied(graph, y, &along(&shape, axis))?])
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = KerasObject::layer(self.kind(), name).with("groups", self.groups).with("axis", self.axis);
        Ok(self.affine.keras(layer.with("epsilon", self.epsilon)))
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        let config = Config::new(self.kind()).with("groups", self.groups).with("axis", self.axis);
        self.affine.keep(config.with("epsilon", self.epsilon))
    }
}
