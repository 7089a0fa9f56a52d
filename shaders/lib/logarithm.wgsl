// Logarithms that keep their digits near 1, where WGSL's own log may be 2^-21 off, whatever the value's size.
//
// Both take log((1 + s) / (1 - s)) = 2 atanh(s) = 2 (s + s^3/3 + s^5/5 + ...), Gregory's series, for |s| <= 1/3: the
// first term left out, s^14/15 of the sum, is 1.4e-8 there.

fn twice_atanh(s: f32) -> f32 {
    let z = s * s;
    let tail = 0.33333334 + z * (0.2 + z * (0.14285715 + z * (0.11111111 + z * (0.09090909 + z * 0.07692308))));
    return 2.0 * (s + s * z * tail);
}

// log(1 + e) for 0 <= e <= 1.
fn log_one_plus(e: f32) -> f32 {
    return twice_atanh(e / (2.0 + e));
}

// log(x) as k log 2 + log m, x = 2^k m, m in [3/4, 3/2). Infinities, NaN and what is below zero are log's own. Zero is not,
// since SwiftShader takes it for the smallest normal number and answers -88, nor are subnormals, of which lavapipe does:
// the bits of one, read as an integer, count 2^-149.
fn logarithm(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    if x < 0.0 {
        // There is none: NaN by its bits, where some devices give a number.
        return bitcast<f32>(bits | 0x7fc00000u);
    }
    let subnormal = bits > 0u && bits < 0x00800000u;
    let scaled = select(bits, bitcast<u32>(f32(bits)), subnormal);
    // The exponent field steps at 3/4 where half of a binade is taken off first.
    let exponent = i32(scaled - 0x3f400000u) >> 23u;
    let m = bitcast<f32>(scaled - (u32(exponent) << 23u));
    let k = f32(exponent - select(0, 149, subnormal));
    // log 2 in two parts: k times the first is exact.
    let near = k * 0.693359375 + (k * -2.1219444e-4 + twice_atanh((m - 1.0) / (m + 1.0)));
    let rest = select(log(x), -1.0 / abs(x), x == 0.0);
    return select(rest, near, bits > 0u && bits < 0x7f800000u);
}
