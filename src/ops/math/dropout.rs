//! Dropout: each element is zero with probability `rate`, the others grow by `1 / (1 - rate)`, by Srivastava and others,
//! <https://jmlr.org/papers/v15/srivastava14a.html>. The mask is [`super::philox`]'s, the same on every device.

use super::case::{clock, random};
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::philox::{AT_ONCE, LIB_PHILOX, words};
use super::{Case, Io, Op, clock as clock_op, expect_inputs, only};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::DType;

const MODULE: Module =
    Module { stem: "dropout", source: include_str!("../../../shaders/dropout.wgsl"), libs: &[LIB_GRID, LIB_PHILOX] };

/// y of x and the clock; the gradient is the same op on dy
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The probability of zero, 0 to below 1.
    pub rate: f64,
    /// Tells one dropout of a model from another.
    pub salt: u32,
}

impl Dropout {
    /// An element stays where the upper 24 bits of its random word reach this: an integer, so that no device rounds.
    fn threshold(self) -> u32 {
        (self.rate * f64::from(1 << 24)).round() as u32
    }
}

impl<T: Real> CpuOp<T> for Dropout {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (x, clock, [y]) = (args.real(0), args.u32(1), args.out());
        let (threshold, scale) = (self.threshold(), T::of(1.0 / (1.0 - self.rate)));
        for_each_row(y, AT_ONCE, |block, y| {
            let first = block * AT_ONCE;
            let words = words(first as u32, self.salt, clock);
            for ((y, &x), word) in y.iter_mut().zip(&x[first..]).zip(words) {
                *y = if word >> 8 >= threshold { x * scale } else { T::zero() };
            }
        });
    }
}

impl Op for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("dropout", inputs, &[DType::F32, DType::U32])?;
        clock_op::check(inputs, 1)?;
        if !(0.0..1.0).contains(&self.rate) {
            return Err(Error::shape("dropout", format!("the rate {} is not in 0..1", self.rate)));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(g.apply(*self, &[only(dy), x[1]])?), None])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let n = io.outputs[0].shape.len();
        let params =
            Params::new().u32("n", n).u32("salt", self.salt as usize).u32("threshold", self.threshold() as usize);
        vec![Dispatch::over(MODULE, "dropout", io, params.f32("scale", 1.0 / (1.0 - self.rate)), n)]
    }
}

pub(crate) fn cases() -> Vec<Case> {
    use super::philox::word;
    // An element whose word is the threshold itself stays.
    let met = f64::from(word(2, 4, &[4, 5, 4, 0]) >> 8) / f64::from(1 << 24);
    [(1, 0.5), (3, 0.3), (4, met), (255, 0.0), (257, 0.25), (20_000, 0.9)]
        .map(|(n, rate)| {
            let op = Dropout { rate, salt: n as u32 };
            let case = Case::new(format!("({n},), rate {rate}"), op, vec![random([n], 400), clock(n as u32, 5)]);
            case.wrt(&[0])
        })
        .into()
}

#[cfg(test)]
mod tests {
    use super::super::philox::word;
    use super::*;

    #[test]
    fn the_share_of_zeros_is_the_rate() {
        for (rate, salt) in [(0.1, 0), (0.3, 1), (0.5, 2), (0.9, 3)] {
            let threshold = Dropout { rate, salt }.threshold();
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
