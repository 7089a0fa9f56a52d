//! Dropout: each element is zero with probability `rate`, the others grow by `1 / (1 - rate)`, by Srivastava and others,
//! <https://jmlr.org/papers/v15/srivastava14a.html>. The mask is [`super::philox`]'s, the same on every device.

use std::sync::Arc;

use super::activation::{Function, Slope};
use super::binary::changed;
use super::case::{clock, random};
use super::cpu::{CpuArgs, CpuOp, Real, vectorised};
use super::dispatch::{Binding, Dispatch, LIB_ACTIVATION, LIB_GRID, Module, Params, Target};
use super::philox::{LIB_PHILOX, for_each_words};
use super::{Case, Io, Op, clock as clock_op, expect_inputs, only};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::DType;

const MODULE: Module = Module {
    stem: "dropout",
    source: include_str!("../../../shaders/dropout.wgsl"),
    libs: &[LIB_GRID, LIB_PHILOX, LIB_ACTIVATION],
};

/// y of x and the clock; the gradient is the same op on dy
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The probability of zero, 0 to below 1.
    pub rate: f64,
    /// Tells one dropout of a model from another.
    pub salt: u32,
    /// The gradient of an activation that y is multiplied by, where it is a gradient itself.
    pub slope: Slope,
}

impl Dropout {
    /// y alone.
    pub fn new(rate: f64, salt: u32) -> Self {
        Self { rate, salt, slope: Slope::default() }
    }

    /// An element stays where the upper 24 bits of its random word reach this: an integer, so that no device rounds.
    fn threshold(self) -> u32 {
        (self.rate * f64::from(1 << 24)).round() as u32
    }
}

impl<T: Real> CpuOp<T> for Dropout {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (x, clock, [y]) = (args.real(0), args.u32(1), args.out());
        let (threshold, scale) = (self.threshold(), T::of(1.0 / (1.0 - self.rate)));
        let h = args.real(2 * self.slope.inputs());
        for_each_words(y, self.salt, clock, |first, y, words| {
            let x = &x[first..][..y.len()];
            vectorised!({
                for ((y, &x), &word) in y.iter_mut().zip(x).zip(&words) {
                    *y = if word >> 8 >= threshold { x * scale } else { T::zero() };
                }
                self.slope.apply(y, &h[first..]);
            });
        });
    }
}

impl Op for Dropout {
    fn name(&self) -> &'static str {
        self.slope.choose(["dropout", "dropout+activation_grad"])
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32, DType::U32, DType::F32][..2 + self.slope.inputs()])?;
        clock_op::check(inputs, 1)?;
        if !(0.0..1.0).contains(&self.rate) {
            return Err(Error::shape(self.name(), format!("the rate {} is not in 0..1", self.rate)));
        }
        self.slope.check(self.name(), &inputs[2..], &inputs[0])?;
        Ok(vec![inputs[0].clone()])
    }

    /// The gradient of an activation.
    fn absorb(&self, next: &dyn Op, operand: usize, _y: &Type, _others: &[Type]) -> Option<Arc<dyn Op>> {
        let slope = self.slope.and(next, operand)?;
        Some(Arc::new(Self { slope, ..*self }))
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        self.slope.check_none(self.name())?;
        Ok(vec![Some(g.apply(*self, &[only(dy), x[1]])?), None])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let n = io.outputs[0].shape.len();
        let params =
            Params::new().u32("n", n).u32("salt", self.salt as usize).u32("threshold", self.threshold() as usize);
        let launch = Dispatch::over(MODULE, "dropout", io, params.f32("scale", 1.0 / (1.0 - self.rate)), n);
        let h = Binding::Input(2 * self.slope.inputs());
        let bindings = vec![Binding::Input(0), Binding::Input(1), h, Binding::Output(0), Binding::Params];
        vec![self.slope.specialise(Dispatch { bindings, ..launch })]
    }
}

pub(crate) fn cases() -> Vec<Case> {
    use super::philox::word;
    // An element whose word is the threshold itself stays.
    let met = f64::from(word(2, 4, &[4, 5, 4, 0]) >> 8) / f64::from(1 << 24);
    let mut cases = Vec::new();
    for (n, rate) in [(1, 0.5), (3, 0.3), (4, met), (255, 0.0), (257, 0.25), (20_000, 0.9)] {
        let op = Dropout::new(rate, n as u32);
        let mut inputs = vec![random([n], 400), clock(n as u32, 5)];
        cases.push(Case::new(format!("({n},), rate {rate}"), op, inputs.clone()).wrt(&[0]));
        let f = Function::Elu { alpha: 1.0 };
        inputs.push(changed(&random([n], 401), |x| f.of(x)));
        let sloped = Dropout { slope: Slope(Some(f)), ..op };
        cases.push(Case::new(format!("({n},), rate {rate}, elu"), sloped, inputs).ulps(4.0));
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::super::philox::word;
    use super::*;

    #[test]
    fn the_share_of_zeros_is_the_rate() {
        for (rate, salt) in [(0.1, 0), (0.3, 1), (0.5, 2), (0.9, 3)] {
            let threshold = Dropout::new(rate, salt).threshold();
            let zeros = (0..100_000).filter(|&i| word(i, salt, &[0, 0, 7, 42]) >> 8 < threshold).count();
            // Standard deviation at most 0.0016: five of them.
            assert!((zeros as f64 / 1e5 - rate).abs() < 0.008, "{zeros} of 100,000 at rate {rate}");
        }
    }

    #[test]
    fn masks_differ_by_step_salt_and_seed() {
        let mask = |salt, step, seed| (0..64).map(|i| word(i, salt, &[0, 0, step, seed]) >> 31).collect::<Vec<_>>();
        let first = mask(1, 2, 3);
        assert_eq!(first, mask(1, 2, 3));
        for other in [mask(2, 2, 3), mask(1, 3, 3), mask(1, 2, 4)] {
            assert_ne!(first, other);
        }
    }
}
