//! Where a step of a sequence stands, <https://keras.io/keras_hub/api/modeling_layers/>: a row for each step, which a network adds to
//! what the step holds.

use super::Layer;
use super::weight::{Weight, weight_setters};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::nn::{Config, Constraint, Initializer, KerasObject, Misnamed, OrName, Regularizer, Scope};
use crate::ops::expand::Expand;
use crate::ops::slice::Slice;
use crate::tensor::Tensor;

/// A learned row for each step: from (batch, ..., steps, features) to the same shape, y[.., t, f] = embeddings[t, f] whatever the
/// input holds. A network adds it to its input. KerasHub's `PositionEmbedding`.
///
/// The embeddings (`sequence_length`, features) start Glorot-uniform, unless told otherwise.
///
/// ```
/// use kiln::prelude::*;
/// let tokens = Input::new([5]);
/// let words = Embedding::new(100, 8).apply(&tokens)?;
/// let places = PositionEmbedding::new(5).apply(&words)?;
/// let model = Model::new(&tokens, Add.apply([&words, &places])?)?;
/// assert_eq!(model.parameter_paths()?, ["embedding/embeddings", "position_embedding/embeddings"]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PositionEmbedding {
    sequence_length: usize,
    embeddings: Weight,
    misnamed: Misnamed,
}

impl PositionEmbedding {
    /// For sequences of at most so many steps.
    pub fn new(sequence_length: usize) -> Self {
        let embeddings = Weight::new(Initializer::GlorotUniform);
        Self { sequence_length, embeddings, misnamed: Misnamed::default() }
    }

    /// The layer of these settings, taken out of `config`.
    pub(super) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new(config.take("sequence_length")?);
        let embeddings = Weight::from_config(config, "embeddings", default.embeddings.initializer)?;
        Ok(Self { embeddings, ..default })
    }

    weight_setters!(embeddings, misnamed: "the table", "starts", GlorotUniform
        => embeddings_initializer, embeddings_regularizer, embeddings_constraint);
}

impl Layer for PositionEmbedding {
    fn kind(&self) -> &'static str {
        "PositionEmbedding"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        self.misnamed.check_in(scope)?;
        let [steps, features] = steps_and_features(scope, x)?;
        if steps > self.sequence_length {
            let message = format!("has rows for {} steps, was given {steps}; give it as many", self.sequence_length);
            return Err(scope.error(message));
        }
        let table = self.embeddings.ask(scope, "embeddings", [self.sequence_length, features])?;
        let table = match steps < self.sequence_length {
            true => {
                let rows = Slice::along(scope.graph.shape(table), 0, 0..steps);
                scope.graph.apply(rows, &[table])?
            }
            false => table,
        };
        Ok(vec![for_all(scope.graph, x, table)?])
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Err(of_keras_hub(self.kind(), name))
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        let config = Config::new(self.kind()).with("sequence_length", self.sequence_length);
        Weight::keep_all(config, &[("embeddings", &self.embeddings)])
    }
}

/// A fixed row for each step, of waves of many lengths: from (batch, ..., steps, features) to the same shape. With
/// w = `max_wavelength`^(-2 floor(f / 2) / features), y[.., t, f] is sin(t w) for even f and cos(t w) for odd f. A network adds it to
/// its input. KerasHub's `SinePositionEncoding`; Vaswani and others, <https://arxiv.org/abs/1706.03762>.
///
/// ```
/// use kiln::prelude::*;
/// let tokens = Input::new([16]);
/// let words = Embedding::new(1000, 32).apply(&tokens)?;
/// let x = Add.apply([&words, &SinePositionEncoding::new().apply(&words)?])?;
/// assert_eq!(x.shape().to_string(), "(16, 32)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SinePositionEncoding {
    max_wavelength: f64,
}

impl Default for SinePositionEncoding {
    fn default() -> Self {
        Self::new()
    }
}

impl SinePositionEncoding {
    /// With waves of up to 10,000 times 2 pi steps.
    pub fn new() -> Self {
        Self { max_wavelength: 10_000.0 }
    }

    /// Sets how long the longest wave may be, in steps divided by 2 pi; default 10,000.
    #[must_use]
    pub fn max_wavelength(mut self, max_wavelength: f64) -> Self {
        self.max_wavelength = max_wavelength;
        self
    }

    /// The layer of these settings, taken out of `config`.
    pub(super) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new();
        Ok(default.max_wavelength(config.take_or("max_wavelength", default.max_wavelength)?))
    }

    /// The rows, f64.
    fn table(self, steps: usize, features: usize) -> Result<Tensor> {
        let number = |i: usize| {
            let (step, feature) = (i / features, i % features);
            let angle = step as f64 * self.max_wavelength.powf(-((feature / 2 * 2) as f64) / features as f64);
            if feature.is_multiple_of(2) { angle.sin() } else { angle.cos() }
        };
        Tensor::new([steps, features], (0..steps * features).map(number).collect::<Vec<f64>>())
    }
}

impl Layer for SinePositionEncoding {
    fn kind(&self) -> &'static str {
        "SinePositionEncoding"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        if !(self.max_wavelength > 0.0 && self.max_wavelength.is_finite()) {
            return Err(scope.error(format!("{} is no wavelength; give a number above 0", self.max_wavelength)));
        }
        let [steps, features] = steps_and_features(scope, x)?;
        let table = scope.graph.constant(&self.table(steps, features)?);
        Ok(vec![for_all(scope.graph, x, table)?])
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Err(of_keras_hub(self.kind(), name))
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("max_wavelength", self.max_wavelength)
    }
}

/// Keras has no such layer.
fn of_keras_hub(kind: &str, name: &str) -> Error {
    Error::argument(
        format!("layer {name:?}"),
        format!("is a {kind}, which is KerasHub's and none of Keras' own layers"),
    )
}

/// The last two axes of a batch of sequences.
fn steps_and_features(scope: &Scope<'_>, x: Id) -> Result<[usize; 2]> {
    match **scope.graph.shape(x) {
        [_, .., steps, features] => Ok([steps, features]),
        _ => Err(scope.error(format!("takes (batch, ..., steps, features), was given {}", scope.graph.shape(x)))),
    }
}

/// A table of (steps, features) for each sequence of x.
fn for_all(graph: &mut Graph, x: Id, table: Id) -> Result<Id> {
    let shape = graph.shape(x);
    let extents = shape[..shape.rank() - 2].to_vec();
    graph.apply(Expand { axis: 0, extents, scale: 1.0 }, &[table])
}
