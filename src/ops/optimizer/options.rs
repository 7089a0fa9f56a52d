//! What every optimizer of Keras takes beside its own settings.

use super::{Optimizer, SCALARS};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::ops::Op;
use crate::ops::binary::Binary;
use crate::ops::optimizer::forwarded;
use crate::ops::unary::Unary;

/// How an optimizer prepares gradients for its update. Only one of the three ways to clip can be given, as in Keras.
///
/// A norm of gradients whose squares pass what the device's floats hold is infinite: what it clips becomes 0.
#[derive(Clone, Debug, Default, PartialEq)]
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
}

impl Options {
    /// None given.
    pub const NONE: Self = Self {
        clip_value: None,
        clip_norm: None,
        global_clip_norm: None,
        exclude_from_weight_decay: Vec::new(),
        gradient_accumulation_steps: None,
    };

    fn clips(&self) -> [(&'static str, Option<f64>); 3] {
        [("clip_value", self.clip_value), ("clip_norm", self.clip_norm), ("global_clip_norm", self.global_clip_norm)]
    }

    /// That at most one way to clip is given, and its limit is a number above 0; that more than one step is accumulated.
    fn check(&self) -> Result<()> {
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

    /// Adds what is given to an optimizer's config.
    fn added_to(&self, config: Config) -> Config {
        let given = self.clips().into_iter().filter_map(|(name, limit)| Some((name, limit?)));
        let config = given.fold(config, |config, (name, limit)| config.with(name, limit));
        let excluded: Vec<&str> = self.exclude_from_weight_decay.iter().map(String::as_str).collect();
        let config = if excluded.is_empty() { config } else { config.with("exclude_from_weight_decay", excluded) };
        match self.gradient_accumulation_steps {
            Some(steps) => config.with("gradient_accumulation_steps", steps),
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
