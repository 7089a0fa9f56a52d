//! Where a layer is applied: the graph under construction and the model's trainable tensors.

use std::cell::Cell;
use std::ops::Range;

use super::network::{Pass, is_mask_of, path_of};
use super::{Constraint, Initializer, OrName, Regularizer};
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
    /// Within what each update of the optimizer leaves it.
    pub constraint: Option<Constraint>,
    /// Whether it is trained: see [`super::Layer::trainable`].
    pub trainable: bool,
    /// Whether it is a state, which the layer changes and no optimizer: see [`Scope::state`].
    pub is_state: bool,
    /// The elements that start at one, whatever the initializer gives: an LSTM's forget gate.
    pub ones: Range<usize>,
}

impl Parameter {
    /// Whether an optimizer changes it.
    #[cfg(feature = "keras")]
    pub(crate) fn is_trained(&self) -> bool {
        self.trainable && !self.is_state
    }

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
    /// The path of the network that the layer is in, where that is inside another one.
    pub(crate) network: &'a str,
    pub(crate) layer: &'a str,
    /// Where in `parameters` the layer's own stand.
    pub(crate) own: Vec<usize>,
    /// The call's place in the model.
    pub(crate) place: usize,
    /// How many salts the layer has asked for.
    pub(crate) draws: Cell<u32>,
    /// Whether the layer's weights are trained.
    pub(crate) trainable: bool,
    /// What all calls know and make in common.
    pub(crate) pass: &'a mut Pass,
}

