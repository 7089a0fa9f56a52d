// y[r, c] = x[indices[r], c], `missing` where there is no such row of x. Rows of `width`. One invocation makes one of n
// elements.

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
