//! Optimizers by Keras' names.

#[cfg(feature = "keras")]
mod keras;
mod new;

use super::{Config, Parameter, schedule};
use crate::error::{Error, Result};

#[cfg(feature = "keras")]
pub(crate) use keras::{keras_slots, nadam_product};

pub use crate::ops::adadelta::Adadelta;
pub use crate::ops::adagrad::Adagrad;
pub use crate::ops::adam::Adam;
pub use crate::ops::adamax::Adamax;
pub use crate::ops::lion::Lion;
pub use crate::ops::nadam::Nadam;
pub use crate::ops::optimizer::{Optimizer, Options, SCALARS, WithOptions};
pub use crate::ops::rmsprop::RmsProp;
pub use crate::ops::sgd::Sgd;

/// The names that [`by_name`] knows.
pub const NAMES: [&str; 9] = ["sgd", "rmsprop", "adam", "adamw", "adagrad", "adadelta", "adamax", "nadam", "lion"];

/// The optimizer of Keras' name with Keras' defaults: one of [`NAMES`].
///
/// # Errors
/// [`Error::Argument`] that lists the names, and the likeliest one.
pub fn by_name(name: &str) -> Result<Box<dyn Optimizer>> {
    match name.to_lowercase().as_str() {
        "sgd" => Ok(Box::new(Sgd::default())),
        "rmsprop" => Ok(Box::new(RmsProp::default())),
        "adam" => Ok(Box::new(Adam::default())),
        "adamw" => Ok(Box::new(Adam::adamw())),
        "adagrad" => Ok(Box::new(Adagrad::default())),
        "adadelta" => Ok(Box::new(Adadelta::default())),
        "adamax" => Ok(Box::new(Adamax::default())),
        "nadam" => Ok(Box::new(Nadam::default())),
        "lion" => Ok(Box::new(Lion::default())),
        _ => Err(Error::argument("optimizer", crate::suggest::unknown(name, &NAMES))),
    }
}

/// The optimizer of this class, with the settings but its [`Options`] taken out of `config`; `None` where the class is none
/// of [`NAMES`].
pub(crate) fn from_config(config: &mut Config) -> Result<Option<Box<dyn Optimizer>>> {
    if config.class() == schedule::SCHEDULED {
        return schedule::scheduled(config);
    }
    let Ok(mut optimizer) = by_name(config.class()) else { return Ok(None) };
    optimizer.configure(config)?;
    Ok(Some(optimizer))
}

/// An arena that an optimizer keeps beside the parameters.
pub(crate) struct State {
    /// What it is called in saved files.
    pub name: String,
    /// What every element starts from.
    pub initial: f64,
}

/// The arenas that the optimizer keeps, by their index as moments: behind the moments one for the sums of gradients, where they are
/// accumulated, then one for the moving averages of weights, where they are kept.
pub(crate) fn states(optimizer: &dyn Optimizer) -> Vec<State> {
    let moment = |i| State { name: optimizer.moment_name(i), initial: optimizer.initial(i) };
    let sums = optimizer.options().gradient_accumulation_steps.map(|_| SUMS);
    let sums = sums.map(|name| State { name: name.into(), initial: 0.0 });
    let average = optimizer.options().use_ema.then(|| State { name: "average".into(), initial: 0.0 });
    (0..optimizer.moments()).map(moment).chain(sums).chain(average).collect()
}

/// The name of the sums of gradients that are accumulated.
const SUMS: &str = "gradient_accumulator";

/// The index of the arena for the moving averages of weights, where they are kept.
pub(crate) fn average(optimizer: &dyn Optimizer) -> Option<usize> {
    optimizer.options().use_ema.then(|| states(optimizer).len() - 1)
}

/// The optimizer's scalars for a step, counted from 1 over the model's life. Where gradients are accumulated, the learning
/// rate is that of the step, all else of the update, counted alone, as in Keras; zeros where there is none.
pub(crate) fn scalars(optimizer: &dyn Optimizer, step: u64) -> [f64; SCALARS] {
    let options = optimizer.options();
    match options.gradient_accumulation_steps {
        None => optimizer.scalars(step),
        Some(_) if !options.updates(step) => [0.0; SCALARS],
        Some(steps) => optimizer.with_learning_rate(optimizer.learning_rate_at(step - 1)).scalars(step / steps),
    }
}

/// For each parameter, whether it decays where weights do.
///
/// # Errors
/// [`Error::Argument`] that lists the parameters, where none is of a name to exclude.
pub(crate) fn decays(options: &Options, parameters: &[Parameter]) -> Result<Vec<bool>> {
    let words = &options.exclude_from_weight_decay;
    let excluded = |p: &Parameter, word: &str| p.name.contains(word) || p.path() == word;
    if let Some(word) = words.iter().find(|w| !parameters.iter().any(|p| excluded(p, w))) {
        let paths = parameters.iter().map(Parameter::path).collect::<Vec<_>>().join(", ");
        let message = format!("no weight is named {word:?}; there are {paths}: give part of a name, or all of it");
        return Err(Error::argument("exclude_from_weight_decay", message));
    }
    Ok(parameters.iter().map(|p| !words.iter().any(|w| excluded(p, w))).collect())
}

/// That the optimizer's settings are in their ranges and its learning rate can train.
///
/// # Errors
/// [`Error::Argument`] that names the setting.
pub fn check(optimizer: &dyn Optimizer) -> Result<()> {
    // Before the rate: a schedule whose settings are wrong may have none.
    optimizer.check()?;
    optimizer.options().check_all()?;
    let learning_rate = optimizer.learning_rate();
    // A schedule may begin or end with 0.
    if optimizer.is_scheduled() || learning_rate > 0.0 && learning_rate.is_finite() {
        return Ok(());
    }
    let message = format!("{learning_rate} trains nothing; give a number above 0, such as 0.001");
    Err(Error::argument("learning_rate", message))
}
