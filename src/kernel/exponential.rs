//! e^x in f32 by plain arithmetic, of which a compiler makes vectors: the library's is a call for each number, and takes ten times as
//! long.

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

#[cfg(test)]
mod tests {
    use super::exponential;

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
