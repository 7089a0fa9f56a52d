//! The learning rate of a run: `--learning-rate` and `--lr-schedule`.

use clap::ValueEnum;
use kiln::nn::optimizer::Optimizer;
use kiln::nn::schedule::{CosineDecay, ExponentialDecay, Scheduled};
use kiln::train::callbacks::ReduceLrOnPlateau;

use crate::lr_find;

/// How the learning rate changes over a run.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum LrSchedule {
    /// From the learning rate down to 0, along half a wave of a cosine
    Cosine,
    /// From the learning rate down to a hundredth of it, by the same share at every step
    Exponential,
    /// From a 25th up to the learning rate over the first 30 % of the steps, then down to 0 along half a wave of a cosine
    OneCycle,
    /// To a tenth after each 10 epochs in which the validation loss, or the loss where nothing is validated, has not become lower
    Plateau,
}

/// The steps of a run, and how the learning rate changes over them.
#[derive(Clone, Copy, Default)]
pub struct Rate {
    /// The highest; the optimizer's own where none is told.
    pub learning_rate: Option<f64>,
    /// Over so many steps.
    pub schedule: Option<(LrSchedule, u64)>,
    /// Whether it grows, to find one.
    pub grows: bool,
}

impl From<Option<f64>> for Rate {
    fn from(learning_rate: Option<f64>) -> Self {
        Self { learning_rate, ..Self::default() }
    }
}

/// What share of the learning rate a cycle begins with.
const BEGIN: f64 = 1.0 / 25.0;
/// What share of the steps of a cycle go up.
const RISE: f64 = 0.3;
/// What share of the learning rate is left at the end of an exponential decay.
const END: f64 = 0.01;

impl Rate {
    /// The optimizer with this rate.
    pub fn of(self, mut optimizer: Box<dyn Optimizer>) -> Box<dyn Optimizer> {
        if let Some(learning_rate) = self.learning_rate {
            optimizer.set_learning_rate(learning_rate);
        }
        if self.grows {
            return lr_find::growing(optimizer);
        }
        let Some((schedule, steps)) = self.schedule else { return optimizer };
        let (rate, steps) = (optimizer.learning_rate(), steps.max(1));
        match schedule {
            LrSchedule::Cosine => Box::new(Scheduled::new(optimizer, CosineDecay::new(rate, steps))),
            LrSchedule::Exponential => Box::new(Scheduled::new(optimizer, ExponentialDecay::new(rate, steps, END))),
            LrSchedule::OneCycle => {
                let rise = (steps as f64 * RISE) as u64;
                let down = CosineDecay::new(rate * BEGIN, (steps - rise).max(1));
                let cycle = CosineDecay { warmup_target: Some(rate), warmup_steps: rise, ..down };
                Box::new(Scheduled::new(optimizer, cycle))
            }
            LrSchedule::Plateau => optimizer,
        }
    }
}

/// What lowers the rate on a plateau, where there may be something to validate on.
pub fn on_plateau(is_validated: bool) -> ReduceLrOnPlateau {
    ReduceLrOnPlateau::new().monitor(if is_validated { "val_loss" } else { "loss" }).verbose(true)
}

#[cfg(test)]
mod tests {
    use kiln::nn::optimizer::by_name;

    use super::*;

    #[test]
    fn schedules_begin_and_end_where_their_help_says() {
        let at = |schedule, step| {
            let rate = Rate { learning_rate: Some(0.5), schedule: Some((schedule, 100)), grows: false };
            rate.of(by_name("adam").unwrap()).learning_rate_at(step)
        };
        let close = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-12, "{found} for {wanted}");
        for (schedule, wanted) in [
            (LrSchedule::Cosine, [0.5, 0.25, 0.0]),
            (LrSchedule::Exponential, [0.5, 0.05, 0.005]),
            (LrSchedule::Plateau, [0.5, 0.5, 0.5]),
        ] {
            [0, 50, 100].into_iter().zip(wanted).for_each(|(step, wanted)| close(at(schedule, step), wanted));
        }
        let cycle = [(0, 0.02), (15, 0.26), (30, 0.5), (65, 0.25), (100, 0.0)];
        cycle.into_iter().for_each(|(step, wanted)| close(at(LrSchedule::OneCycle, step), wanted));
    }

    #[test]
    fn a_run_of_one_step_has_a_rate() {
        for schedule in LrSchedule::value_variants() {
            let rate = Rate { schedule: Some((*schedule, 1)), ..Rate::default() };
            let optimizer = rate.of(by_name("sgd").unwrap());
            optimizer.check().unwrap();
            assert!(optimizer.learning_rate_at(0) > 0.0, "{schedule:?}");
        }
    }
}
