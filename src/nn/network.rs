//! What a model computes: inputs, layers by name, and which values each call of a layer reads. [`super::Sequential`] and
//! the functional front ([`super::Value`]) are two ways to write one.

mod config;
mod forward;
mod from_keras;
mod keras;
#[cfg(feature = "keras")]
mod keras_files;
mod order;
mod tables;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::layers::Layer;
use super::scope::{Known, Parameter};
use crate::error::Result;
use crate::graph::{Graph, Leaf, Type};
use crate::ops::clock::WORDS;
use crate::tensor::Shape;
pub(crate) use config::{CHAIN, FUNCTIONAL};
use forward::batch_of_one;
pub(super) use forward::traced_alone;
pub(crate) use forward::{Dropped, Forward, Pass, Within, is_mask_of, path_of};
pub(super) use keras::batches_of;
pub(crate) use tables::Table;

/// So many columns a set may have on the device: samples of each input, targets of each output, weights.
pub(crate) const MOST_COLUMNS: usize = 1 << 8;

/// How many networks may be in one another: some code calls itself for each.
const MOST_DEPTH: usize = 64;

/// A model without weights.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    pub inputs: Vec<Port>,
    /// The layers by name; one may be called more than once, and then has the same weights each time.
    pub layers: Vec<(String, Arc<dyn Layer>)>,
    /// The calls of layers, each behind those that it reads.
    pub calls: Vec<Call>,
    pub outputs: Vec<Wire>,
    /// The place of the first call among the model's layers, which inputs count to: it keys the random numbers of a call.
    pub first_place: usize,
    pub names: Names,
}

/// An input of a model.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub name: String,
    /// The shape of a sample, where it is known without data.
    pub shape: Option<Shape>,
}

/// A layer that is applied to some values.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The layer's index.
    pub layer: usize,
    pub reads: Vec<Wire>,
}

/// A value of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// The input of this index.
    Input(usize),
    /// What a call gives at an index.
    Output { call: usize, index: usize },
}

/// What a network gives rise to for samples of given shapes.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    /// The shape of a sample of each input.
    pub samples: Vec<Shape>,
    pub parameters: Vec<Parameter>,
    /// The shapes of each call's outputs for a batch of one.
    pub shapes: Vec<Vec<Shape>>,
    /// The shape of each of the network's outputs for one sample.
    pub outputs: Vec<Shape>,
    /// Whether each of the outputs has a mask.
    pub masked: Vec<bool>,
    /// The layers that drop a mask.
    pub dropped: Vec<Dropped>,
}

/// What a trace of a batch of one finds.
struct Traced {
    shapes: Vec<Vec<Shape>>,
    masked: Vec<bool>,
    dropped: Vec<Dropped>,
}

impl Network {
    /// A chain without layers, whose output is its input.
    pub fn chain() -> Self {
        let inputs = vec![Port { name: "input".into(), shape: None }];
        Self { inputs, outputs: vec![Wire::Input(0)], ..Self::default() }
    }

    /// Adds a layer at the end of a chain.
    pub fn append(&mut self, name: String, layer: Arc<dyn Layer>) {
        if self.layers.is_empty() {
            let nested = || layer.nested().and_then(|nested| nested.network.inputs[0].shape.clone());
            self.inputs[0].shape = layer.sample_shape().cloned().or_else(nested);
        }
        self.names.take(&name);
        let reads = self.outputs.clone();
        self.outputs = vec![self.push(name, layer, reads)];
    }

    /// Adds a layer and a call of it, behind all others.
    pub fn push(&mut self, name: String, layer: Arc<dyn Layer>, reads: Vec<Wire>) -> Wire {
        self.layers.push((name, layer));
        self.call(self.layers.len() - 1, reads)
    }

    /// Adds a call of a layer, behind all others.
    pub fn call(&mut self, layer: usize, reads: Vec<Wire>) -> Wire {
        self.calls.push(Call { layer, reads });
        Wire::Output { call: self.calls.len() - 1, index: 0 }
    }

    /// Whether it is written as a chain: [`Network::is_chain`], and its input is no place by itself.
    pub fn is_sequential(&self) -> bool {
        self.is_chain() && self.first_place == 0
    }

    /// Whether each call reads the one before it alone, of a layer of its own.
    pub fn is_chain(&self) -> bool {
        let before = |call: usize| match call.checked_sub(1) {
            None => Wire::Input(0),
            Some(call) => Wire::Output { call, index: 0 },
        };
        let follows = |(i, call): (usize, &Call)| call.layer == i && call.reads == [before(i)];
        self.inputs.len() == 1
            && self.calls.iter().enumerate().all(follows)
            && self.outputs == [before(self.calls.len())]
    }

