// y[o, i] = the first k < n with the largest (MIN = 1: smallest) x[o, k, i], or where there is a NaN, with the first of
// those; x: (outer, n, inner), y: (outer, inner). One invocation makes one output.

override MIN: u32 = 0u;

struct Params {
    outputs: u32,
    n: u32,
    inner: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn argreduce(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.outputs {
        return;
    }
    let inner = params.inner;
    let first = (i / inner) * params.n * inner + i % inner;
    var best = first;
    for (var at = first + inner; at < first + params.n * inner; at += inner) {
        let candidate = x[at];
        let holder = x[best];
        let beyond = select(candidate > holder, candidate < holder, MIN == 1u);
        if beyond || (is_nan(candidate) && !is_nan(holder)) {
            best = at;
        }
    }
    y[i] = (best - first) / inner;
}
