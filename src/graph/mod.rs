//! The graph: values, and the nodes that make them. Shapes are checked as it is built; gradients are ordinary nodes.

mod aggregation;
mod leaf;
#[cfg(feature = "onnx")]
pub mod onnx;
mod op;
pub(crate) mod order;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub use aggregation::Aggregation;
pub use leaf::Leaf;
pub use op::Op;
pub(crate) use order::{Guard, Order};

use crate::error::{Error, Result};
use crate::kernel::Io;
pub use crate::tensor::Type;
use crate::tensor::{DType, Shape, Tensor};

/// A value of one [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    index: u32,
    /// The [`Graph::tag`] under which it was added.
    tag: u32,
}

impl Id {
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }
}

/// When in a step a node runs: gradients can be exchanged between the phases `Backward` and `Update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Batch, layers, loss.
    Forward,
    /// Gradients.
    Backward,
    /// Parameters and moments.
    Update,
    /// What the host will read, and the clock.
    Record,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Update => "update",
            Self::Record => "record",
        })
    }
}

/// An op applied to values.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it computes.
    pub op: Arc<dyn Op>,
    /// What it reads.
    pub inputs: Vec<Id>,
    /// What it makes; for an effect, the leaves that it changes in place.
    pub outputs: Vec<Id>,
    /// Whether `outputs` are leaves changed in place.
    pub effect: bool,
    /// When it runs.
    pub phase: Phase,
    /// The layer that it belongs to.
    pub layer: Arc<str>,
}

#[derive(Clone, Debug)]
struct Value {
    ty: Type,
    leaf: Option<Leaf>,
    /// The node that makes it.
    maker: Option<usize>,
    tag: u32,
}

/// Values and the nodes that make them, in an order in which they can run.
///
/// A leaf is a place: a node reads what the last effect before it left there.
///
/// ```
/// use kiln::graph::{Graph, Type};
/// use kiln::ops::binary::Binary;
/// let mut graph = Graph::new();
/// let (a, b) = (graph.fill(2.0, [3]), graph.fill(5.0, []));
/// let sum = graph.apply(Binary::Add, &[a, b])?;
/// assert_eq!(*graph.ty(sum), Type::float([3]));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Debug)]
pub struct Graph {
    values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    phase: Phase,
    layer: Arc<str>,
    /// The values of trainable tensors, by their index.
    parameters: HashMap<usize, Id>,
    /// Tells this graph's values from another's.
    tag: u32,
}

/// A tag that no other graph has.
fn next_tag() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Default for Graph {
    fn default() -> Self {
        let (values, nodes, parameters) = Default::default();
        Self { values, nodes, phase: Phase::Forward, layer: Arc::from(""), parameters, tag: next_tag() }
    }
}

impl Clone for Graph {
    /// The same values, under the same ids; what either graph gains from here on is its own.
    fn clone(&self) -> Self {
        let (values, nodes, parameters) = (self.values.clone(), self.nodes.clone(), self.parameters.clone());
        Self { values, nodes, phase: self.phase, layer: self.layer.clone(), parameters, tag: next_tag() }
    }
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// The phase of nodes added from here on.
    pub fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// The layer of nodes added from here on.
    pub fn set_layer(&mut self, layer: &str) {
        self.layer = Arc::from(layer);
    }

    /// Adds a value that no node makes.
    pub fn leaf(&mut self, leaf: Leaf, ty: Type) -> Id {
        let parameter = if let Leaf::Param(i) = leaf { Some(i) } else { None };
        let id = self.value(ty, Some(leaf));
        if let Some(i) = parameter {
            self.parameters.entry(i).or_insert(id);
        }
        id
    }

    /// A float value all of whose elements are `number`.
    pub fn fill(&mut self, number: f64, shape: impl Into<Shape>) -> Id {
        self.leaf(Leaf::Fill(number), Type::float(shape))
    }

