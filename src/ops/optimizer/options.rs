//! What every optimizer of Keras takes beside its own settings.

use super::{Optimizer, SCALARS, forwarded};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::ops::Op;
use crate::ops::binary::Binary;
use crate::ops::moving_average::MovingAverage;
use crate::ops::unary::Unary;

/// How an optimizer prepares gradients for its update. Only one of the three ways to clip can be given, as in Keras.
///
/// A norm of gradients whose squares pass what the device's floats hold is infinite: what it clips becomes 0.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Each element of each gradient is brought to at most this size: see [`Optimizer::clip_value`].
    pub clip_value: Option<f64>,
    /// The gradient of each parameter is scaled to at most this norm: see [`Optimizer::clip_norm`].
    pub clip_norm: Option<f64>,
    /// All gradients are scaled to at most this norm together: see [`Optimizer::global_clip_norm`].
    pub global_clip_norm: Option<f64>,
    /// Weights that do not decay, by name: see [`Optimizer::exclude_from_weight_decay`].
    pub exclude_from_weight_decay: Vec<String>,
    /// How many steps' gradients make one update: see [`Optimizer::gradient_accumulation_steps`].
    pub gradient_accumulation_steps: Option<u64>,
    /// Whether moving averages of the weights are kept: see [`Optimizer::use_ema`].
    pub use_ema: bool,
    /// What share of themselves they keep at a step: see [`Optimizer::ema_momentum`].
    pub ema_momentum: f64,
    /// After how many updates they overwrite the weights: see [`Optimizer::ema_overwrite_frequency`].
    pub ema_overwrite_frequency: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self::NONE
    }
}

impl Options {
    /// None given.
    pub const NONE: Self = Self {
        clip_value: None,
        clip_norm: None,
        global_clip_norm: None,
        exclude_from_weight_decay: Vec::new(),
        gradient_accumulation_steps: None,
        use_ema: false,
        ema_momentum: 0.99,
        ema_overwrite_frequency: None,
    };

