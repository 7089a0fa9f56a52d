// y[o, k, i] = x[o, n - 1 - k, i] of x (outer, n, inner), `len` elements in all. One invocation makes one element.

struct Params {
    len: u32,
    n: u32,
    inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn reverse(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.len {
        let k = i / params.inner % params.n;
        y[i] = x[i - k * params.inner + (params.n - 1u - k) * params.inner];
    }
}
