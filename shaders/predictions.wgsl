// predictions[clock.rows + i, j] = y[i, j]; y: n elements in rows of `width`, one an invocation.

struct Params {
    n: u32,
    width: u32,
}

@group(0) @binding(0) var<storage, read> y: array<f32>;
// step, rows, total, seed
@group(0) @binding(1) var<storage, read> clock: vec4<u32>;
@group(0) @binding(2) var<storage, read_write> predictions: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn keep(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.n {
        predictions[clock.y * params.width + i] = y[i];
    }
}
