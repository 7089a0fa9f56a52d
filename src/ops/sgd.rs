//! Stochastic gradient descent, <https://keras.io/api/optimizers/sgd/>.
//!
//! Without momentum `w -= lr * g`. With it `v = momentum * v - lr * g`, then `w += v`, or in Nesterov's form
//! `w += momentum * v - lr * g`.

use std::sync::Arc;

use super::cpu::{CpuArgs, CpuOp, Real, for_each_update};
use super::optimizer::{self, Optimizer, SCALARS, at_least};
use super::dispatch::{Dispatch, Module, Params, Target};
use super::{Case, Io, Op};
use crate::error::Result;
use crate::graph::Type;


const MODULE: Module = Module { stem: "sgd", source: include_str!("../../shaders/sgd.wgsl"), libs: optimizer::LIBS };

/// Gradient descent with momentum and Nesterov's form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Step size, Keras' default 0.01.
    pub learning_rate: f64,
    /// How much of the last step is kept, 0 to 1, default 0.
    pub momentum: f64,
    /// Whether momentum looks ahead.
    pub nesterov: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { learning_rate: 0.01, momentum: 0.0, nesterov: false }
    }
}

impl Optimizer for Sgd {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    fn moments(&self) -> usize {
        usize::from(self.momentum > 0.0)
    }

    fn scalars(&self, _step: u64) -> [f64; SCALARS] {
        [self.learning_rate, 0.0, 0.0, 0.0]
    }

    fn check(&self) -> Result<()> {
        at_least("momentum", self.momentum, 0.0, 1.0)
    }

    fn update(&self) -> Arc<dyn Op> {
        Arc::new(*self)
    }
}

impl<T: Real> CpuOp<T> for Sgd {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (g, lr, momentum) = (args.real(0), optimizer::scalar(&args, 0), T::of(self.momentum));
        if self.moments() == 0 {
            return for_each_update(g, args.out(), |g, [w]| {
                w.iter_mut().zip(g).for_each(|(w, &g)| *w -= lr * g);
            });
        }
        for_each_update(g, args.out(), |g, [w, v]| {
            for ((w, v), &g) in w.iter_mut().zip(v).zip(g) {
                *v = (momentum * *v - lr * g).flushed();
                *w += if self.nesterov { momentum * *v - lr * g } else { *v };
            }
        });
    }
}

impl Op for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn outputs(&self, _inputs: &[Type]) -> Result<Vec<Type>> {
        Ok(Vec::new())
    }

    fn check_targets(&self, inputs: &[Type], targets: &[Type]) -> Result<()> {
        optimizer::check_arenas("sgd", inputs, targets, self.moments())
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let entry = if self.moments() == 0 { "plain" } else { "momentum" };
        let params = Params::new().f32("momentum", self.momentum);
        vec![optimizer::launch(MODULE, entry, io, params).constant("NESTEROV", u32::from(self.nesterov))]
    }

    fn flops(&self, io: &Io) -> u64 {
        (2 + 4 * self.moments() as u64) * io.inputs[0].shape.len() as u64
    }
}

pub(super) fn cases() -> Vec<Case> {
    let with = |momentum, nesterov| Sgd { momentum, nesterov, ..Sgd::default() };
    [("plain", with(0.0, false)), ("momentum", with(0.9, false)), ("Nesterov", with(0.9, true))]
        .into_iter()
        .flat_map(|(label, op)| optimizer::cases(label, op))
        .collect()
}
