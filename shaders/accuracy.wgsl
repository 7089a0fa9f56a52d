// hits[r] = 1 if labels[r] is the first c with the largest x[r, c], or with the first NaN, else 0; x: scores (rows, n).
// Parts of long rows come from argreduce.wgsl. An invocation judges one row. Entry `_shared`: a workgroup
// (lib/reduction.wgsl).

@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> hits: array<f32>;

@compute @workgroup_size(WIDTH)
fn accuracy(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        hits[s.output] = select(0.0, 1.0, best_of(s).best == labels[s.output]);
    }
}

@compute @workgroup_size(GROUP)
fn accuracy_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let s = share_of(seat.unit, seat.lane, SHARE);
    let best = merge_all(best_of(s), seat);
    if seat.lane == 0u && seat.unit < params.units {
        hits[s.output] = select(0.0, 1.0, best.best == labels[s.output]);
    }
}
