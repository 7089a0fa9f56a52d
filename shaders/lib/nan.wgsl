// Whether x is no number, by its bits: WGSL lets a compiler take it that there is no NaN, and x != x for false.

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// Whether the largest so far is displaced: by a larger one, or by the first NaN, as in NumPy.
fn displaces(x: f32, largest: f32) -> bool {
    return x > largest || (is_nan(x) && !is_nan(largest));
}
