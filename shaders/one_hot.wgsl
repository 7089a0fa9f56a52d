// y[r, c] = 1 if labels[r] = c, else 0; n elements of y in rows of `classes`. One invocation makes one element.

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
    if i < params.n {
        y[i] = select(0.0, 1.0, labels[i / params.classes] == i % params.classes);
    }
}
