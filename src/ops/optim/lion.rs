//! Lion, <https://keras.io/api/optimizers/lion/>, by Chen and others, <https://arxiv.org/abs/2302.06675>.
//!
//! `w -= lr * sign(beta_1 * m + (1 - beta_1) * g)`, then `m = beta_2 * m + (1 - beta_2) * g`; the sign of 0 is 0.

use super::Case;
use super::cpu::Real;
use super::dispatch::{Module, Params};
use super::optimizer::{self, Arenas, Optimizer, Rule, SCALARS, check_settings};
use crate::error::Result;
use crate::tensor::Tensor;

/// Steps of one size in the direction of the momentum.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Input::new([3])).add(Dense::new(1));
/// model.compile(Lion::new(0.0001), "mse", [])?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lion {
    /// Step size, Keras' default 0.001.
    pub learning_rate: f64,
    /// The share of the running mean in the direction of a step, 0 to 1, default 0.9.
    pub beta_1: f64,
    /// How much of the running mean of gradients is kept, 0 to 1, default 0.99.
    pub beta_2: f64,
    /// What share of each parameter, times the learning rate, is taken off it before each update; default 0.
    pub weight_decay: f64,
}

impl Default for Lion {
    fn default() -> Self {
        Self { learning_rate: 0.001, beta_1: 0.9, beta_2: 0.99, weight_decay: 0.0 }
    }
}

impl Optimizer for Lion {
    optimizer::settings!("lion": learning_rate, beta_1, beta_2, weight_decay);

    fn moments(&self) -> usize {
        1
    }

    fn moment_name(&self, _moment: usize) -> String {
        "momentum".into()
    }

    fn scalars(&self, _step: u64) -> [f64; SCALARS] {
        [self.learning_rate, 0.0, 0.0, self.learning_rate * self.weight_decay]
    }

    fn check(&self) -> Result<()> {
        check_settings(self.weight_decay, &[("beta_1", self.beta_1, 1.0), ("beta_2", self.beta_2, 1.0)])
    }
}

impl Rule for Lion {
    const MODULE: Module =
        Module { stem: "lion", source: include_str!("../../../shaders/lion.wgsl"), libs: optimizer::LIBS };

    fn params(&self) -> Params {
        Params::new()
            .f32("beta_1", self.beta_1)
            .f32("rest_1", 1.0 - self.beta_1)
            .f32("beta_2", self.beta_2)
            .f32("rest_2", 1.0 - self.beta_2)
    }

    fn operations(&self) -> u64 {
        11
    }

    fn run<T: Real>(&self, [lr, ..]: [T; SCALARS], arenas: Arenas<'_, T>) {
        let (beta_1, rest_1) = (T::of(self.beta_1), T::of(1.0 - self.beta_1));
        let (beta_2, rest_2) = (T::of(self.beta_2), T::of(1.0 - self.beta_2));
        arenas.each(move |g, [w, m]| {
            let direction = beta_1 * m + rest_1 * g;
            // Rust's signum of 0 is 1.
            let sign = if direction == T::zero() { T::zero() } else { direction.signum() };
            [w - lr * sign, (beta_2 * m + rest_2 * g).flushed()]
        });
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let wide = Lion { learning_rate: 0.1, beta_1: 0.5, beta_2: 0.7, weight_decay: 2.0 };
    let mut still = optimizer::cases("no direction", Lion::default()).remove(0);
    let zeros = Tensor::from([0.0f32; 4]);
    (still.inputs[0], still.targets[1]) = (zeros.clone(), zeros);
    [optimizer::cases("defaults", Lion::default()), optimizer::cases("other settings", wide), vec![still]].concat()
}
