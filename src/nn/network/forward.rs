//! A batch on its way through a network and the networks inside it.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use super::{Network, Wire};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Leaf, Type};
use crate::nn::layers::Layer;
use crate::nn::scope::{Known, Parameter, Scope};
use crate::tensor::{DType, Shape};

/// What the calls of a network, and of those inside it, know and make in common.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// Where the weights of each layer stand among all, by the layer's path.
    own: HashMap<String, Vec<usize>>,
    /// The place of the next call of a layer that is no network.
    place: usize,
    /// The clock, where the model is trained.
    pub clock: Option<Id>,
    /// What states become at the end of the step, by their index among the weights.
    pub states: BTreeMap<usize, Id>,
    /// The masks that travel beside values.
    pub masks: BTreeMap<Id, Id>,
    /// Whether the layer that is called has asked for a mask.
    pub asks_for_masks: Cell<bool>,
    /// Layers that were given masks and neither take them nor let them through, by path and kind.
    pub dropped: Vec<Dropped>,
    /// Whether a layer is called by itself, to know the shapes that it gives.
    pub is_alone: bool,
}

/// Where a network stands in the model that is traced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within<'a> {
    /// The path of the layer that it is; empty of the model's own.
    pub path: &'a str,
    /// Whether that layer is trained.
    pub trainable: bool,
}

/// A layer that drops a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub path: String,
    pub kind: &'static str,
}

/// A batch that went through all layers.
pub(crate) struct Forward {
    /// What each call gives.
    pub outputs: Vec<Vec<Id>>,
    /// The states that change, by their index among the weights, and what each becomes.
    pub states: BTreeMap<usize, Id>,
    /// The masks of values that have one.
    pub masks: BTreeMap<Id, Id>,
    pub dropped: Vec<Dropped>,
}

impl Pass {
    fn new(parameters: &[Parameter], place: usize, clock: Option<Id>) -> Self {
        let mut own: HashMap<String, Vec<usize>> = HashMap::new();
        for (i, parameter) in parameters.iter().enumerate() {
            own.entry(parameter.layer.clone()).or_default().push(i);
        }
        Self { own, place, clock, ..Self::default() }
    }

    /// Notes a layer whose inputs have masks that it has not asked for, and whose outputs have none.
    fn note_dropped(&mut self, layer: &dyn Layer, path: &str, reads: &[Id], given: &[Id]) {
        let masked = |values: &[Id]| values.iter().any(|value| self.masks.contains_key(value));
        if layer.nested().is_none() && !self.asks_for_masks.get() && masked(reads) && !masked(given) {
            self.dropped.push(Dropped { path: path.into(), kind: layer.kind() });
        }
    }

    /// Gives outputs the masks of the inputs of the same position, where the layer set none of its own.
    fn pass_masks(&mut self, graph: &Graph, layer: &str, reads: &[Id], given: &[Id]) -> Result<()> {
        for (&x, &y) in reads.iter().zip(given) {
            let Some(&mask) = self.masks.get(&x).filter(|_| !self.masks.contains_key(&y)) else { continue };
            if !is_mask_of(graph, mask, y) {
                let (mask, y) = (graph.shape(mask), graph.shape(y));
                let message = format!(
                    "lets the mask {mask} of its input through, which does not suit the output {y}; set another by \
                     Scope::set_mask, or let supports_masking be false"
                );
                return Err(Error::shape(format!("layer {layer:?}"), message));
            }
            self.masks.insert(y, mask);
        }
        Ok(())
    }
}

/// Whether a mask says something of each part of a value: it has the value's first axes.
pub(crate) fn is_mask_of(graph: &Graph, mask: Id, value: Id) -> bool {
    let (mask, value) = (graph.ty(mask), graph.shape(value));
    mask.dtype == DType::F32 && mask.shape.rank() > 0 && value.starts_with(&mask.shape)
}

impl Network {
    /// Calls all layers on a batch; with the clock where the model is trained.
    pub fn forward(
        &self,
        graph: &mut Graph,
        mut parameters: Known<'_>,
        inputs: &[Id],
        clock: Option<Id>,
    ) -> Result<Forward> {
        let mut pass = Pass::new(parameters.all(), self.first_place, clock);
        let outputs = self.run(graph, parameters, &mut pass, Within { path: "", trainable: true }, inputs)?;
        graph.set_layer("");
        Ok(Forward { outputs, states: pass.states, masks: pass.masks, dropped: pass.dropped })
    }

