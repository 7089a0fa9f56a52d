// Subnormals to zero: an optimizer's moments of units that no longer learn decay into them, and many processors and
// some GPUs compute with them many times slower.
fn flushed(x: vec4<f32>) -> vec4<f32> {
    return select(x, vec4(0.0), abs(x) < vec4(1.17549435e-38));
}
