//! The settings of one network and how it is trained.

use std::fmt;

use crate::config::{Config, Configured};
use crate::error::{Error, Result};
use crate::nn::Activation;

/// Its name in saved models.
const CLASS: &str = "Settings";

/// What a trial of a [`Search`](super::Search) trains: the layers, and how they are trained. `{}` writes it in one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Filters of the convolutions over pictures, first to last, each followed by a pooling; none for tables.
    pub filters: Vec<usize>,
    /// Units of the hidden dense layers, first to last; without any the output layer is all there is.
    pub hidden: Vec<usize>,
    /// Of the convolutions and the hidden layers.
    pub activation: Activation,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Samples a step.
    pub batch_size: usize,
    /// The share of each hidden layer's outputs that is dropped in training.
    pub dropout: f64,
    /// What share of each weight, times the learning rate, is taken off it at each step, as AdamW does.
    pub weight_decay: f64,
    /// Whether the loss of each class is weighted so that all classes count alike.
    pub balanced: bool,
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |numbers: &[usize]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join("-");
        if !self.filters.is_empty() {
            write!(f, "conv {}, ", list(&self.filters))?;
        }
        let activation = self.activation.config();
        match &self.hidden[..] {
            [] if self.filters.is_empty() => write!(f, "linear")?,
            [] => write!(f, "{}", activation.class())?,
            hidden => write!(f, "dense {} {}", list(hidden), activation.class())?,
        }
        write!(f, ", rate {}, batch {}", self.learning_rate, self.batch_size)?;
        for (name, value) in [("dropout", self.dropout), ("decay", self.weight_decay)] {
            if value > 0.0 {
                write!(f, ", {name} {value}")?;
            }
        }
        if self.balanced { write!(f, ", classes balanced") } else { Ok(()) }
    }
}

impl Configured for Settings {
    fn config(&self) -> Config {
        Config::new(CLASS)
            .with("filters", self.filters.clone())
            .with("hidden", self.hidden.clone())
            .with("activation", self.activation)
            .with("learning_rate", self.learning_rate)
            .with("batch_size", self.batch_size)
            .with("dropout", self.dropout)
            .with("weight_decay", self.weight_decay)
            .with("balanced", self.balanced)
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        if config.class() != CLASS {
            return Err(Error::argument(config.class(), format!("is no {CLASS}")));
        }
        Ok(Self {
            filters: config.take("filters")?,
            hidden: config.take("hidden")?,
            activation: config.take("activation")?,
            learning_rate: config.take("learning_rate")?,
            batch_size: config.take("batch_size")?,
            dropout: config.take("dropout")?,
            weight_decay: config.take("weight_decay")?,
            balanced: config.take("balanced")?,
        })
    }
}
