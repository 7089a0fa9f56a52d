//! Batch normalization, <https://keras.io/api/layers/normalization_layers/batch_normalization/>.

use super::{Affine, Normalized, affine_setters, along, check_epsilon, feature_axis};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Config, Constraint, Initializer, KerasObject, Layer, OrName, Regularizer, Scope, Setting};
use crate::ops::binary::Binary;

/// y = gamma (x - mean) / sqrt(variance + epsilon) + beta, for each feature along an axis.
///
/// In training mean and variance are those of the batch, over all other axes, and the states `moving_mean` and `moving_variance`
/// take a share of them in; in evaluation and prediction, and where the layer is frozen ([`Layer::trainable`]), they are those
/// states.
///
/// ```
/// use kiln::prelude::*;
/// let model = Sequential::new().add(Input::new([20])).add(Dense::new(8)).add(BatchNormalization::new());
/// assert_eq!(model.summary()?.non_trainable(), 16);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchNormalization {
    axis: isize,
    momentum: f64,
    epsilon: f64,
    affine: Affine,
    moving_mean_initializer: Initializer,
    moving_variance_initializer: Initializer,
}

impl Default for BatchNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchNormalization {
    /// Of features along the last axis, with a momentum of 0.99 and an epsilon of 0.001.
    pub fn new() -> Self {
        Self {
            axis: -1,
            momentum: 0.99,
            epsilon: 1e-3,
            affine: Affine::default(),
            moving_mean_initializer: Initializer::Zeros,
            moving_variance_initializer: Initializer::Ones,
        }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new();
        Ok(Self {
            axis: config.take_or("axis", default.axis)?,
            momentum: config.take_or("momentum", default.momentum)?,
            epsilon: config.take_or("epsilon", default.epsilon)?,
            affine: Affine::from_config(config)?,
            moving_mean_initializer: config.take_or("moving_mean_initializer", default.moving_mean_initializer)?,
            moving_variance_initializer: config
                .take_or("moving_variance_initializer", default.moving_variance_initializer)?,
        })
    }

    /// Sets the features' axis, the batch's counted; default -1, the last.
    #[must_use]
    pub fn axis(mut self, axis: isize) -> Self {
        self.axis = axis;
        self
    }

    /// Sets what share of the moving statistics a step keeps; default 0.99.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Sets what the moving mean starts from; default [`Initializer::Zeros`].
    #[must_use]
    pub fn moving_mean_initializer(mut self, initializer: Initializer) -> Self {
        self.moving_mean_initializer = initializer;
        self
    }

    /// Sets what the moving variance starts from; default [`Initializer::Ones`].
    #[must_use]
    pub fn moving_variance_initializer(mut self, initializer: Initializer) -> Self {
        self.moving_variance_initializer = initializer;
        self
    }

    affine_setters!();

    /// moving = momentum moving + (1 - momentum) found
    fn take_in(&self, scope: &mut Scope<'_>, name: &str, [moving, found]: [Id; 2]) -> Result<()> {
        let graph = &mut *scope.graph;
        let [kept, taken] = [self.momentum, 1.0 - self.momentum].map(|share| graph.fill(share, []));
        let kept = graph.apply(Binary::Mul, &[moving, kept])?;
        let taken = graph.apply(Binary::Mul, &[found, taken])?;
        let next = graph.apply(Binary::Add, &[kept, taken])?;
        scope.set_state(name, next)
    }
}

impl Layer for BatchNormalization {
    fn kind(&self) -> &'static str {
        "BatchNormalization"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        check_epsilon(scope, self.epsilon)?;
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(scope.error(format!("the momentum {} is no share; give 0 to 1", self.momentum)));
        }
        let shape = scope.graph.shape(x).clone();
        let axis = feature_axis(scope, x, self.axis)?;
        let (own, laid_out) = ([shape[axis]].into(), along(&shape, axis));
        let learned = self.affine.asked(scope, &own)?;
        let moving_mean = scope.state("moving_mean", own.clone(), self.moving_mean_initializer)?;
        let moving_variance = scope.state("moving_variance", own.clone(), self.moving_variance_initializer)?;
        let y = if scope.training().is_some() && scope.is_trainable() {
            let others: Vec<usize> = (0..shape.rank()).filter(|&a| a != axis).collect();
            let mask = scope.mask(x);
            let Normalized { y, mean, variance } = match mask {
                Some(mask) => Normalized::masked(scope.graph, x, mask, &others, self.epsilon)?,
                None => Normalized::of(scope.graph, x, &others, self.epsilon)?,
            };
            self.take_in(scope, "moving_mean", [moving_mean, mean])?;
            self.take_in(scope, "moving_variance", [moving_variance, variance])?;
            y
        } else {
            let moving = [moving_mean, moving_variance];
            return Ok(vec![learned.normalized(scope.graph, x, moving, &laid_out, self.epsilon)?]);
        };
        Ok(vec![learned.applied(scope.graph, y, &laid_out)?])
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = KerasObject::layer(self.kind(), name).with("axis", self.axis).with("momentum", self.momentum);
        Ok(self
            .affine
            .keras(layer.with("epsilon", self.epsilon))
            .with("moving_mean_initializer", self.moving_mean_initializer.keras())
            .with("moving_variance_initializer", self.moving_variance_initializer.keras())
            .with("synchronized", false)
            .with("renorm", false)
            .with("renorm_clipping", Setting::Null)
            .with("renorm_momentum", 0.99))
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        let config = Config::new(self.kind()).with("axis", self.axis).with("momentum", self.momentum);
        self.affine
            .keep(config.with("epsilon", self.epsilon))
            .with("moving_mean_initializer", self.moving_mean_initializer)
            .with("moving_variance_initializer", self.moving_variance_initializer)
    }
}
