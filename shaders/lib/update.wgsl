// What optimizers' kernels share: gradients g, parameters w, and the scalars that vary by step. Binding 3 is the uniform,
// those from 5 on are the moments.

@group(0) @binding(0) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> schedule: array<vec4<f32>>;
// step, rows, total, seed
@group(0) @binding(2) var<storage, read> clock: vec4<u32>;
@group(0) @binding(4) var<storage, read_write> w: array<vec4<f32>>;

fn row_of_step() -> vec4<f32> {
    return schedule[clock.x];
}

// w - weight_decay * lr * w, before the update: row is the step's of the schedule, and row.w = weight_decay * lr.
// With 0 it is w to the bit.
fn decayed(w: vec4<f32>, row: vec4<f32>) -> vec4<f32> {
    return w - row.w * w;
}
