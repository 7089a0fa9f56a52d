//! Learning rates that change by step, <https://keras.io/api/optimizers/learning_rate_schedules/>.
//!
//! ```
//! use kiln::prelude::*;
//! // From 0 to 0.01 in 100 steps, then to 0 by a cosine in 1000.
//! let rate = CosineDecay { warmup_target: Some(0.01), warmup_steps: 100, ..CosineDecay::new(0.0, 1000) };
//! assert_eq!(rate.at(50), 0.005);
//! let optimizer = Scheduled::new(Adam::default(), rate);
//! ```

mod config;

#[cfg(feature = "keras")]
pub(crate) use config::CONSTANT;

use std::f64::consts::PI;
use std::fmt::Debug;

use super::optimizer::{self, Optimizer, Options, SCALARS};
use super::{Config, Configured};
use crate::error::{Error, Result};
use crate::ops::optimizer::forwarded;

/// A learning rate by step, computed in f64.
///
/// ```
/// use kiln::prelude::*;
///
/// /// Rises for a hundred steps, then stays.
/// #[derive(Debug)]
/// struct WarmUp(f64);
///
/// impl Schedule for WarmUp {
///     fn at(&self, step: u64) -> f64 {
///         self.0 * ((step + 1) as f64 / 100.0).min(1.0)
///     }
///
///     fn check(&self) -> Result<()> {
///         Ok(())
///     }
/// }
///
/// let optimizer = Scheduled::new(Adam::default(), WarmUp(0.01));
/// # let _ = optimizer;
/// ```
pub trait Schedule: Debug + Send + Sync {
    /// The learning rate of a step, counted from 0 over the model's life. It must depend on the step alone.
    fn at(&self, step: u64) -> f64;

    /// That its settings are in their ranges.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the setting.
    fn check(&self) -> Result<()>;

    /// What a saved model keeps of the schedule. Those of this module are made from it again; one of a user's own makes
    /// the optimizer that has it one for [`crate::nn::CustomObjects`].
    fn config(&self) -> Config {
        let path = std::any::type_name::<Self>();
        Config::new(path.rsplit("::").next().unwrap_or(path))
    }
}

/// An optimizer whose learning rate a schedule sets: see [`Schedule`].
#[derive(Debug)]
pub struct Scheduled<O> {
    optimizer: O,
    schedule: Box<dyn Schedule>,
}

impl<O: Optimizer> Scheduled<O> {
    /// The optimizer with the schedule's learning rate in place of its own.
    pub fn new(optimizer: O, schedule: impl Schedule + 'static) -> Self {
        Self { optimizer, schedule: Box::new(schedule) }
    }
}

impl<O: Optimizer> Optimizer for Scheduled<O> {
    forwarded!(this => this.optimizer);

    fn with_learning_rate(&self, learning_rate: f64) -> Box<dyn Optimizer> {
        self.optimizer.with_learning_rate(learning_rate)
    }

    fn learning_rate(&self) -> f64 {
        self.schedule.at(0)
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.schedule = Box::new(learning_rate);
    }

    fn learning_rate_at(&self, step: u64) -> f64 {
        self.schedule.at(step)
    }

    fn is_scheduled(&self) -> bool {
        true
    }

    fn scalars(&self, step: u64) -> [f64; SCALARS] {
        self.optimizer.with_learning_rate(self.schedule.at(step - 1)).scalars(step)
    }

    fn options(&self) -> &Options {
        self.optimizer.options()
    }

    fn check(&self) -> Result<()> {
        self.schedule.check()?;
        self.optimizer.check()
    }

    fn config(&self) -> Config {
        Config::new(SCHEDULED).with("optimizer", self.optimizer.config()).with("schedule", self.schedule.config())
    }
}

/// The class of an optimizer with a schedule.
pub(crate) const SCHEDULED: &str = "Scheduled";

/// The optimizer that a config of [`SCHEDULED`] has, with its schedule; `None` where either is none of Kiln's.
pub(crate) fn scheduled(config: &mut Config) -> Result<Option<Box<dyn Optimizer>>> {
    let [mut optimizer, mut schedule]: [Config; 2] = [config.take("optimizer")?, config.take("schedule")?];
    let options = Options::take(&mut optimizer)?;
    let made = optimizer::from_config(&mut optimizer)?.map(|optimizer| options.applied_to(optimizer));
    let made = made.zip(config::from_config(&mut schedule)?);
    optimizer.end()?;
    schedule.end()?;
    Ok(made.map(|(optimizer, schedule)| -> Box<dyn Optimizer> { Box::new(Scheduled { optimizer, schedule }) }))
}

