//! The functions with bounds that gates are made of, in f32 by operations of which the compiler makes vectors: no branch, no call.

use super::exponential::exponential;

/// 1 / (1 + exp(-x)), with all its digits in both tails.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    let e = exponential(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// The hyperbolic tangent. Near zero, where the exponentials cancel, an odd polynomial: its next term is below 1e-8 of it.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let e = exponential(-2.0 * x.abs());
    let far = (1.0 - e) / (1.0 + e);
    let s = x * x;
    let near = x.abs() + x.abs() * s * (-1.0 / 3.0 + s * (2.0 / 15.0 + s * (-17.0 / 315.0 + s * (62.0 / 2835.0))));
    (if s < 0.0625 { near } else { far }).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_right_to_a_few_ulps() {
        let all = (0..40_000).map(|i| (i as f32 - 20_000.0) * 5.3e-3).chain([1e-30, -1e-30, 0.0, f32::MAX, f32::MIN]);
        let mut worst = [0.0f64; 2];
        for x in all {
            let wide = f64::from(x);
            let pairs = [(sigmoid(x), 1.0 / (1.0 + (-wide).exp())), (tanh(x), wide.tanh())];
            for ((found, right), worst) in pairs.into_iter().zip(&mut worst) {
                let unit = right.abs().max(f64::from(f32::MIN_POSITIVE)) * f64::from(f32::EPSILON);
                *worst = worst.max((f64::from(found) - right).abs() / unit);
            }
        }
        assert!(worst.iter().all(|&ulps| ulps < 3.0), "{worst:?}");
        let ends = [f32::INFINITY, f32::NEG_INFINITY];
        assert_eq!((ends.map(sigmoid), ends.map(tanh)), ([1.0, 0.0], [1.0, -1.0]));
        assert!(sigmoid(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        assert!(tanh(-0.0).is_sign_negative());
    }
}
