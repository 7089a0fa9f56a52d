//! Adds normal noise. The numbers are [`super::philox`]'s, the same on every device up to rounding.

use super::case::{clock, random};
use super::cpu::{CpuArgs, CpuOp, Real, vectorised};
use super::dispatch::{Dispatch, LIB_GRID, LIB_LOGARITHM, Module, Params, Target};
use super::philox::{LIB_PHILOX, for_each_words};
use super::{Case, Io, Op, clock as clock_op, expect_inputs, only};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::DType;

const MODULE: Module = Module {
    stem: "gaussian_noise",
    source: include_str!("../../../shaders/gaussian_noise.wgsl"),
    libs: &[LIB_GRID, LIB_PHILOX, LIB_LOGARITHM],
};

/// y = x + noise of x and the clock; the gradient is dy.
#[derive(Clone, Copy, Debug)]
pub struct GaussianNoise {
    /// The noise's standard deviation.
    pub stddev: f64,
    /// Tells one op of a model from another.
    pub salt: u32,
}

/// The standard normal number whose probability a random word gives: no further out than 5.4.
///
/// t = sqrt(-2 log p) of the smaller tail p, a multiple of 2^-24, less a polynomial in 1 / (1 + t / 2) that was fitted
/// for this file to the least largest error, 8.4e-8.
#[inline(always)]
fn quantile<T: Real>(word: u32) -> T {
    const TERMS: [f64; 8] = [
        0.791_459_26,
        0.341_209_08,
        0.032_286_856,
        0.010_096_448,
        0.001_534_271,
        0.000_634_253_67,
        0.000_126_270_9,
        0.000_063_471_918,
    ];
    let [half, two, one] = [0.5, 2.0, 1.0].map(T::of);
    let rank = word >> 9;
    let tail = rank.min((1 << 23) - 1 - rank);
    let p = (T::of(f64::from(tail)) + half) * T::of(2f64.powi(-23));
    let t = (-two * p.ln()).sqrt();
    let u = T::of(5.376_626) / (one + half * t) - T::of(2.384_282_1);
    let z = t - TERMS.iter().rev().fold(T::zero(), |sum, &term| sum * u + T::of(term));
    if rank < 1 << 22 { -z } else { z }
}

impl<T: Real> CpuOp<T> for GaussianNoise {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (x, clock, [y]) = (args.real(0), args.u32(1), args.out());
        let stddev = T::of(self.stddev);
        for_each_words(y, self.salt, clock, |first, y, words| {
            let x = &x[first..][..y.len()];
            vectorised!(for ((y, &x), &word) in y.iter_mut().zip(x).zip(&words) {
                *y = x + stddev * quantile(word);
            });
        });
    }
}

impl Op for GaussianNoise {
    fn name(&self) -> &'static str {
        "gaussian_noise"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32, DType::U32])?;
        clock_op::check(inputs, 1)?;
        if !(0.0..f64::INFINITY).contains(&self.stddev) {
            return Err(Error::shape(self.name(), format!("the standard deviation {} is not 0 or more", self.stddev)));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn grad(&self, _g: &mut Graph, _x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(only(dy)), None])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let n = io.outputs[0].shape.len();
        let params = Params::new().u32("n", n).u32("salt", self.salt as usize).f32("stddev", self.stddev);
        vec![Dispatch::over(MODULE, self.name(), io, params, n)]
    }

    fn flops(&self, io: &Io) -> u64 {
        30 * io.outputs[0].shape.len() as u64
    }
}

pub(crate) fn cases() -> Vec<Case> {
    [(1, 1.0), (3, 0.1), (255, 0.0), (257, 0.5), (20_000, 2.0)]
        .map(|(n, stddev)| {
            let op = GaussianNoise { stddev, salt: n as u32 };
            let case = Case::new(format!("({n},), deviation {stddev}"), op, vec![random([n], 740), clock(n as u32, 1)]);
            // What is added has errors of its own size, a few in the tails' root and polynomial, and may cancel x.
            case.wrt(&[0]).sums(16)
        })
        .into()
}

#[cfg(test)]
mod tests {
    use super::super::philox::word;
    use super::*;

    /// The normal distribution's quantiles, from tables.
    #[test]
    fn quantiles_are_the_normal_distributions() {
        for (p, z) in [(0.5, 0.0), (0.6, 0.253_347_1), (0.841_344_75, 1.0), (0.975, 1.959_964), (0.999_968_33, 4.0)] {
            let rank = (p * f64::from(1 << 23)) as u32;
            // The word's step is 1.2e-7 of probability, 1e-3 of the number at 4.
            let near = 2e-7 + 1.2e-7 / ((-z * z / 2.0f64).exp() / 2.5066);
            let found = quantile::<f64>(rank << 9);
            assert!((found - z).abs() < near, "{p}: {found}, expected {z}");
            let other = quantile::<f64>(((1 << 23) - 1 - rank) << 9);
            assert_eq!(found, -other);
        }
        assert!((quantile::<f64>(u32::MAX) - 5.294_704_1).abs() < 2e-7);
    }

    #[test]
    fn noise_has_the_moments_of_its_distribution() {
        let z: Vec<f64> = (0..100_000).map(|i| quantile(word(i, 1, &[0, 0, 2, 3]))).collect();
        let moment = |k: i32| z.iter().map(|z| z.powi(k)).sum::<f64>() / 1e5;
        // Their deviations are 0.0032, 0.0045, 0.012 and 0.031: five of them.
        for (k, expected, near) in [(1, 0.0, 0.016), (2, 1.0, 0.023), (3, 0.0, 0.062), (4, 3.0, 0.155)] {
            assert!((moment(k) - expected).abs() < near, "moment {k} is {}", moment(k));
        }
    }
}
