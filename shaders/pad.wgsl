// y[i] = value for i < n: what a tensor is padded with, before it is placed. One invocation makes one element.

struct Params {
    n: u32,
    value: f32,
}

@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn fill(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.n {
        y[i] = params.value;
    }
}
