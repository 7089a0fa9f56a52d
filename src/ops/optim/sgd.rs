//! Stochastic gradient descent, <https://keras.io/api/optimizers/sgd/>.
//!
//! Without momentum `w -= lr * g`. With it `v = momentum * v - lr * g`, then `w += v`, or in Nesterov's form
//! `w += momentum * v - lr * g`.

use super::Case;
use super::cpu::Real;
use super::dispatch::{Module, Params};
use super::optimizer::{self, Arenas, Optimizer, Rule, SCALARS, check_settings};
use crate::error::Result;

/// Gradient descent with momentum and Nesterov's form.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Input::new([3])).add(Dense::new(1));
/// model.compile(Sgd { momentum: 0.9, nesterov: true, ..Sgd::new(0.1) }, "mse", [])?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Step size, Keras' default 0.01.
    pub learning_rate: f64,
    /// How much of the last step is kept, 0 to 1, default 0.
    pub momentum: f64,
    /// Whether momentum looks ahead.
    pub nesterov: bool,
    /// What share of each parameter, times the learning rate, is taken off it before each update; default 0.
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { learning_rate: 0.01, momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }
}

impl Optimizer for Sgd {
    optimizer::settings!("sgd": learning_rate, momentum, nesterov, weight_decay);

    fn moments(&self) -> usize {
        usize::from(self.momentum > 0.0)
    }

    fn moment_name(&self, _moment: usize) -> String {
        "velocity".into()
    }

    fn scalars(&self, _step: u64) -> [f64; SCALARS] {
        [self.learning_rate, 0.0, 0.0, self.learning_rate * self.weight_decay]
    }

    fn check(&self) -> Result<()> {
        check_settings(self.weight_decay, &[("momentum", self.momentum, 1.0)])
    }
}

impl Rule for Sgd {
    const MODULE: Module =
        Module { stem: "sgd", source: include_str!("../../../shaders/sgd.wgsl"), libs: optimizer::LIBS };

    fn entry(&self) -> &'static str {
        if self.moments() == 0 { "plain" } else { "momentum" }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("NESTEROV", f64::from(u8::from(self.nesterov)))]
    }

    fn params(&self) -> Params {
        Params::new().f32("momentum", self.momentum)
    }

    fn operations(&self) -> u64 {
        4 + 4 * self.moments() as u64
    }

    fn run<T: Real>(&self, [lr, ..]: [T; SCALARS], arenas: Arenas<'_, T>) {
        let momentum = T::of(self.momentum);
        if self.moments() == 0 {
            return arenas.each(move |g, [w]| [w - lr * g]);
        }
        arenas.each(move |g, [w, v]| {
            let v = (momentum * v - lr * g).flushed();
            [w + if self.nesterov { momentum * v - lr * g } else { v }, v]
        });
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let with = |momentum, nesterov, weight_decay| Sgd { momentum, nesterov, weight_decay, ..Sgd::default() };
    let plain = [("plain", with(0.0, false, 0.0)), ("weight decay", with(0.0, false, 20.0))];
    let moving = [("momentum", with(0.9, false, 0.0)), ("Nesterov, weight decay", with(0.9, true, 20.0))];
    plain.into_iter().chain(moving).flat_map(|(label, op)| optimizer::cases(label, op)).collect()
}
