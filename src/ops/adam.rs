//! Adam, <https://keras.io/api/optimizers/adam/>, by Kingma and Ba, <https://arxiv.org/abs/1412.6980>.
//!
//! `m += (1 - beta_1) * (g - m)`, `v += (1 - beta_2) * (g^2 - v)`, then `w -= alpha * m / (sqrt(v) + epsilon)` with
//! `alpha = lr * sqrt(1 - beta_2^t) / (1 - beta_1^t)` at step t, counted from 1.

use std::sync::Arc;

use super::cpu::{CpuArgs, CpuOp, Real, for_each_update};
use super::optimizer::{self, Optimizer, SCALARS, at_least};
use super::dispatch::{Dispatch, Module, Params, Target};
use super::{Case, Io, Op};
use crate::error::Result;
use crate::graph::Type;


const MODULE: Module = Module { stem: "adam", source: include_str!("../../shaders/adam.wgsl"), libs: optimizer::LIBS };

/// Momentum divided by the root of a running mean of squared gradients, both corrected for their start at zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Step size, Keras' default 0.001.
    pub learning_rate: f64,
    /// How much of the running mean of gradients is kept, 0 to 1, default 0.9.
    pub beta_1: f64,
    /// How much of the running mean of squared gradients is kept, 0 to 1, default 0.999.
    pub beta_2: f64,
    /// Added to the root, default 1e-7.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { learning_rate: 0.001, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
    }
}

impl Optimizer for Adam {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    fn moments(&self) -> usize {
        2
    }

    fn scalars(&self, step: u64) -> [f64; SCALARS] {
        let corrected = |beta: f64| 1.0 - beta.powf(step as f64);
        [self.learning_rate * corrected(self.beta_2).sqrt() / corrected(self.beta_1), 0.0, 0.0, 0.0]
    }

    fn check(&self) -> Result<()> {
        at_least("beta_1", self.beta_1, 0.0, 1.0)?;
        at_least("beta_2", self.beta_2, 0.0, 1.0)?;
        at_least("epsilon", self.epsilon, 0.0, f64::INFINITY)
    }

    fn update(&self) -> Arc<dyn Op> {
        Arc::new(*self)
    }
}

impl<T: Real> CpuOp<T> for Adam {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (g, alpha) = (args.real(0), optimizer::scalar(&args, 0));
        let (rest_1, rest_2) = (T::of(1.0 - self.beta_1), T::of(1.0 - self.beta_2));
        let epsilon = T::of(self.epsilon);
        for_each_update(g, args.out(), |g, [w, m, v]| {
            for (((w, m), v), &g) in w.iter_mut().zip(m).zip(v).zip(g) {
                *m = (*m + rest_1 * (g - *m)).flushed();
                *v = (*v + rest_2 * (g * g - *v)).flushed();
                *w -= alpha * *m / (v.sqrt() + epsilon);
            }
        });
    }
}

impl Op for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn outputs(&self, _inputs: &[Type]) -> Result<Vec<Type>> {
        Ok(Vec::new())
    }

    fn check_targets(&self, inputs: &[Type], targets: &[Type]) -> Result<()> {
        optimizer::check_arenas("adam", inputs, targets, 2)
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let params = Params::new().f32("rest_1", 1.0 - self.beta_1).f32("rest_2", 1.0 - self.beta_2);
        vec![optimizer::launch(MODULE, "adam", io, params.f32("epsilon", self.epsilon))]
    }

    fn flops(&self, io: &Io) -> u64 {
        12 * io.inputs[0].shape.len() as u64
    }
}

pub(super) fn cases() -> Vec<Case> {
    let wide = Adam { learning_rate: 0.1, beta_1: 0.5, beta_2: 0.7, epsilon: 1e-3 };
    [optimizer::cases("defaults", Adam::default()), optimizer::cases("beta 0.5 and 0.7, epsilon 1e-3", wide)].concat()
}
