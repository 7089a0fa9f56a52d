//! Adamax, <https://keras.io/api/optimizers/adamax/>, from section 7.1 of Adam's paper,
//! <https://arxiv.org/abs/1412.6980>.
//!
//! `m += (1 - beta_1) * (g - m)`, `u = max(beta_2 * u, |g|)`, then `w -= alpha * m / (u + epsilon)` with
//! `alpha = lr / (1 - beta_1^t)` at step t, counted from 1.

use super::Case;
use super::adam::corrected;
use super::cpu::Real;
use super::dispatch::{Module, Params};
use super::optimizer::{self, Arenas, Optimizer, Rule, SCALARS, check_settings};
use crate::error::Result;

/// Momentum divided by a fading maximum of the gradients.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Input::new([3])).add(Dense::new(1));
/// model.compile(Adamax::new(0.002), "mse", [])?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adamax {
    /// Step size, Keras' default 0.001.
    pub learning_rate: f64,
    /// How much of the running mean of gradients is kept, 0 to 1, default 0.9.
    pub beta_1: f64,
    /// How much of the largest gradient so far is kept, 0 to 1, default 0.999.
    pub beta_2: f64,
    /// Added to that largest gradient, default 1e-7.
    pub epsilon: f64,
    /// What share of each parameter, times the learning rate, is taken off it before each update; default 0.
    pub weight_decay: f64,
}

impl Default for Adamax {
    fn default() -> Self {
        Self { learning_rate: 0.001, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, weight_decay: 0.0 }
    }
}

impl Optimizer for Adamax {
    optimizer::settings!("adamax": learning_rate, beta_1, beta_2, epsilon, weight_decay);

    fn moments(&self) -> usize {
        2
    }

    fn moment_name(&self, moment: usize) -> String {
        ["momentum", "norm"][moment].into()
    }

    fn scalars(&self, step: u64) -> [f64; SCALARS] {
        [self.learning_rate / corrected(self.beta_1, step), 0.0, 0.0, self.learning_rate * self.weight_decay]
    }

    fn check(&self) -> Result<()> {
        check_settings(
            self.weight_decay,
            &[("beta_1", self.beta_1, 1.0), ("beta_2", self.beta_2, 1.0), ("epsilon", self.epsilon, f64::INFINITY)],
        )
    }
}

impl Rule for Adamax {
    const MODULE: Module =
        Module { stem: "adamax", source: include_str!("../../../shaders/adamax.wgsl"), libs: optimizer::LIBS };

    fn params(&self) -> Params {
        Params::new().f32("rest_1", 1.0 - self.beta_1).f32("beta_2", self.beta_2).f32("epsilon", self.epsilon)
    }

    fn operations(&self) -> u64 {
        12
    }

    fn run<T: Real>(&self, [alpha, ..]: [T; SCALARS], arenas: Arenas<'_, T>) {
        let (rest_1, beta_2, epsilon) = (T::of(1.0 - self.beta_1), T::of(self.beta_2), T::of(self.epsilon));
        arenas.each(move |g, [w, m, u]| {
            let (m, u) = ((m + rest_1 * (g - m)).flushed(), (beta_2 * u).max(g.abs()).flushed());
            [w - alpha * m / (u + epsilon), m, u]
        });
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let wide = Adamax { learning_rate: 0.1, beta_1: 0.5, beta_2: 0.7, epsilon: 1e-3, weight_decay: 2.0 };
    [optimizer::cases("defaults", Adamax::default()), optimizer::cases("other settings", wide)].concat()
}
