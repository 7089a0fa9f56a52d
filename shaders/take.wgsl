// y[r, c] = x[indices[r], c], `missing` where there is no such row of x                entry `forward`
// dx[r, c] = sum of dy[j, c] over all j with indices[j] = r, in order of j             entry `gradient`
// Rows of `width`. One invocation makes one of n elements. The gradient looks through all indices for each of them, and
// needs no atomics and no order of the indices: neighbours look at one index at once.

struct Params {
    n: u32,
    rows: u32,
    width: u32,
    missing: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let row = indices[i / params.width];
    let found = x[min(row, params.rows - 1u) * params.width + i % params.width];
    y[i] = select(params.missing, found, row < params.rows);
}

struct GradientParams {
    n: u32,
    indices: u32,
    width: u32,
}

@group(0) @binding(0) var<storage, read> gradient_indices: array<u32>;
@group(0) @binding(1) var<storage, read> gradient_dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient_dx: array<f32>;
@group(0) @binding(3) var<uniform> gradient_params: GradientParams;

@compute @workgroup_size(WIDTH)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= gradient_params.n {
        return;
    }
    let row = i / gradient_params.width;
    let column = i % gradient_params.width;
    var total = 0.0;
    var j = 0u;
    for (var at = column; at < gradient_params.indices * gradient_params.width; at += gradient_params.width) {
        if gradient_indices[j] == row {
            total += gradient_dy[at];
        }
        j++;
    }
    gradient_dx[i] = total;
}
