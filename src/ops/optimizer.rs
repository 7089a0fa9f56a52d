//! What the optimizers' ops share: the traits, the scalars that vary by step, weight decay, the check of arenas and the
//! launch.

mod options;

use std::fmt::Debug;
use std::sync::Arc;

use super::case::{clock, random};
use super::cpu::{Arity, ArityLoop, CpuArgs, CpuOp, Real, for_each_update};
use super::dispatch::{Dispatch, LIB_FLUSHED, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, clock as clock_op, expect_inputs};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{DType, Tensor};

pub use options::{Options, WithOptions};

/// Scalars a step that an optimizer reads from the schedule.
pub const SCALARS: usize = 4;

/// The shared functions that optimizers' shaders call.
pub(crate) const LIBS: &[&str] = &[LIB_GRID, LIB_FLUSHED, include_str!("../../shaders/lib/update.wgsl")];

/// A rule that moves parameters along their gradients.
///
/// The op of [`Optimizer::update`] is an effect: its inputs are the gradients, the schedule (steps, 4) and the clock;
/// it changes the parameters and as many moments as [`Optimizer::moments`] says, all arenas of one length.
///
/// A gradient beyond 1.8e19 has a square beyond f32: the second moment of rules that have one is infinite from there on
/// and their steps zero; centred RMSprop's are NaN.
pub trait Optimizer: Debug + Send + Sync {
    /// The step size; of one that changes by a schedule, the first.
    fn learning_rate(&self) -> f64;

    /// Changes the step size, from the next epoch on, and ends a schedule. [`crate::train::Run::set_learning_rate`] does
    /// it within a run.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// The same optimizer with this step size.
    fn with_learning_rate(&self, learning_rate: f64) -> Box<dyn Optimizer>;

    /// The step size of a step, counted from 0 over the model's life.
    fn learning_rate_at(&self, _step: u64) -> f64 {
        self.learning_rate()
    }

    /// Whether the step size changes by a schedule; see [`crate::nn::schedule`].
    fn is_scheduled(&self) -> bool {
        false
    }

    /// How many arenas of state it keeps.
    fn moments(&self) -> usize;

    /// What the moment of this index is called in saved files, by Keras' name where it has one.
    fn moment_name(&self, moment: usize) -> String {
        format!("moment_{moment}")
    }

    /// What every element of the moment of this index starts from. Where parameters end, in the arenas' padding, the
    /// gradient is 0, and the update by this must be 0 too.
    fn initial(&self, _moment: usize) -> f64 {
        0.0
    }

    /// What varies by step, computed in f64: `step` counts from 1 over the model's life, or updates where
    /// [gradients are accumulated](Optimizer::gradient_accumulation_steps), and decides alone. It is called once for each
    /// step of each epoch. The last is `learning_rate * weight_decay`, or what else weights decay by:
    /// it is 0 for those of [`Optimizer::exclude_from_weight_decay`].
    fn scalars(&self, step: u64) -> [f64; SCALARS];

    /// What is done to gradients before the update, whatever the optimizer.
    fn options(&self) -> &Options {
        static NONE: Options = Options::NONE;
        &NONE
    }

    /// The same optimizer, for which each element of each gradient is brought to at most `limit` in size: Keras'
    /// `clipvalue`.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let optimizer = Adam { learning_rate: 0.01, ..Adam::default() }.clip_value(0.5);
    /// assert_eq!(optimizer.options().clip_value, Some(0.5));
    /// ```
    fn clip_value(self, limit: f64) -> WithOptions<Self>
    where
        Self: Sized,
    {
        WithOptions::new(self, |options| options.clip_value = Some(limit))
    }

    /// The same optimizer, for which the gradient of each parameter whose norm, the root of its sum of squares, is larger
    /// than `limit` is scaled to it: Keras' `clipnorm`.
    fn clip_norm(self, limit: f64) -> WithOptions<Self>
    where
        Self: Sized,
    {
        WithOptions::new(self, |options| options.clip_norm = Some(limit))
    }

    /// The same optimizer, for which all gradients, where their norm taken together is larger than `limit`, are scaled by
    /// one factor to it: Keras' `global_clipnorm`.
    fn global_clip_norm(self, limit: f64) -> WithOptions<Self>
    where
        Self: Sized,
    {
        WithOptions::new(self, |options| options.global_clip_norm = Some(limit))
    }

