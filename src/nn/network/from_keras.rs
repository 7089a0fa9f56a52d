//! Networks from what Keras serializes: chains, and layers with the nodes that call them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{CHAIN, Call, FUNCTIONAL, MOST_DEPTH, Network, Port, Wire};
use crate::nn::layers::{Input, Layer, Trainable};
use crate::nn::nested::Nested;
use crate::nn::{CustomObjects, KerasObject, Setting};
use crate::tensor::Shape;

/// The class of Keras' inputs.
const INPUT: &str = "InputLayer";

impl Network {
    /// The network that Keras serialized, or which of its layers it cannot be made of, and why.
    pub fn of_keras(object: &mut KerasObject, custom: &CustomObjects<'_>) -> Result<Self, String> {
        of(object, custom, 0)
    }
}

/// The network of an object. Its layers are taken out of it: one in another that was copied at each level would take as many times its
/// own size.
fn of(object: &mut KerasObject, custom: &CustomObjects<'_>, depth: usize) -> Result<Network, String> {
    if depth >= MOST_DEPTH {
        return Err(format!("has more than {MOST_DEPTH} models inside one another"));
    }
    object.check_code()?;
    match object.class_name() {
        CHAIN => chain(object, custom, depth),
        FUNCTIONAL | "Model" => Reader::read(object, custom, depth),
        other => Err(format!("is a {other}; Kiln reads models that are Sequential or Functional")),
    }
}

/// The objects of a network's layers.
fn layers(object: &mut KerasObject) -> Result<Vec<KerasObject>, String> {
    let entries = match object.take("layers") {
        Some(Setting::List(layers)) => layers,
        Some(_) => return Err("has layers that are no list".into()),
        None => return Err("has no layers".into()),
    };
    entries.into_iter().map(|entry| KerasObject::of(entry).map_err(|e| format!("one of its layers {e}"))).collect()
}

/// The name under which the network has a layer.
fn name(object: &KerasObject) -> Result<String, String> {
    match object.name() {
        "" => Err(format!("has a {} without a name", object.class_name())),
        // It would be taken for a layer inside a model.
        name if name.contains('/') => Err(format!("has a layer {name:?}; a name with a / in it is a path in Kiln")),
        name => Ok(name.into()),
    }
}

fn of_layer(object: &KerasObject, why: impl std::fmt::Display) -> String {
    format!("layer {:?}, a {}: {why}", object.name(), object.class_name())
}

/// The layer of an object, told what stands at its calls.
fn layer(
    object: &mut KerasObject,
    told: &[(&str, Setting)],
    custom: &CustomObjects<'_>,
    depth: usize,
) -> Result<Arc<dyn Layer>, String> {
    if let Some(own) = custom.keras_layer(object) {
        return own.map_err(|e| of_layer(object, e));
    }
    let made = match object.class_name() {
        CHAIN | FUNCTIONAL | "Model" => of(object, custom, depth + 1).map(|network| {
            let nested: Arc<dyn Layer> = Arc::new(Nested::new(None, network.without_leading_input(), Ok(Vec::new())));
            if object.is_trainable() { nested } else { Arc::new(Trainable::around(nested, false)) }
        }),
        _ => object.to_layer(told),
    };
    made.map_err(|e| of_layer(object, e))
}

fn chain(object: &mut KerasObject, custom: &CustomObjects<'_>, depth: usize) -> Result<Network, String> {
    let mut chain = Network::chain();
    for (place, mut object) in layers(object)?.into_iter().enumerate() {
        let object = &mut object;
        let made: Arc<dyn Layer> = match object.class_name() {
            INPUT if place == 0 => Arc::new(Input::new(sample(object)?)),
            INPUT => return Err(of_layer(object, "stands behind other layers; a Sequential has one input")),
            _ => layer(object, &[], custom, depth)?,
        };
        chain.append(name(object)?, made);
    }
    let built = || object.get("build_input_shape").or_else(|| object.get_beside("build_config")?.get("input_shape"));
    if chain.inputs[0].shape.is_none()
        && let Some(Setting::List(_)) = built()
    {
        chain.inputs[0].shape = built().map(|shape| batch(shape).map_err(|e| of_layer(object, e))).transpose()?;
    }
    Ok(chain)
}

