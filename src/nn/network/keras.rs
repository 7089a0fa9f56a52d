//! Networks as Keras serializes them, and where it has their weights.

use std::collections::{HashMap, HashSet};

use super::config::{CHAIN, FUNCTIONAL, map};
use super::order::Member;
use super::{Built, Call, Network, Wire, path_of};
use crate::error::{Error, Result};
use crate::nn::layers::{Input, Layer, TRAINABLE};
use crate::nn::nested::Nested;
use crate::nn::{KerasObject, Setting};
use crate::tensor::Shape;

/// What the parts of a network's form are made of.
struct Writer<'n> {
    network: &'n Network,
    /// The network as it was built, if it was.
    built: Option<&'n Built>,
    /// The layers that have weights.
    weighted: HashSet<&'n str>,
    /// Of each layer its calls.
    calls: Vec<Vec<usize>>,
    /// Of each call, which of its layer's it is.
    nth: Vec<usize>,
}

impl Network {
    /// The network as Keras serializes it under a name: a model that is not compiled, built where the shapes of its samples are known.
    /// Of what Keras writes beside, it has what builds weights: calls have no `kwargs` and layers without weights no `build_config`,
    /// which Keras finds by itself as it makes the model.
    pub fn keras(&self, name: &str) -> Result<KerasObject> {
        if let Some(refusal) = self.own_refusal() {
            return Err(Error::argument(format!("layer {name:?}"), refusal));
        }
        let built = self.samples().map(|samples| self.build(samples)).transpose()?;
        let writer = Writer::new(self, built.as_ref());
        match &built {
            Some(built) if !self.is_sequential() => writer.functional(name, built),
            _ => writer.chain(name),
        }
    }

    /// The layer of an index as Keras serializes it; `built`: the network as it was built, if it was.
    pub fn keras_layer(&self, layer: usize, built: Option<&Built>) -> Result<KerasObject> {
        Writer::new(self, built).layer(layer)
    }

    /// The layers that are no networks by their paths, each with its path in Keras, in a chain of the path `chain` or in none. In Keras
    /// weights begin with the path of the chain that they are made in: the one that they are in, where that knows its samples by itself.
    /// A functional model's are made before it.
    pub fn keras_layers(&self, chain: &str) -> HashMap<String, String> {
        let mut found = HashMap::new();
        for (name, layer) in &self.layers {
            let Some(Nested { network, .. }) = layer.nested() else {
                found.insert(name.clone(), path_of(chain, name));
                continue;
            };
            let chain = match (network.is_sequential(), network.samples()) {
                (false, _) => String::new(),
                (true, Some(_)) => name.clone(),
                (true, None) => path_of(chain, name),
            };
            found.extend(network.keras_layers(&chain).into_iter().map(|(path, keras)| (path_of(name, &path), keras)));
        }
        found
    }
}

impl<'n> Writer<'n> {
    fn new(network: &'n Network, built: Option<&'n Built>) -> Self {
        let parameters = built.iter().flat_map(|built| &built.parameters);
        let weighted = parameters.map(|parameter| parameter.layer.as_str()).collect();
        let (mut calls, mut nth) = (vec![Vec::new(); network.layers.len()], Vec::new());
        for (i, call) in network.calls.iter().enumerate() {
            nth.push(calls[call.layer].len());
            calls[call.layer].push(i);
        }
        Self { network, built, weighted, calls, nth }
    }

    fn chain(&self, name: &str) -> Result<KerasObject> {
        let object = KerasObject::of_layer("keras", CHAIN, name);
        let begins = self.network.layers[0].1.sample_shape().is_some();
        let input = self.built.filter(|_| !begins).map(|built| Input::new(built.samples[0].clone()));
        let layers = (0..self.calls.len()).map(|layer| {
            let (name, own) = &self.network.layers[layer];
            match called_with_one(&**own, Setting::Null) {
                Some(_) => self.layer(layer),
                None => {
                    let message = "is called with more than its input, which no layer of Keras' Sequential is; write the \
                                   model as a functional one";
                    Err(Error::argument(format!("layer {name:?}"), message))
                }
            }
        });
        let layers = input.map(|input| input.keras("input_layer")).into_iter().chain(layers);
        let object = object.with("layers", layers.collect::<Result<Vec<_>>>()?);
        let object = match self.built.map(|built| batches_of(&built.samples[0])) {
            Some(shape) => object.with("build_input_shape", shape.clone()).beside("build_config", build_config(shape)),
            None => object,
        };
        Ok(object.beside("compile_config", map([])))
    }

