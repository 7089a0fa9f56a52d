//! Networks of ONNX graphs: each node becomes the layer that does the same, so that what another program trained predicts alike here, and
//! is trained on.
//!
//! ONNX' operators over images have the channels before the rows. A tensor is held as a value of the network and the order in which it has
//! that value's axes: `Transpose` changes the order alone, and layers over images take the value with its channels last, as it most
//! often is. A [`Permute`](super::layers::Permute) is written only where the order has to be that of the file.

mod constants;
mod elementwise;
mod images;
mod node;
mod recurrent;
mod reshaping;
mod weighted;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Activation;
use super::functional::{Shared, Value};
use super::layers::{Input, Layer, Permute};
use crate::error::{Error, Result};
use crate::graph::onnx::{Constant, Extent, OnnxGraph, OnnxNode, Port};
use crate::tensor::Tensor;
use node::At;

/// A network with its weights.
pub(crate) struct Imported {
    pub inputs: Vec<Value>,
    pub outputs: Vec<Value>,
    /// By layer and name.
    pub weights: Vec<(String, Tensor)>,
}

/// A tensor of the graph.
#[derive(Clone, Debug)]
enum Held {
    /// A value, and for each axis of the tensor which of the value's it is.
    Value(Value, Vec<usize>),
    Constant(Arc<Constant>),
}

/// What a graph has become so far.
struct Importer<'g> {
    graph: &'g OnnxGraph,
    held: HashMap<String, Held>,
    /// How many nodes read each tensor, outputs counted.
    readers: HashMap<&'g str, Vec<usize>>,
    /// Nodes that went into the layer of another.
    done: HashSet<usize>,
    /// The names of layers, and by what was wanted the next number to try.
    names: HashMap<String, usize>,
    /// How many numbers nodes may still make of constants alone.
    budget: usize,
    /// Layers by what makes them, so that nodes with the same weights are one layer.
    shared: HashMap<String, Arc<Shared>>,
    weights: Vec<(String, Tensor)>,
}

/// The network of a graph.
///
/// # Errors
/// [`Error::Argument`] that names the node, and what Kiln has no layer for.
pub(crate) fn network(mut graph: OnnxGraph) -> Result<Imported> {
    let constants = std::mem::take(&mut graph.constants);
    let graph = &graph;
    let mut importer = Importer::new(graph, constants);
    let inputs = graph.inputs.iter().map(|port| importer.input(port)).collect::<Result<Vec<_>>>()?;
    // Patterns of nodes look ahead for constants.
    for index in (0..graph.nodes.len()).filter(|&index| graph.nodes[index].op_type == "Constant") {
        At { importer: &mut importer, index }.folded()?;
        importer.done.insert(index);
    }
    for index in 0..graph.nodes.len() {
        if !importer.done.contains(&index) {
            At { importer: &mut importer, index }.read()?;
        }
    }
    let mut outputs = graph.outputs.iter().map(|port| importer.output(&port.name)).collect::<Result<Vec<_>>>()?;
    if importer.names.len() == inputs.len() {
        // A model has one layer or more.
        outputs = outputs.iter().map(|value| Activation::Linear.apply(value)).collect::<Result<_>>()?;
    }
    Ok(Imported { inputs, outputs, weights: importer.weights })
}

/// Numbers that nodes may make of constants alone, beside twice as many as the file has.
const FREE: usize = 1 << 20;

/// A name that a layer may have.
fn cleaned(name: &str) -> String {
    let clean = |c: char| if c.is_alphanumeric() || c == '_' { c } else { '_' };
    name.chars().map(clean).collect::<String>().trim_matches('_').to_string()
}

impl<'g> Importer<'g> {
    fn new(graph: &'g OnnxGraph, constants: Vec<(String, Constant)>) -> Self {
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|input| readers.entry(input).or_default().push(index));
        }
        for port in &graph.outputs {
            readers.entry(&port.name).or_default().push(usize::MAX);
        }
        let budget = 2 * constants.iter().map(|(_, constant)| constant.len()).sum::<usize>() + FREE;
        let constants = constants.into_iter().map(|(name, constant)| (name, Held::Constant(Arc::new(constant))));
        Self {
            graph,
            held: constants.collect(),
            readers,
            done: HashSet::new(),
            names: HashMap::new(),
            budget,
            shared: HashMap::new(),
            weights: Vec::new(),
        }
    }

    fn input(&mut self, port: &Port) -> Result<Value> {
        let refused = |message: String| Error::argument(format!("input {:?}", port.name), message);
        let sample = port.extents.iter().skip(1).map(|extent| match extent {
            Extent::Fixed(extent) if *extent > 0 => Ok(*extent),
            Extent::Fixed(_) => Err(refused("has an extent of 0".into())),
            Extent::Batch(_) => {
                Err(refused("leaves more extents open than the batch's; export the model with the others given".into()))
            }
        });
        let sample: Vec<usize> = sample.collect::<Result<_>>()?;
        if port.extents.is_empty() {
            return Err(refused("is a single number; expected a batch of samples".into()));
        }
        if sample.iter().try_fold(1u32, |all, &extent| all.checked_mul(u32::try_from(extent).ok()?)).is_none() {
            return Err(refused("has samples of 2^32 elements or more".into()));
        }
        let name = self.unique(&cleaned(&port.name));
        let value = Input::new(sample).named(name).value();
        self.held.insert(port.name.clone(), Held::Value(value.clone(), (0..port.extents.len()).collect()));
        Ok(value)
    }

    /// The value of a tensor in the file's order of axes.
    fn output(&mut self, name: &str) -> Result<Value> {
        let missing = || Error::argument(format!("output {name:?}"), "is made by no node");
        match self.held.get(name).cloned() {
            Some(Held::Value(value, order)) => self.plain(name, value, &order),
            Some(Held::Constant(_)) => Err(Error::argument(format!("output {name:?}"), "is a constant")),
            None => Err(missing()),
        }
    }

    /// A value with its axes in the file's order.
    fn plain(&mut self, name: &str, value: Value, order: &[usize]) -> Result<Value> {
        if order.iter().copied().eq(0..order.len()) {
            return Ok(value);
        }
        if order[0] != 0 {
            let message = "has the samples of the batch along another axis than the first";
            return Err(Error::argument(format!("tensor {name:?}"), message));
        }
        let own = self.unique(&format!("permute_{}", cleaned(name)));
        let value = Permute::new(order[1..].to_vec()).named(own).apply(&value)?;
        self.held.insert(name.into(), Held::Value(value.clone(), (0..order.len()).collect()));
        Ok(value)
    }

    /// A name that no other layer has.
    fn unique(&mut self, wanted: &str) -> String {
        let wanted = if wanted.is_empty() { "layer" } else { wanted };
        let mut name = wanted.to_string();
        while self.names.contains_key(&name) {
            let number = self.names.get_mut(wanted).expect("the name is taken");
            *number += 1;
            name = format!("{wanted}_{number}");
        }
        self.names.insert(name.clone(), 0);
        name
    }

    /// The only node that reads a tensor.
    fn only_reader(&self, tensor: &str) -> Option<(usize, &'g OnnxNode)> {
        match self.readers.get(tensor).map(Vec::as_slice) {
            Some(&[index]) if index != usize::MAX => Some((index, &self.graph.nodes[index])),
            _ => None,
        }
    }
}
