//! The graph: values, and the nodes that make them. Shapes are checked as it is built; gradients are ordinary nodes.

mod autodiff;
mod fuse;
mod reduce;

use std::fmt;
use std::sync::Arc;

pub use reduce::Aggregation;

use crate::error::{Error, Result};
use crate::ops::Op;
use crate::ops::copy::Copy;
use crate::tensor::{DType, Shape};

/// A value of one [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u32);

impl Id {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A value's shape and element type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// Extent along each axis.
    pub shape: Shape,
    /// Element type; `F32` stands for the executor's float.
    pub dtype: DType,
}

impl Type {
    /// A float value of `shape`.
    pub fn float(shape: impl Into<Shape>) -> Self {
        Self { shape: shape.into(), dtype: DType::F32 }
    }

    /// An unsigned integer value of `shape`.
    pub fn u32(shape: impl Into<Shape>) -> Self {
        Self { shape: shape.into(), dtype: DType::U32 }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.dtype, self.shape)
    }
}

/// What a value is that no node makes: something the session keeps, or a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    /// The trainable tensor of this index; a segment of the parameter arena.
    Param(usize),
    /// All trainable tensors, one after the other.
    Params,
    /// The gradients of all trainable tensors, laid out like [`Leaf::Params`].
    Grads,
    /// The gradient of the trainable tensor of this index; a segment of the gradient arena.
    Grad(usize),
    /// An optimizer's moment of this index, laid out like [`Leaf::Params`].
    Moment(usize),
    /// A column of the resident data set: 0 the samples, 1 the targets.
    Data(usize),
    /// u32 row numbers of the data set, in the order in which batches take them.
    Order,
    /// What varies by step: see [`crate::ops::clock`].
    Clock,
    /// The optimizer's scalars, one row a step.
    Schedule,
    /// Sums of loss and metrics, one row a step.
    Log,
    /// Predictions, a row for each row of the data set.
    Predictions,
    /// A value that the caller writes before a run.
    Input(usize),
    /// A value that the caller reads after a run.
    Output(usize),
    /// Every element is this number.
    Fill(f64),
    /// Some neighbouring elements of one of those that the session keeps, from this one on.
    From(Box<Self>, usize),
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
}

/// Values and the nodes that make them, in an order in which they can run.
#[derive(Clone, Debug)]
pub struct Graph {
    values: Vec<Value>,
    nodes: Vec<Node>,
    phase: Phase,
    layer: Arc<str>,
}

impl Default for Graph {
    fn default() -> Self {
        Self { values: Vec::new(), nodes: Vec::new(), phase: Phase::Forward, layer: Arc::from("") }
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
        self.value(ty, Some(leaf))
    }

    /// A float value all of whose elements are `number`.
    pub fn fill(&mut self, number: f64, shape: impl Into<Shape>) -> Id {
        self.leaf(Leaf::Fill(number), Type::float(shape))
    }

    fn value(&mut self, ty: Type, leaf: Option<Leaf>) -> Id {
        let id = u32::try_from(self.values.len()).expect("fewer than 2^32 values");
        self.values.push(Value { ty, leaf });
        Id(id)
    }

    /// Applies an op that makes one value.
    ///
    /// # Errors
    /// [`Error::Shape`] where the op does not take such inputs.
    pub fn apply(&mut self, op: impl Op, inputs: &[Id]) -> Result<Id> {
        let outputs = self.apply_all(Arc::new(op), inputs)?;
        assert_eq!(outputs.len(), 1, "apply is for ops of one output");
        Ok(outputs[0])
    }

    /// Applies an op that makes any number of values.
    ///
    /// # Errors
    /// [`Error::Shape`] where the op does not take such inputs.
    pub fn apply_all(&mut self, op: Arc<dyn Op>, inputs: &[Id]) -> Result<Vec<Id>> {
        let types = op.outputs(&self.types(inputs)).map_err(|e| self.in_layer(e))?;
        if let Some(ty) = types.iter().find(|ty| !ty.shape.is_countable()) {
            let message = format!("{} has 2^32 elements or more; take smaller batches or fewer units", ty.shape);
            return Err(self.in_layer(Error::shape(op.name(), message)));
        }
        let outputs: Vec<Id> = types.into_iter().map(|ty| self.value(ty, None)).collect();
        self.push(op, inputs, &outputs, false);
        Ok(outputs)
    }

