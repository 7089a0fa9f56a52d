//! A leaky relu whose slope is learned, <https://keras.io/api/layers/activation_layers/prelu/>.

use super::Layer;
use super::weight::{Weight, weight_setters};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Activation, Config, Constraint, Initializer, KerasObject, Misnamed, OrName, Regularizer, Scope};
use crate::ops::binary::Binary;
use crate::ops::unary::Unary;

/// y = x where x > 0, else alpha x, with an alpha for each element of a sample, or one along shared axes.
///
/// ```
/// use kiln::prelude::*;
/// let y = PRelu::new().apply(Input::new([4]))?;
/// assert_eq!(y.shape().to_string(), "(4,)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PRelu {
    alpha: Weight,
    shared_axes: Vec<usize>,
    misnamed: Misnamed,
}

impl Default for PRelu {
    fn default() -> Self {
        Self::new()
    }
}

impl PRelu {
    /// With alphas that start at 0.
    pub fn new() -> Self {
        Self { alpha: Weight::new(Initializer::Zeros), shared_axes: Vec::new(), misnamed: Misnamed::default() }
    }

    /// The layer of these settings, taken out of `config`.
    pub(super) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new();
        Ok(Self {
            alpha: Weight::from_config(config, "alpha", default.alpha.initializer)?,
            shared_axes: config.take_or("shared_axes", default.shared_axes)?,
            ..default
        })
    }

    weight_setters!(alpha, misnamed: "the alphas", "start", Zeros
        => alpha_initializer, alpha_regularizer, alpha_constraint);

    /// Sets the axes along which one alpha serves, the batch's counted: `[1, 2]` of images for one a channel; default none.
    #[must_use]
    pub fn shared_axes(mut self, axes: impl Into<Vec<usize>>) -> Self {
        self.shared_axes = axes.into();
        self
    }
}

impl Layer for PRelu {
    fn kind(&self) -> &'static str {
        "PReLU"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        self.misnamed.check_in(scope)?;
        let shape = scope.graph.shape(x).clone();
        if let Some(axis) = self.shared_axes.iter().find(|&&axis| axis == 0 || axis >= shape.rank()) {
            let message = format!("shares axis {axis} of {shape}; give 1 to {}", shape.rank().saturating_sub(1));
            return Err(scope.error(message));
        }
        let own: Vec<usize> =
            (1..shape.rank()).map(|axis| if self.shared_axes.contains(&axis) { 1 } else { shape[axis] }).collect();
        let alpha = self.alpha.ask(scope, "alpha", own)?;
        let graph = &mut *scope.graph;
        let above = Activation::Relu.append(graph, x)?;
        let turned = graph.apply(Unary::Neg, &[x])?;
        let below = Activation::Relu.append(graph, turned)?;
        let below = graph.apply(Binary::Mul, &[below, alpha])?;
        Ok(vec![graph.apply(Binary::Sub, &[above, below])?])
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = Weight::keras_all(KerasObject::layer(self.kind(), name), &[("alpha", &self.alpha)]);
        let shared = Some(self.shared_axes.clone()).filter(|axes| !axes.is_empty());
        Ok(layer.with("shared_axes", shared))
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        let config = Weight::keep_all(Config::new(self.kind()), &[("alpha", &self.alpha)]);
        config.with("shared_axes", self.shared_axes.clone())
    }
}
