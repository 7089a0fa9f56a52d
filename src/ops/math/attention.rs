//! Attention: each query takes a mean of the values, weighed by how its key answers it:
//! y[b, t, h] = sum over j of p[t, j] v[b, j, g], p[t, j] = exp(s[t, j] - most) / sum over j of exp(s[t, j] - most),
//! s[t, j] = scale q[b, t, h] . k[b, j, g], or -1e30 where the key does not count.
//!
//! Weights are not kept: a row of them is made anew, forwards from a running maximum and sum, backwards from the two that are left.
//! So memory grows with the number of steps, not with its square. Where nothing counts for a query it takes the mean of all values, as
//! Keras on JAX has it.

mod cases;
mod cpu;
mod gpu;
#[cfg(feature = "onnx")]
mod onnx;

use std::sync::Arc;

use super::cpu::Real;
use super::dispatch::{Dispatch, Target};
use super::{Io, Op, expect_inputs};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::Writer;
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Shape};
pub(crate) use cases::cases;

/// The score of a key that does not count.
const LOW: f64 = -1e30;

/// The largest score is no lower, so that infinities below it leave what is left of it finite.
const LEAST: f64 = -3e38;

/// Numbers of a key or a value, at most.
const MOST_WIDTH: usize = 4096;

/// y (batch, queries, heads, value) of q (batch, queries, heads, key), k (batch, keys, groups, key), v (batch, keys, groups,
/// value) and, where there is one, a mask (batch, heads, queries, keys), any of whose extents may be 1: a key counts where it is
/// above a half. Neighbouring heads share a group's keys and values. Beside y what makes the weights again, (batch, queries,
/// heads, 2): the largest score and the sum of exponentials.
///
/// ```
/// use kiln::device::{Device, Function};
/// use kiln::graph::{Graph, Leaf, Type};
/// use kiln::ops::attention::Attention;
/// use kiln::tensor::Tensor;
/// let mut graph = Graph::new();
/// let q = graph.leaf(Leaf::Input(0), Type::float([1, 2, 1, 3]));
/// let y = Attention { causal: true, ..Attention::new(1.0) }.append(&mut graph, [q, q, q], None)?;
/// graph.output(0, y)?;
/// let mut attend = Function::new(&Device::cpu(), &graph)?;
/// let y = attend.call(&[Tensor::new([1, 2, 1, 3], vec![1.0f32, 2.0, 3.0, 0.0, 0.0, 0.0])?])?;
/// // The first sees itself alone, the second both alike.
/// assert_eq!(y[0].values().to_f64(), [1.0, 2.0, 3.0, 0.5, 1.0, 1.5]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// What scores are multiplied by.
    pub scale: f64,
    /// Whether a query sees no key behind its own place.
    pub causal: bool,
    /// So many places away from its own, and further, a query sees no key.
    pub window: Option<usize>,
}

/// dq, dk and dv of q, k, v, the mask if there is one, y, what was left beside it, and dy
#[derive(Clone, Copy, Debug)]
pub struct AttentionGrad(pub Attention);

/// The extents of an attention.
#[derive(Clone, Copy, Debug)]
struct Extents {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    groups: usize,
    /// Numbers of a key, and of a value.
    key: usize,
    value: usize,
    /// The mask's extents, if there is one.
    mask: Option<[usize; 4]>,
}

impl Extents {
    /// Those of q, k, v and, where there is one, a mask.
    fn of(inputs: &[Type]) -> Result<Self> {
        let shapes: Vec<&Shape> = inputs.iter().map(|ty| &ty.shape).collect();
        let refused = |message: String| Err(Error::shape("attention", message));
        let (&[batch, queries, heads, key], &[_, keys, groups, _], &[_, _, _, value]) =
            (&shapes[0][..], &shapes[1][..], &shapes[2][..])
        else {
            return refused(format!(
                "takes q, k and v of four axes, was given {}, {}, {}",
                shapes[0], shapes[1], shapes[2]
            ));
        };
        let [q, k, v] = [shapes[0], shapes[1], shapes[2]];
        if k[..] != [batch, keys, groups, key] || v[..] != [batch, keys, groups, value] {
            return refused(format!("q {q}, k {k} and v {v} do not go together"));
        }
        if inputs[..3].iter().any(|ty| ty.shape.is_empty()) || !heads.is_multiple_of(groups) {
            return refused(format!("{heads} heads of q {q} do not share {groups} groups of k {k}"));
        }
        if key.max(value) > MOST_WIDTH {
            return refused(format!("keys of {key} and values of {value} numbers; at most {MOST_WIDTH} are taken"));
        }
        let mask = shapes.get(3).map(|shape| shape.to_vec());
        let whole = [batch, heads, queries, keys];
        let mask = match mask.as_deref() {
            None => None,
            Some(&[a, b, c, d]) if [a, b, c, d].iter().zip(&whole).all(|(own, all)| own == all || *own == 1) => {
                Some([a, b, c, d])
            }
            Some(_) => return refused(format!("the mask {} is not of {}", shapes[3], Shape::from(whole))),
        };
        Ok(Self { batch, queries, keys, heads, groups, key, value, mask })
    }

