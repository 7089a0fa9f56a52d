//! Random graphs: ops, effects and leaves in a random order, and what is known of the numbers that they hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::Rng as _;

use super::{N, OUTPUTS, STATE, TENSORS, arena};
use crate::graph::{Graph, Id, Leaf, Type};
use crate::ops::Op;
use crate::ops::accumulate::Accumulate;
use crate::ops::accuracy::SparseCategoricalAccuracy;
use crate::ops::activation::{Activate, ActivateGrad, Function};
use crate::ops::binary::Binary;
use crate::ops::clock::WORDS;
use crate::ops::copy::Copy;
use crate::ops::matmul::MatMul;
use crate::ops::normalize::Normalize;
use crate::ops::optimizer::{Optimizer as _, SCALARS};
use crate::ops::pad::Pad;
use crate::ops::reshape::Reshape;
use crate::ops::sgd::Sgd;
use crate::ops::slice::{Cut, Slice as Part};
use crate::ops::softmax_cross_entropy::{SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad};
use crate::ops::sum::Sum;
use crate::ops::transpose::Transpose;
use crate::plan::{Arena, BufferId};
use crate::random::stream;

/// What is known of a value's elements, or of those of a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    /// Whether they are whole numbers, which each device computes exactly.
    pub exact: bool,
    /// None is further from 0.
    pub bound: f64,
}

#[derive(Clone, Debug)]
struct Value {
    id: Id,
    numbers: Numbers,
    /// The buffer that its elements are in where it is a leaf or a view of one.
    buffer: Option<BufferId>,
    is_leaf: bool,
}

/// Writes a random graph.
pub(super) struct Writer {
    rng: rand::rngs::ChaCha8Rng,
    g: Graph,
    arena: Arena,
    values: Vec<Value>,
    buffers: BTreeMap<BufferId, Numbers>,
    labels: Id,
    clock: Id,
    schedule: Id,
}

impl Writer {
    pub fn new(seed: u64) -> Self {
        let (mut g, arena) = (Graph::new(), arena());
        let labels = g.leaf(Leaf::Input(9), Type::u32([N]));
        let clock = g.leaf(Leaf::Clock, Type::u32([WORDS]));
        let schedule = g.leaf(Leaf::Schedule, Type::float([1, SCALARS]));
        let (values, buffers) = Default::default();
        let rng = stream(seed, "graph", 0);
        let mut writer = Self { rng, g, arena, values, buffers, labels, clock, schedule };
        for _ in 0..4 {
            writer.leaf();
        }
        writer
    }

    fn below(&mut self, n: usize) -> usize {
        self.rng.next_u32() as usize % n
    }

    /// A leaf, which may be one that there is under another id, or overlap with one.
    fn leaf(&mut self) {
        let (leaf, shape, buffer) = match self.below(10) {
            i @ 0..2 => (Leaf::Input(i), vec![N, N], BufferId::Input(i)),
            2 => (Leaf::Input(2), vec![N], BufferId::Input(2)),
            3 => (Leaf::Output(0), vec![N, N], BufferId::Output(0)),
            i @ 4..7 => (Leaf::Param(i - 4), TENSORS[i - 4].to_vec(), BufferId::Params),
            7 => (Leaf::From(Box::new(Leaf::Params), 64), vec![N], BufferId::Params),
            8 => (Leaf::Param(STATE), TENSORS[STATE].to_vec(), BufferId::Params),
            _ => (Leaf::Grad(0), vec![N, N], BufferId::Grads),
        };
        let id = self.g.leaf(leaf, Type::float(shape));
        let numbers = Numbers { exact: true, bound: 2.0 };
        self.values.push(Value { id, numbers, buffer: Some(buffer), is_leaf: true });
    }

    /// A value that fits, rather a new one.
    fn pick(&mut self, fits: impl Fn(&Graph, &Value) -> bool) -> Option<Value> {
        let fitting: Vec<Value> = self.values.iter().filter(|value| fits(&self.g, value)).cloned().collect();
        let recent = fitting.len().saturating_sub(if self.below(3) > 0 { 4 } else { 1000 });
        let fitting = &fitting[recent..];
        let value = fitting.get(self.below(fitting.len().max(1)))?.clone();
        Some(self.now(value))
    }

