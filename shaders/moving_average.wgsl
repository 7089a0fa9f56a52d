// a = kept a + taken w; where the step overwrites, w = a. kept, taken and overwrites are the first of schedule[clock.step].
// One invocation works on four elements of the arenas.

struct Params {
    vectors: u32,
}

@group(0) @binding(0) var<storage, read> schedule: array<vec4<f32>>;
// step, rows, total, seed
@group(0) @binding(1) var<storage, read> clock: vec4<u32>;
@group(0) @binding(2) var<storage, read_write> w: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> a: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn moving_average(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let row = schedule[clock.x];
    let kept = flushed(row.x * a[i] + row.y * w[i]);
    a[i] = kept;
    if row.z != 0.0 {
        w[i] = kept;
    }
}
