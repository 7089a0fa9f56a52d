//! Attention of one head without projections: `Attention` by products or by sums, `AdditiveAttention` by weighed sums.

use super::super::Layer;
use super::super::dropout::check_rate;
use super::{Sight, along, attended, of_scores};
use crate::error::{Error, Result};
use crate::graph::{Aggregation, Graph, Id};
use crate::nn::keras::Arguments;
use crate::nn::{Activation, Config, Initializer, KerasObject, Scope, Setting, mask};
use crate::ops::binary::Binary;
use crate::ops::reshape::Reshape;

/// How a key answers a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Score {
    /// Their product, times a learned number where `use_scale`.
    Dot,
    /// A learned number times the sum of tanh(their sum), which is multiplied by another first where `use_scale`.
    Concat,
    /// The sum of tanh(their sum), weighed by a learned number for each feature where `use_scale`.
    Additive,
}

/// What both layers have.
#[derive(Clone, Copy, Debug)]
struct OfScores {
    score: Score,
    use_scale: bool,
    dropout: f64,
    use_causal_mask: bool,
}

/// A query's and a key's features added: (batch, 1, queries, keys, features).
fn sums(graph: &mut Graph, [q, k]: [Id; 2]) -> Result<Id> {
    let [[batch, queries, width], [_, keys, _]] = [q, k].map(|x| [0, 1, 2].map(|axis| graph.shape(x)[axis]));
    let q = graph.apply(Reshape([batch, queries, 1, width].into()), &[q])?;
    let k = graph.apply(Reshape([batch, 1, keys, width].into()), &[k])?;
    graph.apply(Binary::Add, &[q, k])
}

impl OfScores {
    fn from_config(config: &mut Config, score: Score) -> Result<Self> {
        Ok(Self {
            score,
            use_scale: config.take_or("use_scale", score == Score::Additive)?,
            dropout: config.take_or("dropout", 0.0)?,
            use_causal_mask: config.take_or("use_causal_mask", false)?,
        })
    }

    fn config(&self, kind: &str) -> Config {
        Config::new(kind)
            .with("use_scale", self.use_scale)
            .with("dropout", self.dropout)
            .with("use_causal_mask", self.use_causal_mask)
    }

    /// A call in Keras: on a list of all values.
    fn keras_call(&self, values: Vec<Setting>) -> Arguments {
        let named = if self.use_causal_mask { vec![("use_causal_mask", true.into())] } else { Vec::new() };
        [vec![("", values.into())], named]
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let (&[q, v] | &[q, v, _]) = inputs else {
            return Err(scope
                .error(format!("takes query and value, or query, value and key, was given {} inputs", inputs.len())));
        };
        let k = *inputs.get(2).unwrap_or(&v);
        check_rate(scope, self.dropout)?;
        let shapes = [q, v, k].map(|x| scope.graph.shape(x).clone());
        let go_together = shapes.iter().all(|shape| shape.rank() == 3)
            && shapes[0][2] == shapes[2][2]
            && shapes[1][1] == shapes[2][1];
        if !go_together {
            let [q, v, k] = shapes;
            let message = format!(
                "query {q}, value {v} and key {k} do not go together; expected (batch, queries, features), \
                                   (batch, keys, values) and (batch, keys, features)"
            );
            return Err(scope.error(message));
        }
        let keys = scope.mask(v).map(|mask| along(scope.graph, mask, true)).transpose()?;
        let sight = Sight { causal: self.use_causal_mask, window: None, mask: keys };
        let y = match self.score {
            Score::Dot => self.of_products(scope, [q, k, v], sight)?,
            _ => self.of_sums(scope, [q, k, v], sight)?,
        };
        // What a query that does not count gets is zero.
        let Some(mask) = scope.mask(q) else { return Ok(vec![y]) };
        let zero = scope.graph.fill(0.0, []);
        Ok(vec![mask::chosen(scope.graph, mask, [y, zero])?])
    }

