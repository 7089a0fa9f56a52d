//! Where a layer is applied: the graph under construction and the model's trainable tensors.

use std::cell::Cell;

use super::{Initializer, Regularizer};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Leaf, Type};
use crate::tensor::Shape;

/// A weight of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The layer's name.
    pub layer: String,
    /// The tensor's name within the layer: `kernel`, `bias`.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// What it starts from.
    pub initializer: Initializer,
    /// What its size adds to the loss.
    pub regularizer: Option<Regularizer>,
    /// Whether it is trained: see [`super::Layer::trainable`].
    pub trainable: bool,
}

impl Parameter {
    /// The name by which the model knows it: `dense/kernel`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.layer, self.name)
    }
}

/// A model's weights, as its layers ask for them.
#[derive(Debug)]
pub(crate) enum Known<'a> {
    /// A model is built: what is asked for is made.
    Growing(&'a mut Vec<Parameter>),
    /// The model was built: there are these, which have their places on the device.
    Built(&'a mut [Parameter]),
}

impl Known<'_> {
    pub(crate) fn all(&mut self) -> &mut [Parameter] {
        match self {
            Self::Growing(parameters) => parameters,
            Self::Built(parameters) => parameters,
        }
    }

    /// The same, for a layer.
    pub(crate) fn lent(&mut self) -> Known<'_> {
        match self {
            Self::Growing(parameters) => Known::Growing(parameters),
            Self::Built(parameters) => Known::Built(parameters),
        }
    }
}

/// What a layer builds with: see [`super::Layer::call`].
#[derive(Debug)]
pub struct Scope<'a> {
    /// The graph to apply ops in.
    pub graph: &'a mut Graph,
    pub(crate) parameters: Known<'a>,
    pub(crate) layer: &'a str,
    /// Where in `parameters` the layer's own stand.
    pub(crate) own: Vec<usize>,
    /// The layer's place in the model.
    pub(crate) index: usize,
    /// How many salts the layer has asked for.
    pub(crate) draws: Cell<u32>,
    /// The clock, where the model is trained.
    pub(crate) clock: Option<Id>,
    /// Whether the layer's weights are trained.
    pub(crate) trainable: bool,
}

impl Scope<'_> {
    /// The clock that random ops read, where the model is trained; `None` where it is evaluated or predicts.
    pub fn training(&self) -> Option<Id> {
        self.clock
    }

    /// An [`Error::Shape`] of this layer: what it was given and what it takes.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::shape(format!("layer {:?}", self.layer), message)
    }

    /// What tells the random numbers of an op from those of any other: another salt at each call. The n-th call within a
    /// layer gives the same in every step, so that each step and each plan draws the same.
    pub fn salt(&self) -> u32 {
        let draw = self.draws.get();
        self.draws.set(draw + 1);
        // Layers count from the lowest bit on, the draws of one layer from the highest: no two meet before there are 2^32.
        self.index as u32 ^ draw.reverse_bits()
    }

    /// The trainable tensor of this name, made as the model is built and the same at every later call. What a layer asks for
    /// in training alone is made then, too.
    ///
    /// # Errors
    /// [`Error::Shape`] where an extent is zero, there are 2^32 elements or more, the initialiser does not suit, it was
    /// made with another shape because the layer's input has changed, or the layer did not ask for it when the model was
    /// built.
    pub fn parameter(&mut self, name: &str, shape: impl Into<Shape>, initializer: Initializer) -> Result<Id> {
        let shape = shape.into();
        if shape.is_empty() {
            return Err(self.error(format!("{name} of {shape} has no elements")));
        }
        if !shape.is_countable() {
            let message = format!("{name} of {shape} has 2^32 elements or more; give the layer fewer units");
            return Err(self.error(message));
        }
        if let Some(refusal) = initializer.refusal(&shape) {
            return Err(self.error(format!("{name} is of {shape}; its initializer {refusal}")));
        }
        let known = self.known(name);
        let index = match (known, &mut self.parameters) {
            (Some(index), known) => {
                let built = &mut known.all()[index];
                if built.shape != shape {
                    let message = format!("{name} was built as {}; this input would need {shape}", built.shape);
                    return Err(self.error(message));
                }
                built.trainable = self.trainable;
                index
            }
            (None, Known::Growing(all)) => {
                let (layer, name, trainable) = (self.layer.into(), name.into(), self.trainable);
                all.push(Parameter { layer, name, shape: shape.clone(), initializer, regularizer: None, trainable });
                self.own.push(all.len() - 1);
                all.len() - 1
            }
            (None, Known::Built(_)) => {
                let message = format!(
                    "asks for {name}, for which it did not ask when the model was built; let it ask for the same weights \
                     at every call, and as it trains"
                );
                return Err(self.error(message));
            }
        };
        // A layer applied twice has one tensor, and one gradient that sums over both.
        Ok(self.graph.parameter(index).unwrap_or_else(|| self.graph.leaf(Leaf::Param(index), Type::float(shape))))
    }

    /// [`Scope::parameter`] with a penalty on its size, added to the loss once however often the layer is applied.
    ///
    /// # Errors
    /// Those of [`Scope::parameter`], and [`Error::Shape`] where a factor of the penalty is negative or no number.
    pub fn regularized(
        &mut self,
        name: &str,
        shape: impl Into<Shape>,
        initializer: Initializer,
        regularizer: Option<Regularizer>,
    ) -> Result<Id> {
        if let Some(regularizer) = regularizer {
            regularizer.check().map_err(|e| self.error(format!("{name}: {e}")))?;
        }
        let id = self.parameter(name, shape, initializer)?;
        let index = self.known(name).expect("asked for just now");
        self.parameters.all()[index].regularizer = regularizer;
        Ok(id)
    }

    /// The layer's tensor of this name, if it was made.
    fn known(&mut self, name: &str) -> Option<usize> {
        let all = self.parameters.all();
        self.own.iter().copied().find(|&index| all[index].name == name)
    }
}
