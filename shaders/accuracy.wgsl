// hits[r] = 1 if labels[r] is the first c with the largest scores[r, c], else 0. One invocation judges one row.

struct Params {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> hits: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn accuracy(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let row = grid_index(id, workgroups);
    if row >= params.rows {
        return;
    }
    let first = row * params.columns;
    var best = 0u;
    for (var c = 1u; c < params.columns; c++) {
        if scores[first + c] > scores[first + best] {
            best = c;
        }
    }
    hits[row] = select(0.0, 1.0, best == labels[row]);
}
