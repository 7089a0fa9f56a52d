//! What a model consists of for samples of one shape.

use std::collections::HashMap;

use super::{Sequential, checks};
use crate::error::Result;
use crate::graph::{Graph, Leaf, Type};
use crate::nn::{Known, Parameter};
use crate::ops::clock::WORDS;
use crate::tensor::Shape;
use crate::train::trace;

#[derive(Debug)]
pub(super) struct Built {
    pub sample: Shape,
    pub parameters: Vec<Parameter>,
    /// The shape of each layer's output for a batch of one.
    pub outputs: Vec<Shape>,
}

impl Built {
    /// The shape of the last layer's output for one sample.
    pub fn output(&self) -> &[usize] {
        self.outputs.last().map_or(&[], |shape| &shape[1..])
    }
}

impl Sequential {
    /// What samples of a shape give rise to.
    pub(super) fn traced(&self, sample: Shape) -> Result<Built> {
        if let Some(name) = checks::twice(self.layers.iter().map(|(name, _)| name.as_str())) {
            return Err(self.error(format!("two layers are named {name:?}; give each a name of its own")));
        }
        if self.layers.is_empty() {
            return Err(self.error("the model has no layers; add one"));
        }
        if let Some(refusal) = checks::sample_refusal(&sample) {
            return Err(self.error(refusal));
        }
        let mut parameters = Vec::new();
        let traced = |parameters: &mut Vec<Parameter>, training: bool| -> Result<Vec<Shape>> {
            let mut graph = Graph::new();
            let x = graph.leaf(Leaf::Input(0), Type::float([&[1], &sample[..]].concat()));
            let clock = training.then(|| graph.leaf(Leaf::Clock, Type::u32([WORDS])));
            let outputs = trace::forward(&self.layers, &mut graph, Known::Growing(parameters), x, clock)?;
            Ok(outputs.into_iter().map(|y| graph.shape(y).clone()).collect())
        };
        let outputs = traced(&mut parameters, false)?;
        // Weights for which a layer asks in training alone have their places from the start. A model that cannot be trained
        // says so when it is.
        let mut with_training = parameters.clone();
        if traced(&mut with_training, true).is_ok() && with_training.len() > parameters.len() {
            let places: HashMap<&str, usize> = self.layers.iter().map(|(name, _)| name.as_str()).zip(0..).collect();
            with_training.sort_by_key(|p| places[p.layer.as_str()]);
            parameters = with_training;
        }
        Ok(Built { sample, parameters, outputs })
    }
}
