// sums += grads                               entry `add`
// grads = (grads + sums) / count; sums = 0    entry `mean`
// One invocation works on four elements of the arenas.

struct Params {
    vectors: u32,
    count: f32,
}

@group(0) @binding(0) var<storage, read_write> grads: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> sums: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn add(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.vectors {
        sums[i] += grads[i];
    }
}

@compute @workgroup_size(WIDTH)
fn mean(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.vectors {
        grads[i] = (grads[i] + sums[i]) / params.count;
        sums[i] = vec4(0.0);
    }
}
