//! Nadam, <https://keras.io/api/optimizers/nadam/>, Adam with Nesterov's momentum, by Dozat,
//! <https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ>.
//!
//! `m += (1 - beta_1) * (g - m)`, `v += (1 - beta_2) * (g^2 - v)`, then `w -= lr * m' / (sqrt(v') + epsilon)` with
//! `m' = u_(t+1) * m / (1 - u_1 ... u_(t+1)) + (1 - u_t) * g / (1 - u_1 ... u_t)`, `v' = v / (1 - beta_2^t)` and
//! `u_t = beta_1 * (1 - 0.96^t / 2)` at step t, counted from 1.

use super::Case;
use super::adam::corrected;
use super::cpu::Real;
use super::dispatch::{Module, Params};
use super::optimizer::{self, Arenas, Optimizer, Rule, SCALARS, check_settings};
use crate::error::Result;

/// Adam with Nesterov's momentum, which grows over the first steps.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Input::new([3])).add(Dense::new(1));
/// model.compile(Nadam::new(0.002), "mse", [])?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nadam {
    /// Step size, Keras' default 0.001.
    pub learning_rate: f64,
    /// How much of the running mean of gradients is kept, 0 to 1, default 0.9.
    pub beta_1: f64,
    /// How much of the running mean of squared gradients is kept, 0 to 1, default 0.999.
    pub beta_2: f64,
    /// Added to the root, default 1e-7.
    pub epsilon: f64,
    /// What share of each parameter, times the learning rate, is taken off it before each update; default 0.
    pub weight_decay: f64,
}

impl Default for Nadam {
    fn default() -> Self {
        Self { learning_rate: 0.001, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, weight_decay: 0.0 }
    }
}

/// How fast the momentum grows to beta_1.
const DECAY: f64 = 0.96;
/// From this step on `1 - DECAY^step / 2` is 1 in f64.
const GROWN: u64 = 900;

impl Nadam {
    /// u of a step.
    fn momentum(&self, step: u64) -> f64 {
        self.beta_1 * (1.0 - 0.5 * DECAY.powf(step as f64))
    }

    /// The product of u_1 to u_step, without going through all steps: it is asked for once a step.
    pub(crate) fn product(&self, step: u64) -> f64 {
        let (mut power, mut product) = (1.0, self.beta_1.powf(step as f64));
        for _ in 0..step.min(GROWN) {
            power *= DECAY;
            product *= 1.0 - 0.5 * power;
        }
        product
    }
}

impl Optimizer for Nadam {
    optimizer::settings!("nadam": learning_rate, beta_1, beta_2, epsilon, weight_decay);

    fn moments(&self) -> usize {
        2
    }

    fn moment_name(&self, moment: usize) -> String {
        ["momentum", "velocity"][moment].into()
    }

    fn scalars(&self, step: u64) -> [f64; SCALARS] {
        let (u, next) = (self.momentum(step), self.momentum(step + 1));
        let product = self.product(step);
        let lr = self.learning_rate;
        [
            lr * next / (1.0 - product * next),
            lr * (1.0 - u) / (1.0 - product),
            1.0 / corrected(self.beta_2, step),
            lr * self.weight_decay,
        ]
    }

    fn check(&self) -> Result<()> {
        check_settings(
            self.weight_decay,
            &[("beta_1", self.beta_1, 1.0), ("beta_2", self.beta_2, 1.0), ("epsilon", self.epsilon, f64::INFINITY)],
        )
    }
}

impl Rule for Nadam {
    const MODULE: Module =
        Module { stem: "nadam", source: include_str!("../../../shaders/nadam.wgsl"), libs: optimizer::LIBS };

    fn params(&self) -> Params {
        Params::new().f32("rest_1", 1.0 - self.beta_1).f32("rest_2", 1.0 - self.beta_2).f32("epsilon", self.epsilon)
    }

    fn operations(&self) -> u64 {
        17
    }

    fn run<T: Real>(&self, [of_mean, of_gradient, of_square, _]: [T; SCALARS], arenas: Arenas<'_, T>) {
        let (rest_1, rest_2) = (T::of(1.0 - self.beta_1), T::of(1.0 - self.beta_2));
        let epsilon = T::of(self.epsilon);
        arenas.each(move |g, [w, m, v]| {
            let (m, v) = ((m + rest_1 * (g - m)).flushed(), (v + rest_2 * (g * g - v)).flushed());
            [w - (of_mean * m + of_gradient * g) / ((of_square * v).sqrt() + epsilon), m, v]
        });
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let wide = Nadam { learning_rate: 0.1, beta_1: 0.5, beta_2: 0.7, epsilon: 1e-3, weight_decay: 2.0 };
    [optimizer::cases("defaults", Nadam::default()), optimizer::cases("other settings", wide)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_of_momenta_is_that_of_the_loop() {
        let nadam = Nadam::default();
        let mut product = 1.0;
        for step in 1..=3000 {
            product *= nadam.momentum(step);
            let found = nadam.product(step);
            assert!((found - product).abs() <= 1e-12 * product, "step {step}: {found:e}, expected {product:e}");
        }
        assert!(nadam.scalars(1 << 40).iter().all(|s| s.is_finite()));
    }
}
