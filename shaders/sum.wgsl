// y[o, i] = scale * sum over k < n of x[o, k, i]; x: (outer, n, inner), y: (outer, inner).
// Entry `pair` makes the column sums y_0 and y_1 of two matrices x_0 (rows_0, columns_0) and x_1 (rows_1, columns_1).
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
    let end = first + params.n * params.inner;
    for (var at = first; at < end; at += params.inner) {
        total += x[at];
    }
    y[i] = params.scale * total;
}

struct PairParams {
    rows_0: u32,
    columns_0: u32,
    rows_1: u32,
    columns_1: u32,
}

@group(0) @binding(0) var<storage, read> x_0: array<f32>;
@group(0) @binding(1) var<storage, read> x_1: array<f32>;
@group(0) @binding(2) var<storage, read_write> y_0: array<f32>;
@group(0) @binding(3) var<storage, read_write> y_1: array<f32>;
@group(0) @binding(4) var<uniform> pair_params: PairParams;

@compute @workgroup_size(WIDTH)
fn pair(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    let p = pair_params;
    var total = 0.0;
    if i < p.columns_0 {
        for (var at = i; at < p.rows_0 * p.columns_0; at += p.columns_0) {
            total += x_0[at];
        }
        y_0[i] = total;
    } else if i - p.columns_0 < p.columns_1 {
        let column = i - p.columns_0;
        for (var at = column; at < p.rows_1 * p.columns_1; at += p.columns_1) {
            total += x_1[at];
        }
        y_1[column] = total;
    }
}
