// result[o, i] = the first k < n with the largest (MIN: smallest) x[o, k, i], or where there is a NaN, with the first of
// those; x: (outer, n, inner), result: (outer, inner). Entries `parts` leave that of each part in y.
// An invocation makes one output or part. Entries `_shared`: a workgroup (lib/reduction.wgsl).

@group(0) @binding(3) var<storage, read_write> result: array<u32>;

@compute @workgroup_size(WIDTH)
fn parts_alone(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        y[unit] = f32(best_of_numbers(s).best - s.first);
    }
}

@compute @workgroup_size(GROUP)
fn parts_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let s = share_of(seat.unit, seat.lane, SHARE);
    let best = merge_all(best_of_numbers(s), seat);
    if seat.lane == 0u && seat.unit < params.units {
        y[seat.unit] = f32(best.best - s.first);
    }
}

@compute @workgroup_size(WIDTH)
fn argreduce(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        result[s.output] = best_of(s).best;
    }
}

@compute @workgroup_size(GROUP)
fn argreduce_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let s = share_of(seat.unit, seat.lane, SHARE);
    let best = merge_all(best_of(s), seat);
    if seat.lane == 0u && seat.unit < params.units {
        result[s.output] = best.best;
    }
}