    /// The same optimizer, for which weights do not decay whose name within their layer has one of these words in it, as in
    /// Keras, or whose whole name is one: `["bias"]`, `["dense/kernel"]`. A word that is in no name is an error where
    /// training begins. Each stretch of neighbouring weights of one kind takes an update of its own on the device.
    fn exclude_from_weight_decay(self, words: impl IntoIterator<Item = impl Into<String>>) -> WithOptions<Self>
    where
        Self: Sized,
    {
        let words = words.into_iter().map(Into::into).collect();
        WithOptions::new(self, |options| options.exclude_from_weight_decay = words)
    }

    /// The same optimizer, which updates at every step whose number over the model's life is a multiple of `steps`, by the
    /// mean of the gradients since the last update; it is the mean that is clipped. Other steps only add theirs up, in an
    /// arena of its own that is saved with the moments: cycles go on over epochs. As in Keras a schedule counts steps, and
    /// what else varies, such as Adam's correction, counts updates. Fewer than 2 is an error at `compile`.
    fn gradient_accumulation_steps(self, steps: u64) -> WithOptions<Self>
    where
        Self: Sized,
    {
        WithOptions::new(self, |options| options.gradient_accumulation_steps = Some(steps))
    }

    /// The same optimizer, which keeps moving averages of the trained weights, or not, as is the default: Keras' `use_ema`. After
    /// each step the average is `ema_momentum` times itself plus the rest of the weight; the first step takes the weight
    /// as it is. At the end of [`crate::nn::Model::fit`] the model has the averages for weights. The averages are saved
    /// with the moments. As in Keras steps that only [accumulate gradients](Optimizer::gradient_accumulation_steps) count, too.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let optimizer = Adam::default().use_ema(true).ema_momentum(0.9);
    /// assert_eq!(optimizer.options().ema_momentum, 0.9);
    /// ```
    fn use_ema(self, use_ema: bool) -> WithOptions<Self>
    where
        Self: Sized,
    {
        WithOptions::new(self, |options| options.use_ema = use_ema)
    }

    /// The same optimizer, whose averages of weights keep this share of themselves at a step, 0 to 1; default 0.99: see
    /// [`Optimizer::use_ema`].
    fn ema_momentum(self, momentum: f64) -> WithOptions<Self>
    where
        Self: Sized,
    {
        WithOptions::new(self, |options| options.ema_momentum = momentum)
    }

    /// The same optimizer, which overwrites the weights by their averages at each update whose number over the model's life
    /// is a multiple of `updates`; without it at the end of training alone. See [`Optimizer::use_ema`].
    fn ema_overwrite_frequency(self, updates: u64) -> WithOptions<Self>
    where
        Self: Sized,
    {
        WithOptions::new(self, |options| options.ema_overwrite_frequency = Some(updates))
    }

    /// That every setting but the learning rate is in its range.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the setting.
    fn check(&self) -> Result<()>;

    /// The op that updates all parameters.
    fn update(&self) -> Arc<dyn Op>;

    /// What a saved model keeps of the optimizer, from which it is made again; unless told otherwise, its type alone.
    fn config(&self) -> Config {
        let path = std::any::type_name::<Self>();
        Config::new(path.rsplit("::").next().unwrap_or(path))
    }

    /// Takes settings out of what [`Optimizer::config`] gave; those that are missing there stay as they are.
    ///
    /// # Errors
    /// [`Error::Argument`] that names a setting of the wrong kind.
    fn configure(&mut self, _config: &mut Config) -> Result<()> {
        Ok(())
    }
}

/// The methods of [`Optimizer`] that one which holds another leaves to it: `this` is the holder, behind `=>` what it
/// holds.
macro_rules! forwarded {
    ($this:ident => $held:expr) => {
        fn moments(&self) -> usize {
            let $this = self;
            $held.moments()
        }

        fn initial(&self, moment: usize) -> f64 {
            let $this = self;
            $held.initial(moment)
        }

        fn update(&self) -> std::sync::Arc<dyn $crate::ops::Op> {
            let $this = self;
            $held.update()
        }

        fn moment_name(&self, moment: usize) -> String {
            let $this = self;
            $held.moment_name(moment)
        }
    };
}
pub(crate) use forwarded;

