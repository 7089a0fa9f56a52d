//! How Keras' files keep the state of an optimizer.

use super::{Nadam, Optimizer, SUMS, states};
use crate::nn::{Config, Parameter};

/// A slot of Keras' optimizers: a variable of the state for one parameter.
pub(crate) struct Slot {
    /// Which of [`states`] it is of.
    pub state: usize,
    /// Which of the parameters.
    pub parameter: usize,
}

/// The slots in the order in which Keras keeps them: averages, sums of gradients and then, of each weight that is trained, the moments.
/// Those of RMSprop, and the largest velocities of Adam, stand one kind after the other.
pub(crate) fn keras_slots(optimizer: &dyn Optimizer, parameters: &[Parameter]) -> Vec<Slot> {
    let trained: Vec<usize> = (0..parameters.len()).filter(|&p| parameters[p].is_trained()).collect();
    let all = |state: usize| trained.iter().map(move |&parameter| Slot { state, parameter });
    let states = states(optimizer);
    let place = |name: &str| states.iter().position(|state| state.name == name);
    let of_options = ["average", SUMS].into_iter().filter_map(place);
    let mut slots: Vec<Slot> = of_options.flat_map(all).collect();
    let rmsprop = ["velocity", "momentum", "average_gradient"];
    let (together, apart): (Vec<usize>, Vec<usize>) = match unscheduled(optimizer.config()).class() {
        "rmsprop" => (Vec::new(), rmsprop.into_iter().filter_map(place).collect()),
        _ => (0..optimizer.moments()).partition(|&state| states[state].name != "velocity_hat"),
    };
    for &parameter in &trained {
        slots.extend(together.iter().map(|&state| Slot { state, parameter }));
    }
    slots.extend(apart.into_iter().flat_map(all));
    slots
}

/// The config of an optimizer, whatever sets its learning rate.
fn unscheduled(mut config: Config) -> Config {
    config.take("optimizer").unwrap_or(config)
}

/// The product that Nadam keeps, after so many steps; `None` of other optimizers.
pub(crate) fn nadam_product(optimizer: &dyn Optimizer, steps: u64) -> Option<f64> {
    let mut config = unscheduled(optimizer.config());
    let is_nadam = config.class() == "nadam";
    let beta_1 = config.take("beta_1").ok().filter(|_| is_nadam)?;
    let updates = steps / optimizer.options().gradient_accumulation_steps.unwrap_or(1);
    Some(Nadam { beta_1, ..Nadam::default() }.product(updates))
}
