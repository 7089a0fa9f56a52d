//! What the optimizers' ops share: the trait, the scalars that vary by step, the check of arenas and the launch.

use std::fmt::Debug;
use std::sync::Arc;

use super::case::{clock, random};
use super::cpu::{CpuArgs, Real};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params};
use super::{Case, Io, Op, clock as clock_op, expect_inputs};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{DType, Tensor};

/// Scalars a step that an optimizer reads from the schedule.
pub const SCALARS: usize = 4;

/// The shared functions that optimizers' shaders call.
pub(crate) const LIBS: &[&str] = &[LIB_GRID, include_str!("../../shaders/lib/flush.wgsl")];

/// A rule that moves parameters along their gradients.
///
/// The op of [`Optimizer::update`] is an effect: its inputs are the gradients, the schedule (steps, 4) and the clock;
/// it changes the parameters and as many moments as [`Optimizer::moments`] says, all arenas of one length.
pub trait Optimizer: Debug + Send + Sync {
    /// The step size.
    fn learning_rate(&self) -> f64;

    /// Changes the step size, from the next epoch on.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// How many arenas of state it keeps; they start at zero.
    fn moments(&self) -> usize;

    /// What varies by step, computed in f64: `step` counts from 1 over the model's life.
    fn scalars(&self, step: u64) -> [f64; SCALARS];

    /// That every setting but the learning rate is in its range.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the setting.
    fn check(&self) -> Result<()>;

    /// The op that updates all parameters.
    fn update(&self) -> Arc<dyn Op>;
}

/// So that an optimizer chosen by name is one.
impl Optimizer for Box<dyn Optimizer> {
    fn learning_rate(&self) -> f64 {
        (**self).learning_rate()
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        (**self).set_learning_rate(learning_rate);
    }

    fn moments(&self) -> usize {
        (**self).moments()
    }

    fn scalars(&self, step: u64) -> [f64; SCALARS] {
        (**self).scalars(step)
    }

    fn check(&self) -> Result<()> {
        (**self).check()
    }

    fn update(&self) -> Arc<dyn Op> {
        (**self).update()
    }
}

/// That a setting is in `from..below`.
pub(crate) fn at_least(name: &str, value: f64, from: f64, below: f64) -> Result<()> {
    if (from..below).contains(&value) {
        return Ok(());
    }
    Err(Error::argument(name, format!("{value} is not in {from}..{below}")))
}

/// The scalar of this index in the row of the clock's step.
pub(crate) fn scalar<T: Real>(args: &CpuArgs<'_, T>, index: usize) -> T {
    args.real(1)[args.u32(2)[0] as usize * SCALARS + index]
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

/// One launch over an arena, four parameters an invocation.
pub(crate) fn launch(module: Module, entry: &'static str, io: &Io, settings: Params) -> Dispatch {
    let vectors = io.inputs[0].shape.len() / 4;
    Dispatch::over(module, entry, io, Params::new().u32("vectors", vectors).and(&settings), vectors)
}

/// The cases of an optimizer's op, each at a later step.
pub(crate) fn cases<O: Optimizer + Op + Copy>(label: &str, optimizer: O) -> Vec<Case> {
    let case = |n: usize, step: u32| {
        let rows: Vec<f32> = (1..=6).flat_map(|t| optimizer.scalars(t)).map(|s| s as f32).collect();
        let schedule = Tensor::new([6, SCALARS], rows).expect("six rows");
        let inputs = vec![random([n], 170 + n as u64), schedule, clock(step, 0)];
        let squares =
            |seed| Tensor::new([n], random([n], seed).values().to_f32().iter().map(|m| m * m).collect::<Vec<_>>());
        // First moments may be negative, mean squares never are: squares serve for both.
        let moments = (0..optimizer.moments()).map(|i| squares(180 + i as u64).expect("one an element"));
        let targets = [random([n], 190)].into_iter().chain(moments).collect();
        Case::new(format!("{label}, {n} parameters, step {step}"), optimizer, inputs).changes(targets).ulps(8.0).sums(1)
    };
    vec![case(4, 0), case(64, 1), case(260, 5)]
}
