//! Adam, <https://keras.io/api/optimizers/adam/>, by Kingma and Ba, <https://arxiv.org/abs/1412.6980>; and AdamW,
//! which is Adam with weight decay, by Loshchilov and Hutter, <https://arxiv.org/abs/1711.05101>.
//!
//! `m += (1 - beta_1) * (g - m)`, `v += (1 - beta_2) * (g^2 - v)`, then `w -= alpha * m / (sqrt(v) + epsilon)` with
//! `alpha = lr * sqrt(1 - beta_2^t) / (1 - beta_1^t)` at step t, counted from 1. With amsgrad
//! `largest = max(largest, v)` is kept and stands for v under the root.
//!
//! Keras raises the betas in f32, which is 1.3e-5 off at the first step; here it is done in f64.

use super::Case;
use super::cpu::Real;
use super::dispatch::{Module, Params};
use super::optimizer::{self, Arenas, Optimizer, Rule, SCALARS, check_settings};
use crate::error::Result;

/// Momentum divided by the root of a running mean of squared gradients, both corrected for their start at zero.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Input::new([3])).add(Dense::new(1));
/// model.compile(Adam { amsgrad: true, ..Adam::new(0.01) }, "mse", [])?;
/// # Ok::<(), kiln::Error>(())
/// ```
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
    /// Whether the largest mean of squares so far stands under the root: Reddi and others,
    /// <https://arxiv.org/abs/1904.09237>.
    pub amsgrad: bool,
    /// What share of each parameter, times the learning rate, is taken off it before each update; default 0.
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { learning_rate: 0.001, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, amsgrad: false, weight_decay: 0.0 }
    }
}

impl Adam {
    /// AdamW: Adam with Keras' default weight decay of 0.004.
    pub fn adamw() -> Self {
        Self { weight_decay: 0.004, ..Self::default() }
    }
}

/// 1 - beta^step: what a running mean that started at 0 is divided by.
pub(crate) fn corrected(beta: f64, step: u64) -> f64 {
    1.0 - beta.powf(step as f64)
}

impl Optimizer for Adam {
    optimizer::settings!("adam": learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay);

    fn moments(&self) -> usize {
        2 + usize::from(self.amsgrad)
    }

    fn moment_name(&self, moment: usize) -> String {
        ["momentum", "velocity", "velocity_hat"][moment].into()
    }

    fn scalars(&self, step: u64) -> [f64; SCALARS] {
        let alpha = self.learning_rate * corrected(self.beta_2, step).sqrt() / corrected(self.beta_1, step);
        [alpha, 0.0, 0.0, self.learning_rate * self.weight_decay]
    }

    fn check(&self) -> Result<()> {
        check_settings(
            self.weight_decay,
            &[("beta_1", self.beta_1, 1.0), ("beta_2", self.beta_2, 1.0), ("epsilon", self.epsilon, f64::INFINITY)],
        )
    }
}

impl Rule for Adam {
    const MODULE: Module =
        Module { stem: "adam", source: include_str!("../../../shaders/adam.wgsl"), libs: optimizer::LIBS };

    fn entry(&self) -> &'static str {
        if self.amsgrad { "amsgrad" } else { "adam" }
    }

    fn params(&self) -> Params {
        Params::new().f32("rest_1", 1.0 - self.beta_1).f32("rest_2", 1.0 - self.beta_2).f32("epsilon", self.epsilon)
    }

    fn operations(&self) -> u64 {
        14 + u64::from(self.amsgrad)
    }

    fn run<T: Real>(&self, [alpha, ..]: [T; SCALARS], arenas: Arenas<'_, T>) {
        let (rest_1, rest_2) = (T::of(1.0 - self.beta_1), T::of(1.0 - self.beta_2));
        let epsilon = T::of(self.epsilon);
        let moved = move |g: T, m: T, v: T| ((m + rest_1 * (g - m)).flushed(), (v + rest_2 * (g * g - v)).flushed());
        if self.amsgrad {
            return arenas.each(move |g, [w, m, v, largest]| {
                let (m, v) = moved(g, m, v);
                let largest = largest.max(v);
                [w - alpha * m / (largest.sqrt() + epsilon), m, v, largest]
            });
        }
        arenas.each(move |g, [w, m, v]| {
            let (m, v) = moved(g, m, v);
            [w - alpha * m / (v.sqrt() + epsilon), m, v]
        });
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let wide = Adam { learning_rate: 0.1, beta_1: 0.5, beta_2: 0.7, epsilon: 1e-3, amsgrad: false, weight_decay: 2.0 };
    [
        optimizer::cases("defaults", Adam::default()),
        optimizer::cases("AdamW", Adam::adamw()),
        optimizer::cases("other settings", wide),
        optimizer::cases("amsgrad", Adam { amsgrad: true, ..wide }),
    ]
    .concat()
}