    /// A float value with a tensor's elements, which never changes: a table that a layer reads. It is part of each plan, so that
    /// what is large and varies is better an input.
    ///
    /// ```
    /// use kiln::graph::Id;
    /// use kiln::nn::Scope;
    /// use kiln::nn::layers::Lambda;
    /// use kiln::ops::binary::Binary;
    /// use kiln::prelude::*;
    ///
    /// let grey = Lambda::new(|scope: &mut Scope<'_>, inputs: &[Id]| {
    ///     let [x] = scope.expect(inputs)?;
    ///     let shares = scope.graph.constant(&Tensor::from([0.299f32, 0.587, 0.114]));
    ///     Ok(vec![scope.graph.apply(Binary::Mul, &[x, shares])?])
    /// });
    /// let mut model = Sequential::new().add(grey).device(Device::cpu());
    /// assert_eq!(model.predict(&Tensor::from([[1.0f32, 0.0, 2.0]]))?, Tensor::from([[0.299f32, 0.0, 0.228]]));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    pub fn constant(&mut self, tensor: &Tensor) -> Id {
        let numbers = tensor.values().to_f64().into();
        self.leaf(Leaf::Constant(numbers), Type::float(tensor.shape().clone()))
    }

    pub(crate) fn value(&mut self, ty: Type, leaf: Option<Leaf>) -> Id {
        let index = u32::try_from(self.values.len()).expect("fewer than 2^32 values");
        self.values.push(Value { ty, leaf, maker: None, tag: self.tag });
        Id { index, tag: self.tag }
    }

    /// Applies an op that makes one value.
    ///
    /// # Errors
    /// [`Error::Shape`] where the op does not take such inputs, or makes more values or none.
    pub fn apply(&mut self, op: impl Op, inputs: &[Id]) -> Result<Id> {
        let io = self.io(&op, inputs)?;
        let count = io.outputs.len();
        if count != 1 {
            let instead = if count == 0 { "effect, which changes leaves in place" } else { "apply_all" };
            let message = format!("makes {count} values, and apply is for ops that make one; call {instead}");
            return Err(self.in_layer(Error::shape(op.name(), message)));
        }
        Ok(self.make(Arc::new(op), inputs, io)?[0])
    }

    /// Applies an op that makes any number of values.
    ///
    /// # Errors
    /// [`Error::Shape`] where the op does not take such inputs.
    pub fn apply_all(&mut self, op: Arc<dyn Op>, inputs: &[Id]) -> Result<Vec<Id>> {
        let io = self.io(&*op, inputs)?;
        self.make(op, inputs, io)
    }

    /// The types of the inputs, and those that the op makes of them.
    fn io(&self, op: &dyn Op, inputs: &[Id]) -> Result<Io> {
        self.check(op.name(), inputs)?;
        let inputs = self.types(inputs);
        let outputs = op.outputs(&inputs).map_err(|e| self.in_layer(e))?;
        Ok(Io { inputs, outputs })
    }

    /// Adds the node and the values that it makes.
    fn make(&mut self, op: Arc<dyn Op>, inputs: &[Id], io: Io) -> Result<Vec<Id>> {
        if let Some(ty) = io.outputs.iter().find(|ty| !ty.shape.is_countable()) {
            let message = format!("{} has 2^32 elements or more; take smaller batches or fewer units", ty.shape);
            return Err(self.in_layer(Error::shape(op.name(), message)));
        }
        if op.is_view() {
            check_view(&*op, &io.inputs, &io.outputs).map_err(|e| self.in_layer(e))?;
        }
        let outputs: Vec<Id> = io.outputs.into_iter().map(|ty| self.value(ty, None)).collect();
        self.push(op, inputs, &outputs, false);
        Ok(outputs)
    }

    /// Applies an op that changes the leaves `targets` in place. Nodes before it read what was there, nodes after it what
    /// it leaves.
    ///
    /// # Errors
    /// [`Error::Shape`] where the op does not take such inputs or targets, or a target is no leaf or a constant.
    pub fn effect(&mut self, op: impl Op, inputs: &[Id], targets: &[Id]) -> Result<()> {
        self.effect_dyn(Arc::new(op), inputs, targets)
    }

    /// [`Graph::effect`] of a shared op.
    ///
    /// # Errors
    /// As [`Graph::effect`].
    pub fn effect_dyn(&mut self, op: Arc<dyn Op>, inputs: &[Id], targets: &[Id]) -> Result<()> {
        self.check(op.name(), inputs)?;
        self.check(op.name(), targets)?;
        for (i, &target) in targets.iter().enumerate() {
            let what = match self.leaf_of(target) {
                Some(Leaf::Fill(_) | Leaf::Constant(_)) => "a constant",
                Some(_) => continue,
                None => "a value that a node makes",
            };
            let message = format!("target {i}, {}, is {what}; an effect changes leaves that are kept", self.ty(target));
            return Err(self.in_layer(Error::shape(op.name(), message)));
        }
        op.check_targets(&self.types(inputs), &self.types(targets)).map_err(|e| self.in_layer(e))?;
        self.push(op, inputs, targets, true);
        Ok(())
    }

    fn push(&mut self, op: Arc<dyn Op>, inputs: &[Id], outputs: &[Id], effect: bool) {
        let (inputs, outputs, layer) = (inputs.to_vec(), outputs.to_vec(), self.layer.clone());
        self.nodes.push(Node { op, inputs, outputs, effect, phase: self.phase, layer });
        self.note_maker(self.nodes.len() - 1);
    }

    fn note_maker(&mut self, n: usize) {
        let node = &self.nodes[n];
        if !node.effect {
            node.outputs.iter().for_each(|y| self.values[y.index()].maker = Some(n));
        }
    }

    /// Keeps the nodes that are flagged.
    pub(crate) fn keep(&mut self, flags: impl IntoIterator<Item = bool>) {
        let mut flags = flags.into_iter();
        self.nodes.retain(|_| flags.next().expect("one flag a node"));
        self.values.iter_mut().for_each(|value| value.maker = None);
        (0..self.nodes.len()).for_each(|n| self.note_maker(n));
    }

    /// That values are this graph's.
    pub(crate) fn check(&self, what: &str, ids: &[Id]) -> Result<()> {
        let own = |id: &Id| self.values.get(id.index()).is_some_and(|value| value.tag == id.tag);
        match ids.iter().position(|id| !own(id)) {
            Some(i) => {
                let message = format!("value {i} of those that it was given is of another graph, expected this one's");
                Err(self.in_layer(Error::shape(what, message)))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn in_layer(&self, error: Error) -> Error {
        match error {
            Error::Shape { op, message } if !self.layer.is_empty() => {
                Error::Shape { op: format!("layer {:?}, {op}", &*self.layer), message }
            }
            other => other,
        }
    }

    /// A value's type.
    ///
    /// # Panics
    /// Where the value is of another graph, as a slice does for an index that it does not have.
    pub fn ty(&self, id: Id) -> &Type {
        match self.values.get(id.index()) {
            Some(value) if value.tag == id.tag => &value.ty,
            _ => panic!("the value is of another graph"),
        }
    }

    /// A value's shape.
    ///
    /// # Panics
    /// As [`Graph::ty`].
    pub fn shape(&self, id: Id) -> &Shape {
        &self.ty(id).shape
    }

    /// The types of several values.
    ///
    /// # Panics
    /// As [`Graph::ty`].
    pub fn types(&self, ids: &[Id]) -> Vec<Type> {
        ids.iter().map(|&id| self.ty(id).clone()).collect()
    }

    /// What leaf a value is; `None` where a node makes it, or it is of another graph.
    pub fn leaf_of(&self, id: Id) -> Option<&Leaf> {
        self.values.get(id.index()).filter(|value| value.tag == id.tag)?.leaf.as_ref()
    }

    /// The value of the trainable tensor of this index, where a layer has asked for it.
    pub fn parameter(&self, index: usize) -> Option<Id> {
        self.parameters.get(&index).copied()
    }

    /// The nodes, in an order in which they can run.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node that makes a value; `None` for a leaf, or a value of another graph.
    pub fn producer(&self, id: Id) -> Option<&Node> {
        let value = self.values.get(id.index()).filter(|value| value.tag == id.tag)?;
        value.maker.map(|n| &self.nodes[n])
    }

    /// The nodes that an effect depends on, and the effects.
    pub(crate) fn needed(&self) -> Vec<&Node> {
        let needed = self.needed_for(&[], true);
        self.nodes.iter().zip(needed).filter_map(|(node, needed)| needed.then_some(node)).collect()
    }

    /// For each node, whether one of these values depends on it or, where they count, an effect does.
    pub(crate) fn needed_for(&self, values: &[Id], effects: bool) -> Vec<bool> {
        let mut wanted = vec![false; self.value_count()];
        values.iter().for_each(|y| wanted[y.index()] = true);
        let mut needed = vec![false; self.nodes.len()];
        for (node, needed) in self.nodes.iter().zip(&mut needed).rev() {
            *needed = if node.effect { effects } else { node.outputs.iter().any(|y| wanted[y.index()]) };
            if *needed {
                node.inputs.iter().for_each(|x| wanted[x.index()] = true);
            }
        }
        needed
    }

    /// The values alone: nothing changes in place.
    pub(crate) fn without_effects(mut self) -> Self {
        let flags: Vec<bool> = self.nodes.iter().map(|node| !node.effect).collect();
        self.keep(flags);
        self
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = Id> {
        self.values.iter().zip(0..).map(|(value, index)| Id { index, tag: value.tag })
    }

    pub(crate) fn value_count(&self) -> usize {
        self.values.len()
    }

    /// The number, where every element of a value is known to be that number.
    pub fn filled_with(&self, id: Id) -> Option<f64> {
        match self.leaf_of(id) {
            Some(Leaf::Fill(number)) => Some(*number),
            _ => None,
        }
    }
}

/// That a view has the elements of its first input, which are words: rows of bytes are padded.
fn check_view(op: &dyn Op, inputs: &[Type], outputs: &[Type]) -> Result<()> {
    let same = |x: &Type, y: &Type| x.dtype == y.dtype && x.dtype != DType::U8 && x.shape.len() == y.shape.len();
    match (inputs, outputs) {
        ([x, ..], [y]) if same(x, y) => Ok(()),
        _ => Err(Error::shape(op.name(), "says that it is a view, but its output is not its first input's elements")),
    }
}