/// So that an optimizer chosen by name is one.
impl Optimizer for Box<dyn Optimizer> {
    forwarded!(this => (**this));

    fn with_learning_rate(&self, learning_rate: f64) -> Box<dyn Optimizer> {
        (**self).with_learning_rate(learning_rate)
    }

    fn learning_rate(&self) -> f64 {
        (**self).learning_rate()
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        (**self).set_learning_rate(learning_rate);
    }

    fn learning_rate_at(&self, step: u64) -> f64 {
        (**self).learning_rate_at(step)
    }

    fn is_scheduled(&self) -> bool {
        (**self).is_scheduled()
    }

    fn scalars(&self, step: u64) -> [f64; SCALARS] {
        (**self).scalars(step)
    }

    fn options(&self) -> &Options {
        (**self).options()
    }

    fn check(&self) -> Result<()> {
        (**self).check()
    }

    fn config(&self) -> Config {
        (**self).config()
    }

    fn configure(&mut self, config: &mut Config) -> Result<()> {
        (**self).configure(config)
    }
}

/// The methods of [`Optimizer`] that follow from the name and the settings of each of this crate's.
macro_rules! settings {
    ($name:literal: $($setting:ident),*) => {
        fn learning_rate(&self) -> f64 {
            self.learning_rate
        }

        fn set_learning_rate(&mut self, learning_rate: f64) {
            self.learning_rate = learning_rate;
        }

        fn with_learning_rate(&self, learning_rate: f64) -> Box<dyn $crate::ops::optimizer::Optimizer> {
            Box::new(Self { learning_rate, ..*self })
        }

        fn update(&self) -> std::sync::Arc<dyn $crate::ops::Op> {
            std::sync::Arc::new(*self)
        }

        fn config(&self) -> $crate::config::Config {
            $crate::config::Config::new($name)$(.with(stringify!($setting), self.$setting))*
        }

        fn configure(&mut self, config: &mut $crate::config::Config) -> $crate::error::Result<()> {
            $(self.$setting = config.take_or(stringify!($setting), self.$setting)?;)*
            Ok(())
        }
    };
}
pub(crate) use settings;

/// An optimizer of this crate: from its kernel and its loop follows its [`Op`], which one launch computes.
///
/// The schedule's last scalar is `learning_rate * weight_decay`: by it parameters shrink before each update, as Keras
/// has it, whatever the optimizer.
pub trait Rule: Optimizer + Copy + 'static {
    /// The kernel's file.
    const MODULE: Module;

    /// The entry point for these settings.
    fn entry(&self) -> &'static str {
        Self::MODULE.stem
    }

    /// The fields of the kernel's `Params` after `vectors`.
    fn params(&self) -> Params;

    /// Values of the kernel's `override` constants.
    fn constants(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Floating-point operations a parameter.
    fn operations(&self) -> u64;

    /// The loop: one call of [`Arenas::each`], given the step's row of the schedule.
    fn run<T: Real>(&self, row: [T; SCALARS], arenas: Arenas<'_, T>);
}

/// Gradients, parameters and moments, as a [`Rule`] goes through them.
#[derive(Debug)]
pub struct Arenas<'a, T>(CpuArgs<'a, T>);

impl<T: Real> Arenas<'_, T> {
    /// Replaces each parameter w, decayed already, and its moments by what `update(g, [w, moments...])` returns.
    pub fn each<const N: usize>(mut self, update: impl Fn(T, [T; N]) -> [T; N] + Copy + Send + Sync)
    where
        Arity: ArityLoop<T, N>,
    {
        let (g, decay) = (self.0.real(0), row(&self.0)[SCALARS - 1]);
        for_each_update(g, self.0.out(), move |g, mut state| {
            state[0] -= decay * state[0];
            update(g, state)
        });
    }
}

/// The schedule's row of the clock's step.
fn row<T: Real>(args: &CpuArgs<'_, T>) -> [T; SCALARS] {
    let step = args.u32(2)[0] as usize;
    std::array::from_fn(|i| args.real(1)[step * SCALARS + i])
}

