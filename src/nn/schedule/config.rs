//! Schedules in saved models.

use super::{
    CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay,
    Schedule,
};
use crate::error::Result;
use crate::nn::{Config, Configured};

/// Each schedule by its class, with all its fields as settings.
macro_rules! saved {
    ($($class:ident: $($field:ident),*;)*) => {
        $(impl Configured for $class {
            fn config(&self) -> Config {
                Config::new(stringify!($class))$(.with(stringify!($field), self.$field.clone()))*
            }

            fn from_config(config: &mut Config) -> Result<Self> {
                Ok(Self { $($field: config.take(stringify!($field))?),* })
            }
        })*

        /// The schedule of this class, with the settings taken out of `config`; `None` where the class is none of these.
        pub(crate) fn from_config(config: &mut Config) -> Result<Option<Box<dyn Schedule>>> {
            Ok(Some(match config.class() {
                CONSTANT => Box::new(config.take::<f64>("learning_rate")?),
                $(stringify!($class) => Box::new($class::from_config(config)?),)*
                _ => return Ok(None),
            }))
        }
    };
}
saved! {
    ExponentialDecay: initial_learning_rate, decay_steps, decay_rate, staircase;
    InverseTimeDecay: initial_learning_rate, decay_steps, decay_rate, staircase;
    PolynomialDecay: initial_learning_rate, decay_steps, end_learning_rate, power, cycle;
    PiecewiseConstantDecay: boundaries, values;
    CosineDecay: initial_learning_rate, decay_steps, alpha, warmup_target, warmup_steps;
    CosineDecayRestarts: initial_learning_rate, first_decay_steps, t_mul, m_mul, alpha;
}

/// The class of a number.
pub(crate) const CONSTANT: &str = "Constant";

pub(super) fn constant(learning_rate: f64) -> Config {
    Config::new(CONSTANT).with("learning_rate", learning_rate)
}
