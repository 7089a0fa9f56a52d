//! Attention of several heads, <https://keras.io/api/layers/attention_layers/multi_head_attention/>.

use super::super::Layer;
use super::super::dropout::check_rate;
use super::super::weight::{Weight, weight_setters};
use super::{Sight, all, along, attended, or_mean};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{
    Activation, Config, Constraint, Initializer, KerasObject, Misnamed, OrName, Regularizer, Scope, Setting,
};
use crate::ops::binary::Binary;
use crate::ops::matmul::MatMul;
use crate::ops::reshape::Reshape;
use crate::tensor::Shape;

/// Attention of several heads, each of which projects queries, keys and values by kernels of its own: from queries (batch, queries,
/// features) and values (batch, keys, features) to (batch, queries, features of the queries). Vaswani and others,
/// <https://arxiv.org/abs/1706.03762>.
///
/// The inputs are query, value and, where it is another, key, as in Keras; of one input alone the steps look at each other.
/// Masks of queries, of values and of keys leave out what they say; [`MultiHeadAttention::attention_mask`] takes one more input.
/// The output has the queries' mask.
///
/// The kernels `query/kernel` and `key/kernel` (features, heads, `key_dim`), `value/kernel` (features, heads, `value_dim`) and
/// `attention_output/kernel` (heads, `value_dim`, features) start Glorot-uniform, their biases at zero, unless told otherwise.
///
/// ```
/// use kiln::prelude::*;
/// let steps = Input::new([10, 16]);
/// let seen = MultiHeadAttention::new(4, 8).use_causal_mask(true).apply([&steps, &steps])?;
/// let block = LayerNormalization::new().apply(Add.apply([&steps.value(), &seen])?)?;
/// assert_eq!(block.shape().to_string(), "(10, 16)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultiHeadAttention {
    num_heads: usize,
    key_dim: usize,
    value_dim: usize,
    dropout: f64,
    use_bias: bool,
    use_gate: bool,
    output_shape: Option<Vec<usize>>,
    sliding_window: Option<usize>,
    use_causal_mask: bool,
    attention_mask: bool,
    kernel: Weight,
    bias: Weight,
    misnamed: Misnamed,
}

impl MultiHeadAttention {
    /// With so many heads, whose queries, keys and values have `key_dim` numbers each.
    pub fn new(num_heads: usize, key_dim: usize) -> Self {
        Self {
            num_heads,
            key_dim,
            value_dim: key_dim,
            dropout: 0.0,
            use_bias: true,
            use_gate: false,
            output_shape: None,
            sliding_window: None,
            use_causal_mask: false,
            attention_mask: false,
            kernel: Weight::new(Initializer::GlorotUniform),
            bias: Weight::new(Initializer::Zeros),
            misnamed: Misnamed::default(),
        }
    }

