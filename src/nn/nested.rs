//! Models inside models: a network as a layer.

use std::fmt;
use std::sync::Arc;

use super::layers::{Layer, Trainable};
use super::network::{Built, CHAIN, Network, Within, path_of};
use super::{Config, CustomObjects, KerasObject, Scope};
use crate::error::Result;
use crate::graph::Id;
use crate::tensor::{Shape, Tensor};

/// What a model may have as a layer: a [`Layer`], or another model, whose weights it takes along.
///
/// ```
/// use kiln::prelude::*;
/// let encoder = Sequential::new().add(Dense::new(8)).add(Dense::new(2)).named("encoder");
/// let model = Sequential::new().add(Input::new([16])).add(encoder).add(Dense::new(16));
/// assert_eq!(model.parameter_paths()?[..2], ["encoder/dense/kernel", "encoder/dense/bias"]);
/// # Ok::<(), kiln::Error>(())
/// ```
pub trait IntoLayer {
    /// The layer. That of a model has the weights which the model has now, if it has been trained, loaded or given any.
    fn into_layer(self) -> Arc<dyn Layer>;
}

impl<L: Layer + 'static> IntoLayer for L {
    fn into_layer(self) -> Arc<dyn Layer> {
        Arc::new(self)
    }
}

/// A network that is a layer of another one.
#[derive(Clone)]
pub struct Nested {
    name: Option<String>,
    pub(crate) network: Network,
    /// The weights that it brings along, by their paths, or why they could not be read.
    weights: std::result::Result<Arc<Vec<(String, Tensor)>>, String>,
}

impl fmt::Debug for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.network.class()).field("layers", &self.network.layers).finish()
    }
}

impl Nested {
    /// A network under a name that somebody gave it, with its weights, or why they could not be read.
    pub(crate) fn new(
        name: Option<String>,
        network: Network,
        weights: std::result::Result<Vec<(String, Tensor)>, String>,
    ) -> Self {
        Self { name, network, weights: weights.map(Arc::new) }
    }

    /// That of a configuration.
    pub(super) fn take(config: &mut Config, custom: &CustomObjects<'_>) -> Result<Self> {
        let network = Network::take(config, custom)?.without_leading_input();
        Ok(Self { name: None, network, weights: Ok(Arc::default()) })
    }

    /// The same with a change to its network.
    pub(super) fn with(&self, change: impl FnOnce(&mut Network)) -> Self {
        let mut changed = self.clone();
        change(&mut changed.network);
        changed
    }

    /// The weights that it and those inside it bring along, by their paths in it.
    pub(super) fn weights(&self) -> Vec<(String, Tensor)> {
        let mut carried = self.network.carried();
        carried.extend(self.weights.iter().flat_map(|weights| weights.iter().cloned()));
        carried
    }

    /// That what it is called on is what its inputs take.
    fn check_inputs(&self, scope: &Scope<'_>, inputs: &[Id]) -> Result<()> {
        let ports = &self.network.inputs;
        if inputs.len() != ports.len() {
            let s = if ports.len() == 1 { "" } else { "s" };
            return Err(scope.error(format!("takes {} input{s}, was given {}", ports.len(), inputs.len())));
        }
        for (port, &x) in ports.iter().zip(inputs) {
            let given = Shape::from(&scope.graph.shape(x)[1..]);
            if let Some(shape) = port.shape.as_ref().filter(|shape| **shape != given) {
                let message = format!("its input {:?} takes samples of {shape}, was given {given}", port.name);
                return Err(scope.error(message));
            }
        }
        Ok(())
    }
}

impl Layer for Nested {
    fn kind(&self) -> &'static str {
        self.network.class()
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        self.check_inputs(scope, inputs)?;
        if let Err(e) = &self.weights {
            return Err(scope.error(format!("the weights that it brings along could not be read: {e}")));
        }
        if let Some(refusal) = self.network.own_refusal() {
            return Err(scope.error(refusal));
        }
        let within = Within { path: scope.layer, trainable: scope.trainable };
        let is_alone = std::mem::take(&mut scope.pass.is_alone);
        let given = self.network.run(scope.graph, scope.parameters.lent(), scope.pass, within, inputs)?;
        scope.pass.is_alone = is_alone;
        scope.graph.set_layer(scope.layer);
        self.network.outputs.iter().map(|wire| wire.of(inputs, &given)).collect()
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn config(&self) -> Config {
        self.network.keep(Config::new(self.network.class()), self.network.samples().as_deref())
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        self.network.keras(name)
    }

    fn nested(&self) -> Option<&Nested> {
        Some(self)
    }
}

