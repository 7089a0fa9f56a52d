//! Writes a graph of ops as one of ONNX operators, node by node.
//!
//! Most of ONNX' operators over images want the channels before the rows, where Kiln has them last. A value is therefore held in an
//! order of axes: what one operator gave in its order the next one takes as it is, and a transposition is written only where somebody
//! needs another order. Elementwise operators and others that can go along any axis keep the order that they find.

use std::collections::{HashMap, HashSet};

use super::{Attribute, Constant, Extent, OPSET, OnnxGraph, OnnxNode, Port};
use crate::error::{Error, Result};
use crate::graph::{self, Graph, Id};
use crate::tensor::{DType, Shape, Tensor};

/// The batch's extent in the graph that is written, and in its twin.
pub(crate) const BATCHES: [usize; 2] = [2, 3];

/// A tensor of the ONNX graph that holds a value.
#[derive(Clone, Debug)]
struct Held {
    name: String,
    /// Which of the value's axes each of the tensor's is.
    order: Vec<usize>,
}

/// What an op writes itself with: [`crate::graph::Op::onnx`]. Values are known by their [`Id`], tensors of the ONNX graph by their names.
#[derive(Debug)]
pub struct Writer<'g> {
    pub(super) graph: &'g Graph,
    /// The same network for another batch, by which extents that follow the batch's are told from others.
    twin: &'g Graph,
    twins: Vec<Id>,
    /// Values that do not depend on the inputs, and what they are called.
    pub(super) constants: HashMap<Id, (String, Tensor)>,
    held: HashMap<Id, Vec<Held>>,
    /// The nodes of the graph that read each value.
    readers: HashMap<Id, Vec<usize>>,
    outputs: Vec<Id>,
    model: OnnxGraph,
    taken: HashSet<String>,
    /// The graph's node that is written, and those that were written along with others.
    at: usize,
    done: HashSet<usize>,
}

/// The axes in their own order.
pub(super) fn plain(rank: usize) -> Vec<usize> {
    (0..rank).collect()
}

pub(super) fn is_plain(order: &[usize]) -> bool {
    order.iter().copied().eq(0..order.len())
}

impl<'g> Writer<'g> {
    /// A writer of a graph, given its twin for another batch, what its inputs are called, the values that are known, and its outputs.
    ///
    /// # Errors
    /// [`Error::Argument`] where the network is another one for another batch.
    pub(crate) fn new(
        [graph, twin]: [&'g Graph; 2],
        inputs: &[(String, Id)],
        constants: HashMap<Id, (String, Tensor)>,
        outputs: &[(String, Id)],
    ) -> Result<Self> {
        let ops = |graph: &Graph| graph.nodes.iter().map(|node| node.op.name()).collect::<Vec<_>>();
        if ops(graph) != ops(twin) {
            let message = "computes something else for another size of the batch, which ONNX has one graph for";
            return Err(Error::argument("the model", message));
        }
        let mut readers: HashMap<Id, Vec<usize>> = HashMap::new();
        for (n, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&x| readers.entry(x).or_default().push(n));
        }
        let mut writer = Self {
            graph,
            twin,
            twins: twin.ids().collect(),
            constants,
            held: HashMap::new(),
            readers,
            outputs: outputs.iter().map(|(_, id)| *id).collect(),
            model: OnnxGraph { opset: OPSET, ..OnnxGraph::default() },
            taken: inputs.iter().chain(outputs).map(|(name, _)| name.clone()).collect(),
            at: 0,
            done: HashSet::new(),
        };
        for (name, id) in inputs {
            let (name, order) = (name.clone(), plain(writer.rank(*id)));
            writer.model.inputs.push(writer.port(&name, *id)?);
            writer.held.insert(*id, vec![Held { name, order }]);
        }
        Ok(writer)
    }

    /// Writes all nodes that do not make constants, and gives the graph.
    pub(crate) fn write(mut self, outputs: &[(String, Id)]) -> Result<OnnxGraph> {
        for at in 0..self.graph.nodes.len() {
            let node = &self.graph.nodes[at];
            let is_known = node.outputs.iter().all(|y| self.constants.contains_key(y));
            if is_known || self.done.contains(&at) {
                continue;
            }
            self.at = at;
            node.op.onnx(&mut self)?;
        }
        for (name, id) in outputs {
            let made = self.plain(*id)?;
            self.model.outputs.push(self.port(name, *id)?);
            self.name_output(&made, name);
        }
        self.prune();
        Ok(self.model)
    }

