//! What a model computes: inputs, layers by name, and which values each call of a layer reads. [`super::Sequential`] and
//! the functional front ([`super::Value`]) are two ways to write one.

mod config;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::layers::Layer;
use super::scope::{Known, Parameter, Scope};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Leaf, Type};
use crate::ops::clock::WORDS;
use crate::tensor::{DType, Shape};
pub(crate) use config::{CHAIN, FUNCTIONAL, named_layer};

/// So many columns a set may have on the device: samples of each input, targets of each output, weights.
pub(crate) const MOST_COLUMNS: usize = 1 << 8;

/// A model without weights.
#[derive(Debug, Default)]
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

/// A batch that went through all layers.
pub(crate) struct Forward {
    /// What each call gives.
    pub outputs: Vec<Vec<Id>>,
    /// The states that change, by their index among the weights, and what each becomes.
    pub states: BTreeMap<usize, Id>,
}

/// What a network gives rise to for samples of given shapes.
#[derive(Debug)]
pub(crate) struct Built {
    /// The shape of a sample of each input.
    pub samples: Vec<Shape>,
    pub parameters: Vec<Parameter>,
    /// The shapes of each call's outputs for a batch of one.
    pub shapes: Vec<Vec<Shape>>,
    /// The shape of each of the network's outputs for one sample.
    pub outputs: Vec<Shape>,
}

impl Network {
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

    /// Calls all layers on a batch and returns what each call gives; with the clock where the model is trained.
    pub fn forward(
        &self,
        graph: &mut Graph,
        mut parameters: Known<'_>,
        inputs: &[Id],
        clock: Option<Id>,
    ) -> Result<Forward> {
        let batch = inputs.first().and_then(|&x| graph.shape(x).first().copied());
        let mut known: HashMap<String, Vec<usize>> = HashMap::new();
        for (i, parameter) in parameters.all().iter().enumerate() {
            known.entry(parameter.layer.clone()).or_default().push(i);
        }
        let (mut outputs, mut states): (Vec<Vec<Id>>, _) = (Vec::with_capacity(self.calls.len()), BTreeMap::new());
        for (place, call) in (self.first_place..).zip(&self.calls) {
            let (name, layer) = &self.layers[call.layer];
            graph.set_layer(name);
            let reads = call.reads.iter().map(|wire| wire.of(inputs, &outputs)).collect::<Result<Vec<_>>>()?;
            let own = known.remove(name).unwrap_or_default();
            let (parameters, trainable, draws) = (parameters.lent(), layer.is_trainable(), Cell::new(0));
            let (next, is_alone) = (&mut states, false);
            let mut scope =
                Scope { graph, parameters, own, layer: name, place, draws, clock, trainable, next, is_alone };
            let given = layer.call(&mut scope, &reads)?;
            let own = scope.own;
            check_outputs(graph, name, &given, batch)?;
            known.insert(name.clone(), own);
            outputs.push(given);
        }
        graph.set_layer("");
        Ok(Forward { outputs, states })
    }

    /// Why there can be no model of it for samples of these shapes, if so.
    pub fn refusal(&self, samples: &[Shape]) -> Option<String> {
        // A chain's input has no name of its own.
        let inputs = if self.is_sequential() { &[] } else { &self.inputs[..] };
        let inputs = inputs.iter().map(|input| input.name.as_str());
        if let Some(name) = twice(inputs.chain(self.layers.iter().map(|(name, _)| name.as_str()))) {
            return Some(format!("two layers are named {name:?}; give each a name of its own"));
        }
        // Weights of samples are a column, too.
        let columns = self.inputs.len() + self.outputs.len() + 1;
        if columns > MOST_COLUMNS {
            let most = MOST_COLUMNS - 1;
            return Some(format!("the model has {} inputs and outputs, at most {most} are held", columns - 1));
        }
        if self.calls.is_empty() {
            return Some("the model has no layers; add one".into());
        }
        samples.iter().find_map(sample_refusal)
    }

    /// Calls all layers on a batch of one: the shapes that each call gives; adds the weights that they ask for.
    fn shapes(&self, samples: &[Shape], parameters: &mut Vec<Parameter>, training: bool) -> Result<Vec<Vec<Shape>>> {
        let mut graph = Graph::new();
        let inputs = batch_of_one(&mut graph, samples);
        let clock = training.then(|| graph.leaf(Leaf::Clock, Type::u32([WORDS])));
        let Forward { outputs, .. } = self.forward(&mut graph, Known::Growing(parameters), &inputs, clock)?;
        self.outputs.iter().try_for_each(|wire| wire.of(&inputs, &outputs).map(drop))?;
        Ok(outputs.iter().map(|given| given.iter().map(|&y| graph.shape(y).clone()).collect()).collect())
    }

    /// What samples of these shapes, one for each input, give rise to.
    pub fn build(&self, samples: Vec<Shape>) -> Result<Built> {
        let mut parameters = Vec::new();
        let shapes = self.shapes(&samples, &mut parameters, false)?;
        // Weights for which a layer asks in training alone have their places from the start. A model that cannot be trained
        // says so when it is.
        let mut with_training = parameters.clone();
        let trained = self.shapes(&samples, &mut with_training, true);
        if trained.is_ok() && with_training.len() > parameters.len() {
            let places: HashMap<&str, usize> = self.layers.iter().map(|(name, _)| name.as_str()).zip(0..).collect();
            with_training.sort_by_key(|p| places[p.layer.as_str()]);
            parameters = with_training;
        }
        let sample_of = |wire: &Wire| match *wire {
            Wire::Input(i) => samples[i].clone(),
            Wire::Output { call, index } => shapes[call][index][1..].to_vec().into(),
        };
        let outputs = self.outputs.iter().map(sample_of).collect();
        Ok(Built { samples, parameters, shapes, outputs })
    }
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
fn batch_of_one<'s>(graph: &mut Graph, samples: impl IntoIterator<Item = &'s Shape>) -> Vec<Id> {
    let ty = |sample: &Shape| Type::float([&[1], &sample[..]].concat());
    samples.into_iter().enumerate().map(|(i, sample)| graph.leaf(Leaf::Input(i), ty(sample))).collect()
}

/// The shape of a sample of each value that a layer gives of others, called by itself.
pub(crate) fn traced_alone(layer: &dyn Layer, name: &str, reads: &[&Shape]) -> Result<Vec<Shape>> {
    let (mut graph, mut parameters) = (Graph::new(), Vec::new());
    graph.set_layer(name);
    let inputs = batch_of_one(&mut graph, reads.iter().copied());
    let (parameters, draws) = (Known::Growing(&mut parameters), Cell::new(0));
    let trainable = layer.is_trainable();
    let (graph_of, own, next) = (&mut graph, Vec::new(), &mut BTreeMap::new());
    let mut scope = Scope {
        graph: graph_of,
        parameters,
        own,
        layer: name,
        place: 1,
        draws,
        clock: None,
        trainable,
        next,
        is_alone: true,
    };
    let given = layer.call(&mut scope, &inputs)?;
    check_outputs(&graph, name, &given, Some(1))?;
    Ok(given.into_iter().map(|y| graph.shape(y)[1..].to_vec().into()).collect())
}

/// That what a layer gives are batches of as many samples as it was given.
pub(super) fn check_outputs(graph: &Graph, layer: &str, given: &[Id], batch: Option<usize>) -> Result<()> {
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

/// The names of a model's inputs and layers.
#[derive(Debug, Default)]
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
