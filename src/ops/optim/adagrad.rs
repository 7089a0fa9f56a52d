//! Adagrad, <https://keras.io/api/optimizers/adagrad/>, by Duchi, Hazan and Singer,
//! <https://jmlr.org/papers/v12/duchi11a.html>.
//!
//! `a += g^2`, a starting at 0.1, then `w -= lr * g / sqrt(a + epsilon)`.

use super::Case;
use super::cpu::Real;
use super::dispatch::{Module, Params};
use super::optimizer::{self, Arenas, Optimizer, Rule, SCALARS, check_settings};
use crate::error::Result;

/// Steps divided by the root of the sum of squared gradients.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Input::new([3])).add(Dense::new(1));
/// model.compile(Adagrad::new(0.01), "mse", [])?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adagrad {
    /// Step size, Keras' default 0.001.
    pub learning_rate: f64,
    /// What the sum of squared gradients starts from, default 0.1.
    pub initial_accumulator_value: f64,
    /// Added under the root, default 1e-7.
    pub epsilon: f64,
    /// What share of each parameter, times the learning rate, is taken off it before each update; default 0.
    pub weight_decay: f64,
}

impl Default for Adagrad {
    fn default() -> Self {
        Self { learning_rate: 0.001, initial_accumulator_value: 0.1, epsilon: 1e-7, weight_decay: 0.0 }
    }
}

impl Optimizer for Adagrad {
    optimizer::settings!("adagrad": learning_rate, initial_accumulator_value, epsilon, weight_decay);

    fn moments(&self) -> usize {
        1
    }

    fn moment_name(&self, _moment: usize) -> String {
        "accumulator".into()
    }

    fn initial(&self, _moment: usize) -> f64 {
        self.initial_accumulator_value
    }

    fn scalars(&self, _step: u64) -> [f64; SCALARS] {
        [self.learning_rate, 0.0, 0.0, self.learning_rate * self.weight_decay]
    }

    fn check(&self) -> Result<()> {
        check_settings(
            self.weight_decay,
            &[
                ("initial_accumulator_value", self.initial_accumulator_value, f64::INFINITY),
                ("epsilon", self.epsilon, f64::INFINITY),
            ],
        )
    }
}

impl Rule for Adagrad {
    const MODULE: Module =
        Module { stem: "adagrad", source: include_str!("../../../shaders/adagrad.wgsl"), libs: optimizer::LIBS };

    fn params(&self) -> Params {
        Params::new().f32("epsilon", self.epsilon)
    }

    fn operations(&self) -> u64 {
        8
    }

    fn run<T: Real>(&self, [lr, ..]: [T; SCALARS], arenas: Arenas<'_, T>) {
        let epsilon = T::of(self.epsilon);
        arenas.each(move |g, [w, a]| {
            let a = (a + g * g).flushed();
            [w - lr * g / (a + epsilon).sqrt(), a]
        });
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let wide = Adagrad { learning_rate: 0.1, epsilon: 1e-3, weight_decay: 2.0, ..Adagrad::default() };
    [optimizer::cases("defaults", Adagrad::default()), optimizer::cases("other settings", wide)].concat()
}
