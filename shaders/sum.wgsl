// y[o, i] = scale * sum over k < n of x[o, k, i]; x: (outer, n, inner), y: (outer, inner).
// One invocation sums one output in order of k; neighbouring invocations read neighbouring columns.

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
fn sum(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.outputs {
        return;
    }
    let first = (i / params.inner) * params.n * params.inner + i % params.inner;
    var total = 0.0;
    for (var k = 0u; k < params.n; k++) {
        total += x[first + k * params.inner];
    }
    y[i] = params.scale * total;
}
