//! RMSprop, <https://keras.io/api/optimizers/rmsprop/>.
//!
//! `v = rho * v + (1 - rho) * g^2`, then `w -= lr * g / sqrt(v + epsilon)`; Keras puts epsilon inside the root.

use std::sync::Arc;

use super::cpu::{CpuArgs, CpuOp, Real, for_each_update};
use super::optimizer::{self, Optimizer, SCALARS, at_least};
use super::dispatch::{Dispatch, Module, Params, Target};
use super::{Case, Io, Op};
use crate::error::Result;
use crate::graph::Type;


const MODULE: Module =
    Module { stem: "rmsprop", source: include_str!("../../shaders/rmsprop.wgsl"), libs: optimizer::LIBS };

/// Steps divided by the root of a running mean of squared gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// Step size, Keras' default 0.001.
    pub learning_rate: f64,
    /// How much of the running mean is kept, 0 to 1, default 0.9.
    pub rho: f64,
    /// Added under the root, default 1e-7.
    pub epsilon: f64,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self { learning_rate: 0.001, rho: 0.9, epsilon: 1e-7 }
    }
}

impl Optimizer for RmsProp {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    fn moments(&self) -> usize {
        1
    }

    fn scalars(&self, _step: u64) -> [f64; SCALARS] {
        [self.learning_rate, 0.0, 0.0, 0.0]
    }

    fn check(&self) -> Result<()> {
        at_least("rho", self.rho, 0.0, 1.0)?;
        at_least("epsilon", self.epsilon, 0.0, f64::INFINITY)
    }

    fn update(&self) -> Arc<dyn Op> {
        Arc::new(*self)
    }
}

impl<T: Real> CpuOp<T> for RmsProp {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (g, lr) = (args.real(0), optimizer::scalar(&args, 0));
        let (rho, rest, epsilon) = (T::of(self.rho), T::of(1.0 - self.rho), T::of(self.epsilon));
        for_each_update(g, args.out(), |g, [w, v]| {
            for ((w, v), &g) in w.iter_mut().zip(v).zip(g) {
                *v = (rho * *v + rest * (g * g)).flushed();
                *w -= lr * g / (*v + epsilon).sqrt();
            }
        });
    }
}

impl Op for RmsProp {
    fn name(&self) -> &'static str {
        "rmsprop"
    }

    fn outputs(&self, _inputs: &[Type]) -> Result<Vec<Type>> {
        Ok(Vec::new())
    }

    fn check_targets(&self, inputs: &[Type], targets: &[Type]) -> Result<()> {
        optimizer::check_arenas("rmsprop", inputs, targets, 1)
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let params = Params::new().f32("rho", self.rho).f32("rest", 1.0 - self.rho).f32("epsilon", self.epsilon);
        vec![optimizer::launch(MODULE, "rmsprop", io, params)]
    }

    fn flops(&self, io: &Io) -> u64 {
        9 * io.inputs[0].shape.len() as u64
    }
}

pub(super) fn cases() -> Vec<Case> {
    let wide = RmsProp { learning_rate: 0.1, rho: 0.5, epsilon: 1e-3 };
    [optimizer::cases("defaults", RmsProp::default()), optimizer::cases("rho 0.5, epsilon 1e-3", wide)].concat()
}