    /// The layer of these settings, taken out of `config`.
    pub(super) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new(config.take("num_heads")?, config.take("key_dim")?);
        Ok(Self {
            value_dim: config.take_or("value_dim", default.key_dim)?,
            dropout: config.take_or("dropout", default.dropout)?,
            use_bias: config.take_or("use_bias", default.use_bias)?,
            use_gate: config.take_or("use_gate", default.use_gate)?,
            output_shape: config.take_or("output_shape", None)?,
            sliding_window: config.take_or("sliding_window", None)?,
            use_causal_mask: config.take_or("use_causal_mask", default.use_causal_mask)?,
            attention_mask: config.take_or("attention_mask", default.attention_mask)?,
            kernel: Weight::from_config(config, "kernel", default.kernel.initializer)?,
            bias: Weight::from_config(config, "bias", default.bias.initializer)?,
            ..default
        })
    }

    /// Sets how many numbers a head's values have; default as many as its keys.
    #[must_use]
    pub fn value_dim(mut self, value_dim: usize) -> Self {
        self.value_dim = value_dim;
        self
    }

    /// Sets the share of weights that is dropped in training; default 0. With it a step of training keeps all of them.
    #[must_use]
    pub fn dropout(mut self, rate: f64) -> Self {
        self.dropout = rate;
        self
    }

    /// Whether each projection adds a bias; default true.
    #[must_use]
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.use_bias = use_bias;
        self
    }

    /// Whether what the heads give is multiplied by a sigmoid of one more projection of the queries; default false.
    #[must_use]
    pub fn use_gate(mut self, use_gate: bool) -> Self {
        self.use_gate = use_gate;
        self
    }

    /// Sets the shape of a step that comes out; default as many features as the queries have.
    #[must_use]
    pub fn output_shape(mut self, shape: impl Into<Vec<usize>>) -> Self {
        self.output_shape = Some(shape.into());
        self
    }

    /// Sets how many places away, and further, a query sees no key; default it sees all.
    #[must_use]
    pub fn sliding_window(mut self, sliding_window: usize) -> Self {
        self.sliding_window = Some(sliding_window);
        self
    }

    /// Whether a query sees no key behind its own place: Keras' argument of the call; default false.
    #[must_use]
    pub fn use_causal_mask(mut self, causal: bool) -> Self {
        self.use_causal_mask = causal;
        self
    }

    /// Whether the last input is a mask (batch, queries, keys), or (batch, heads, queries, keys), of ones and zeros: Keras' argument of the
    /// call; default false.
    #[must_use]
    pub fn attention_mask(mut self, attention_mask: bool) -> Self {
        self.attention_mask = attention_mask;
        self
    }

    weight_setters!(kernel, misnamed: "the kernels", "start", GlorotUniform
        => kernel_initializer, kernel_regularizer, kernel_constraint);
    weight_setters!(bias, misnamed: "the biases", "start", Zeros => bias_initializer, bias_regularizer, bias_constraint);

    /// Query, value, key, and the mask that is an input.
    fn inputs(&self, scope: &Scope<'_>, inputs: &[Id]) -> Result<([Id; 3], Option<Id>)> {
        let (mask, values) = match inputs.split_last() {
            Some((&mask, values)) if self.attention_mask => (Some(mask), values),
            _ => (None, inputs),
        };
        let qvk = match *values {
            [x] => [x; 3],
            [q, v] => [q, v, v],
            [q, v, k] => [q, v, k],
            _ => {
                let more = if self.attention_mask { ", and a mask behind them" } else { "" };
                let message = format!(
                    "takes query, value and key, or the first of them{more}, was given {} inputs",
                    inputs.len()
                );
                return Err(scope.error(message));
            }
        };
        Ok((qvk, mask))
    }

    fn check(&self, scope: &Scope<'_>, qvk: [Id; 3]) -> Result<()> {
        self.misnamed.check_in(scope)?;
        check_rate(scope, self.dropout)?;
        if self.num_heads == 0 || self.key_dim == 0 || self.value_dim == 0 || self.sliding_window == Some(0) {
            return Err(scope.error("0 heads, numbers or places make nothing; give 1 or more"));
        }
        if self.output_shape.as_ref().is_some_and(|shape| shape.is_empty() || shape.contains(&0)) {
            return Err(scope.error(format!("the output shape {:?} holds nothing", self.output_shape)));
        }
        let [q, v, k] = qvk.map(|x| scope.graph.shape(x));
        if [q, v, k].iter().any(|shape| shape.rank() != 3) || v[1] != k[1] {
            let message = format!(
                "query {q}, value {v} and key {k} do not go together; expected (batch, steps, features), as many \
                                   steps of values as of keys"
            );
            return Err(scope.error(message));
        }
        Ok(())
    }

    /// x, its last axis or axes multiplied by the kernel of a name: (batch, steps) and `to`.
    fn projected(&self, scope: &mut Scope<'_>, x: Id, name: &str, [from, to]: [&[usize]; 2]) -> Result<Id> {
        let [inputs, outputs]: [usize; 2] = [from, to].map(|axes| axes.iter().product());
        let whole = Weight { initializer: self.kernel.initializer.of_fans(inputs, outputs), ..self.kernel.clone() };
        let kernel = whole.ask(scope, &format!("{name}/kernel"), [from, to].concat())?;
        let bias = match self.use_bias {
            true => Some(self.bias.ask(scope, &format!("{name}/bias"), to.to_vec())?),
            false => None,
        };
        let graph = &mut *scope.graph;
        let [batch, steps] = [graph.shape(x)[0], graph.shape(x)[1]];
        let mut reshaped = |x: Id, shape: Shape| graph.apply(Reshape(shape), &[x]);
        let x = reshaped(x, [batch, steps, inputs].into())?;
        let kernel = reshaped(kernel, [inputs, outputs].into())?;
        let bias = bias.map(|bias| reshaped(bias, [outputs].into())).transpose()?;
        let mut y = graph.apply(MatMul::new(false, false), &[x, kernel])?;
        if let Some(bias) = bias {
            y = graph.apply(Binary::Add, &[y, bias])?;
        }
        graph.apply(Reshape([&[batch, steps], to].concat().into()), &[y])
    }

    /// The mask that is an input, as (batch, heads or 1, queries, keys).
    fn given(&self, scope: &mut Scope<'_>, mask: Id, [queries, keys]: [usize; 2]) -> Result<Id> {
        let shape = scope.graph.shape(mask).clone();
        match shape[..] {
            [batch, t, j] if [t, j] == [queries, keys] => {
                scope.graph.apply(Reshape([batch, 1, queries, keys].into()), &[mask])
            }
            [_, heads, t, j] if [t, j] == [queries, keys] && (heads == 1 || heads == self.num_heads) => Ok(mask),
            _ => {
                let heads = self.num_heads;
                let message = format!(
                    "was given a mask of {shape}; expected (batch, {queries}, {keys}), or (batch, {heads}, {queries}, {keys})"
                );
                Err(scope.error(message))
            }
        }
    }
}

