//! Networks in a model's configuration: a chain as its layers in order, any other with its calls.

use std::sync::Arc;

use super::{Call, Network, Port, Wire, sample_refusal};
use crate::error::{Error, Result};
use crate::nn::layers::Layer;
use crate::nn::{Config, CustomObjects, FromSetting, Setting};
use crate::tensor::Shape;

/// The class of a chain.
pub(crate) const CHAIN: &str = "Sequential";
/// The class of any other network.
pub(crate) const FUNCTIONAL: &str = "Functional";

pub(super) fn map<const N: usize>(entries: [(&str, Setting); N]) -> Setting {
    Setting::Map(entries.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
}

impl Network {
    /// The class that its configuration has.
    pub fn class(&self) -> &'static str {
        if self.is_sequential() { CHAIN } else { FUNCTIONAL }
    }

    /// Adds the network to a model's configuration. `samples`: the shape of a sample of each input; of a chain inside another
    /// network it may not be known.
    pub fn keep(&self, config: Config, samples: Option<&[Shape]>) -> Config {
        let layer = |(name, layer): &(String, Arc<dyn Layer>)| {
            map([("name", name.as_str().into()), ("layer", layer.config().into())])
        };
        let layers = self.layers.iter().map(layer).collect::<Vec<_>>();
        if self.is_sequential() {
            return config.with("sample_shape", samples.map(|samples| samples[0].to_vec())).with("layers", layers);
        }
        let samples = samples.unwrap_or_default();
        let input = |(port, shape): (&Port, &Shape)| {
            map([("name", port.name.as_str().into()), ("shape", shape.to_vec().into())])
        };
        let wires = |wires: &[Wire]| Setting::List(wires.iter().map(|&wire| self.numbers(wire)).collect());
        let call = |call: &Call| map([("layer", call.layer.into()), ("reads", wires(&call.reads))]);
        config
            .with("inputs", self.inputs.iter().zip(samples).map(input).collect::<Vec<_>>())
            .with("layers", layers)
            .with("calls", self.calls.iter().map(call).collect::<Vec<_>>())
            .with("outputs", wires(&self.outputs))
    }

    /// A value as numbers: who makes it, inputs counted before calls, and which of what that gives.
    fn numbers(&self, wire: Wire) -> Setting {
        let (maker, index) = match wire {
            Wire::Input(input) => (input, 0),
            Wire::Output { call, index } => (self.inputs.len() + call, index),
        };
        vec![maker, index].into()
    }

    /// Takes one out of a model's configuration.
    pub fn take(config: &mut Config, custom: &CustomObjects<'_>) -> Result<Self> {
        if config.class() == CHAIN { Self::take_chain(config, custom) } else { Self::take_calls(config, custom) }
    }

    fn take_chain(config: &mut Config, custom: &CustomObjects<'_>) -> Result<Self> {
        let mut chain = Self::chain();
        for entry in config.take::<Vec<Setting>>("layers")? {
            let (name, layer) = named_layer(&entry, custom)?;
            chain.append(name, layer);
        }
        if let Some(shape) = config.take_or("sample_shape", None::<Vec<usize>>)?.map(Shape::from) {
            if let Some(refusal) = sample_refusal(&shape) {
                return Err(Error::argument("sample_shape", refusal));
            }
            if let Some(other) = chain.inputs[0].shape.replace(shape.clone()).filter(|other| *other != shape) {
                return Err(Error::argument("sample_shape", format!("is {shape}, the first layer takes {other}")));
            }
        }
        Ok(chain)
    }

    /// Takes one that is no chain.
    fn take_calls(config: &mut Config, custom: &CustomObjects<'_>) -> Result<Self> {
        let mut network = Self::default();
        for entry in config.take::<Vec<Setting>>("inputs")? {
            let name: String = part(&entry, "inputs", "name")?;
            let shape = Shape::from(part::<Vec<usize>>(&entry, "inputs", "shape")?);
            if let Some(refusal) = sample_refusal(&shape) {
                return Err(Error::argument(format!("input {name:?}"), refusal));
            }
            network.names.take(&name);
            network.inputs.push(Port { name, shape: Some(shape) });
        }
        for entry in config.take::<Vec<Setting>>("layers")? {
            let (name, layer) = named_layer(&entry, custom)?;
            network.names.take(&name);
            network.layers.push((name, layer));
        }
        for entry in config.take::<Vec<Setting>>("calls")? {
            let (layer, reads): (usize, Vec<Vec<usize>>) =
                (part(&entry, "calls", "layer")?, part(&entry, "calls", "reads")?);
            if layer >= network.layers.len() {
                let message = format!("one is of layer {layer}; there are {}", network.layers.len());
                return Err(Error::argument("calls", message));
            }
            let reads = network.wires("calls", &reads)?;
            network.calls.push(Call { layer, reads });
        }
        let outputs: Vec<Vec<usize>> = config.take("outputs")?;
        network.outputs = network.wires("outputs", &outputs)?;
        network.first_place = network.inputs.len();
        if network.inputs.is_empty() || network.outputs.is_empty() {
            return Err(Error::argument("inputs", "a model has one input or more, and one output or more"));
        }
        Ok(network)
    }

    /// Values from what [`Network::numbers`] gave, which were made by the calls so far.
    fn wires(&self, what: &str, numbers: &[Vec<usize>]) -> Result<Vec<Wire>> {
        let wire = |numbers: &Vec<usize>| match numbers[..] {
            [input, 0] if input < self.inputs.len() => Ok(Wire::Input(input)),
            [maker, index] if maker >= self.inputs.len() && maker - self.inputs.len() < self.calls.len() => {
                Ok(Wire::Output { call: maker - self.inputs.len(), index })
            }
            _ => Err(Error::argument(what, format!("{numbers:?} is no value that is made before it is read"))),
        };
        numbers.iter().map(wire).collect()
    }
}

/// A part of an entry of a list of settings.
fn part<T: FromSetting>(entry: &Setting, list: &str, key: &str) -> Result<T> {
    let part = entry.get(key).ok_or_else(|| Error::argument(list, format!("one has no {key}")))?;
    part.read().map_err(|e| Error::argument(format!("the {key} of one of {list}"), e))
}

/// A layer and its name.
fn named_layer(entry: &Setting, custom: &CustomObjects<'_>) -> Result<(String, Arc<dyn Layer>)> {
    let name: String = part(entry, "layers", "name")?;
    let layer = custom.make_layer(&part(entry, "layers", "layer")?);
    let layer = layer.map_err(|e| Error::argument(format!("layer {name:?}"), e.to_string()))?;
    Ok((name, layer))
}