/// That each setting (name, value) is a number of 0 or more.
fn check_numbers(settings: &[(&str, f64)]) -> Result<()> {
    match settings.iter().find(|(_, value)| !(0.0..f64::INFINITY).contains(value)) {
        Some((name, value)) => {
            Err(Error::argument(*name, format!("{value} is no part of a learning rate; give 0 or more")))
        }
        None => Ok(()),
    }
}

fn check_steps(name: &str, steps: u64) -> Result<()> {
    if steps > 0 { Ok(()) } else { Err(Error::argument(name, "0 steps are no time to decay in; give 1 or more")) }
}

/// `step / decay_steps`, rounded down where the rate falls in stairs.
fn periods(step: u64, decay_steps: u64, staircase: bool) -> f64 {
    let periods = step as f64 / decay_steps as f64;
    if staircase { periods.floor() } else { periods }
}

/// How far a half wave of a cosine, from 1 to 0, has fallen at this share of it.
fn cosine(share: f64) -> f64 {
    0.5 * (1.0 + (PI * share).cos())
}

/// The same at every step.
impl Schedule for f64 {
    fn config(&self) -> Config {
        config::constant(*self)
    }

    fn at(&self, _step: u64) -> f64 {
        *self
    }

    fn check(&self) -> Result<()> {
        check_numbers(&[("learning_rate", *self)])
    }
}

/// `initial_learning_rate * decay_rate ^ (step / decay_steps)`
///
/// ```
/// use kiln::prelude::*;
/// let rate = ExponentialDecay::new(0.1, 100, 0.5);
/// assert!((rate.at(0) - 0.1).abs() < 1e-12);
/// assert!((rate.at(100) - 0.05).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExponentialDecay {
    /// The rate of step 0.
    pub initial_learning_rate: f64,
    /// In how many steps the rate falls to its `decay_rate`.
    pub decay_steps: u64,
    /// What share is left then.
    pub decay_rate: f64,
    /// Whether it falls at once, after each `decay_steps`; default false.
    pub staircase: bool,
}

impl ExponentialDecay {
    /// A rate that falls at every step.
    pub fn new(initial_learning_rate: f64, decay_steps: u64, decay_rate: f64) -> Self {
        Self { initial_learning_rate, decay_steps, decay_rate, staircase: false }
    }
}

impl Schedule for ExponentialDecay {
    fn config(&self) -> Config {
        Configured::config(self)
    }

    fn at(&self, step: u64) -> f64 {
        self.initial_learning_rate * self.decay_rate.powf(periods(step, self.decay_steps, self.staircase))
    }

    fn check(&self) -> Result<()> {
        check_steps("decay_steps", self.decay_steps)?;
        check_numbers(&[("initial_learning_rate", self.initial_learning_rate), ("decay_rate", self.decay_rate)])
    }
}

/// `initial_learning_rate / (1 + decay_rate * step / decay_steps)`
///
/// ```
/// use kiln::prelude::*;
/// let rate = InverseTimeDecay::new(0.1, 100, 1.0);
/// assert!((rate.at(0) - 0.1).abs() < 1e-12);
/// assert!((rate.at(100) - 0.05).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InverseTimeDecay {
    /// The rate of step 0.
    pub initial_learning_rate: f64,
    /// What `decay_rate` is counted by.
    pub decay_steps: u64,
    /// By how much the divisor grows in `decay_steps`.
    pub decay_rate: f64,
    /// Whether it grows at once, after each `decay_steps`; default false.
    pub staircase: bool,
}

impl InverseTimeDecay {
    /// A rate that falls at every step.
    pub fn new(initial_learning_rate: f64, decay_steps: u64, decay_rate: f64) -> Self {
        Self { initial_learning_rate, decay_steps, decay_rate, staircase: false }
    }
}

impl Schedule for InverseTimeDecay {
    fn config(&self) -> Config {
        Configured::config(self)
    }

    fn at(&self, step: u64) -> f64 {
        self.initial_learning_rate / (1.0 + self.decay_rate * periods(step, self.decay_steps, self.staircase))
    }

    fn check(&self) -> Result<()> {
        check_steps("decay_steps", self.decay_steps)?;
        check_numbers(&[("initial_learning_rate", self.initial_learning_rate), ("decay_rate", self.decay_rate)])
    }
}