impl Layer for MultiHeadAttention {
    fn kind(&self) -> &'static str {
        "MultiHeadAttention"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let ([q, v, k], given) = self.inputs(scope, inputs)?;
        self.check(scope, [q, v, k])?;
        let [queries, keys] = [q, k].map(|x| scope.graph.shape(x)[1]);
        let [of_q, of_v, of_k] = [q, v, k].map(|x| scope.graph.shape(x)[2]);
        let [own_q, own_v] = [q, v].map(|x| scope.mask(x));
        let own_k = if k == v { None } else { scope.mask(k) };
        let heads = [self.num_heads, self.key_dim];
        let values = [self.num_heads, self.value_dim];
        let q_rows = self.projected(scope, q, "query", [&[of_q], &heads])?;
        let k_rows = self.projected(scope, k, "key", [&[of_k], &heads])?;
        let gate = match self.use_gate {
            true => Some(self.projected(scope, q, "gate", [&[of_q], &values])?),
            false => None,
        };
        let v_rows = self.projected(scope, v, "value", [&[of_v], &values])?;
        let given = given.map(|mask| self.given(scope, mask, [queries, keys])).transpose()?;
        let graph = &mut *scope.graph;
        let mut turned = |mask: Option<Id>, keys| mask.map(|mask| along(graph, mask, keys)).transpose();
        let [of_values, of_keys] = [turned(own_v, true)?, turned(own_k, true)?];
        // A mask of queries and keys is there already, to which that of queries adds nothing.
        let of_queries = turned(own_q.filter(|_| given.is_some()), false)?;
        let mask = all(graph, [given, of_values, of_keys, of_queries])?;
        let sight = Sight { causal: self.use_causal_mask, window: self.sliding_window, mask };
        let scale = 1.0 / (self.key_dim as f64).sqrt();
        let mut y = attended(scope, [q_rows, k_rows, v_rows], scale, sight, self.dropout)?;
        if let Some(mask) = own_q.filter(|_| given.is_none()) {
            y = or_mean(scope.graph, y, v_rows, mask)?;
        }
        if let Some(gate) = gate {
            let gate = Activation::Sigmoid.append(scope.graph, gate)?;
            y = scope.graph.apply(Binary::Mul, &[y, gate])?;
        }
        let output = self.output_shape.clone().unwrap_or_else(|| vec![of_q]);
        Ok(vec![self.projected(scope, y, "attention_output", [&values, &output])?])
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn keras_call(&self, mut values: Vec<Setting>) -> crate::nn::keras::Arguments {
        let mut named = Vec::new();
        if self.attention_mask {
            named.extend(values.pop().map(|mask| ("attention_mask", mask)));
        }
        if self.use_causal_mask {
            named.push(("use_causal_mask", true.into()));
        }
        // Keras asks for a value, too.
        if let [only] = &values[..] {
            values.push(only.clone());
        }
        [values.into_iter().map(|value| ("", value)).collect(), named]
    }

    fn keras_group(&self, name: &str) -> String {
        match name.split('/').next() {
            Some("attention_output") => "output_dense".into(),
            // Keras has no public name for it, as for the others.
            Some("gate") => "_gate_dense".into(),
            Some(part) => format!("{part}_dense"),
            None => String::new(),
        }
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = KerasObject::layer(self.kind(), name)
            .with("num_heads", self.num_heads)
            .with("key_dim", self.key_dim)
            .with("value_dim", self.value_dim)
            .with("dropout", self.dropout)
            .with("use_bias", self.use_bias)
            .with("use_gate", self.use_gate)
            .with("output_shape", self.output_shape.clone())
            .with("attention_axes", Setting::Null)
            .with("sliding_window", self.sliding_window)
            .with("activity_regularizer", Setting::Null)
            .with("seed", Setting::Null);
        Ok(Weight::keras_all(layer, &[("kernel", &self.kernel), ("bias", &self.bias)]))
    }

    fn config(&self) -> Config {
        let config = Config::new(self.kind())
            .with("num_heads", self.num_heads)
            .with("key_dim", self.key_dim)
            .with("value_dim", self.value_dim)
            .with("dropout", self.dropout)
            .with("use_bias", self.use_bias)
            .with("use_gate", self.use_gate)
            .with("output_shape", self.output_shape.clone())
            .with("sliding_window", self.sliding_window)
            .with("use_causal_mask", self.use_causal_mask)
            .with("attention_mask", self.attention_mask);
        Weight::keep_all(config, &[("kernel", &self.kernel), ("bias", &self.bias)])
    }
}