    /// Calls all layers on a batch and returns what each call gives.
    pub fn run(
        &self,
        graph: &mut Graph,
        mut parameters: Known<'_>,
        pass: &mut Pass,
        within: Within<'_>,
        inputs: &[Id],
    ) -> Result<Vec<Vec<Id>>> {
        let batch = inputs.first().and_then(|&x| graph.shape(x).first().copied());
        let mut outputs: Vec<Vec<Id>> = Vec::with_capacity(self.calls.len());
        for call in &self.calls {
            let (name, layer) = &self.layers[call.layer];
            let path = path_of(within.path, name);
            graph.set_layer(&path);
            let reads = call.reads.iter().map(|wire| wire.of(inputs, &outputs)).collect::<Result<Vec<_>>>()?;
            let own = pass.own.remove(&path).unwrap_or_default();
            let place = pass.place;
            pass.place += usize::from(layer.nested().is_none());
            let (parameters, trainable) = (parameters.lent(), within.trainable && layer.is_trainable());
            let mut scope = Scope {
                graph,
                parameters,
                pass: &mut *pass,
                network: within.path,
                layer: &path,
                own,
                place,
                draws: Cell::new(0),
                trainable,
            };
            scope.pass.asks_for_masks.set(false);
            let given = layer.call(&mut scope, &reads)?;
            let own = scope.own;
            check_outputs(graph, &path, &given, batch)?;
            if layer.supports_masking() {
                pass.pass_masks(graph, &path, &reads, &given)?;
            } else {
                pass.note_dropped(&**layer, &path, &reads, &given);
            }
            pass.own.insert(path, own);
            outputs.push(given);
        }
        Ok(outputs)
    }
}

/// A layer's name behind that of the network that it is in.
pub(crate) fn path_of(network: &str, layer: &str) -> String {
    if network.is_empty() { layer.to_string() } else { format!("{network}/{layer}") }
}

impl Wire {
    /// The value, where `outputs` are what the calls before gave; a file may name one that there is not.
    pub fn of(self, inputs: &[Id], outputs: &[Vec<Id>]) -> Result<Id> {
        match self {
            Self::Input(i) => Ok(inputs[i]),
            Self::Output { call, index } => outputs[call].get(index).copied().ok_or_else(|| {
                let message = format!("value {index} of call {call} is read, which gives {}", outputs[call].len());
                Error::shape("the network", message)
            }),
        }
    }
}

/// A value for each shape of a sample.
pub(super) fn batch_of_one<'s>(graph: &mut Graph, samples: impl IntoIterator<Item = &'s Shape>) -> Vec<Id> {
    let ty = |sample: &Shape| Type::float([&[1], &sample[..]].concat());
    samples.into_iter().enumerate().map(|(i, sample)| graph.leaf(Leaf::Input(i), ty(sample))).collect()
}

/// The shape of a sample of each value that a layer gives of others, called by itself.
pub(in crate::nn) fn traced_alone(layer: &dyn Layer, name: &str, reads: &[&Shape]) -> Result<Vec<Shape>> {
    let (mut graph, mut parameters) = (Graph::new(), Vec::new());
    graph.set_layer(name);
    let inputs = batch_of_one(&mut graph, reads.iter().copied());
    let mut pass = Pass { place: 1, is_alone: true, ..Pass::default() };
    let mut scope = Scope {
        graph: &mut graph,
        parameters: Known::Growing(&mut parameters),
        pass: &mut pass,
        network: "",
        layer: name,
        own: Vec::new(),
        place: 1,
        draws: Cell::new(0),
        trainable: layer.is_trainable(),
    };
    let given = layer.call(&mut scope, &inputs)?;
    check_outputs(&graph, name, &given, Some(1))?;
    Ok(given.into_iter().map(|y| graph.shape(y)[1..].to_vec().into()).collect())
}

/// That what a layer gives are batches of as many samples as it was given.
fn check_outputs(graph: &Graph, layer: &str, given: &[Id], batch: Option<usize>) -> Result<()> {
    let refused = |message: String| Err(Error::shape(format!("layer {layer:?}"), message));
    if given.is_empty() {
        return refused("gives nothing; let it return a value or more".into());
    }
    graph.check("the layer's output", given)?;
    for &y in given {
        let ty = graph.ty(y);
        if ty.shape.first().copied() != batch || ty.dtype != DType::F32 {
            let rows = batch.unwrap_or(0);
            return refused(format!(
                "gives {ty} for a batch of {rows}; expected f32 with the samples' axis first, ({rows}, ...)"
            ));
        }
    }
    Ok(())
}
