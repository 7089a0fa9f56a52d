//! Layers by which the steps of a sequence look at others, <https://keras.io/api/layers/attention_layers/>.

mod multi_head;
mod of_scores;

pub use multi_head::MultiHeadAttention;
pub use of_scores::{AdditiveAttention, Attention};

use super::Layer;
use crate::error::Result;
use crate::graph::{Graph, Id};
use crate::nn::{Config, Scope, mask};
use crate::ops;
use crate::ops::binary::Binary;
use crate::ops::matmul::MatMul;
use crate::ops::reshape::Reshape;
use crate::ops::select::Select;
use crate::ops::softmax::Softmax;
use crate::ops::sum::Sum;
use crate::ops::transpose::Transpose;
use crate::tensor::Tensor;

/// The layer of this class, with the settings taken out of `config`; `None` where the class is none of these.
pub(super) fn from_config(config: &mut Config) -> Result<Option<Box<dyn Layer>>> {
    Ok(Some(match config.class() {
        "AdditiveAttention" => Box::new(AdditiveAttention::from_config(config)?),
        "Attention" => Box::new(Attention::from_config(config)?),
        "MultiHeadAttention" => Box::new(MultiHeadAttention::from_config(config)?),
        _ => return Ok(None),
    }))
}

/// The score of what does not count, as the op has it.
const LOW: f64 = -1e30;

/// Which keys a query may look at.
#[derive(Clone, Copy, Debug)]
struct Sight {
    causal: bool,
    window: Option<usize>,
    /// Ones and zeros (batch, heads, queries, keys), any of whose extents but the batch's may be 1.
    mask: Option<Id>,
}

impl Sight {
    /// Scores (batch, heads, queries, keys), those of what does not count being low.
    fn of_scores(&self, graph: &mut Graph, scores: Id) -> Result<Id> {
        let shape = graph.shape(scores).clone();
        let [queries, keys] = [shape[2], shape[3]];
        let low = graph.fill(LOW, []);
        let mut scores = scores;
        if self.causal || self.window.is_some() {
            let window = self.window.unwrap_or(usize::MAX);
            let seen = |t: usize, j: usize| !(self.causal && j > t) && t.abs_diff(j) < window;
            let seen = (0..queries * keys).map(|i| f32::from(seen(i / keys, i % keys)));
            let seen = graph.constant(&Tensor::new([queries, keys], seen.collect::<Vec<_>>())?);
            scores = graph.apply(Select, &[seen, scores, low])?;
        }
        match self.mask {
            Some(mask) => graph.apply(Select, &[mask, scores, low]),
            None => Ok(scores),
        }
    }
}

/// Attention of q (batch, queries, heads, key), k (batch, keys, heads, key) and v (batch, keys, heads, value): of weights some of
/// which are dropped, where there is such a rate and the model is trained.
fn attended(scope: &mut Scope<'_>, qkv: [Id; 3], scale: f64, sight: Sight, dropout: f64) -> Result<Id> {
    let Sight { causal, window, mask } = sight;
    if dropout == 0.0 || scope.training().is_none() {
        return ops::attention::Attention { scale, causal, window }.append(scope.graph, qkv, mask);
    }
    let [q, k, v] = qkv;
    let mut turned = |x: Id| scope.graph.apply(Transpose(vec![0, 2, 1, 3]), &[x]);
    let [q, k, v] = [turned(q)?, turned(k)?, turned(v)?];
    let graph = &mut *scope.graph;
    let scores = graph.apply(MatMul::stacked(false, true), &[q, k])?;
    let scale = graph.fill(scale, []);
    let scores = graph.apply(Binary::Mul, &[scores, scale])?;
    let y = of_scores(scope, scores, v, sight, dropout)?;
    scope.graph.apply(Transpose(vec![0, 2, 1, 3]), &[y])
}

/// The means of v (batch, heads, keys, value) by scores (batch, heads, queries, keys).
fn of_scores(scope: &mut Scope<'_>, scores: Id, v: Id, sight: Sight, dropout: f64) -> Result<Id> {
    let scores = sight.of_scores(scope.graph, scores)?;
    let mut weights = scope.graph.apply(Softmax, &[scores])?;
    if let Some(clock) = scope.training().filter(|_| dropout > 0.0) {
        let dropout = ops::dropout::Dropout::new(dropout, scope.salt());
        weights = scope.graph.apply(dropout, &[weights, clock])?;
    }
    scope.graph.apply(MatMul::stacked(false, false), &[weights, v])
}

/// The product of masks, of those that there are.
fn all(graph: &mut Graph, masks: impl IntoIterator<Item = Option<Id>>) -> Result<Option<Id>> {
    let mut whole: Option<Id> = None;
    for mask in masks.into_iter().flatten() {
        whole = Some(match whole {
            Some(whole) => graph.apply(Binary::Mul, &[whole, mask])?,
            None => mask,
        });
    }
    Ok(whole)
}

/// A mask of a sequence's steps as one of keys, or of queries.
fn along(graph: &mut Graph, mask: Id, keys: bool) -> Result<Id> {
    let [batch, steps] = [graph.shape(mask)[0], graph.shape(mask)[1]];
    let shape = if keys { [batch, 1, 1, steps] } else { [batch, 1, steps, 1] };
    graph.apply(Reshape(shape.into()), &[mask])
}

/// y (batch, queries, heads, value) where the mask of queries holds, elsewhere the mean of all values, as where nothing counts.
fn or_mean(graph: &mut Graph, y: Id, v: Id, queries: Id) -> Result<Id> {
    let shape = graph.shape(v).clone();
    let mean = graph.apply(Sum::scaled(1..2, 1.0 / shape[1] as f64), &[v])?;
    let mean = graph.apply(Reshape([shape[0], 1, shape[2], shape[3]].into()), &[mean])?;
    mask::chosen(graph, queries, [y, mean])
}