    /// A value as it is read from here on: a leaf has what its buffer holds by now.
    fn now(&self, value: Value) -> Value {
        let now = value.buffer.filter(|_| value.is_leaf).and_then(|buffer| self.buffers.get(&buffer));
        Value { numbers: now.copied().unwrap_or(value.numbers), ..value }
    }

    fn pick_shape(&mut self, shape: &[usize]) -> Option<Value> {
        self.pick(|g, value| **g.shape(value.id) == *shape)
    }

    fn apply(&mut self, op: impl Op, inputs: &[&Value], numbers: Numbers) -> Option<Value> {
        if numbers.bound > 1e5 {
            return None;
        }
        let buffer = if op.is_view() { inputs[0].buffer } else { None };
        let inputs: Vec<Id> = inputs.iter().map(|value| value.id).collect();
        let id = self.g.apply(op, &inputs).unwrap();
        Some(self.made(id, numbers, buffer))
    }

    fn made(&mut self, id: Id, numbers: Numbers, buffer: Option<BufferId>) -> Value {
        let value = Value { id, numbers, buffer, is_leaf: false };
        self.values.push(value.clone());
        value
    }

    /// Anything: an op, an effect, a leaf.
    fn add(&mut self) -> Option<()> {
        match self.below(22) {
            16..18 => self.skip(),
            18..20 => self.state(),
            20 => self.heads(),
            21 => self.normalized(),
            0..3 => self.product().map(drop),
            3..5 => self.elementwise(),
            5 => self.activation(),
            6 => self.sum(),
            7..9 => self.moved(),
            9..11 => self.classifier(),
            11..14 => self.copied(),
            14 => self.arenas(),
            _ => {
                self.leaf();
                Some(())
            }
        }
    }

    /// A connection around a block: what goes into some products is added to what comes out of them.
    fn skip(&mut self) -> Option<()> {
        let x = self.pick_shape(&[N, N])?;
        let mut h = self.product_of(&x)?;
        if self.below(3) == 0 {
            h = self.product_of(&h)?;
        }
        self.between();
        let x = self.now(x);
        let pair = if self.below(2) == 0 { [&x, &h] } else { [&h, &x] };
        let y = self.apply(Binary::Add, &pair, all(&pair, |bounds| bounds[0] + bounds[1]))?;
        match self.below(3) {
            0 => self.apply(Activate(Function::Relu), &[&y], y.numbers).map(drop),
            1 => self.apply(Sum::new(0..1), &[&y], all(&[&y], |bounds| N as f64 * bounds[0])).map(drop),
            _ => Some(()),
        }
    }

    /// A state takes in what a batch has; where a step is looked at before its update, what it becomes waits in its segment of
    /// the gradients. It may be read on the way, and take in more before the step ends.
    fn state(&mut self) -> Option<()> {
        let leaf = |writer: &mut Self, leaf, buffer| {
            let numbers = writer.held(buffer);
            let id = writer.g.leaf(leaf, Type::float(TENSORS[STATE]));
            Value { id, numbers, buffer: Some(buffer), is_leaf: true }
        };
        let mut state = leaf(self, Leaf::Param(STATE), BufferId::Params);
        for _ in 0..1 + self.below(2) {
            let x = self.pick_shape(&[N, N])?;
            let found = self.apply(Sum::new(0..1), &[&x], all(&[&x], |bounds| N as f64 * bounds[0]))?;
            let sum = all(&[&state, &found], |bounds| bounds[0] + bounds[1]);
            let op = [Binary::Add, Binary::Sub, Binary::Max][self.below(3)];
            state = self.apply(op, &[&state, &found], sum)?;
            self.between();
        }
        let waits = self.below(2) == 0;
        let numbers = state.numbers;
        if waits {
            let place = leaf(self, Leaf::Grad(STATE), BufferId::Grads);
            self.g.effect(Copy, &[state.id], &[place.id]).unwrap();
            self.fill(BufferId::Grads, numbers);
            self.values.push(place.clone());
            self.between();
            state = Value { numbers: self.held(BufferId::Grads), ..place };
        }
        let place = leaf(self, Leaf::Param(STATE), BufferId::Params);
        self.g.effect(Copy, &[state.id], &[place.id]).unwrap();
        self.fill(BufferId::Params, state.numbers);
        self.values.push(place);
        Some(())
    }

