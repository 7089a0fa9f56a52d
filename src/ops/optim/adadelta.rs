//! Adadelta, <https://keras.io/api/optimizers/adadelta/>, by Zeiler, <https://arxiv.org/abs/1212.5701>.
//!
//! `a = rho * a + (1 - rho) * g^2`, `delta = g * sqrt(d + epsilon) / sqrt(a + epsilon)`,
//! `d = rho * d + (1 - rho) * delta^2`, then `w -= lr * delta`. The paper's step size is 1; Keras' default is 0.001.

use super::Case;
use super::cpu::Real;
use super::dispatch::{Module, Params};
use super::optimizer::{self, Arenas, Optimizer, Rule, SCALARS, check_settings};
use crate::error::Result;

/// Steps in the ratio of the root mean squares of former steps and of gradients.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Input::new([3])).add(Dense::new(1));
/// model.compile(Adadelta::new(1.0), "mse", [])?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adadelta {
    /// Step size, Keras' default 0.001.
    pub learning_rate: f64,
    /// How much of the running means of squares is kept, 0 to 1, default 0.95.
    pub rho: f64,
    /// Added under both roots, default 1e-7.
    pub epsilon: f64,
    /// What share of each parameter, times the learning rate, is taken off it before each update; default 0.
    pub weight_decay: f64,
}

impl Default for Adadelta {
    fn default() -> Self {
        Self { learning_rate: 0.001, rho: 0.95, epsilon: 1e-7, weight_decay: 0.0 }
    }
}

impl Optimizer for Adadelta {
    optimizer::settings!("adadelta": learning_rate, rho, epsilon, weight_decay);

    fn moments(&self) -> usize {
        2
    }

    fn moment_name(&self, moment: usize) -> String {
        ["accumulated_grad", "accumulated_delta_var"][moment].into()
    }

    fn scalars(&self, _step: u64) -> [f64; SCALARS] {
        [self.learning_rate, 0.0, 0.0, self.learning_rate * self.weight_decay]
    }

    fn check(&self) -> Result<()> {
        check_settings(self.weight_decay, &[("rho", self.rho, 1.0), ("epsilon", self.epsilon, f64::INFINITY)])
    }
}

impl Rule for Adadelta {
    const MODULE: Module =
        Module { stem: "adadelta", source: include_str!("../../../shaders/adadelta.wgsl"), libs: optimizer::LIBS };

    fn params(&self) -> Params {
        Params::new().f32("rho", self.rho).f32("rest", 1.0 - self.rho).f32("epsilon", self.epsilon)
    }

    fn operations(&self) -> u64 {
        18
    }

    fn run<T: Real>(&self, [lr, ..]: [T; SCALARS], arenas: Arenas<'_, T>) {
        let (rho, rest, epsilon) = (T::of(self.rho), T::of(1.0 - self.rho), T::of(self.epsilon));
        arenas.each(move |g, [w, a, d]| {
            let a = (rho * a + rest * (g * g)).flushed();
            let delta = (d + epsilon).sqrt() * g / (a + epsilon).sqrt();
            [w - lr * delta, a, (rho * d + rest * (delta * delta)).flushed()]
        });
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let wide = Adadelta { learning_rate: 1.0, rho: 0.6, epsilon: 1e-3, weight_decay: 0.2 };
    [optimizer::cases("defaults", Adadelta::default()), optimizer::cases("other settings", wide)].concat()
}
