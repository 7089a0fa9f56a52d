//! The functions with bounds that gates are made of, and the normal distribution, in f32 by operations of which the compiler makes
//! vectors: no branch, no call.

use super::exponential::exponential;

/// The hyperbolic tangent. Near zero, where the exponentials cancel, an odd polynomial: its next term is below 1e-8 of it.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let e = exponential(-2.0 * x.abs());
    let far = (1.0 - e) / (1.0 + e);
    let s = x * x;
    let near = x.abs() + x.abs() * s * (-1.0 / 3.0 + s * (2.0 / 15.0 + s * (-17.0 / 315.0 + s * (62.0 / 2835.0))));
    (if s < 0.0625 { near } else { far }).copysign(x)
}

/// exp(-x^2 / 2). The square is taken of the upper half of x's digits, which is exact, and of the rest: rounded, it would lose as many
/// ulps as it is large.
#[inline(always)]
fn bell(x: f32) -> f32 {
    let a = within_20(x);
    let upper = f32::from_bits(a.to_bits() & 0xffff_f000);
    exponential(-0.5 * upper * upper) * exponential(-0.5 * (a - upper) * (a + upper))
}

/// |x|, or 20, from where on a bell is 0. A NaN stays one.
#[inline(always)]
fn within_20(x: f32) -> f32 {
    let a = x.abs();
    if a > 20.0 { 20.0 } else { a }
}

/// The normal distribution's density.
#[inline(always)]
pub(super) fn normal_density(x: f32) -> f32 {
    0.398_942_3 * bell(x)
}

/// The normal distribution's integral up to x, with all digits in its left tail, as `shaders/lib/normal.wgsl` has it.
#[inline(always)]
pub(super) fn normal(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.3 * within_20(x));
    let tail = bell(x) * t * TAIL.into_iter().rev().fold(0.0, |sum, factor| sum * t + factor);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// Of the powers of t = 1 / (1 + 0.3 a), from 0 on, in the integral up to -a over t exp(-a^2 / 2).
const TAIL: [f32; 10] = [
    0.119_685_8,
    0.119_591_85,
    0.110_044_78,
    0.079_394_43,
    0.092_914_22,
    -0.072_756_99,
    0.183_023_84,
    -0.221_093_74,
    0.109_178_13,
    -0.019_982_312,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::cpu::Real;

    #[test]
    fn the_normal_distribution_is_right_to_a_few_ulps_however_small_it_is() {
        let (mut worst, least) = ([0.0f64; 2], f64::from(f32::MIN_POSITIVE));
        for x in (-13_000..=20_000).map(|i| i as f32 * 1e-3 + 1.7e-4) {
            let wide = f64::from(x);
            let density = (-0.5 * wide * wide).exp() / (2.0 * std::f64::consts::PI).sqrt();
            let integral = 0.5 * libm::erfc(-wide * std::f64::consts::FRAC_1_SQRT_2);
            let pairs = [(normal(x), integral), (normal_density(x), density)];
            for ((found, right), worst) in pairs.into_iter().zip(&mut worst) {
                *worst = worst.max((f64::from(found) - right).abs() / (right.max(least) * f64::from(f32::EPSILON)));
            }
        }
        assert!(worst.iter().all(|&ulps| ulps < 5.0), "{worst:?}");
        let ends = [f32::INFINITY, f32::NEG_INFINITY];
        assert_eq!((ends.map(normal), ends.map(normal_density)), ([1.0, 0.0], [0.0, 0.0]));
        assert!(normal(f32::NAN).is_nan() && normal_density(f32::NAN).is_nan());
    }

    #[test]
    fn both_are_right_to_a_few_ulps() {
        let all = (0..40_000).map(|i| (i as f32 - 20_000.0) * 5.3e-3).chain([1e-30, -1e-30, 0.0, f32::MAX, f32::MIN]);
        let mut worst = [0.0f64; 2];
        for x in all {
            let wide = f64::from(x);
            let pairs = [(x.sigmoid(), 1.0 / (1.0 + (-wide).exp())), (tanh(x), wide.tanh())];
            for ((found, right), worst) in pairs.into_iter().zip(&mut worst) {
                let unit = right.abs().max(f64::from(f32::MIN_POSITIVE)) * f64::from(f32::EPSILON);
                *worst = worst.max((f64::from(found) - right).abs() / unit);
            }
        }
        assert!(worst.iter().all(|&ulps| ulps < 3.0), "{worst:?}");
        let ends = [f32::INFINITY, f32::NEG_INFINITY];
        assert_eq!((ends.map(Real::sigmoid), ends.map(tanh)), ([1.0, 0.0], [1.0, -1.0]));
        assert!(f32::NAN.sigmoid().is_nan() && tanh(f32::NAN).is_nan());
        assert!(tanh(-0.0).is_sign_negative());
    }
}