/// The shape of the samples of an input.
fn sample(object: &KerasObject) -> Result<Shape, String> {
    let shape = match ["batch_shape", "batch_input_shape"].iter().find_map(|key| object.get(key)) {
        Some(shape) => batch(shape),
        None => match object.get("shape") {
            Some(shape) => extents(shape, shape),
            None => Err("has no batch_shape".into()),
        },
    };
    match object.get("dtype") {
        Some(Setting::Text(dtype))
            if !["float", "int", "uint", "bool"].iter().any(|known| dtype.starts_with(known)) =>
        {
            Err(of_layer(object, format!("takes {dtype}; Kiln's inputs are numbers")))
        }
        _ => shape.map_err(|e| of_layer(object, e)),
    }
}

/// The shape of a sample, of that of a batch.
fn batch(shape: &Setting) -> Result<Shape, String> {
    match shape {
        Setting::List(extents_) if !extents_.is_empty() => extents(&Setting::List(extents_[1..].to_vec()), shape),
        _ => Err("takes batches without a shape".into()),
    }
}

fn extents(extents: &Setting, whole: &Setting) -> Result<Shape, String> {
    let extents: Vec<usize> = extents.read().map_err(|e: String| {
        let whole = crate::io::json::write(whole);
        format!("takes batches of {whole}, where Kiln has to know each extent of a sample ({e}); give them in Keras")
    })?;
    Ok(extents.into())
}

/// A value as Keras names it: a layer's name, which of its nodes, which of what that gives.
type History = (String, usize, usize);

/// A node: what it reads, and what the layer is told there.
#[derive(Default)]
struct Node {
    reads: Vec<History>,
    told: Vec<(&'static str, Setting)>,
}

/// A functional model on its way into a network.
struct Reader {
    network: Network,
    /// The inputs by name.
    inputs: HashMap<String, usize>,
    /// The layers by name, and the numbers of their nodes among all.
    layers: HashMap<String, (usize, Vec<usize>)>,
    /// Keras' operations by name, each with its class and module: what masks are made by, which Kiln's layers make themselves.
    operations: HashMap<String, (String, String)>,
    /// All nodes, each with its layer, which of that layer's it is, and what it reads.
    nodes: Vec<(usize, usize, Vec<History>)>,
}

impl Reader {
    fn read(object: &mut KerasObject, custom: &CustomObjects<'_>, depth: usize) -> Result<Network, String> {
        let objects = layers(object)?;
        let (operations, mut objects): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|object| object.module().contains(".ops."));
        let of_operation = |object: &KerasObject| {
            (object.name().to_string(), (object.class_name().to_string(), object.module().to_string()))
        };
        let mut reader = Self {
            network: Network::default(),
            inputs: HashMap::new(),
            layers: HashMap::new(),
            operations: operations.iter().map(of_operation).collect(),
            nodes: Vec::new(),
        };
        reader.take_inputs(object, &objects)?;
        for object in objects.iter_mut().filter(|object| object.class_name() != INPUT) {
            reader.take_layer(object, custom, depth)?;
        }
        let calls = reader.order()?;
        let outputs = histories(object, "output_layers")?;
        let outputs = outputs.iter().map(|output| reader.wire(output, &calls, true)).collect::<Result<Vec<_>, _>>()?;
        let mut network = reader.network;
        network.outputs = outputs;
        network.first_place = network.inputs.len();
        if network.inputs.is_empty() || network.outputs.is_empty() {
            return Err("has no inputs, or no outputs".into());
        }
        network.sort_by_depth();
        Ok(network)
    }

    fn take_inputs(&mut self, object: &KerasObject, objects: &[KerasObject]) -> Result<(), String> {
        let found: HashMap<&str, &KerasObject> = objects
            .iter()
            .filter(|object| object.class_name() == INPUT)
            .map(|object| (object.name(), object))
            .collect();
        for (input, _, _) in histories(object, "input_layers")? {
            let Some(object) = found.get(input.as_str()) else {
                return Err(format!("has {input:?} among its input_layers, which is none of its inputs"));
            };
            if self.inputs.insert(input.clone(), self.network.inputs.len()).is_some() {
                return Err(format!("has the input {input:?} twice"));
            }
            self.network.names.take(&input);
            self.network.inputs.push(Port { shape: Some(sample(object)?), name: input });
        }
        match found.keys().find(|input| !self.inputs.contains_key(**input)) {
            Some(input) => Err(format!("has an input {input:?} that is not among its input_layers")),
            None => Ok(()),
        }
    }

