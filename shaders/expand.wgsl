// y[o, k, i] = scale * x[o, i] for every k < n; x: (outer, inner), y: (outer, n, inner).
// One invocation makes one element of y.

struct Params {
    outputs: u32,
    n: u32,
    inner: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn expand(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.outputs {
        return;
    }
    let outer = i / (params.n * params.inner);
    y[i] = params.scale * x[outer * params.inner + i % params.inner];
}