/// `(initial_learning_rate - end_learning_rate) * (1 - step / decay_steps) ^ power + end_learning_rate`, and
/// `end_learning_rate` from `decay_steps` on.
///
/// ```
/// use kiln::prelude::*;
/// let rate = PolynomialDecay { end_learning_rate: 0.0, ..PolynomialDecay::new(0.1, 100) };
/// assert!((rate.at(50) - 0.05).abs() < 1e-12);
/// assert!((rate.at(100) - 0.0).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PolynomialDecay {
    /// The rate of step 0.
    pub initial_learning_rate: f64,
    /// In how many steps the rate falls to its end.
    pub decay_steps: u64,
    /// Where it ends; default 0.0001.
    pub end_learning_rate: f64,
    /// The power; default 1, which is a straight line.
    pub power: f64,
    /// Whether it rises again where it would stay, over the first multiple of `decay_steps` not yet passed; default false.
    pub cycle: bool,
}

impl PolynomialDecay {
    /// A straight line to 0.0001.
    pub fn new(initial_learning_rate: f64, decay_steps: u64) -> Self {
        Self { initial_learning_rate, decay_steps, end_learning_rate: 1e-4, power: 1.0, cycle: false }
    }
}

impl Schedule for PolynomialDecay {
    fn config(&self) -> Config {
        Configured::config(self)
    }

    fn at(&self, step: u64) -> f64 {
        let cycles = if self.cycle { step.div_ceil(self.decay_steps.max(1)).max(1) } else { 1 };
        let whole = self.decay_steps as f64 * cycles as f64;
        let left = 1.0 - (step as f64).min(whole) / whole;
        (self.initial_learning_rate - self.end_learning_rate) * left.powf(self.power) + self.end_learning_rate
    }

    fn check(&self) -> Result<()> {
        check_steps("decay_steps", self.decay_steps)?;
        check_numbers(&[
            ("initial_learning_rate", self.initial_learning_rate),
            ("end_learning_rate", self.end_learning_rate),
            ("power", self.power),
        ])
    }
}

/// `values[i]`, where i is the number of boundaries that the step has passed: a boundary itself still has the value
/// before it.
///
/// ```
/// use kiln::prelude::*;
/// let rate = PiecewiseConstantDecay::new([100], [0.1, 0.01]);
/// assert!((rate.at(100) - 0.1).abs() < 1e-12);
/// assert!((rate.at(101) - 0.01).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PiecewiseConstantDecay {
    /// Steps, each larger than the one before.
    pub boundaries: Vec<u64>,
    /// Rates, one more than boundaries.
    pub values: Vec<f64>,
}

impl PiecewiseConstantDecay {
    /// Rates between boundaries.
    pub fn new(boundaries: impl Into<Vec<u64>>, values: impl Into<Vec<f64>>) -> Self {
        Self { boundaries: boundaries.into(), values: values.into() }
    }
}

impl Schedule for PiecewiseConstantDecay {
    fn config(&self) -> Config {
        Configured::config(self)
    }

    fn at(&self, step: u64) -> f64 {
        let passed = self.boundaries.partition_point(|&boundary| boundary < step);
        self.values.get(passed).copied().unwrap_or(f64::NAN)
    }

    fn check(&self) -> Result<()> {
        let (boundaries, values) = (&self.boundaries, &self.values);
        if values.len() != boundaries.len() + 1 {
            let message =
                format!("{} for {} boundaries; give one more than boundaries", values.len(), boundaries.len());
            return Err(Error::argument("values", message));
        }
        if let Some(pair) = boundaries.windows(2).find(|pair| pair[0] >= pair[1]) {
            let message = format!("{} comes before {}; give steps that grow", pair[0], pair[1]);
            return Err(Error::argument("boundaries", message));
        }
        values.iter().try_for_each(|&value| check_numbers(&[("values", value)]))
    }
}

/// Half a wave of a cosine over `decay_steps`, from the rate down to `alpha` times it, where it stays; after a straight
/// line up, where there is a `warmup_target`. By Loshchilov and Hutter, <https://arxiv.org/abs/1608.03983>.
///
/// ```
/// use kiln::prelude::*;
/// let rate = CosineDecay::new(0.1, 100);
/// assert!((rate.at(50) - 0.05).abs() < 1e-12);
/// assert!((rate.at(100) - 0.0).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineDecay {
    /// The rate of step 0.
    pub initial_learning_rate: f64,
    /// In how many steps the rate falls to its end, those of the warm-up not counted.
    pub decay_steps: u64,
    /// What share of the highest rate is left at the end; default 0.
    pub alpha: f64,
    /// The rate that the warm-up ends with and the cosine begins with; default none, which means no warm-up.
    pub warmup_target: Option<f64>,
    /// How many steps the warm-up has; default 0.
    pub warmup_steps: u64,
}

impl CosineDecay {
    /// A decay to 0 without a warm-up.
    pub fn new(initial_learning_rate: f64, decay_steps: u64) -> Self {
        Self { initial_learning_rate, decay_steps, alpha: 0.0, warmup_target: None, warmup_steps: 0 }
    }
}

