//! Words as rows of a table, <https://keras.io/api/layers/core_layers/embedding/>.

use super::Layer;
use super::weight::{Weight, weight_setters};
use crate::error::Result;
use crate::graph::{Graph, Id};
use crate::nn::{Config, Constraint, Initializer, KerasObject, Misnamed, OrName, Regularizer, Scope, Setting};
use crate::ops::Op;
use crate::ops::binary::Binary;
use crate::ops::cast::Cast;
use crate::ops::select::Select;
use crate::ops::take::Take;
use crate::tensor::DType;

/// From here on `f32` has not every whole number.
const MOST_ROWS: usize = 1 << 24;

/// y = the rows of a table by the whole numbers of the input: from (batch, ...) to (batch, ..., `output_dim`). The numbers, tokens,
/// are 0 to `input_dim` - 1.
///
/// The embeddings (`input_dim`, `output_dim`) start uniform in -0.05..0.05, unless told otherwise. Where the model's own input is
/// what the layer reads, any other number is an error before training, evaluation or prediction begins. Where other layers make
/// the numbers, their fractions are dropped, and one that is no row gives a row of NaN, so that the fault shows in the loss.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Input::new([3])).add(Embedding::new(10, 4)).device(Device::cpu());
/// let y = model.predict(&Tensor::from([[7u32, 0, 7]]))?;
/// assert_eq!(y.shape().to_string(), "(1, 3, 4)");
/// assert_eq!(y.at::<f32>(&[0, 0, 1])?, y.at::<f32>(&[0, 2, 1])?);
/// assert!(model.predict(&Tensor::from([[7u32, 0, 10]])).is_err());
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Embedding {
    input_dim: usize,
    output_dim: usize,
    embeddings: Weight,
    mask_zero: bool,
    misnamed: Misnamed,
}

impl Embedding {
    /// A table of `input_dim` rows, one for each token, of `output_dim` numbers.
    pub fn new(input_dim: usize, output_dim: usize) -> Self {
        Self {
            input_dim,
            output_dim,
            embeddings: Weight::new(Initializer::RandomUniform { minval: -0.05, maxval: 0.05 }),
            mask_zero: false,
            misnamed: Misnamed::default(),
        }
    }

    /// The layer of these settings, taken out of `config`.
    pub(super) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new(config.take("input_dim")?, config.take("output_dim")?);
        Ok(Self {
            embeddings: Weight::from_config(config, "embeddings", default.embeddings.initializer)?,
            mask_zero: config.take_or("mask_zero", default.mask_zero)?,
            ..default
        })
    }

    weight_setters!(embeddings, misnamed: "the table", "starts", RandomUniform
        => embeddings_initializer, embeddings_regularizer, embeddings_constraint);

    /// Whether token 0 stands for nothing: layers behind that let masks through, losses and metrics pass it over; default false.
    #[must_use]
    pub fn mask_zero(mut self, mask_zero: bool) -> Self {
        self.mask_zero = mask_zero;
        self
    }

    /// Why there is no such table, if so.
    fn refusal(&self) -> Option<String> {
        if self.input_dim == 0 || self.output_dim == 0 {
            return Some(format!("a table of {} rows of {} numbers holds nothing", self.input_dim, self.output_dim));
        }
        (self.input_dim > MOST_ROWS)
            .then(|| format!("{} rows are more than tokens are told apart; give at most {MOST_ROWS}", self.input_dim))
    }
}

/// Whole numbers as rows of a table of so many: as they were before the network had them as floats, else without their fraction,
/// where what is below 0 or NaN becomes a number that is no row.
fn as_rows(graph: &mut Graph, x: Id, rows: usize) -> Result<Id> {
    if graph.ty(x).dtype == DType::U32 {
        return Ok(x);
    }
    if let Some(cast) = graph.producer(x).filter(|node| node.op.name() == Cast::ToFloat.name()) {
        return Ok(cast.inputs[0]);
    }
    let [zero, none] = [0.0, rows as f64].map(|number| graph.fill(number, []));
    let known = graph.apply(Binary::GreaterEqual, &[x, zero])?;
    let x = graph.apply(Select, &[known, x, none])?;
    graph.apply(Cast::ToU32, &[x])
}

impl Layer for Embedding {
    fn kind(&self) -> &'static str {
        "Embedding"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        self.misnamed.check_in(scope)?;
        if let Some(refusal) = self.refusal() {
            return Err(scope.error(refusal));
        }
        let embeddings = self.embeddings.ask(scope, "embeddings", [self.input_dim, self.output_dim])?;
        let rows = as_rows(scope.graph, x, self.input_dim)?;
        let y = scope.graph.apply(Take, &[embeddings, rows])?;
        if self.mask_zero {
            let zero = scope.graph.fill(0.0, []);
            let mask = scope.graph.apply(Binary::NotEqual, &[x, zero])?;
            scope.set_mask(y, mask)?;
        }
        Ok(vec![y])
    }

    fn input_dim(&self) -> Option<usize> {
        Some(self.input_dim)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer =
            KerasObject::layer(self.kind(), name).with("input_dim", self.input_dim).with("output_dim", self.output_dim);
        let layer = Weight::keras_all(layer, &[("embeddings", &self.embeddings)]);
        let layer = layer.with("activity_regularizer", Setting::Null).with("mask_zero", self.mask_zero);
        Ok(layer.with("quantization_config", Setting::Null))
    }

    fn config(&self) -> Config {
        let config = Config::new(self.kind()).with("input_dim", self.input_dim).with("output_dim", self.output_dim);
        Weight::keep_all(config, &[("embeddings", &self.embeddings)]).with("mask_zero", self.mask_zero)
    }
}
