//! Recurrent layers, <https://keras.io/api/layers/recurrent_layers/>: sequences a step at a time, with a state that goes along.

mod bidirectional;
mod gru;
mod lstm;
mod repeat_vector;
mod simple_rnn;
mod time_distributed;
mod walk;

pub use bidirectional::{Bidirectional, MergeMode};
pub use gru::Gru;
pub use lstm::Lstm;
pub use repeat_vector::RepeatVector;
pub use simple_rnn::SimpleRnn;
pub use time_distributed::TimeDistributed;
pub(crate) use walk::is_kept;

/// A call of a recurrent layer in Keras: the sequences, and states by name.
fn with_states(mut values: Vec<Setting>) -> Arguments {
    let states = values.split_off(values.len().min(1));
    let named = if states.is_empty() { Vec::new() } else { vec![("initial_state", states.into())] };
    [values.into_iter().map(|value| ("", value)).collect(), named]
}

/// Where Keras' files have the weights of a recurrent layer.
const CELL: &str = "cell";

use super::Layer;
use super::weight::{Weight, weight_setters};
use crate::error::{Error, Result};
use crate::graph::Id;
use crate::nn::keras::Arguments;
use crate::nn::{
    Activation, Config, Constraint, Initializer, KerasObject, Misnamed, OrName, Regularizer, Scope, Setting,
};
use crate::ops::recurrence::Cell;

/// The layer of a class of this folder, with the settings taken out of `config`.
pub(super) fn from_config(config: &mut Config) -> Result<Option<Box<dyn Layer>>> {
    Ok(Some(match config.class() {
        "SimpleRNN" => Box::new(SimpleRnn { inner: Recurrent::from_config(config)? }),
        "LSTM" => Box::new(Lstm { inner: Recurrent::from_config(config)? }),
        "GRU" => Box::new(Gru { inner: Recurrent::from_config(config)? }),
        "Bidirectional" => Box::new(Bidirectional::from_config(config)?),
        "TimeDistributed" => Box::new(TimeDistributed::from_config(config)?),
        "RepeatVector" => Box::new(RepeatVector::new(config.take("n")?)),
        _ => return Ok(None),
    }))
}

/// Which recurrent layer it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Simple,
    Lstm { unit_forget_bias: bool },
    Gru { reset_after: bool },
}

/// What all of them have.
#[derive(Clone, Debug)]
pub struct Recurrent {
    kind: Kind,
    units: usize,
    activation: Activation,
    recurrent_activation: Activation,
    use_bias: bool,
    kernel: Weight,
    recurrent: Weight,
    bias: Weight,
    dropout: f64,
    recurrent_dropout: f64,
    return_sequences: bool,
    return_state: bool,
    go_backwards: bool,
    /// Rows of the batches from one of which to the next the state goes.
    stateful: Option<usize>,
    zero_output_for_mask: bool,
    misnamed: Misnamed,
}

impl Recurrent {
    fn new(kind: Kind, units: usize) -> Self {
        Self {
            kind,
            units,
            activation: Activation::Tanh,
            recurrent_activation: Activation::Sigmoid,
            use_bias: true,
            kernel: Weight::new(Initializer::GlorotUniform),
            recurrent: Weight::new(Initializer::Orthogonal(1.0)),
            bias: Weight::new(Initializer::Zeros),
            dropout: 0.0,
            recurrent_dropout: 0.0,
            return_sequences: false,
            return_state: false,
            go_backwards: false,
            stateful: None,
            zero_output_for_mask: false,
            misnamed: Misnamed::default(),
        }
    }