    fn clips(&self) -> [(&'static str, Option<f64>); 3] {
        [("clip_value", self.clip_value), ("clip_norm", self.clip_norm), ("global_clip_norm", self.global_clip_norm)]
    }

    /// That each option is in its range, and at most one way to clip is given.
    fn check(&self) -> Result<()> {
        self.check_ema()?;
        if let Some(steps @ 0..2) = self.gradient_accumulation_steps {
            let message = format!("{steps} accumulates nothing; give 2 or more, or leave it out");
            return Err(Error::argument("gradient_accumulation_steps", message));
        }
        let given = self.clips().into_iter().filter_map(|(name, limit)| Some((name, limit?))).collect::<Vec<_>>();
        if let [(first, _), (second, _), ..] = given[..] {
            let message = format!("{first} is given, too; give one of clip_value, clip_norm and global_clip_norm");
            return Err(Error::argument(second, message));
        }
        match given.first() {
            Some((name, limit)) if !(*limit > 0.0 && limit.is_finite()) => {
                Err(Error::argument(*name, format!("{limit} leaves no gradient; give a number above 0, such as 1")))
            }
            _ => Ok(()),
        }
    }

    fn check_ema(&self) -> Result<()> {
        let (momentum, frequency) = (self.ema_momentum, self.ema_overwrite_frequency);
        if !(0.0..=1.0).contains(&momentum) {
            let message = format!("{momentum} is no share that an average keeps; give 0 to 1, such as 0.99");
            return Err(Error::argument("ema_momentum", message));
        }
        if frequency == Some(0) {
            return Err(Error::argument(
                "ema_overwrite_frequency",
                "0 updates never come; give 1 or more, or leave it out",
            ));
        }
        Ok(())
    }

    /// That nothing is said of averages that are not kept. Of the options that several holders of an optimizer give together: one
    /// alone may not say all.
    pub(crate) fn check_all(&self) -> Result<()> {
        let momentum = self.ema_momentum != Self::NONE.ema_momentum;
        let given = [("ema_momentum", momentum), ("ema_overwrite_frequency", self.ema_overwrite_frequency.is_some())];
        match given.iter().find(|(_, given)| *given && !self.use_ema) {
            Some((name, _)) => {
                Err(Error::argument(*name, "is given, but no averages are kept; call use_ema(true), too"))
            }
            None => Ok(()),
        }
    }

    /// Adds what is given to an optimizer's config.
    fn added_to(&self, config: Config) -> Config {
        let given = self.clips().into_iter().filter_map(|(name, limit)| Some((name, limit?)));
        let config = config.with_all(given);
        let excluded: Vec<&str> = self.exclude_from_weight_decay.iter().map(String::as_str).collect();
        let config = if excluded.is_empty() { config } else { config.with("exclude_from_weight_decay", excluded) };
        let config = match self.gradient_accumulation_steps {
            Some(steps) => config.with("gradient_accumulation_steps", steps),
            None => config,
        };
        if !self.use_ema {
            return config;
        }
        let config = config.with("use_ema", true).with("ema_momentum", self.ema_momentum);
        match self.ema_overwrite_frequency {
            Some(updates) => config.with("ema_overwrite_frequency", updates),
            None => config,
        }
    }

    /// What an optimizer's config has beside the optimizer's own settings, taken out of it.
    pub(crate) fn take(config: &mut Config) -> Result<Self> {
        Ok(Self {
            clip_value: config.take_or("clip_value", None)?,
            clip_norm: config.take_or("clip_norm", None)?,
            global_clip_norm: config.take_or("global_clip_norm", None)?,
            exclude_from_weight_decay: config.take_or("exclude_from_weight_decay", Vec::new())?,
            gradient_accumulation_steps: config.take_or("gradient_accumulation_steps", None)?,
            use_ema: config.take_or("use_ema", false)?,
            ema_momentum: config.take_or("ema_momentum", Self::NONE.ema_momentum)?,
            ema_overwrite_frequency: config.take_or("ema_overwrite_frequency", None)?,
        })
    }

    /// The optimizer with these options, where any is given.
    pub(crate) fn applied_to(self, optimizer: Box<dyn Optimizer>) -> Box<dyn Optimizer> {
        if self == Self::NONE { optimizer } else { Box::new(WithOptions { optimizer, options: self }) }
    }

    /// Whether a step, counted from 1, ends with an update.
    pub(crate) fn updates(&self, step: u64) -> bool {
        step.is_multiple_of(self.gradient_accumulation_steps.unwrap_or(1))
    }

    /// What becomes of an average of weights at a step, counted from 1: its row of the schedule. As in Keras, steps of the first
    /// update's cycle take the weights as they are, and a step overwrites where the update that it is a part of does.
    pub(crate) fn average(&self, step: u64) -> [f64; SCALARS] {
        let before = (step - 1) / self.gradient_accumulation_steps.unwrap_or(1);
        let kept = if before == 0 { 0.0 } else { self.ema_momentum };
        MovingAverage::row(kept, self.ema_overwrite_frequency.is_some_and(|every| (before + 1).is_multiple_of(every)))
    }

    /// The gradients of all parameters, clipped.
    pub(crate) fn clip(&self, g: &mut Graph, gradients: Vec<Id>) -> Result<Vec<Id>> {
        if let Some(limit) = self.clip_value {
            let (least, most) = (g.fill(-limit, []), g.fill(limit, []));
            let raised = each(g, Binary::Max, &gradients, least)?;
            return each(g, Binary::Min, &raised, most);
        }
        if let Some(limit) = self.clip_norm {
            let clipped = gradients.into_iter().map(|gradient| {
                let squares = squares(g, gradient)?;
                let factor = factor(g, squares, limit)?;
                g.apply(Binary::Mul, &[gradient, factor])
            });
            return clipped.collect();
        }
        if let (Some(limit), Some((&first, rest))) = (self.global_clip_norm, gradients.split_first()) {
            let first = squares(g, first)?;
            let all = rest.iter().try_fold(first, |sum, &gradient| {
                let squares = squares(g, gradient)?;
                g.apply(Binary::Add, &[sum, squares])
            })?;
            let factor = factor(g, all, limit)?;
            return each(g, Binary::Mul, &gradients, factor);
        }
        Ok(gradients)
    }
}

fn each(g: &mut Graph, op: impl Op + Copy, gradients: &[Id], number: Id) -> Result<Vec<Id>> {
    gradients.iter().map(|&gradient| g.apply(op, &[gradient, number])).collect()
}

/// The sum of a gradient's squares.
fn squares(g: &mut Graph, gradient: Id) -> Result<Id> {
    let squares = g.apply(Unary::Square, &[gradient])?;
    g.sum_of_all(squares, 1.0)
}

/// What brings a norm, given as its square, to the limit: `limit / max(norm, limit)`.
fn factor(g: &mut Graph, square: Id, limit: f64) -> Result<Id> {
    let (norm, limit) = (g.apply(Unary::Sqrt, &[square])?, g.fill(limit, []));
    let norm = g.apply(Binary::Max, &[norm, limit])?;
    g.apply(Binary::Div, &[limit, norm])
}

/// An optimizer with options that every one takes: see [`Optimizer::clip_norm`] and its like.
#[derive(Debug)]
pub struct WithOptions<O> {
    optimizer: O,
    options: Options,
}

impl<O: Optimizer> WithOptions<O> {
    /// The optimizer with what options it has, changed.
    pub(crate) fn new(optimizer: O, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = optimizer.options().clone();
        change(&mut options);
        Self { optimizer, options }
    }
}

impl<O: Optimizer> Optimizer for WithOptions<O> {
    forwarded!(this => this.optimizer);

    fn with_learning_rate(&self, learning_rate: f64) -> Box<dyn Optimizer> {
        self.options.clone().applied_to(self.optimizer.with_learning_rate(learning_rate))
    }

    fn learning_rate(&self) -> f64 {
        self.optimizer.learning_rate()
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.optimizer.set_learning_rate(learning_rate);
    }

    fn learning_rate_at(&self, step: u64) -> f64 {
        self.optimizer.learning_rate_at(step)
    }

    fn is_scheduled(&self) -> bool {
        self.optimizer.is_scheduled()
    }

    fn scalars(&self, step: u64) -> [f64; SCALARS] {
        self.optimizer.scalars(step)
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn check(&self) -> Result<()> {
        self.options.check()?;
        self.optimizer.check()
    }

    fn config(&self) -> Config {
        self.options.added_to(self.optimizer.config())
    }

    fn configure(&mut self, config: &mut Config) -> Result<()> {
        self.options = Options::take(config)?;
        self.optimizer.configure(config)
    }
}