impl Network {
    /// Without the [`super::layers::Input`] that a chain may begin with: inside another network it is no layer.
    pub fn without_leading_input(mut self) -> Self {
        let is_first = self.class() == CHAIN && self.layers.first().is_some_and(|(_, l)| l.sample_shape().is_some());
        if !is_first {
            return self;
        }
        let mut chain = Self::chain();
        chain.inputs = std::mem::take(&mut self.inputs);
        let shape = chain.inputs[0].shape.take();
        self.layers.drain(..).skip(1).for_each(|(name, layer)| chain.append(name, layer));
        chain.inputs[0].shape = shape;
        chain
    }

    /// The layers that are no networks, of this one and of those inside it, each by its path.
    pub fn leaves(&self) -> Vec<(String, Arc<dyn Layer>)> {
        let mut leaves = Vec::new();
        for (name, layer) in &self.layers {
            match layer.nested() {
                None => leaves.push((name.clone(), Arc::clone(layer))),
                Some(nested) => {
                    let inside = nested.network.leaves().into_iter();
                    leaves.extend(inside.map(|(path, layer)| (path_of(name, &path), layer)));
                }
            }
        }
        leaves
    }

    /// The paths of all layers, of those inside networks too.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for (name, layer) in &self.layers {
            paths.push(name.clone());
            let inside = layer.nested().map(|nested| nested.network.paths()).unwrap_or_default();
            paths.extend(inside.iter().map(|path| path_of(name, path)));
        }
        paths
    }

    /// How many networks deep it is.
    pub fn depth(&self) -> usize {
        let inside = self.layers.iter().filter_map(|(_, layer)| layer.nested());
        1 + inside.map(|nested| nested.network.depth()).max().unwrap_or(0)
    }

    /// The weights that its layers bring along, by their paths.
    pub fn carried(&self) -> Vec<(String, Tensor)> {
        let mut carried = Vec::new();
        for (name, layer) in &self.layers {
            carried.extend(layer.carried().into_iter().map(|(path, tensor)| (path_of(name, &path), tensor)));
        }
        carried
    }

    /// The layer of a path.
    pub fn layer(&self, path: &str) -> Option<&Arc<dyn Layer>> {
        self.layers.iter().find_map(|(name, layer)| match inside(path, name)? {
            "" => Some(layer),
            rest => layer.nested()?.network.layer(rest),
        })
    }

    /// The network of a path, of this one as it was built.
    pub fn inner(&self, built: &Built, path: &str) -> Result<Option<Self>> {
        let found = self.layers.iter().enumerate().find_map(|(i, (name, layer))| {
            let (rest, nested) = (inside(path, name)?, layer.nested()?);
            Some((i, rest, &nested.network))
        });
        let Some((index, rest, network)) = found else { return Ok(None) };
        let Some(call) = self.calls.iter().find(|call| call.layer == index) else { return Ok(None) };
        let samples: Vec<Shape> = call.reads.iter().map(|wire| built.sample_of(*wire)).collect();
        if !rest.is_empty() {
            return network.inner(&network.build(samples)?, rest);
        }
        let mut network = network.clone();
        network.inputs.iter_mut().zip(samples).for_each(|(port, sample)| port.shape = Some(sample));
        Ok(Some(network))
    }

    /// Whether the layer of a path is trained, which it is where it and the networks that it is in are.
    pub fn is_trained(&self, path: &str) -> bool {
        let found = self.layers.iter().find_map(|(name, layer)| match inside(path, name)? {
            "" => Some(layer.is_trainable()),
            rest => layer.nested().map(|nested| layer.is_trainable() && nested.network.is_trained(rest)),
        });
        found.unwrap_or(true)
    }

    /// Sets whether the layer of a path is trained; whether there is one.
    pub fn set_trainable(&mut self, path: &str, trainable: bool) -> bool {
        for (name, layer) in &mut self.layers {
            let (Some(rest), nested) = (inside(path, name), layer.nested()) else { continue };
            if rest.is_empty() {
                *layer = Arc::new(Trainable::new(Arc::clone(layer), trainable));
                return true;
            }
            let mut found = false;
            let Some(nested) = nested else { continue };
            let changed = nested.with(|network| found = network.set_trainable(rest, trainable));
            if found {
                *layer = Arc::new(Trainable::around(Arc::new(changed), layer.is_trainable()));
                return true;
            }
        }
        false
    }
}

/// What is left of a path behind a layer's name: nothing where it is that layer's own, `None` where it is of another one.
pub(crate) fn inside<'p>(path: &'p str, layer: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(layer)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}
