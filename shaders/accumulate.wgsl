// y += x                          entry `add`: x the gradients, y the sums
// x = (x + y) / count; y = 0      entry `mean`, which changes both
// One invocation works on four elements of the arenas.

struct Params {
    vectors: u32,
    count: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(0) var<storage, read_write> changed_x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn add(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.vectors {
        y[i] += x[i];
    }
}

@compute @workgroup_size(WIDTH)
fn mean(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.vectors {
        changed_x[i] = (changed_x[i] + y[i]) / params.count;
        y[i] = vec4(0.0);
    }
}
