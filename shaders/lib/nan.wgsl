// Whether x is no number, by its bits: WGSL lets a compiler take it that there is no NaN, and x != x for false.

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}