    fn take_layer(&mut self, object: &mut KerasObject, custom: &CustomObjects<'_>, depth: usize) -> Result<(), String> {
        let own = name(object)?;
        let nodes: Vec<Setting> = match object.get_beside("inbound_nodes") {
            Some(nodes) => nodes.read().map_err(|e| of_layer(object, e))?,
            None => Vec::new(),
        };
        let nodes = nodes.iter().map(|entry| node(entry, &self.operations).map_err(|e| of_layer(object, e)));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let told = nodes.first().map(|node| node.told.clone()).unwrap_or_default();
        if nodes.iter().any(|node| node.told != told) {
            return Err(of_layer(
                object,
                "is told one thing at one call and another at the next; Kiln's layers keep it",
            ));
        }
        let layer = layer(object, &told, custom, depth)?;
        let index = self.network.layers.len();
        let numbers = (self.nodes.len()..self.nodes.len() + nodes.len()).collect();
        self.nodes.extend(nodes.into_iter().enumerate().map(|(nth, node)| (index, nth, node.reads)));
        if self.inputs.contains_key(&own) || self.layers.insert(own.clone(), (index, numbers)).is_some() {
            return Err(format!("has two layers named {own:?}"));
        }
        self.network.names.take(&own);
        self.network.layers.push((own, layer));
        Ok(())
    }

    /// The number of the node that makes a value, unless it is an input.
    fn maker(&self, (layer, nth, _): &History, is_output: bool) -> Result<Option<usize>, String> {
        if self.inputs.contains_key(layer) {
            return Ok(None);
        }
        let unknown = || match self.operations.get(layer) {
            Some((class, module)) => {
                format!("reads {layer:?}, which is {class} of {module}, for which Kiln has no layer")
            }
            None => format!("reads node {nth} of {layer:?}, which is not in the file"),
        };
        let (index, nodes) = self.layers.get(layer).ok_or_else(unknown)?;
        // As a functional model is made, Keras counts that as a call of it.
        let nested = self.network.layers[*index].1.nested();
        let first = usize::from(is_output && nested.is_some_and(|nested| !nested.network.is_sequential()));
        let node = nth.checked_sub(first).and_then(|nth| nodes.get(nth)).ok_or_else(unknown)?;
        Ok(Some(*node))
    }

    /// Adds a call for each node, behind those of what it reads, and returns which is whose.
    fn order(&mut self) -> Result<Vec<usize>, String> {
        let mut waits = vec![0; self.nodes.len()];
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (number, (layer, nth, reads)) in self.nodes.iter().enumerate() {
            // A layer's calls stay in their order.
            let before = (*nth > 0).then(|| Ok(number - 1));
            let made = reads.iter().filter_map(|read| self.maker(read, false).transpose());
            for maker in before.into_iter().chain(made) {
                let maker = maker.map_err(|e| format!("layer {:?} {e}", self.network.layers[*layer].0))?;
                waits[number] += 1;
                readers[maker].push(number);
            }
        }
        let mut ready: VecDeque<usize> = (0..waits.len()).filter(|&number| waits[number] == 0).collect();
        let mut calls = vec![usize::MAX; self.nodes.len()];
        while let Some(number) = ready.pop_front() {
            let (layer, _, reads) = &self.nodes[number];
            let reads = reads.iter().map(|read| self.wire(read, &calls, false)).collect::<Result<_, _>>()?;
            calls[number] = self.network.calls.len();
            self.network.calls.push(Call { layer: *layer, reads });
            for &reader in &readers[number] {
                waits[reader] -= 1;
                ready.extend((waits[reader] == 0).then_some(reader));
            }
        }
        match calls.iter().position(|&call| call == usize::MAX) {
            Some(number) => {
                let (name, _) = &self.network.layers[self.nodes[number].0];
                Err(format!("layer {name:?} reads what is made of it itself"))
            }
            None => Ok(calls),
        }
    }

    fn wire(&self, history: &History, calls: &[usize], is_output: bool) -> Result<Wire, String> {
        match self.maker(history, is_output)? {
            Some(node) => Ok(Wire::Output { call: calls[node], index: history.2 }),
            None => Ok(Wire::Input(self.inputs[&history.0])),
        }
    }
}

