//! Floats of 16 bits, which files have and Kiln reads as f32.

/// The number that 16 bits are, 1 sign, 5 exponent and 10 fraction: NumPy's `float16`, safetensors' `F16`. Each is one of f32's.
pub(crate) fn of_half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 0x1f, f32::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * (-24f32).exp2(),
        0x1f if fraction == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (1024.0 + fraction) * (f32::from(exponent) - 25.0).exp2(),
    };
    if sign == 1 { -size } else { size }
}

/// The number that the upper 16 bits of an f32 are: safetensors' `BF16`.
pub(crate) fn of_bfloat(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_what_numpy_says() {
        for (bits, number) in [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3c00, 1.0),
            (0x3555, 0.333_251_95),
            (0xc100, -2.5),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(of_half(bits).to_bits(), f32::to_bits(number), "{bits:04x}");
        }
        assert!(of_half(0x7e00).is_nan());
    }

    #[test]
    fn bfloats_are_the_upper_half_of_floats() {
        for (bits, number) in
            [(0x0000, 0.0), (0x3f80, 1.0), (0xc020, -2.5), (0x4049, 3.140_625), (0xff80, f32::NEG_INFINITY)]
        {
            assert_eq!(of_bfloat(bits).to_bits(), f32::to_bits(number), "{bits:04x}");
        }
        assert!(of_bfloat(0x7fc0).is_nan());
    }
}
