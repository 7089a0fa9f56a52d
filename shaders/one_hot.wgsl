// y[r, c] = 1 if c = labels[r], else 0. One invocation makes one element of n.

struct Params {
    n: u32,
    classes: u32,
}

@group(0) @binding(0) var<storage, read> labels: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn one_hot(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    y[i] = select(0.0, 1.0, i % params.classes == labels[i / params.classes]);
}
