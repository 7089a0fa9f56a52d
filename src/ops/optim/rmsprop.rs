//! RMSprop, <https://keras.io/api/optimizers/rmsprop/>.
//!
//! `v = rho * v + (1 - rho) * g^2`, then `w -= step` with `step = lr * g / sqrt(v + epsilon)`; Keras puts epsilon inside
//! the root. Centred, `a = rho * a + (1 - rho) * g` is kept too, and v less a^2 stands under the root; rounding may make
//! that negative, where Keras is left without a number: here it is cut off at 0. With momentum,
//! `m = momentum * m + step`, then `w -= m`.

use super::Case;
use super::cpu::Real;
use super::dispatch::{Module, Params};
use super::optimizer::{self, Arenas, Optimizer, Rule, SCALARS, check_settings};
use crate::error::Result;
use crate::tensor::Tensor;

/// Steps divided by the root of a running mean of squared gradients.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Input::new([3])).add(Dense::new(1));
/// model.compile(RmsProp { rho: 0.95, ..RmsProp::new(0.001) }, "mse", [])?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// Step size, Keras' default 0.001.
    pub learning_rate: f64,
    /// How much of the running means is kept, 0 to 1, default 0.9.
    pub rho: f64,
    /// How much of the last step is kept, 0 to 1, default 0.
    pub momentum: f64,
    /// Added under the root, default 1e-7.
    pub epsilon: f64,
    /// Whether the variance of the gradients stands under the root, not the mean of their squares.
    pub centered: bool,
    /// What share of each parameter, times the learning rate, is taken off it before each update; default 0.
    pub weight_decay: f64,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self { learning_rate: 0.001, rho: 0.9, momentum: 0.0, epsilon: 1e-7, centered: false, weight_decay: 0.0 }
    }
}

impl Optimizer for RmsProp {
    optimizer::settings!("rmsprop": learning_rate, rho, momentum, epsilon, centered, weight_decay);

    fn moments(&self) -> usize {
        1 + usize::from(self.centered) + usize::from(self.momentum > 0.0)
    }

    fn moment_name(&self, moment: usize) -> String {
        let mut names = vec!["velocity"];
        names.extend(self.centered.then_some("average_gradient"));
        names.extend((self.momentum > 0.0).then_some("momentum"));
        names[moment].into()
    }

    fn scalars(&self, _step: u64) -> [f64; SCALARS] {
        [self.learning_rate, 0.0, 0.0, self.learning_rate * self.weight_decay]
    }

    fn check(&self) -> Result<()> {
        check_settings(
            self.weight_decay,
            &[("rho", self.rho, 1.0), ("momentum", self.momentum, 1.0), ("epsilon", self.epsilon, f64::INFINITY)],
        )
    }
}

impl Rule for RmsProp {
    const MODULE: Module =
        Module { stem: "rmsprop", source: include_str!("../../../shaders/rmsprop.wgsl"), libs: optimizer::LIBS };

    fn entry(&self) -> &'static str {
        match (self.centered, self.momentum > 0.0) {
            (false, false) => "rmsprop",
            (false, true) => "momentum",
            (true, false) => "centered",
            (true, true) => "centered_momentum",
        }
    }

    fn params(&self) -> Params {
        Params::new()
            .f32("rho", self.rho)
            .f32("rest", 1.0 - self.rho)
            .f32("epsilon", self.epsilon)
            .f32("momentum", self.momentum)
    }

    fn operations(&self) -> u64 {
        7 + 4 * self.moments() as u64
    }

    fn run<T: Real>(&self, [lr, ..]: [T; SCALARS], arenas: Arenas<'_, T>) {
        let (rho, rest, epsilon) = (T::of(self.rho), T::of(1.0 - self.rho), T::of(self.epsilon));
        let momentum = T::of(self.momentum);
        let square = move |g: T, v: T| (rho * v + rest * (g * g)).flushed();
        let mean = move |g: T, a: T| (rho * a + rest * g).flushed();
        // Not max, which drops the NaN of two infinities: the step would be a gradient of 1e30 by the root of epsilon.
        let cut = move |x: T| if x < T::zero() { T::zero() } else { x };
        let variance = move |v: T, a: T| cut(v - a * a);
        let step = move |g: T, square: T| lr * g / (square + epsilon).sqrt();
        let velocity = move |m: T, step: T| (momentum * m + step).flushed();
        match (self.centered, self.momentum > 0.0) {
            (false, false) => arenas.each(move |g, [w, v]| {
                let v = square(g, v);
                [w - step(g, v), v]
            }),
            (false, true) => arenas.each(move |g, [w, v, m]| {
                let v = square(g, v);
                let m = velocity(m, step(g, v));
                [w - m, v, m]
            }),
            (true, false) => arenas.each(move |g, [w, v, a]| {
                let (v, a) = (square(g, v), mean(g, a));
                [w - step(g, variance(v, a)), v, a]
            }),
            (true, true) => arenas.each(move |g, [w, v, a, m]| {
                let (v, a) = (square(g, v), mean(g, a));
                let m = velocity(m, step(g, variance(v, a)));
                [w - m, v, a, m]
            }),
        }
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let wide = |centered, momentum| RmsProp {
        learning_rate: 0.1,
        rho: 0.5,
        momentum,
        // Under one gradient for many steps the variance becomes the difference of equal numbers.
        epsilon: if centered { 0.1 } else { 1e-3 },
        centered,
        weight_decay: 2.0,
    };
    [("plain", false, 0.0), ("momentum", false, 0.8), ("centred", true, 0.0), ("centred, momentum", true, 0.8)]
        .into_iter()
        .flat_map(|(label, centered, momentum)| optimizer::cases(label, wide(centered, momentum)))
        .chain(optimizer::cases("defaults", RmsProp::default()))
        .chain(optimizer::cases("variance below 0", wide(true, 0.0)).into_iter().map(below_zero))
        .collect()
}

/// The case from moments whose mean of squares is less than the square of the mean, as rounding may leave them.
fn below_zero(mut case: Case) -> Case {
    let n = case.targets[0].shape().len();
    for (moment, number) in [(1, 0.0f32), (2, 1.0)] {
        case.targets[moment] = Tensor::new([n], vec![number; n]).expect("one an element");
    }
    case
}