    /// Two outputs of a network: heads of one value, each with a loss, and the sum of both.
    fn heads(&mut self) -> Option<()> {
        let x = self.pick(|g, value| **g.shape(value.id) == [N, N] && value.numbers.exact)?;
        let mut losses = Vec::new();
        for i in 0..2 {
            let x = self.now(x.clone());
            let w = self.pick_shape(&[N, N])?;
            let y = self.apply(MatMul::new(false, false), &[&x, &w], all(&[&x, &w], |b| N as f64 * b[0] * b[1]))?;
            self.between();
            let bound = 2.0 * y.numbers.bound + 2.0;
            if i == 0 && y.numbers.exact {
                let labels = Value { id: self.labels, numbers: y.numbers, buffer: None, is_leaf: false };
                losses.push(self.apply(SoftmaxCrossEntropy, &[&y, &labels], Numbers { exact: false, bound })?);
            } else {
                losses.push(self.apply(Sum::new(1..2), &[&y], all(&[&y], |b| N as f64 * b[0]))?);
            }
        }
        let [a, b] = [&losses[0], &losses[1]];
        self.apply(Binary::Add, &[a, b], all(&[a, b], |bounds| bounds[0] + bounds[1])).map(drop)
    }

    /// An op of several outputs, each of which may have readers or none.
    fn normalized(&mut self) -> Option<()> {
        // Of rounded numbers that are nearly one the spread would be another.
        let x = self.pick(|g, value| **g.shape(value.id) == [N, N] && value.numbers.exact)?;
        if !x.numbers.exact {
            return None;
        }
        let first = self.below(2);
        let outputs = Arc::new(Normalize { axes: first..first + 1, epsilon: 0.5 });
        let outputs = self.g.apply_all(outputs, &[x.id]).unwrap();
        let bound = x.numbers.bound;
        let bounds = [2.0, bound, bound * bound];
        for (y, bound) in outputs.into_iter().zip(bounds).filter(|&(_, bound)| bound <= 1e5) {
            self.made(y, Numbers { exact: false, bound }, None);
        }
        self.between();
        Some(())
    }

    /// What is known of what a buffer holds by now.
    fn held(&self, buffer: BufferId) -> Numbers {
        self.buffers.get(&buffer).copied().unwrap_or(Numbers { exact: true, bound: 2.0 })
    }

    /// A product, and perhaps what may become its epilogue, with something between.
    fn product(&mut self) -> Option<Value> {
        let a = self.pick_shape(&[N, N])?;
        self.product_of(&a)
    }

    /// [`Writer::product`] of a value and another.
    fn product_of(&mut self, a: &Value) -> Option<Value> {
        let b = self.pick_shape(&[N, N])?;
        let numbers = all(&[a, &b], |bounds| N as f64 * bounds[0] * bounds[1]);
        let op = MatMul::new(self.below(2) == 0, self.below(2) == 0);
        let mut y = self.apply(op, &[a, &b], numbers)?;
        for _ in 0..self.below(3) {
            self.between();
            y = match self.below(3) {
                0 => {
                    let bias = self.pick_shape(&[N])?;
                    self.apply(Binary::Add, &[&y, &bias], all(&[&y, &bias], |bounds| bounds[0] + bounds[1]))?
                }
                1 => self.apply(Activate(Function::Relu), &[&y], y.numbers)?,
                _ => {
                    // Relu's slope is a step: a rounded h might be on its other side.
                    let h = self.pick(|g, value| **g.shape(value.id) == [N, N] && value.numbers.exact)?;
                    let numbers = all(&[&h, &y], |bounds| bounds[1]);
                    h.numbers.exact.then(|| self.apply(ActivateGrad(Function::Relu), &[&h, &y], numbers))??
                }
            };
        }
        Some(y)
    }