    /// Elements from one of the mask to the next along each axis, 0 along those that it is repeated along.
    fn mask_strides(&self) -> [usize; 4] {
        let Some(extents) = self.mask else { return [0; 4] };
        let mut strides = [0; 4];
        let mut stride = 1;
        for axis in (0..4).rev() {
            strides[axis] = if extents[axis] == 1 { 0 } else { stride };
            stride *= extents[axis];
        }
        strides
    }

    /// Multiply-adds of the scores, or of the means.
    fn products(&self, width: usize) -> u64 {
        [self.batch, self.queries, self.keys, self.heads, width].iter().map(|&extent| extent as u64).product()
    }
}

impl Attention {
    /// Of all keys alike.
    pub fn new(scale: f64) -> Self {
        Self { scale, causal: false, window: None }
    }

    /// Appends it to a graph, and gives y.
    ///
    /// # Errors
    /// [`Error::Shape`] where q, k, v and the mask do not go together.
    pub fn append(self, graph: &mut Graph, [q, k, v]: [Id; 3], mask: Option<Id>) -> Result<Id> {
        let inputs: Vec<Id> = [q, k, v].into_iter().chain(mask).collect();
        Ok(graph.apply_all(Arc::new(self), &inputs)?[0])
    }

    /// The places of the keys that a query may see, if it sees any of the first `keys`.
    fn seen(&self, query: usize, keys: usize) -> std::ops::Range<usize> {
        let window = self.window.unwrap_or(usize::MAX);
        let first = (query + 1).saturating_sub(window);
        let end = if self.causal { query + 1 } else { query.saturating_add(window) };
        first..end.min(keys)
    }
}

impl Op for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("attention", inputs, &[DType::F32; 4][..inputs.len().clamp(3, 4)])?;
        if !self.scale.is_finite() || self.window == Some(0) {
            return Err(Error::shape(
                "attention",
                format!("scale {} and window {:?}; give a finite number, and 1 or more", self.scale, self.window),
            ));
        }
        let e = Extents::of(inputs)?;
        let rows = [e.batch, e.queries, e.heads];
        Ok(vec![Type::float([&rows[..], &[e.value]].concat()), Type::float([&rows[..], &[2]].concat())])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let (Some(dy), None) = (dy[0], dy[1]) else {
            return Err(Error::shape("attention", "what it leaves beside y has no gradient"));
        };
        let inputs = [x, y, &[dy]].concat();
        let mut gradients: Vec<_> =
            g.apply_all(Arc::new(AttentionGrad(*self)), &inputs)?.into_iter().map(Some).collect();
        gradients.resize(x.len(), None);
        Ok(gradients)
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        self.write(writer)
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        gpu::forward(self, io)
    }

    fn flops(&self, io: &Io) -> u64 {
        Extents::of(&io.inputs).map_or(0, |e| 2 * e.products(e.key + e.value) + 4 * e.products(1))
    }
}

impl AttentionGrad {
    /// The types of q, k, v and the mask, and of the three that follow.
    fn split(inputs: &[Type]) -> Result<(&[Type], &[Type])> {
        expect_inputs("attention_grad", inputs, &[DType::F32; 7][..inputs.len().clamp(6, 7)])?;
        Ok(inputs.split_at(inputs.len() - 3))
    }
}

impl Op for AttentionGrad {
    fn name(&self) -> &'static str {
        "attention_grad"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        let (x, others) = Self::split(inputs)?;
        let own = self.0.outputs(x)?;
        if others != [own[0].clone(), own[1].clone(), own[0].clone()] {
            let message = format!("{}, {} and {} are not of an attention of {}", others[0], others[1], others[2], x[0]);
            return Err(Error::shape("attention_grad", message));
        }
        Ok(x[..3].to_vec())
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        gpu::gradient(&self.0, io)
    }

    fn flops(&self, io: &Io) -> u64 {
        Extents::of(&io.inputs[..io.inputs.len() - 3])
            .map_or(0, |e| 2 * e.products(3 * e.key + 2 * e.value) + 8 * e.products(1))
    }
}