    /// The network from the same inputs, which have these shapes, to what the layer of a name gives at its first call: with the
    /// layers alone that this needs.
    pub fn up_to(&self, layer: &str, samples: Vec<Shape>) -> Option<Self> {
        let last = self.calls.iter().position(|call| self.layers[call.layer].0 == layer)?;
        let mut needed = vec![false; last + 1];
        needed[last] = true;
        for at in (0..=last).rev() {
            let reads = if needed[at] { &self.calls[at].reads[..] } else { &[] };
            for wire in reads {
                if let Wire::Output { call, .. } = *wire {
                    needed[call] = true;
                }
            }
        }
        let mut part = Self { inputs: self.inputs.clone(), first_place: self.first_place, ..Self::default() };
        part.inputs.iter_mut().zip(samples).for_each(|(port, sample)| port.shape = Some(sample));
        let mut calls = HashMap::new();
        for (at, call) in self.calls.iter().enumerate().filter(|&(at, _)| at <= last && needed[at]) {
            let moved = |wire: &Wire| match *wire {
                Wire::Output { call, index } => Wire::Output { call: calls[&call], index },
                input => input,
            };
            let reads = call.reads.iter().map(moved).collect();
            let (name, layer) = &self.layers[call.layer];
            let known = part.layers.iter().position(|(known, _)| known == name);
            part.outputs = vec![match known {
                Some(known) => part.call(known, reads),
                None => part.push(name.clone(), Arc::clone(layer), reads),
            }];
            calls.insert(at, part.calls.len() - 1);
        }
        part.names = self.names.clone();
        Some(part)
    }

    /// The names of the inputs.
    pub fn input_names(&self) -> Vec<String> {
        self.inputs.iter().map(|input| input.name.clone()).collect()
    }

    /// The outputs' names, each its layer's; what one layer gives more than once has a number.
    pub fn output_names(&self) -> Vec<String> {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let name = |wire: &Wire| {
            let name = match *wire {
                Wire::Input(input) => self.inputs[input].name.as_str(),
                Wire::Output { call, .. } => self.layers[self.calls[call].layer].0.as_str(),
            };
            let before = seen.entry(name).or_insert(0);
            *before += 1;
            if *before == 1 { name.to_string() } else { format!("{name}_{}", *before - 1) }
        };
        self.outputs.iter().map(name).collect()
    }

    /// The shape of a sample of each input, where all are known without data.
    pub fn samples(&self) -> Option<Vec<Shape>> {
        self.inputs.iter().map(|input| input.shape.clone()).collect()
    }

    /// Why there can be no model of it for samples of these shapes, if so.
    pub fn refusal(&self, samples: &[Shape]) -> Option<String> {
        if let Some(refusal) = self.own_refusal() {
            return Some(refusal);
        }
        let depth = self.depth();
        if depth > MOST_DEPTH {
            return Some(format!("{depth} models are inside one another, at most {MOST_DEPTH} may be"));
        }
        let leaves = self.leaves();
        if let Some(path) = twice(leaves.iter().map(|(path, _)| path.as_str())) {
            return Some(format!("two layers have the path {path:?}; give each a name of its own"));
        }
        // Weights of samples are a column, too.
        let columns = self.inputs.len() + self.outputs.len() + 1;
        if columns > MOST_COLUMNS {
            let most = MOST_COLUMNS - 1;
            return Some(format!("the model has {} inputs and outputs, at most {most} are held", columns - 1));
        }
        samples.iter().find_map(sample_refusal)
    }

    /// Why it is no network, whatever its samples, if so.
    pub fn own_refusal(&self) -> Option<String> {
        // A chain's input has no name of its own.
        let inputs = if self.is_sequential() { &[] } else { &self.inputs[..] };
        let inputs = inputs.iter().map(|input| input.name.as_str());
        if let Some(name) = twice(inputs.chain(self.layers.iter().map(|(name, _)| name.as_str()))) {
            return Some(format!("two layers are named {name:?}; give each a name of its own"));
        }
        self.calls.is_empty().then(|| "the model has no layers; add one".into())
    }