    fn of_products(&self, scope: &mut Scope<'_>, [q, k, v]: [Id; 3], sight: Sight) -> Result<Id> {
        let scale = if self.use_scale { Some(scope.parameter("scale", [], Initializer::Ones)?) } else { None };
        let q = scale.map_or(Ok(q), |scale| scope.graph.apply(Binary::Mul, &[q, scale]))?;
        let one_head = |graph: &mut Graph, x: Id| {
            let shape = graph.shape(x).clone();
            graph.apply(Reshape([shape[0], shape[1], 1, shape[2]].into()), &[x])
        };
        let qkv = [one_head(scope.graph, q)?, one_head(scope.graph, k)?, one_head(scope.graph, v)?];
        let y = attended(scope, qkv, 1.0, sight, self.dropout)?;
        let shape = scope.graph.shape(y).clone();
        scope.graph.apply(Reshape([shape[0], shape[1], shape[3]].into()), &[y])
    }

    fn of_sums(&self, scope: &mut Scope<'_>, [q, k, v]: [Id; 3], sight: Sight) -> Result<Id> {
        let width = scope.graph.shape(q)[2];
        let mut x = sums(scope.graph, [q, k])?;
        let (mut features, mut scores) = (None, None);
        if self.score == Score::Concat {
            if self.use_scale {
                let scale = scope.parameter("scale", [], Initializer::Ones)?;
                x = scope.graph.apply(Binary::Mul, &[x, scale])?;
            }
            scores = Some(scope.parameter("concat_score_weight", [], Initializer::Ones)?);
        } else if self.use_scale {
            features = Some(scope.parameter("scale", [width], Initializer::GlorotUniform)?);
        }
        let graph = &mut *scope.graph;
        x = Activation::Tanh.append(graph, x)?;
        x = features.map_or(Ok(x), |weight| graph.apply(Binary::Mul, &[x, weight]))?;
        x = graph.reduce(Aggregation::Sum, x, Some(&[-1]), false)?;
        x = scores.map_or(Ok(x), |weight| graph.apply(Binary::Mul, &[x, weight]))?;
        let [batch, queries, keys] = [0, 1, 2].map(|axis| graph.shape(x)[axis]);
        let x = graph.apply(Reshape([batch, 1, queries, keys].into()), &[x])?;
        let values = graph.shape(v)[2];
        let v = graph.apply(Reshape([batch, 1, keys, values].into()), &[v])?;
        let y = of_scores(scope, x, v, sight, self.dropout)?;
        scope.graph.apply(Reshape([batch, queries, values].into()), &[y])
    }
}

/// Each query's mean of the values, weighed by the softmax of how the keys answer it: of (batch, queries, features) and values (batch,
/// keys, values), and keys (batch, keys, features) unless the values are the keys, (batch, queries, values).
/// The inputs are query, value and, where there is one, key, as in Keras.
///
/// A mask of the values leaves out keys; what a masked query gets is zero.
///
/// ```
/// use kiln::prelude::*;
/// let (question, text) = (Input::new([3, 8]), Input::new([10, 8]));
/// let y = Attention::new().apply([&question, &text])?;
/// assert_eq!(y.shape().to_string(), "(3, 8)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Attention(OfScores);

impl Default for Attention {
    fn default() -> Self {
        Self::new()
    }
}

impl Attention {
    /// By products of query and key, as they are.
    pub fn new() -> Self {
        Self(OfScores { score: Score::Dot, use_scale: false, dropout: 0.0, use_causal_mask: false })
    }

    pub(super) fn from_config(config: &mut Config) -> Result<Self> {
        let mode: String = config.take_or("score_mode", "dot".to_string())?;
        let score = Self::score_of(&mode)?;
        Ok(Self(OfScores::from_config(config, score)?))
    }