    /// Applies an op that changes the leaves `targets` in place.
    ///
    /// # Errors
    /// [`Error::Shape`] where the op does not take such inputs or targets.
    pub fn effect(&mut self, op: impl Op, inputs: &[Id], targets: &[Id]) -> Result<()> {
        self.effect_dyn(Arc::new(op), inputs, targets)
    }

    /// [`Graph::effect`] of a shared op.
    ///
    /// # Errors
    /// [`Error::Shape`] where the op does not take such inputs or targets.
    pub fn effect_dyn(&mut self, op: Arc<dyn Op>, inputs: &[Id], targets: &[Id]) -> Result<()> {
        for &target in targets {
            assert!(self.leaf_of(target).is_some(), "{} changes leaves only", op.name());
        }
        op.check_targets(&self.types(inputs), &self.types(targets)).map_err(|e| self.in_layer(e))?;
        self.push(op, inputs, targets, true);
        Ok(())
    }

    fn push(&mut self, op: Arc<dyn Op>, inputs: &[Id], outputs: &[Id], effect: bool) {
        self.nodes.push(Node {
            op,
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
            effect,
            phase: self.phase,
            layer: self.layer.clone(),
        });
    }

    fn in_layer(&self, error: Error) -> Error {
        match error {
            Error::Shape { op, message } if !self.layer.is_empty() => {
                Error::Shape { op: format!("layer {:?}, {op}", &*self.layer), message }
            }
            other => other,
        }
    }

    /// Lets the caller read a value after a run, as [`Leaf::Output`] of this index.
    ///
    /// # Errors
    /// [`Error::Shape`] where the value is of a type that no kernel copies.
    pub fn output(&mut self, index: usize, id: Id) -> Result<()> {
        let place = self.leaf(Leaf::Output(index), self.ty(id).clone());
        self.effect(Copy, &[id], &[place])
    }

    /// A value's type.
    pub fn ty(&self, id: Id) -> &Type {
        &self.values[id.index()].ty
    }

    /// A value's shape.
    pub fn shape(&self, id: Id) -> &Shape {
        &self.ty(id).shape
    }

    /// The types of several values.
    pub fn types(&self, ids: &[Id]) -> Vec<Type> {
        ids.iter().map(|&id| self.ty(id).clone()).collect()
    }

    /// What leaf a value is; `None` where a node makes it.
    pub fn leaf_of(&self, id: Id) -> Option<&Leaf> {
        self.values[id.index()].leaf.as_ref()
    }

    /// The value of the trainable tensor of this index, where a layer has asked for it.
    pub fn parameter(&self, index: usize) -> Option<Id> {
        self.ids().find(|&id| self.leaf_of(id) == Some(&Leaf::Param(index)))
    }

    /// The nodes, in an order in which they can run.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node that makes a value; `None` for a leaf.
    pub fn producer(&self, id: Id) -> Option<&Node> {
        self.nodes.iter().find(|n| !n.effect && n.outputs.contains(&id))
    }

    /// The nodes that an effect depends on, and the effects.
    pub(crate) fn needed(&self) -> Vec<&Node> {
        let needed = self.needed_for(&[]);
        self.nodes.iter().zip(needed).filter_map(|(node, needed)| needed.then_some(node)).collect()
    }

    /// For each node, whether an effect or one of these values depends on it.
    fn needed_for(&self, values: &[Id]) -> Vec<bool> {
        let mut wanted = vec![false; self.value_count()];
        values.iter().for_each(|y| wanted[y.index()] = true);
        let mut needed = vec![false; self.nodes.len()];
        for (node, needed) in self.nodes.iter().zip(&mut needed).rev() {
            if node.effect || node.outputs.iter().any(|y| wanted[y.index()]) {
                node.inputs.iter().for_each(|x| wanted[x.index()] = true);
                *needed = true;
            }
        }
        needed
    }

    /// The values alone: nothing changes in place.
    pub(crate) fn without_effects(mut self) -> Self {
        self.nodes.retain(|n| !n.effect);
        self
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = Id> + use<> {
        (0..self.values.len() as u32).map(Id)
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
