// y[0, i] = how many j < n have t[j] != 0 and a score p[j] above threshold i, y[1, i] = how many have t[j] = 0 and one.
// Of `count` thresholds the first is below every score, the last above, those between at i / (count - 1).
// One invocation looks through all scores for one threshold.

struct Params {
    n: u32,
    count: u32,
}

@group(0) @binding(0) var<storage, read> p: array<f32>;
@group(0) @binding(1) var<storage, read> t: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn thresholds(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.count {
        return;
    }
    let last = params.count - 1u;
    var positives = 0.0;
    var negatives = 0.0;
    // Bounded by more than a uniform, which lavapipe would compile the kernel for anew: docs/rejected.md.
    for (var j = 0u; j < min(params.n, arrayLength(&p)); j++) {
        let above = p[j] * f32(last) > f32(i) && i < last;
        if i == 0u || above {
            let positive = t[j] != 0.0 || is_nan(t[j]);
            positives += select(0.0, 1.0, positive);
            negatives += select(1.0, 0.0, positive);
        }
    }
    y[i] = positives;
    y[params.count + i] = negatives;
}