    /// Calls all layers on a batch of one; adds the weights that they ask for.
    fn trace(&self, samples: &[Shape], parameters: &mut Vec<Parameter>, training: bool) -> Result<Traced> {
        let mut graph = Graph::new();
        let inputs = batch_of_one(&mut graph, samples);
        let clock = training.then(|| graph.leaf(Leaf::Clock, Type::u32([WORDS])));
        let forward = self.forward(&mut graph, Known::Growing(parameters), &inputs, clock)?;
        let Forward { outputs, masks, dropped, .. } = forward;
        let masked = |wire: &Wire| wire.of(&inputs, &outputs).map(|y| masks.contains_key(&y));
        let masked = self.outputs.iter().map(masked).collect::<Result<_>>()?;
        let shapes = outputs.iter().map(|given| given.iter().map(|&y| graph.shape(y).clone()).collect()).collect();
        Ok(Traced { shapes, masked, dropped })
    }

    /// What samples of these shapes, one for each input, give rise to.
    pub fn build(&self, samples: Vec<Shape>) -> Result<Built> {
        let mut parameters = Vec::new();
        let Traced { shapes, masked, dropped } = self.trace(&samples, &mut parameters, false)?;
        // Weights for which a layer asks in training alone have their places from the start. A model that cannot be trained
        // says so when it is.
        let mut with_training = parameters.clone();
        let trained = self.trace(&samples, &mut with_training, true);
        if trained.is_ok() && with_training.len() > parameters.len() {
            let leaves = self.leaves();
            let places: HashMap<&str, usize> = leaves.iter().map(|(path, _)| path.as_str()).zip(0..).collect();
            with_training.sort_by_key(|p| places[p.layer.as_str()]);
            parameters = with_training;
        }
        let mut built = Built { samples, parameters, shapes, outputs: Vec::new(), masked, dropped };
        built.outputs = self.outputs.iter().map(|&wire| built.sample_of(wire)).collect();
        Ok(built)
    }
}

impl Built {
    /// The shape of a sample of a value.
    pub fn sample_of(&self, wire: Wire) -> Shape {
        match wire {
            Wire::Input(i) => self.samples[i].clone(),
            Wire::Output { call, index } => self.shapes[call][index][1..].to_vec().into(),
        }
    }
}

/// The names of a model's inputs and layers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    taken: HashSet<String>,
    /// By the stem of a layer's type, the first number that was not tried.
    next: HashMap<String, usize>,
}

impl Names {
    /// The name of a layer that is added: its own or, without one, its type's, with a number from the second on.
    pub fn of(&mut self, own: Option<&str>, kind: &str) -> String {
        if let Some(name) = own {
            self.take(name);
            return name.to_string();
        }
        let stem = snake_case(kind);
        loop {
            let number = self.next.entry(stem.clone()).or_insert(0);
            let name = if *number == 0 { stem.clone() } else { format!("{stem}_{number}") };
            *number += 1;
            if self.take(&name) {
                return name;
            }
        }
    }

    /// Takes a name; whether it was free.
    pub fn take(&mut self, name: &str) -> bool {
        self.taken.insert(name.to_string())
    }
}

/// The first name that comes a second time.
pub(super) fn twice<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    names.find(|name| !seen.insert(*name))
}

/// Why no model takes samples of this shape, if so.
pub(crate) fn sample_refusal(sample: &Shape) -> Option<String> {
    if sample.is_empty() {
        return Some(format!("samples of {sample} have no elements; each extent is 1 or more"));
    }
    (!sample.is_countable()).then(|| format!("samples of {sample} have 2^32 elements or more, too many for any device"))
}

/// `Dense` as `dense`, `MaxPooling2D` as `max_pooling2d`, `PReLU` as `p_re_lu`: as Keras names layers.
pub(crate) fn snake_case(kind: &str) -> String {
    let chars: Vec<char> = kind.chars().collect();
    let is_lower = |i: usize| chars.get(i).is_some_and(|c| c.is_lowercase());
    let mut name = String::new();
    for (i, c) in chars.iter().enumerate() {
        if i > 0 && c.is_uppercase() && (is_lower(i - 1) || is_lower(i + 1)) {
            name.push('_');
        }
        name.extend(c.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_named_as_keras_names_them() {
        for (kind, name) in [
            ("Dense", "dense"),
            ("MaxPooling2D", "max_pooling2d"),
            ("Conv2DTranspose", "conv2d_transpose"),
            ("SpatialDropout1D", "spatial_dropout1d"),
            ("LSTM", "lstm"),
            ("RMSNormalization", "rms_normalization"),
            ("PReLU", "p_re_lu"),
        ] {
            assert_eq!(snake_case(kind), name);
        }
    }
}