impl Scope<'_> {
    /// The clock that random ops read, where the model is trained; `None` where it is evaluated or predicts.
    pub fn training(&self) -> Option<Id> {
        self.pass.clock
    }

    /// So many inputs of the layer.
    ///
    /// # Errors
    /// [`Error::Shape`] where it was given more or fewer.
    pub fn expect<const N: usize>(&self, inputs: &[Id]) -> Result<[Id; N]> {
        let message = || format!("takes {N} input{}, was given {}", if N == 1 { "" } else { "s" }, inputs.len());
        <[Id; N]>::try_from(inputs).map_err(|_| self.error(message()))
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
        self.place as u32 ^ draw.reverse_bits()
    }

    /// Whether the layer's weights are trained. Of a layer that is frozen, as Keras has it, normalization does as where the model
    /// predicts.
    pub fn is_trainable(&self) -> bool {
        self.trainable
    }

    /// The trainable tensor of this name, made as the model is built and the same at every later call. What a layer asks for
    /// in training alone is made then, too.
    ///
    /// # Errors
    /// [`Error::Shape`] where an extent is zero, there are 2^32 elements or more, the initialiser does not suit, it was
    /// made with another shape because the layer's input has changed, or the layer did not ask for it when the model was
    /// built.
    pub fn parameter(
        &mut self,
        name: &str,
        shape: impl Into<Shape>,
        initializer: impl OrName<Initializer>,
    ) -> Result<Id> {
        let shape = shape.into();
        let index = self.asked(name, &shape, initializer, false)?;
        Ok(self.leaf(index, shape))
    }

    /// A tensor of this name that the layer itself changes, step by step, and no optimizer: a running mean. It is made, saved and
    /// loaded as weights are, and counts as not trained. A layer that is called again in a step finds what it set before. One that is
    /// never set is a weight that is not trained within a layer that is: Keras' `add_weight(trainable=False)`.
    ///
    /// ```
    /// use kiln::graph::Id;
    /// use kiln::nn::Scope;
    /// use kiln::ops::binary::Binary;
    /// use kiln::prelude::*;
    ///
    /// /// Counts the steps that it was trained for.
    /// #[derive(Debug)]
    /// struct Counter;
    ///
    /// impl Layer for Counter {
    ///     fn kind(&self) -> &'static str {
    ///         "Counter"
    ///     }
    ///
    ///     fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
    ///         let steps = scope.state("steps", [1], Initializer::Zeros)?;
    ///         if scope.training().is_some() {
    ///             let one = scope.graph.fill(1.0, []);
    ///             let next = scope.graph.apply(Binary::Add, &[steps, one])?;
    ///             scope.set_state("steps", next)?;
    ///         }
    ///         Ok(inputs.to_vec())
    ///     }
    /// }
    ///
    /// let mut model = Sequential::new().add(Counter).add(Dense::new(1)).device(Device::cpu());
    /// model.compile(Sgd::default(), Loss::MeanSquaredError, [])?;
    /// let data = Dataset::new(Tensor::new([6, 1], vec![1.0f32; 6])?, Tensor::new([6, 1], vec![2.0f32; 6])?)?;
    /// model.fit(&data, Fit::new().batch_size(2).verbose(0))?;
    /// assert_eq!(model.weights()?[0], Tensor::from([3.0f32]));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Scope::parameter`].
    pub fn state(&mut self, name: &str, shape: impl Into<Shape>, initializer: impl OrName<Initializer>) -> Result<Id> {
        let shape = shape.into();
        let index = self.asked(name, &shape, initializer, true)?;
        Ok(self.pass.states.get(&index).copied().unwrap_or_else(|| self.leaf(index, shape)))
    }

    /// Sets what a state becomes at the end of the step, as the weights are updated: nothing changes where the model evaluates
    /// or predicts.
    ///
    /// # Errors
    /// [`Error::Shape`] where the layer did not ask for such a state, or the value is of another shape.
    pub fn set_state(&mut self, name: &str, value: Id) -> Result<()> {
        self.graph.check("set_state", &[value])?;
        let index = self.known(name).filter(|&index| self.parameters.all()[index].is_state);
        let Some(index) = index else {
            return Err(
                self.error(format!("sets {name}, which is none of its states; ask for it by Scope::state first"))
            );
        };
        let (own, given) = (self.parameters.all()[index].shape.clone(), self.graph.ty(value).clone());
        if given != Type::float(own.clone()) {
            return Err(self.error(format!("sets the state {name} of {own} to {given}")));
        }
        self.pass.states.insert(index, value);
        Ok(())
    }

    /// The mask of a value, if it has one: `f32` numbers of the shape of the value's first axes, most often (batch, steps), 1 where
    /// the value counts and 0 where it is to be passed over. It comes of a layer such as [`super::layers::Masking`], and goes on
    /// beside values through layers that let it through ([`super::Layer::supports_masking`]), to losses and metrics.
    pub fn mask(&self, value: Id) -> Option<Id> {
        self.pass.asks_for_masks.set(true);
        self.pass.masks.get(&value).copied()
    }

    /// Gives a value that the layer makes a mask: see [`Scope::mask`].
    ///
    /// # Errors
    /// [`Error::Shape`] where the mask is not of the shape of the value's first axes.
    pub fn set_mask(&mut self, value: Id, mask: Id) -> Result<()> {
        self.graph.check("set_mask", &[value, mask])?;
        if !is_mask_of(self.graph, mask, value) {
            let (mask, value) = (self.graph.ty(mask), self.graph.shape(value));
            let message = format!("a value of {value} takes no mask of {mask}; give f32 numbers of its first axes");
            return Err(self.error(message));
        }
        self.pass.masks.insert(value, mask);
        Ok(())
    }

    /// The tensor of an index. A layer applied twice has one, and one gradient that sums over both.
    fn leaf(&mut self, index: usize, shape: Shape) -> Id {
        self.graph.parameter(index).unwrap_or_else(|| self.graph.leaf(Leaf::Param(index), Type::float(shape)))
    }

    /// The index of the layer's weight or state of this name, made where it is asked for the first time.
    fn asked(
        &mut self,
        name: &str,
        shape: &Shape,
        initializer: impl OrName<Initializer>,
        is_state: bool,
    ) -> Result<usize> {
        let initializer = initializer.given().map_err(|e| self.error(format!("{name}: {e}")))?;
        if shape.is_empty() {
            return Err(self.error(format!("{name} of {shape} has no elements")));
        }
        if !shape.is_countable() {
            let message = format!("{name} of {shape} has 2^32 elements or more; give the layer fewer units");
            return Err(self.error(message));
        }
        if let Some(refusal) = initializer.refusal(shape) {
            return Err(self.error(format!("{name} is of {shape}; its initializer {refusal}")));
        }
        let (known, trainable) = (self.known(name), self.trainable && !is_state);
        match (known, &mut self.parameters) {
            (Some(index), known) => {
                let built = &mut known.all()[index];
                if built.shape != *shape {
                    let message = format!("{name} was built as {}; this input would need {shape}", built.shape);
                    return Err(self.error(message));
                }
                if built.is_state != is_state {
                    return Err(
                        self.error(format!("asks for {name} as a weight and as a state; it is one or the other"))
                    );
                }
                built.trainable = trainable;
                Ok(index)
            }
            (None, Known::Growing(all)) => {
                let (layer, name, shape) = (self.layer.into(), name.into(), shape.clone());
                all.push(Parameter {
                    layer,
                    name,
                    shape,
                    initializer,
                    regularizer: None,
                    constraint: None,
                    trainable,
                    is_state,
                    ones: 0..0,
                });
                self.own.push(all.len() - 1);
                Ok(all.len() - 1)
            }
            (None, Known::Built(_)) => {
                let message = format!(
                    "asks for {name}, for which it did not ask when the model was built; let it ask for the same weights \
                     at every call, and as it trains"
                );
                Err(self.error(message))
            }
        }
    }

    /// [`Scope::parameter`] with a penalty on its size, added to the loss once however often the layer is applied.
    ///
    /// # Errors
    /// Those of [`Scope::parameter`], and [`Error::Shape`] where a factor of the penalty is negative or no number.
    pub fn regularized(
        &mut self,
        name: &str,
        shape: impl Into<Shape>,
        initializer: impl OrName<Initializer>,
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

    /// Lets some elements of a weight that the layer asked for start at one.
    pub(crate) fn start_at_one(&mut self, name: &str, elements: Range<usize>) {
        if let Some(index) = self.known(name) {
            self.parameters.all()[index].ones = elements;
        }
    }

    /// Holds a weight of the layer within a bound: it is brought back there after each update, and nowhere else. `None` holds it
    /// no longer.
    ///
    /// # Errors
    /// [`Error::Shape`] where the layer did not ask for such a weight, or the constraint does not suit it.
    pub fn constrain(&mut self, name: &str, constraint: Option<&Constraint>) -> Result<()> {
        let index = self.known(name).filter(|&index| !self.parameters.all()[index].is_state);
        let Some(index) = index else {
            let message =
                format!("constrains {name}, which is none of its weights; ask for it by Scope::parameter first");
            return Err(self.error(message));
        };
        let parameter = &mut self.parameters.all()[index];
        let refusal = constraint.and_then(|constraint| constraint.refusal(&parameter.shape));
        parameter.constraint = constraint.cloned();
        refusal.map_or(Ok(()), |refusal| Err(self.error(format!("{name}: its constraint {refusal}"))))
    }

    /// A weight of another layer of the same network, or of a model inside it (`encoder/dense`), which was called before: a
    /// decoder may multiply by its encoder's kernel. It is trained by what every layer makes of it.
    ///
    /// # Errors
    /// [`Error::Shape`] where no layer of this name that was called before has it, or it has another shape.
    pub fn weight_of(&mut self, layer: &str, name: &str, shape: impl Into<Shape>) -> Result<Id> {
        let shape = shape.into();
        let layer = &*path_of(self.network, layer);
        let all = self.parameters.all();
        let found = all.iter().position(|p| p.layer == layer && p.name == name);
        if let Some(other) = found.map(|index| all[index].shape.clone()).filter(|other| *other != shape) {
            return Err(self.error(format!("{layer}/{name} is {other}; expected {shape}")));
        }
        let index = match (found, &mut self.parameters) {
            (Some(index), _) => index,
            // Nothing is known of other layers yet: the model's own trace will see whether it has this shape.
            (None, Known::Growing(all)) if self.pass.is_alone => {
                let (layer, name, initializer) = (layer.into(), name.into(), Initializer::Zeros);
                let shape = shape.clone();
                let (regularizer, constraint, trainable, is_state) = (None, None, true, false);
                let ones = 0..0;
                let parameter =
                    Parameter { layer, name, shape, initializer, regularizer, constraint, trainable, is_state, ones };
                all.push(parameter);
                all.len() - 1
            }
            _ => {
                let message = format!("there is no weight {layer}/{name} of a layer that is called before");
                return Err(self.error(message));
            }
        };
        Ok(self.leaf(index, shape))
    }

    /// The layer's tensor of this name, if it was made.
    fn known(&mut self, name: &str) -> Option<usize> {
        let all = self.parameters.all();
        self.own.iter().copied().find(|&index| all[index].name == name)
    }
}
