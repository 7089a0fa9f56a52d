// What optimizers' kernels share.

// Subnormals to zero: an optimizer's moments of units that no longer learn decay into them, and many processors and
// some GPUs compute with them many times slower.
fn flushed(x: vec4<f32>) -> vec4<f32> {
    return select(x, vec4(0.0), abs(x) < vec4(1.17549435e-38));
}

// w - weight_decay * lr * w, before the update: row is the step's of the schedule, and row.w = weight_decay * lr.
// With 0 it is w to the bit.
fn decayed(w: vec4<f32>, row: vec4<f32>) -> vec4<f32> {
    return w - row.w * w;
}