impl Schedule for CosineDecay {
    fn config(&self) -> Config {
        Configured::config(self)
    }

    fn at(&self, step: u64) -> f64 {
        let (highest, warm_up) = match self.warmup_target {
            Some(target) => (target, self.warmup_steps),
            None => (self.initial_learning_rate, 0),
        };
        if step < warm_up {
            let risen = step as f64 / warm_up as f64;
            return (highest - self.initial_learning_rate) * risen + self.initial_learning_rate;
        }
        let share = (step - warm_up).min(self.decay_steps) as f64 / self.decay_steps as f64;
        highest * ((1.0 - self.alpha) * cosine(share) + self.alpha)
    }

    fn check(&self) -> Result<()> {
        check_steps("decay_steps", self.decay_steps)?;
        check_numbers(&[
            ("initial_learning_rate", self.initial_learning_rate),
            ("alpha", self.alpha),
            ("warmup_target", self.warmup_target.unwrap_or(0.0)),
        ])
    }
}

/// Half waves of a cosine one after the other, each `t_mul` times as long as the one before and from `m_mul` times its
/// height, down to `alpha` times the rate. By Loshchilov and Hutter, <https://arxiv.org/abs/1608.03983>.
///
/// ```
/// use kiln::prelude::*;
/// let rate = CosineDecayRestarts::new(0.1, 100);
/// assert!((rate.at(50) - 0.05).abs() < 1e-12);
/// assert!((rate.at(100) - 0.1).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineDecayRestarts {
    /// The rate of step 0.
    pub initial_learning_rate: f64,
    /// The steps of the first wave.
    pub first_decay_steps: u64,
    /// How many times as long as the last the next wave is, 1 or more; default 2.
    pub t_mul: f64,
    /// How many times as high as the last the next wave is; default 1.
    pub m_mul: f64,
    /// What share of the first rate the waves end at; default 0.
    pub alpha: f64,
}

impl CosineDecayRestarts {
    /// Waves of the same height, each twice as long as the last, down to 0.
    pub fn new(initial_learning_rate: f64, first_decay_steps: u64) -> Self {
        Self { initial_learning_rate, first_decay_steps, t_mul: 2.0, m_mul: 1.0, alpha: 0.0 }
    }
}

/// As many waves are counted out one by one.
const MOST_COUNTED: f64 = 4096.0;

impl CosineDecayRestarts {
    /// How many waves ended before a step, and how far the step is through its own.
    fn wave(&self, step: f64) -> (f64, f64) {
        // Keras takes the wave's number from a logarithm, whose rounding puts the start of some waves at the end of the
        // last. Waves are counted out here, all at once where they are of one length.
        let (mut wave, mut since, mut restarts) = (self.first_decay_steps as f64, step, 0.0);
        let growth = self.t_mul - 1.0;
        if growth == 0.0 {
            restarts = (since / wave).floor();
            return (restarts, (since - restarts * wave) / wave);
        }
        while since >= wave && restarts < MOST_COUNTED {
            (since, wave, restarts) = (since - wave, wave * self.t_mul, restarts + 1.0);
        }
        if since >= wave {
            // Waves that hardly grow are too many to count: n of them have wave * (t_mul^n - 1) / growth steps.
            let rate = growth.ln_1p();
            let n = ((since * growth / wave).ln_1p() / rate).floor();
            since = (since - wave * (n * rate).exp_m1() / growth).max(0.0);
            (wave, restarts) = (wave * (n * rate).exp(), restarts + n);
        }
        let share = since / wave;
        (restarts, if share > 1.0 { 1.0 } else { share })
    }
}

impl Schedule for CosineDecayRestarts {
    fn config(&self) -> Config {
        Configured::config(self)
    }

    fn at(&self, step: u64) -> f64 {
        let (restarts, share) = self.wave(step as f64);
        let height = self.m_mul.powf(restarts) * cosine(share);
        self.initial_learning_rate * ((1.0 - self.alpha) * height + self.alpha)
    }

    fn check(&self) -> Result<()> {
        check_steps("first_decay_steps", self.first_decay_steps)?;
        if !(1.0..f64::INFINITY).contains(&self.t_mul) {
            return Err(Error::argument(
                "t_mul",
                format!("{} makes waves shorter and shorter; give 1 or more", self.t_mul),
            ));
        }
        check_numbers(&[
            ("initial_learning_rate", self.initial_learning_rate),
            ("m_mul", self.m_mul),
            ("alpha", self.alpha),
        ])
    }
}