/// Values of a functional model's config: one, a list of several, or several by name.
fn histories(object: &KerasObject, key: &str) -> Result<Vec<History>, String> {
    let setting = object.get(key).ok_or_else(|| format!("has no {key}"))?;
    let all: Vec<&Setting> = match setting {
        Setting::List(values) if matches!(values.first(), Some(Setting::Text(_))) => vec![setting],
        Setting::List(values) => values.iter().collect(),
        Setting::Map(values) => values.iter().map(|(_, value)| value).collect(),
        _ => return Err(format!("has {key} that are no list")),
    };
    all.into_iter().map(|value| history(value).ok_or_else(|| format!("has {key} that name no values"))).collect()
}

fn history(setting: &Setting) -> Option<History> {
    let Setting::List(parts) = setting else { return None };
    match &parts[..] {
        [Setting::Text(name), node, index] => Some((name.clone(), node.read().ok()?, index.read().ok()?)),
        _ => None,
    }
}

/// Keras' arguments that are values, in the order in which Kiln's layers take them.
const VALUES: [&str; 8] = ["inputs", "x", "sequence", "query", "value", "key", "initial_state", ATTENTION_MASK];
const ATTENTION_MASK: &str = "attention_mask";
const CAUSAL: &str = "use_causal_mask";

/// The operations that Keras' layers make masks by.
const OF_MASKS: [&str; 9] =
    ["NotEqual", "Any", "All", "LogicalAnd", "LogicalOr", "OnesLike", "ExpandDims", "Concatenate", "Stack"];

/// That a mask is one that Keras' layers hand on, as Kiln's do.
fn check_mask(mask: &Setting, operations: &HashMap<String, (String, String)>) -> Result<(), String> {
    let mut node = Node::default();
    node.take(mask, "a mask")?;
    let is_own =
        |(name, _, _): &History| operations.get(name).is_some_and(|(class, _)| OF_MASKS.contains(&class.as_str()));
    match node.reads.iter().find(|read| !is_own(read)) {
        Some((name, _, _)) => {
            Err(format!("is given {name:?} for a mask; Kiln's layers take those of their inputs alone"))
        }
        None => Ok(()),
    }
}

fn node(setting: &Setting, operations: &HashMap<String, (String, String)>) -> Result<Node, String> {
    let (Some(args), Some(kwargs)) = (setting.get("args"), setting.get("kwargs")) else {
        return Err("has a node without args and kwargs, as Keras 2 wrote them; save the model with Keras 3".into());
    };
    let mut node = Node::default();
    node.take(args, "an argument")?;
    let Setting::Map(kwargs) = kwargs else { return Err("has a node whose kwargs are no group".into()) };
    for key in VALUES {
        let given = kwargs.iter().find(|(known, value)| known == key && *value != Setting::Null);
        if let Some((_, value)) = given {
            node.take(value, key)?;
            if key == ATTENTION_MASK {
                node.told.push((ATTENTION_MASK, true.into()));
            }
        }
    }
    for (key, value) in kwargs.iter().filter(|(key, _)| !VALUES.contains(&key.as_str())) {
        match (key.as_str(), value) {
            // In training and prediction Keras tells each layer itself which it is, whatever stands here.
            (_, Setting::Null) | (CAUSAL | "return_attention_scores" | "training", Setting::Bool(false)) => {}
            ("mask", mask) => check_mask(mask, operations)?,
            (CAUSAL, Setting::Bool(true)) => node.told.push((CAUSAL, true.into())),
            _ => {
                let value = crate::io::json::write(value);
                return Err(format!("is called with {key}={value:.80}, which no layer of Kiln's is told at a call"));
            }
        }
    }
    Ok(node)
}

impl Node {
    /// Takes the values of an argument.
    fn take(&mut self, argument: &Setting, what: &str) -> Result<(), String> {
        let tensor = argument.get("config").and_then(|config| config.get("keras_history"));
        match argument {
            Setting::Null => {}
            Setting::List(several) => several.iter().try_for_each(|one| self.take(one, what))?,
            Setting::Map(_) if argument.get("class_name") == Some(&"__keras_tensor__".into()) => {
                let read = tensor.and_then(history).ok_or("reads a value without a keras_history")?;
                self.reads.push(read);
            }
            other => {
                let other = crate::io::json::write(other);
                return Err(format!("is called with {other:.80} as {what}, where Kiln's layers take values alone"));
            }
        }
        Ok(())
    }
}