    fn functional(&self, name: &str, built: &Built) -> Result<KerasObject> {
        let layers = self.network.members().into_iter().map(|member| {
            let (object, calls) = match member {
                Member::Input(i) => (Input::new(built.samples[i].clone()).keras(self.name(member))?, Vec::new()),
                Member::Layer(i) => {
                    (self.layer(i)?, self.calls[i].iter().map(|&call| self.call(call, built)).collect())
                }
            };
            Ok(object.beside("name", self.name(member)).beside("inbound_nodes", calls))
        });
        let layers = layers.collect::<Result<Vec<_>>>()?;
        let inputs = (0..self.network.inputs.len()).map(|input| self.history(Wire::Input(input), 0));
        let outputs = self.network.outputs.iter().map(|&wire| self.history(wire, self.first_call(wire)));
        Ok(KerasObject::new("keras.src.models.functional", FUNCTIONAL)
            .registered(FUNCTIONAL)
            .with("name", name)
            .with(TRAINABLE, true)
            .with("layers", layers)
            .with("input_layers", one_or_all(inputs.collect()))
            .with("output_layers", one_or_all(outputs.collect()))
            .beside("build_config", build_config(Setting::Null))
            .beside("compile_config", map([])))
    }

    fn layer(&self, layer: usize) -> Result<KerasObject> {
        let (name, own) = &self.network.layers[layer];
        let call = self.calls[layer].first().map(|&call| &self.network.calls[call]);
        let reads = self.built.zip(call).map(|(built, call)| call.reads.iter().map(|&read| built.sample_of(read)));
        if let Some(nested) = own.nested() {
            let mut network = nested.network.clone();
            let samples = reads.into_iter().flatten();
            network.inputs.iter_mut().zip(samples).for_each(|(port, sample)| port.shape = Some(sample));
            return Ok(network.keras(name)?.with(TRAINABLE, own.is_trainable()));
        }
        let object = own.keras(name)?;
        let shapes = reads.filter(|_| self.weighted.contains(name.as_str()));
        let shapes: Vec<Setting> = shapes.into_iter().flatten().map(|sample| batches_of(&sample)).collect();
        // Layers of several values have other keys each; as the call is made, Keras builds them anyway.
        let one = <[Setting; 1]>::try_from(shapes).ok().and_then(|[shape]| called_with_one(&**own, shape));
        Ok(match one {
            Some(shape) => object.beside("build_config", build_config(shape)),
            None => object,
        })
    }

    /// A call with the values that it reads.
    fn call(&self, call: usize, built: &Built) -> Setting {
        let tensor = |&read: &Wire| {
            let config = map([
                ("shape", batches_of(&built.sample_of(read))),
                ("dtype", "float32".into()),
                ("keras_history", self.history(read, 0)),
            ]);
            map([("class_name", "__keras_tensor__".into()), ("config", config)])
        };
        let Call { layer, reads } = &self.network.calls[call];
        let [args, kwargs] = self.network.layers[*layer].1.keras_call(reads.iter().map(tensor).collect());
        let args = Setting::List(args.into_iter().map(|(_, value)| value).collect());
        let kwargs = kwargs.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        map([("args", args), ("kwargs", Setting::Map(kwargs))])
    }

    /// Which member makes a value, in which of its calls, counted from `first`, and which of what that gives.
    fn history(&self, wire: Wire, first: usize) -> Setting {
        let (member, call, index) = match wire {
            Wire::Input(input) => (Member::Input(input), 0, 0),
            Wire::Output { call, index } => (Member::Layer(self.network.calls[call].layer), self.nth[call], index),
        };
        Setting::List(vec![self.name(member).into(), (first + call).into(), index.into()])
    }

    /// What Keras counts the calls of an output's layer from: as a functional model is made, it is called once.
    fn first_call(&self, wire: Wire) -> usize {
        let Wire::Output { call, .. } = wire else { return 0 };
        let (_, layer) = &self.network.layers[self.network.calls[call].layer];
        usize::from(layer.nested().is_some_and(|nested| !nested.network.is_sequential()))
    }

    fn name(&self, member: Member) -> &'n str {
        match member {
            Member::Input(input) => &self.network.inputs[input].name,
            Member::Layer(layer) => &self.network.layers[layer].0,
        }
    }
}

/// What Keras' call of a layer that reads one value is given, if that is it alone.
fn called_with_one(layer: &dyn Layer, value: Setting) -> Option<Setting> {
    let [mut args, named] = layer.keras_call(vec![value]);
    let (_, only) = args.pop()?;
    (args.is_empty() && named.is_empty()).then_some(only)
}

/// The shape of batches of any size.
pub fn batches_of(sample: &Shape) -> Setting {
    Setting::List(std::iter::once(Setting::Null).chain(sample.iter().map(|&extent| extent.into())).collect())
}

fn build_config(shape: Setting) -> Setting {
    map([("input_shape", shape)])
}

/// What one value is given as, or several.
fn one_or_all(mut all: Vec<Setting>) -> Setting {
    if all.len() == 1 { all.remove(0) } else { all.into() }
}
