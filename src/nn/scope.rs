//! Where a layer is applied: the graph under construction and the model's trainable tensors.

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

/// What a layer builds with: see [`super::Layer::call`].
#[derive(Debug)]
pub struct Scope<'a> {
    /// The graph to apply ops in.
    pub graph: &'a mut Graph,
    pub(crate) parameters: &'a mut Vec<Parameter>,
    pub(crate) layer: &'a str,
    /// Where in `parameters` the layer's own stand.
    pub(crate) own: Vec<usize>,
    /// The layer's place in the model.
    pub(crate) index: usize,
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

    /// What tells this layer's random numbers from another's.
    pub fn salt(&self) -> u32 {
        self.index as u32
    }

    /// The trainable tensor of this name, made at the layer's first call and the same at every later one.
    ///
    /// # Errors
    /// [`Error::Shape`] where an extent is zero, there are 2^32 elements or more, the initialiser does not suit, or it was
    /// made with another shape: the layer's input has changed.
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
        let index = known.unwrap_or(self.parameters.len());
        match known {
            Some(index) if self.parameters[index].shape != shape => {
                let built = &self.parameters[index].shape;
                let message = format!("{name} was built as {built}; this input would need {shape}");
                return Err(self.error(message));
            }
            Some(index) => self.parameters[index].trainable = self.trainable,
            None => {
                let layer = self.layer.to_string();
                let (name, shape, trainable) = (name.into(), shape.clone(), self.trainable);
                self.own.push(index);
                self.parameters.push(Parameter { layer, name, shape, initializer, regularizer: None, trainable });
            }
        }
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
        self.parameters[index].regularizer = regularizer;
        Ok(id)
    }

    /// The layer's tensor of this name, if it was made.
    fn known(&self, name: &str) -> Option<usize> {
        self.own.iter().copied().find(|&index| self.parameters[index].name == name)
    }
}