    /// Sometimes an effect, sometimes nothing.
    fn between(&mut self) {
        if self.below(3) == 0 {
            let _ = self.copied();
        }
    }

    fn elementwise(&mut self) -> Option<()> {
        let a = self.pick(|_, _| true)?;
        let shape = self.g.shape(a.id).clone();
        let b = self.pick_shape(&shape)?;
        let (op, bound): (_, fn(&[f64]) -> f64) = match self.below(4) {
            0 => (Binary::Add, |bounds| bounds[0] + bounds[1]),
            1 => (Binary::Sub, |bounds| bounds[0] + bounds[1]),
            2 => (Binary::Mul, |bounds| bounds[0] * bounds[1]),
            _ => (Binary::Max, |bounds| bounds[0].max(bounds[1])),
        };
        self.apply(op, &[&a, &b], all(&[&a, &b], bound)).map(drop)
    }

    fn activation(&mut self) -> Option<()> {
        let x = self.pick_shape(&[N, N])?;
        self.apply(Activate(Function::Tanh), &[&x], Numbers { exact: false, bound: 1.0 }).map(drop)
    }

    /// Sums of rows, often two, which may become a pair.
    fn sum(&mut self) -> Option<()> {
        for _ in 0..1 + self.below(2) {
            let x = self.pick_shape(&[N, N])?;
            self.apply(Sum::new(0..1), &[&x], all(&[&x], |bounds| N as f64 * bounds[0]))?;
            self.between();
        }
        Some(())
    }

    /// The same elements elsewhere, or under another shape.
    fn moved(&mut self) -> Option<()> {
        match self.below(6) {
            0..2 => {
                let x = self.pick_shape(&[N, N])?;
                self.apply(Reshape([N * N].into()), &[&x], x.numbers)
            }
            2..4 => {
                let x = self.pick_shape(&[N * N])?;
                self.apply(Reshape([N, N].into()), &[&x], x.numbers)
            }
            4 => {
                let x = self.pick_shape(&[N, N])?;
                self.apply(Transpose(vec![1, 0]), &[&x], x.numbers)
            }
            _ => {
                let x = self.pick_shape(&[N, N])?;
                let part = self.apply(Part(vec![Cut::new(1, 3), Cut::new(0, N)]), &[&x], x.numbers)?;
                self.between();
                let (before, step, shape) = (vec![0, 0], vec![1, 1], [N, N].into());
                self.apply(Pad { before, step, shape, value: 1.0 }, &[&part], part.numbers)
            }
        }
        .map(drop)
    }

    /// Cross-entropy, its gradient and the accuracy of the same logits, with something between.
    fn classifier(&mut self) -> Option<()> {
        // Of rounded scores another one may be the largest.
        let x = self.pick(|g, value| **g.shape(value.id) == [N, N] && value.numbers.exact)?;
        if !x.numbers.exact {
            return None;
        }
        let labels = Value { id: self.labels, numbers: x.numbers, buffer: None, is_leaf: false };
        let rounded = |bound| Numbers { exact: false, bound };
        self.apply(SoftmaxCrossEntropy, &[&x, &labels], rounded(2.0 * x.numbers.bound + 2.0))?;
        let hits_first = self.below(2) == 0;
        for hits in [hits_first, !hits_first] {
            self.between();
            if !self.now(x.clone()).numbers.exact {
                return None;
            }
            if hits {
                self.apply(SparseCategoricalAccuracy, &[&x, &labels], Numbers { exact: true, bound: 1.0 })?;
            } else {
                let dloss = self.pick_shape(&[N])?;
                self.apply(SoftmaxCrossEntropyGrad, &[&x, &labels, &dloss], rounded(dloss.numbers.bound))?;
            }
        }
        Some(())
    }

