//! A layer at each step, <https://keras.io/api/layers/recurrent_layers/time_distributed/>.

use std::sync::Arc;

use super::{Config, Id, KerasObject, Layer, Result, Scope};
use crate::error::Error;
use crate::nn::layers::from_config;
use crate::nn::network::snake_case;
use crate::ops::reshape::Reshape;
use crate::tensor::Tensor;

/// Applies a layer to each step of sequences (batch, steps, ...) with the same weights: the steps of all samples are one batch of the
/// layer. In training a [`super::super::BatchNormalization`] inside takes the mean over all of them, where Keras takes one step after the
/// other.
///
/// ```
/// use kiln::prelude::*;
/// let model = Sequential::new().add(Input::new([10, 28, 28, 1])).add(TimeDistributed::new(Conv2D::new(4, 3)));
/// assert_eq!(model.summary()?.rows[0].outputs[0][1..], [10, 26, 26, 4]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TimeDistributed {
    layer: Arc<dyn Layer>,
}

impl TimeDistributed {
    /// This layer at each step.
    pub fn new(layer: impl Layer + 'static) -> Self {
        Self { layer: Arc::new(layer) }
    }

    fn inner_name(&self) -> String {
        self.layer.name().map_or_else(|| snake_case(self.layer.kind()), str::to_string)
    }

    pub(super) fn from_config(config: &mut Config) -> Result<Self> {
        let mut inner = config.take::<Config>("layer")?;
        let class = inner.class().to_string();
        let unknown =
            || Error::argument("setting \"layer\" of TimeDistributed", format!("{class} is no layer of Kiln's"));
        let layer = from_config(&mut inner)?.ok_or_else(unknown)?;
        inner.end()?;
        Ok(Self { layer: layer.into() })
    }
}

impl Layer for TimeDistributed {
    fn kind(&self) -> &'static str {
        "TimeDistributed"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let shape = scope.graph.shape(x).clone();
        if shape.rank() < 3 {
            return Err(scope.error(format!("takes sequences (batch, steps, ...), was given {shape}")));
        }
        if self.layer.nested().is_some() {
            return Err(scope.error("takes a layer, not a model; put a TimeDistributed around each of its layers"));
        }
        let (rows, steps) = (shape[0], shape[1]);
        let flat = scope.graph.apply(Reshape([&[rows * steps], &shape[2..]].concat().into()), &[x])?;
        let made = self.layer.call(scope, &[flat])?;
        let mask = scope.mask(x).filter(|&mask| scope.graph.shape(mask).rank() == 2);
        let mut outputs = Vec::new();
        for y in made {
            let sample = scope.graph.shape(y)[1..].to_vec();
            let y = scope.graph.apply(Reshape([&[rows, steps], &sample[..]].concat().into()), &[y])?;
            if let Some(mask) = mask {
                scope.set_mask(y, mask)?;
            }
            outputs.push(y);
        }
        Ok(outputs)
    }

    fn carried(&self) -> Vec<(String, Tensor)> {
        self.layer.carried()
    }

    fn is_saved(&self) -> bool {
        self.layer.is_saved()
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("layer", self.layer.config())
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name).with("layer", self.layer.keras(&self.inner_name())?))
    }

    fn keras_weight(&self, name: &str) -> String {
        format!("{}/{}", self.inner_name(), self.layer.keras_weight(name))
    }

    fn keras_group(&self, name: &str) -> String {
        match self.layer.keras_group(name) {
            inner if inner.is_empty() => "layer".into(),
            inner => format!("layer/{inner}"),
        }
    }
}