    /// That of a class and of settings, taken out of `config`.
    fn from_config(config: &mut Config) -> Result<Self> {
        let kind = match config.class() {
            "LSTM" => Kind::Lstm { unit_forget_bias: config.take_or("unit_forget_bias", true)? },
            "GRU" => Kind::Gru { reset_after: config.take_or("reset_after", true)? },
            "SimpleRNN" => Kind::Simple,
            other => {
                let message = format!("{other} is no recurrent layer; expected SimpleRNN, LSTM or GRU");
                return Err(Error::argument("layer", message));
            }
        };
        let default = Self::new(kind, config.take("units")?);
        let recurrent_activation = match kind {
            Kind::Simple => default.recurrent_activation,
            _ => config.take_or("recurrent_activation", default.recurrent_activation)?,
        };
        Ok(Self {
            recurrent_activation,
            activation: config.take_or("activation", default.activation)?,
            use_bias: config.take_or("use_bias", default.use_bias)?,
            kernel: Weight::from_config(config, "kernel", default.kernel.initializer)?,
            recurrent: Weight::from_config(config, "recurrent", default.recurrent.initializer)?,
            bias: Weight::from_config(config, "bias", default.bias.initializer)?,
            dropout: config.take_or("dropout", 0.0)?,
            recurrent_dropout: config.take_or("recurrent_dropout", 0.0)?,
            return_sequences: config.take_or("return_sequences", false)?,
            return_state: config.take_or("return_state", false)?,
            go_backwards: config.take_or("go_backwards", false)?,
            stateful: config.take_or("stateful", None)?,
            zero_output_for_mask: config.take_or("zero_output_for_mask", false)?,
            ..default
        })
    }

    fn class(&self) -> &'static str {
        match self.kind {
            Kind::Simple => "SimpleRNN",
            Kind::Lstm { .. } => "LSTM",
            Kind::Gru { .. } => "GRU",
        }
    }

    /// Keras' name of the part that has the weights.
    fn cell_name(&self) -> &'static str {
        match self.kind {
            Kind::Simple => "simple_rnn_cell",
            Kind::Lstm { .. } => "lstm_cell",
            Kind::Gru { .. } => "gru_cell",
        }
    }

    fn cell(&self) -> Cell {
        match self.kind {
            Kind::Simple => Cell::Simple,
            Kind::Lstm { .. } => Cell::Lstm,
            Kind::Gru { reset_after: true } => Cell::GruResetAfter,
            Kind::Gru { reset_after: false } => Cell::Gru,
        }
    }

    /// The settings that files and Keras have alike.
    fn settings(&self) -> Vec<(&'static str, Setting)> {
        let mut settings: Vec<(&'static str, Setting)> = vec![
            ("units", self.units.into()),
            ("use_bias", self.use_bias.into()),
            ("dropout", self.dropout.into()),
            ("recurrent_dropout", self.recurrent_dropout.into()),
            ("return_sequences", self.return_sequences.into()),
            ("return_state", self.return_state.into()),
            ("go_backwards", self.go_backwards.into()),
            ("zero_output_for_mask", self.zero_output_for_mask.into()),
        ];
        match self.kind {
            Kind::Simple => {}
            Kind::Lstm { unit_forget_bias } => settings.push(("unit_forget_bias", unit_forget_bias.into())),
            Kind::Gru { reset_after } => settings.push(("reset_after", reset_after.into())),
        }
        settings
    }

    fn weights(&self) -> [(&'static str, &Weight); 3] {
        [("kernel", &self.kernel), ("recurrent", &self.recurrent), ("bias", &self.bias)]
    }

    fn config(&self) -> Config {
        let config = Config::new(self.class()).with("activation", self.activation).with("stateful", self.stateful);
        let config = match self.kind {
            Kind::Simple => config,
            _ => config.with("recurrent_activation", self.recurrent_activation),
        };
        let config = self.settings().into_iter().fold(config, |config, (key, value)| config.with(key, value));
        Weight::keep_all(config, &self.weights())
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = KerasObject::layer(self.class(), name)
            .with("activation", self.activation.keras()?)
            .with("stateful", self.stateful.is_some())
            .with("unroll", false);
        let layer = match self.kind {
            Kind::Simple => layer,
            _ => layer.with("recurrent_activation", self.recurrent_activation.keras()?),
        };
        let layer = self.settings().into_iter().fold(layer, |layer, (key, value)| layer.with(key, value));
        let layer = Weight::keras_all(layer, &self.weights());
        let layer = layer.with("activity_regularizer", Setting::Null);
        // Keras' SimpleRNN takes a seed and says nothing of it.
        Ok(if self.kind == Kind::Simple { layer } else { layer.with("seed", Setting::Null) })
    }
}

/// A recurrent layer that [`Bidirectional`] goes both ways with: [`SimpleRnn`], [`Lstm`] or [`Gru`].
pub trait IntoRecurrent {
    /// Its settings.
    #[doc(hidden)]
    fn into_recurrent(self) -> Recurrent;
}