    /// A value that goes into a leaf.
    fn copied(&mut self) -> Option<()> {
        let (leaf, shape, buffer) = match self.below(10) {
            i @ 0..2 => (Leaf::Input(i), vec![N, N], BufferId::Input(i)),
            2 => (Leaf::Input(2), vec![N], BufferId::Input(2)),
            i @ 3..6 => (Leaf::Param(i - 3), TENSORS[i - 3].to_vec(), BufferId::Params),
            i @ 6..8 => (Leaf::Grad(i - 6), TENSORS[i - 6].to_vec(), BufferId::Grads),
            8 => (Leaf::From(Box::new(Leaf::Params), 64), vec![N], BufferId::Params),
            _ => (Leaf::Output(0), vec![N, N], BufferId::Output(0)),
        };
        // No device reads and writes a buffer at once.
        let x = self.pick(|g, value| **g.shape(value.id) == *shape && value.buffer != Some(buffer))?;
        let target = self.g.leaf(leaf, Type::float(shape));
        self.g.effect(Copy, &[x.id], &[target]).unwrap();
        self.fill(buffer, x.numbers);
        Some(())
    }

    /// Notes what a buffer holds from here on, beside what it held.
    fn fill(&mut self, buffer: BufferId, new: Numbers) {
        let old = self.buffers.entry(buffer).or_insert(Numbers { exact: true, bound: 2.0 });
        *old = Numbers { exact: old.exact && new.exact, bound: old.bound.max(new.bound) };
    }

    /// An effect on whole arenas, or parts of them.
    fn arenas(&mut self) -> Option<()> {
        let len = self.arena.len();
        let [params, grads, moment] =
            [BufferId::Params, BufferId::Grads, BufferId::Moment(0)].map(|buffer| self.held(buffer));
        let add = |a: Numbers, b: Numbers| Numbers { exact: a.exact && b.exact, bound: a.bound + b.bound };
        if add(add(params, grads), moment).bound > 1e4 {
            return None;
        }
        let whole = |g: &mut Graph, leaf| g.leaf(leaf, Type::float([len]));
        if self.below(2) == 0 {
            let [from, to] = [Leaf::Grads, Leaf::Moment(0)].map(|leaf| whole(&mut self.g, leaf));
            self.g.effect(Accumulate { ends: None }, &[from], &[to]).unwrap();
            self.fill(BufferId::Moment(0), add(grads, moment));
            return Some(());
        }
        let first = 64 * self.below(2);
        let part = |leaf| if first == 0 { leaf } else { Leaf::From(Box::new(leaf), first) };
        let [grad, param] = [Leaf::Grads, Leaf::Params].map(|leaf| self.g.leaf(part(leaf), Type::float([len - first])));
        self.g.effect_dyn(Sgd::default().update(), &[grad, self.schedule, self.clock], &[param]).unwrap();
        self.fill(BufferId::Params, add(params, grads));
        Some(())
    }

    /// The graph, with what its outputs hold.
    pub fn finish(mut self) -> (Graph, BTreeMap<BufferId, Numbers>) {
        for _ in 0..8 + self.below(20) {
            let _ = self.add();
        }
        for i in 1..1 + OUTPUTS {
            if let Some(x) = self.pick_shape(&[N, N]).filter(|x| x.buffer != Some(BufferId::Output(i))) {
                self.g.output(i, x.id).unwrap();
                self.fill(BufferId::Output(i), x.numbers);
            }
        }
        if let Some(x) = self.pick_shape(&[N]) {
            self.g.output(OUTPUTS + 1, x.id).unwrap();
            self.fill(BufferId::Output(OUTPUTS + 1), x.numbers);
        }
        (self.g, self.buffers)
    }
}

/// What is known of a result, by what is known of its operands.
fn all(operands: &[&Value], bound: impl Fn(&[f64]) -> f64) -> Numbers {
    let bounds: Vec<f64> = operands.iter().map(|value| value.numbers.bound).collect();
    Numbers { exact: operands.iter().all(|value| value.numbers.exact), bound: bound(&bounds) }
}