impl<T: Real, R: Rule> CpuOp<T> for R {
    fn cpu(&self, args: CpuArgs<'_, T>) {
        self.run(row(&args), Arenas(args));
    }
}

impl<R: Rule> Op for R {
    fn name(&self) -> &'static str {
        R::MODULE.stem
    }

    fn outputs(&self, _inputs: &[Type]) -> Result<Vec<Type>> {
        Ok(Vec::new())
    }

    fn check_targets(&self, inputs: &[Type], targets: &[Type]) -> Result<()> {
        check_arenas(R::MODULE.stem, inputs, targets, self.moments())
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        // Four parameters an invocation.
        let vectors = io.inputs[0].shape.len() / 4;
        let params = Params::new().u32("vectors", vectors).and(&self.params());
        let mut launch = Dispatch::over(R::MODULE, self.entry(), io, params, vectors);
        // The uniform before the arenas: entry points that keep fewer moments have it at the same place.
        let uniform = launch.bindings.pop().expect("the last binding is the uniform");
        launch.bindings.insert(io.inputs.len(), uniform);
        launch.constants = self.constants();
        vec![launch]
    }

    fn flops(&self, io: &Io) -> u64 {
        self.operations() * io.inputs[0].shape.len() as u64
    }
}

/// That each setting (name, value, bound) is from 0 to below its bound, and the weight decay 0 or more.
pub(crate) fn check_settings(weight_decay: f64, settings: &[(&str, f64, f64)]) -> Result<()> {
    for &(name, value, below) in settings.iter().chain(&[("weight_decay", weight_decay, f64::INFINITY)]) {
        if !(0.0..below).contains(&value) {
            return Err(Error::argument(name, format!("{value} is not in 0..{below}")));
        }
    }
    Ok(())
}

/// That gradients, schedule, clock, parameters and moments fit each other.
pub(crate) fn check_arenas(op: &str, inputs: &[Type], targets: &[Type], moments: usize) -> Result<()> {
    expect_inputs(op, inputs, &[DType::F32, DType::F32, DType::U32])?;
    clock_op::check(inputs, 2)?;
    let arena = &inputs[0];
    let fits = targets.len() == moments + 1 && targets.iter().all(|t| t == arena);
    // The kernels take four parameters at a time.
    if !fits
        || arena.shape.rank() != 1
        || !arena.shape.len().is_multiple_of(4)
        || inputs[1].shape.get(1) != Some(&SCALARS)
    {
        let message = format!("takes arenas of one length, {} in all, and rows of {SCALARS} scalars", moments + 2);
        return Err(Error::shape(op, message));
    }
    Ok(())
}

/// The cases of an optimizer's op, each at a later step.
pub(crate) fn cases<R: Rule>(label: &str, optimizer: R) -> Vec<Case> {
    let case = |n: usize, step: u32| {
        let rows: Vec<f32> = (1..=6).flat_map(|t| optimizer.scalars(t)).map(|s| s as f32).collect();
        let schedule = Tensor::new([6, SCALARS], rows).expect("six rows");
        let uniform = |seed| random([n], seed).values().to_f32();
        // Some have no gradient and never had: the zeros between segments, units that are off.
        let living = |values: Vec<f32>| -> Tensor {
            let values: Vec<f32> =
                values.into_iter().enumerate().map(|(i, x)| if i % 5 == 3 { 0.0 } else { x }).collect();
            Tensor::new([n], values).expect("one an element")
        };
        let inputs = vec![living(uniform(170 + n as u64)), schedule, clock(step, 0)];
        // Means of gradients may be negative, those of squares never are: squares serve for both. Each moment but the
        // first is a share of the first, so that the square of a mean is no more than the mean of squares.
        let squares: Vec<f32> = uniform(180).iter().map(|x| x * x).collect();
        let shares = |i| squares.iter().zip(uniform(180 + i)).map(move |(s, x)| if i == 0 { *s } else { s * x * x });
        let moments = (0..optimizer.moments()).map(|i| living(shares(i as u64).collect()));
        let targets = [random([n], 190)].into_iter().chain(moments).collect();
        Case::new(format!("{label}, {n} parameters, step {step}"), optimizer, inputs).changes(targets).ulps(8.0).sums(1)
    };
    vec![case(4, 0), case(64, 1), case(260, 5)]
}