/// The methods that all of them have, and what makes them layers.
macro_rules! recurrent_layer {
    ($name:ident, $class:literal) => {
        impl $name {
            /// Sets the activation of what a step makes; default tanh. Those are taken whose slope follows from their value, as
            /// `relu`, `sigmoid` and `linear`.
            #[must_use]
            pub fn activation(mut self, activation: impl OrName<Activation>) -> Self {
                self.inner.misnamed.set(&mut self.inner.activation, activation);
                self
            }

            weight_setters!(inner.kernel, inner.misnamed: "the kernel", "starts", GlorotUniform
                => kernel_initializer, kernel_regularizer, kernel_constraint);
            weight_setters!(inner.recurrent, inner.misnamed: "the recurrent kernel", "starts", Orthogonal
                => recurrent_initializer, recurrent_regularizer, recurrent_constraint);
            weight_setters!(inner.bias, inner.misnamed: "the bias", "starts", Zeros
                => bias_initializer, bias_regularizer, bias_constraint);

            /// Whether a bias is added; default true.
            #[must_use]
            pub fn use_bias(mut self, use_bias: bool) -> Self {
                self.inner.use_bias = use_bias;
                self
            }

            /// In training drops this share of each input's features, 0 to below 1, the same ones at all steps; default 0.
            #[must_use]
            pub fn dropout(mut self, rate: f64) -> Self {
                self.inner.dropout = rate;
                self
            }

            /// In training drops this share of the state as the recurrent kernel reads it, 0 to below 1, the same units at all steps;
            /// default 0. All gates have the same mask, where Keras draws one for each.
            #[must_use]
            pub fn recurrent_dropout(mut self, rate: f64) -> Self {
                self.inner.recurrent_dropout = rate;
                self
            }

            /// Gives the state behind every step, (batch, steps, units), in place of that behind the last, (batch, units).
            #[must_use]
            pub fn return_sequences(mut self, return_sequences: bool) -> Self {
                self.inner.return_sequences = return_sequences;
                self
            }

            /// Gives the last state, too: values behind the first, each (batch, units).
            #[must_use]
            pub fn return_state(mut self, return_state: bool) -> Self {
                self.inner.return_state = return_state;
                self
            }

            /// Begins with the last step. What it gives of all steps is in the order in which it went, as in Keras.
            #[must_use]
            pub fn go_backwards(mut self, go_backwards: bool) -> Self {
                self.inner.go_backwards = go_backwards;
                self
            }

            /// Begins each batch of training with the state that the last one ended with, row by row, in place of zeros: Keras'
            /// `stateful`, with the batch's size, which Keras has from the model's input. Evaluation and prediction take batches of that
            /// size, too, which begin with the state and leave it as it is, where Keras goes on.
            /// [`crate::nn::Model::reset_states`] makes it zeros.
            #[must_use]
            pub fn stateful(mut self, batch_size: usize) -> Self {
                self.inner.stateful = Some(batch_size);
                self
            }

            /// Gives zeros at steps that the mask passes over, in place of the state before them; default false.
            #[must_use]
            pub fn zero_output_for_mask(mut self, zero_output_for_mask: bool) -> Self {
                self.inner.zero_output_for_mask = zero_output_for_mask;
                self
            }
        }

        impl IntoRecurrent for $name {
            fn into_recurrent(self) -> Recurrent {
                self.inner
            }
        }

        impl Layer for $name {
            fn kind(&self) -> &'static str {
                $class
            }

            fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
                self.inner.call(scope, inputs)
            }

            fn config(&self) -> Config {
                self.inner.config()
            }

            fn keras(&self, name: &str) -> Result<KerasObject> {
                self.inner.keras(name)
            }

            fn keras_weight(&self, name: &str) -> String {
                format!("{}/{name}", self.inner.cell_name())
            }

            fn keras_call(&self, values: Vec<crate::nn::Setting>) -> crate::nn::keras::Arguments {
                super::with_states(values)
            }

            fn keras_group(&self, name: &str) -> String {
                if super::is_kept(name) { String::new() } else { super::CELL.into() }
            }
        }
    };
}
use recurrent_layer;

/// The activation of the gates, where a layer has gates.
macro_rules! gates {
    ($name:ident) => {
        impl $name {
            /// Sets the activation of the gates; default sigmoid.
            #[must_use]
            pub fn recurrent_activation(mut self, activation: impl OrName<Activation>) -> Self {
                self.inner.misnamed.set(&mut self.inner.recurrent_activation, activation);
                self
            }
        }
    };
}
use gates;