    fn score_of(mode: &str) -> Result<Score> {
        match mode {
            "dot" => Ok(Score::Dot),
            "concat" => Ok(Score::Concat),
            _ => Err(Error::argument("score_mode", crate::suggest::unknown(mode, &["dot", "concat"]))),
        }
    }

    /// Whether a key answers by the sum of tanh(query + key), times a learned number, instead of by its product with the query:
    /// Keras' `score_mode="concat"`; default false.
    #[must_use]
    pub fn concat_scores(mut self, concat: bool) -> Self {
        self.0.score = if concat { Score::Concat } else { Score::Dot };
        self
    }

    /// Whether what scores are made of is multiplied by a learned number, which starts at 1; default false.
    #[must_use]
    pub fn use_scale(mut self, use_scale: bool) -> Self {
        self.0.use_scale = use_scale;
        self
    }

    /// Sets the share of weights that is dropped in training; default 0.
    #[must_use]
    pub fn dropout(mut self, rate: f64) -> Self {
        self.0.dropout = rate;
        self
    }

    /// Whether a query sees no key behind its own place: Keras' argument of the call; default false.
    #[must_use]
    pub fn use_causal_mask(mut self, causal: bool) -> Self {
        self.0.use_causal_mask = causal;
        self
    }

    fn mode(&self) -> &'static str {
        if self.0.score == Score::Concat { "concat" } else { "dot" }
    }
}

/// [`Attention`] whose keys answer by the sum of scale * tanh(query + key), with a learned scale for each feature: Bahdanau and
/// others, <https://arxiv.org/abs/1409.0473>.
///
/// ```
/// use kiln::prelude::*;
/// let (query, value) = (Input::new([5, 8]), Input::new([7, 8]));
/// let read = AdditiveAttention::new().apply((&query, &value))?;
/// assert_eq!(read.shape().to_string(), "(5, 8)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AdditiveAttention(OfScores);

impl Default for AdditiveAttention {
    fn default() -> Self {
        Self::new()
    }
}

impl AdditiveAttention {
    /// With a scale that starts Glorot-uniform.
    pub fn new() -> Self {
        Self(OfScores { score: Score::Additive, use_scale: true, dropout: 0.0, use_causal_mask: false })
    }

    pub(super) fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self(OfScores::from_config(config, Score::Additive)?))
    }

    /// Whether there is a scale; default true.
    #[must_use]
    pub fn use_scale(mut self, use_scale: bool) -> Self {
        self.0.use_scale = use_scale;
        self
    }

    /// Sets the share of weights that is dropped in training; default 0.
    #[must_use]
    pub fn dropout(mut self, rate: f64) -> Self {
        self.0.dropout = rate;
        self
    }

    /// Whether a query sees no key behind its own place: Keras' argument of the call; default false.
    #[must_use]
    pub fn use_causal_mask(mut self, causal: bool) -> Self {
        self.0.use_causal_mask = causal;
        self
    }
}

impl Layer for Attention {
    fn kind(&self) -> &'static str {
        "Attention"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        self.0.call(scope, inputs)
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn keras_call(&self, values: Vec<Setting>) -> Arguments {
        self.0.keras_call(values)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name)
            .with("use_scale", self.0.use_scale)
            .with("score_mode", self.mode())
            .with("dropout", self.0.dropout)
            .with("seed", Setting::Null))
    }

    fn config(&self) -> Config {
        self.0.config(self.kind()).with("score_mode", self.mode().to_string())
    }
}

impl Layer for AdditiveAttention {
    fn kind(&self) -> &'static str {
        "AdditiveAttention"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        self.0.call(scope, inputs)
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn keras_call(&self, values: Vec<Setting>) -> Arguments {
        self.0.keras_call(values)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name)
            .with("use_scale", self.0.use_scale)
            .with("dropout", self.0.dropout)
            .with("seed", Setting::Null))
    }

    fn config(&self) -> Config {
        self.0.config(self.kind())
    }
}
