//! e^x and what belongs to it in f32 by plain arithmetic, of which a compiler makes vectors: the library's is a call for each number, and
//! takes ten times as long.

/// The nearest whole number to y, in the last bits of y + this.
const ROUNDING: f32 = 12_582_912.0;
/// ln 2 in two parts: a whole number times the first is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// (e^r - 1 - r) / r^2 for r within half of ln 2, from the highest power on: Cephes' coefficients.
const QUOTIENT: [f32; 6] = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

/// e^x = 2^n e^r with r = x - n ln 2, within 1.5 ulps. From 88.8 on infinite, below -104 zero, of NaN NaN.
#[inline(always)]
pub(super) fn exponential(x: f32) -> f32 {
    // By comparisons, which leave a NaN as it is.
    let x = if x < -110.0 { -110.0 } else { x };
    let x = if x > 90.0 { 90.0 } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUNDING;
    let n = rounded - ROUNDING;
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    let quotient = QUOTIENT.into_iter().fold(0.0, |sum, factor| sum * r + factor);
    let power = quotient * (r * r) + r + 1.0;
    // 2^n in two factors, since n goes beyond the exponents of f32.
    let n = (rounded.to_bits() as i32).wrapping_sub(ROUNDING.to_bits() as i32);
    let half = n >> 1;
    let two_to = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    power * two_to(half) * two_to(n.wrapping_sub(half))
}

/// e^x - 1 for x up to 0, with all digits near it: there the series of [`exponential`] without its 1.
#[inline(always)]
pub(super) fn exponential_minus_one(x: f32) -> f32 {
    let near = QUOTIENT.into_iter().fold(0.0, |sum, factor| sum * x + factor) * (x * x) + x;
    if x > -0.34 { near } else { exponential(x) - 1.0 }
}

/// ln(1 + x) for x of 0 to 1: 2 atanh(s) of s = x / (2 + x), by its series. The first term left out, s^14 / 15 of the sum, is 1.4e-8 at 1.
#[inline(always)]
pub(super) fn log_one_plus(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let z = s * s;
    let tail = [13.0, 11.0, 9.0, 7.0, 5.0, 3.0].into_iter().fold(0.0, |sum, n| sum * z + 1.0 / n);
    2.0 * (s + s * z * tail)
}

#[cfg(test)]
mod tests {
    use super::{exponential, exponential_minus_one, log_one_plus};

    #[test]
    fn what_belongs_to_it_keeps_its_digits_near_zero() {
        let mut worst = [0.0f64; 2];
        for i in 0..200_000 {
            let x = f64::from((i as f32 * 1e-4 + 1e-30).powi(2) * 2.5e-3);
            let below = (f64::from(exponential_minus_one(-x as f32)), (-x).exp_m1());
            let above = (f64::from(log_one_plus(x.min(1.0) as f32)), x.min(1.0).ln_1p());
            for ((found, right), worst) in [below, above].into_iter().zip(&mut worst) {
                let unit = right.abs().max(f64::from(f32::MIN_POSITIVE)) * f64::from(f32::EPSILON);
                *worst = worst.max((found - right).abs() / unit);
            }
        }
        assert!(worst.iter().all(|&ulps| ulps < 3.0), "{worst:?}");
        assert_eq!((exponential_minus_one(f32::NEG_INFINITY), exponential_minus_one(-0.0)), (-1.0, -0.0));
        assert!(exponential_minus_one(f32::NAN).is_nan() && log_one_plus(f32::NAN).is_nan());
    }

    #[test]
    fn it_is_within_one_and_a_half_ulps() {
        let mut worst = 0.0f64;
        for i in -1_040_000..=887_000 {
            let x = i as f32 * 1e-4;
            let wanted = f64::from(x).exp();
            let unit = f64::from((wanted as f32).next_up() - wanted as f32);
            worst = worst.max((f64::from(exponential(x)) - wanted).abs() / unit);
        }
        assert!(worst < 1.5, "{worst} ulps");
    }

    #[test]
    fn its_ends_are_those_of_f32() {
        for (x, wanted) in [
            (0.0, 1.0),
            (-0.0, 1.0),
            (f32::NEG_INFINITY, 0.0),
            (f32::MIN, 0.0),
            (-104.1, 0.0),
            (89.0, f32::INFINITY),
            (f32::INFINITY, f32::INFINITY),
        ] {
            assert_eq!(exponential(x), wanted, "{x}");
        }
        assert!(exponential(f32::NAN).is_nan() && exponential(-f32::NAN).is_nan());
    }
}
