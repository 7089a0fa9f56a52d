// accuracy: hits[r] = 1 if labels[r] is the first c with the largest scores[r, c], or with the first NaN, else 0.
// in_top_k: hits[r] = 1 if fewer than k of scores[r, c] are above scores[r, labels[r]], else 0.
// One invocation judges one row.

struct Params {
    rows: u32,
    columns: u32,
    k: u32,
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
    var best = first;
    for (var at = first + 1u; at < first + params.columns; at++) {
        if scores[at] > scores[best] || (is_nan(scores[at]) && !is_nan(scores[best])) {
            best = at;
        }
    }
    hits[row] = select(0.0, 1.0, best == first + labels[row]);
}

@compute @workgroup_size(WIDTH)
fn in_top_k(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let row = grid_index(id, workgroups);
    if row >= params.rows {
        return;
    }
    let first = row * params.columns;
    let own = scores[first + labels[row]];
    let lost = is_nan(own);
    var above = 0u;
    for (var at = first; at < first + params.columns; at++) {
        let score = scores[at];
        // Above a label's that is NaN are all that are numbers: neither NaN, which compares with nothing, nor -infinity.
        above += u32(select(score > own, score >= -0x1.fffffep+127f, lost));
    }
    hits[row] = select(0.0, 1.0, above < params.k);
}