    /// Lets a tensor have the name of an output.
    fn name_output(&mut self, made: &str, name: &str) {
        let is_free = |port: &Port| port.name != made;
        let is_made = self.model.nodes.iter().any(|node| node.outputs.iter().any(|output| output == made));
        if is_made && self.model.inputs.iter().chain(&self.model.outputs).all(is_free) {
            let all = self.model.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut().chain(&mut node.outputs));
            all.filter(|tensor| *tensor == made).for_each(|tensor| *tensor = name.to_string());
            self.held.values_mut().flatten().filter(|held| held.name == made).for_each(|held| held.name = name.into());
            return;
        }
        let own = self.unique(&format!("{name}/Identity"));
        let (inputs, outputs) = (vec![made.to_string()], vec![name.to_string()]);
        let attributes = Vec::new();
        self.model.nodes.push(OnnxNode { op_type: "Identity".into(), name: own, inputs, outputs, attributes });
    }

    /// Leaves out what no output needs.
    fn prune(&mut self) {
        let mut needed: HashSet<String> = self.model.outputs.iter().map(|port| port.name.clone()).collect();
        let mut keep = vec![false; self.model.nodes.len()];
        for (node, keep) in self.model.nodes.iter().zip(&mut keep).rev() {
            *keep = node.outputs.iter().any(|output| needed.contains(output));
            if *keep {
                needed.extend(node.inputs.iter().cloned());
            }
        }
        let mut keep = keep.into_iter();
        self.model.nodes.retain(|_| keep.next().expect("one flag a node"));
        self.model.constants.retain(|(name, _)| needed.contains(name));
    }

    fn port(&self, name: &str, id: Id) -> Result<Port> {
        let is_whole = self.graph.ty(id).dtype != DType::F32;
        Ok(Port { name: name.into(), is_whole, extents: self.extents(id)? })
    }

    fn node(&self) -> &'g graph::Node {
        &self.graph.nodes[self.at]
    }

    /// The graph that is written.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// The op's inputs.
    pub fn inputs(&self) -> &'g [Id] {
        &self.node().inputs
    }

    /// The op's outputs.
    pub fn outputs(&self) -> &'g [Id] {
        &self.node().outputs
    }

    /// An error that names the layer and says why ONNX cannot have it.
    pub fn refused(&self, why: impl std::fmt::Display) -> Error {
        let node = self.node();
        let (layer, op) = (&node.layer, node.op.name());
        let name = if layer.is_empty() { "the model".into() } else { format!("layer {layer:?}") };
        Error::argument(name, format!("cannot be written as ONNX: its op {op} {why}"))
    }

    /// How many axes a value has.
    pub fn rank(&self, id: Id) -> usize {
        self.graph.shape(id).rank()
    }

    /// The extents of a value.
    ///
    /// # Errors
    /// [`Error::Argument`] where one follows the batch's in a way that ONNX has no name for.
    pub fn extents(&self, id: Id) -> Result<Vec<Extent>> {
        let [own, twin] = [self.graph.shape(id), self.twin.shape(self.twins[id.index()])];
        let extent = |(&own, &twin): (&usize, &usize)| match (own, twin) {
            (own, twin) if own == twin => Ok(Extent::Fixed(own)),
            (own, twin) if own % BATCHES[0] == 0 && own / BATCHES[0] * BATCHES[1] == twin => {
                Ok(Extent::Batch(own / BATCHES[0]))
            }
            _ => Err(self.refused(format!("has {own} elements along an axis for a batch of 2, and {twin} for 3"))),
        };
        own.iter().zip(&**twin).map(extent).collect()
    }

    /// Whether a value is known without inputs: a weight, what is made of weights alone, a number.
    pub fn is_constant(&self, id: Id) -> bool {
        self.constants.contains_key(&id) || self.graph.filled_with(id).is_some()
    }

    /// A value that is known without inputs.
    ///
    /// # Errors
    /// [`Error::Argument`] where it is not.
    pub fn constant(&self, id: Id) -> Result<Tensor> {
        if let Some((_, tensor)) = self.constants.get(&id) {
            return Ok(tensor.clone());
        }
        let shape = self.graph.shape(id).clone();
        let number = self.graph.filled_with(id).ok_or_else(|| self.refused("takes a weight that layers compute"))?;
        Tensor::new(shape.clone(), vec![number as f32; shape.len()])
    }

    /// What a known value is called: a weight's path.
    pub fn name_of(&self, id: Id) -> Option<&str> {
        self.constants.get(&id).map(|(name, _)| name.as_str())
    }

    /// The only node that reads a value, where that is no output of the network.
    pub fn only_reader(&self, id: Id) -> Option<usize> {
        match self.readers.get(&id).map(Vec::as_slice) {
            Some(&[reader]) if !self.outputs.contains(&id) => Some(reader),
            _ => None,
        }
    }

    /// The nodes that read a value.
    pub fn readers(&self, id: Id) -> &[usize] {
        self.readers.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Whether something reads a value, or it is an output.
    pub fn is_read(&self, id: Id) -> bool {
        self.outputs.contains(&id) || !self.readers(id).is_empty()
    }

    /// Whether a value is an output of the network.
    pub fn is_output(&self, id: Id) -> bool {
        self.outputs.contains(&id)
    }

    /// Says that a node is written along with this one, which gives its outputs.
    pub fn take_over(&mut self, node: usize) {
        self.done.insert(node);
    }

    /// A name that no other tensor and no other node has.
    fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_string();
        let mut number = 0;
        while !self.taken.insert(name.clone()) {
            number += 1;
            name = format!("{wanted}_{number}");
        }
        name
    }

    /// The name of something that this op writes.
    fn own_name(&mut self, what: &str) -> String {
        let layer = &self.node().layer;
        let wanted = if layer.is_empty() { what.to_string() } else { format!("{layer}/{what}") };
        self.unique(&wanted)
    }

    /// Adds a node that makes so many tensors, and gives their names.
    pub fn add_all(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        attributes: Vec<(&str, Attribute)>,
        count: usize,
    ) -> Vec<String> {
        let name = self.own_name(op_type);
        let mut outputs = vec![name.clone()];
        outputs.extend((1..count).map(|i| self.unique(&format!("{name}:{i}"))));
        self.model.nodes.push(OnnxNode {
            op_type: op_type.into(),
            name,
            inputs: inputs.iter().map(ToString::to_string).collect(),
            outputs: outputs.clone(),
            attributes: attributes.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
        });
        outputs
    }

    /// Adds a node that makes one tensor, and gives its name.
    pub fn add(&mut self, op_type: &str, inputs: &[&str], attributes: Vec<(&str, Attribute)>) -> String {
        self.add_all(op_type, inputs, attributes, 1).remove(0)
    }

    fn add_constant(&mut self, name: String, constant: Constant) -> String {
        self.model.constants.push((name.clone(), constant));
        name
    }

    /// A constant of floats.
    pub fn floats(&mut self, name: &str, tensor: &Tensor) -> String {
        let name = self.own_name(name);
        self.add_constant(name, Constant::Floats(tensor.astype(DType::F32)))
    }

    /// A weight in another form than its own, under its own name where that is free.
    pub fn weight(&mut self, name: &str, tensor: Tensor) -> String {
        let name = self.unique(name);
        self.add_constant(name, Constant::Floats(tensor.astype(DType::F32)))
    }

    /// A number.
    pub fn number(&mut self, number: f64) -> String {
        let tensor = Tensor::new([], vec![number as f32]).expect("one number");
        let constant = Constant::Floats(tensor);
        let known = self.model.constants.iter().find(|(_, known)| *known == constant);
        if let Some((name, _)) = known {
            return name.clone();
        }
        let name = self.unique(&format!("number/{number}"));
        self.add_constant(name, constant)
    }

    /// A row of whole numbers.
    pub fn ints(&mut self, numbers: &[i64]) -> String {
        let constant = Constant::Ints(vec![numbers.len()], numbers.to_vec());
        let known = self.model.constants.iter().find(|(_, known)| *known == constant);
        if let Some((name, _)) = known {
            return name.clone();
        }
        let said: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        let name = self.unique(&format!("ints/{}", said.join(",")));
        self.add_constant(name, constant)
    }

    /// A shape as a row of whole numbers: a constant, or, where an extent follows the batch's, made of an input's.
    pub fn shape(&mut self, extents: &[Extent]) -> String {
        let fixed = |extent: &Extent| if let Extent::Fixed(extent) = extent { Some(*extent as i64) } else { None };
        if let Some(all) = extents.iter().map(fixed).collect::<Option<Vec<_>>>() {
            return self.ints(&all);
        }
        let input = self.model.inputs[0].name.clone();
        let batch = self.add("Shape", &[&input], vec![("start", 0i64.into()), ("end", 1i64.into())]);
        let mut parts = Vec::new();
        for extent in extents {
            parts.push(match *extent {
                Extent::Fixed(extent) => self.ints(&[extent as i64]),
                Extent::Batch(1) => batch.clone(),
                Extent::Batch(times) => {
                    let times = self.ints(&[times as i64]);
                    self.add("Mul", &[&batch, &times], vec![])
                }
            });
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.add("Concat", &parts, vec![("axis", 0i64.into())])
    }

    /// The order in which a value's axes lie in the tensor that was first made of it.
    pub fn order(&self, id: Id) -> Vec<usize> {
        match self.held.get(&id).and_then(|held| held.first()) {
            Some(held) if !self.is_constant(id) => held.order.clone(),
            _ => plain(self.rank(id)),
        }
    }

    /// The tensor that holds a value with its axes in their own order.
    ///
    /// # Errors
    /// As [`Writer::ordered`].
    pub fn plain(&mut self, id: Id) -> Result<String> {
        self.ordered(id, &plain(self.rank(id)))
    }

    /// The tensor that holds a value with its axes in an order, which gives for each axis of the tensor which of the value's it is.
    ///
    /// # Errors
    /// [`Error::Argument`] where no node makes the value.
    pub fn ordered(&mut self, id: Id, order: &[usize]) -> Result<String> {
        let known = self.held.get(&id).and_then(|held| held.iter().find(|held| held.order == order));
        if let Some(held) = known {
            return Ok(held.name.clone());
        }
        let name = if let Some((name, tensor)) = self.constants.get(&id) {
            let (name, tensor) = (name.clone(), laid_out(tensor, order)?);
            self.weight(&name, tensor)
        } else if let Some(number) = self.graph.filled_with(id) {
            self.filled(id, number)?
        } else {
            let made = self.held.get(&id).and_then(|held| held.first()).cloned();
            let Some(made) = made else { return Err(self.refused("reads a value that no node makes")) };
            let place = |axis: &usize| made.order.iter().position(|own| own == axis).map(|place| place as i64);
            let order: Option<Vec<i64>> = order.iter().map(place).collect();
            let order = order.ok_or_else(|| self.refused("asks for axes that its input lacks"))?;
            self.add("Transpose", &[&made.name], vec![("perm", order.into())])
        };
        self.held.entry(id).or_default().push(Held { name: name.clone(), order: order.to_vec() });
        Ok(name)
    }

    /// One number in the shape of a value.
    fn filled(&mut self, id: Id, number: f64) -> Result<String> {
        let extents = self.extents(id)?;
        let (number, shape) = (self.number(number), self.shape(&extents));
        Ok(self.add("Expand", &[&number, &shape], vec![]))
    }

    /// Says which tensor holds an output of the op, and in which order of its axes.
    pub fn give(&mut self, id: Id, name: String, order: Vec<usize>) {
        self.held.insert(id, vec![Held { name, order }]);
    }

    /// Says which tensor holds an output of the op with its axes in their own order.
    pub fn give_plain(&mut self, id: Id, name: String) {
        self.give(id, name, plain(self.rank(id)));
    }
}

/// A constant with its axes in an order, which may have more of them than the constant: those are added before its own.
fn laid_out(tensor: &Tensor, order: &[usize]) -> Result<Tensor> {
    if is_plain(order) && order.len() == tensor.rank() {
        return Ok(tensor.clone());
    }
    let added = vec![1; order.len().saturating_sub(tensor.rank())];
    let shape: Shape = [&added, &tensor.shape()[..]].concat().into();
    let order: Vec<isize> = order.iter().map(|&axis| axis as isize).collect();
    Tensor::new(shape, tensor.values().clone())?.permute(&order)
}
