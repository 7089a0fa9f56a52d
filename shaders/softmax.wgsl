// result[r, c] = exp(x[r, c] - max x[r]) / sum over c of exp(x[r, c] - max x[r]), or its logarithm      entries `forward`
// What is known of each part of a long row (lib/rows.wgsl) is left in y                              entries `parts`
// An invocation makes a row, or a part of it. Entries `_shared`: a workgroup (lib/reduction.wgsl).

override LOG: bool = false;

@group(0) @binding(3) var<storage, read_write> result: array<f32>;

fn leave(s: Share, unit: u32, row: Stat) {
    y[3u * unit] = f32(row.best - s.first);
    y[3u * unit + 1u] = row.most;
    y[3u * unit + 2u] = row.others;
}

@compute @workgroup_size(WIDTH)
fn parts_alone(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        leave(s, unit, row_of_numbers(s));
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
    let row = merge_all(row_of_numbers(s), seat);
    if seat.lane == 0u && seat.unit < params.units {
        leave(s, seat.unit, row);
    }
}

fn normalise(s: Share, row: Stat) {
    if s.start >= s.end {
        return;
    }
    if LOG {
        let log_total = select(logarithm(1.0 + row.others), log_one_plus(row.others), row.others <= 1.0);
        for (var k = s.start; k < s.end; k += s.step) {
            result[place(s, k)] = (x[place(s, k)] - row.most) - log_total;
        }
    } else {
        let total = total_of(s, row);
        for (var k = s.start; k < s.end; k += s.step) {
            result[place(s, k)] = exp(x[place(s, k)] - row.most) / total;
        }
    }
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        normalise(s, row_of(s));
    }
}

@compute @workgroup_size(GROUP)
fn forward_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let s = share_of(seat.unit, seat.lane, SHARE);
    normalise(s, merge_all(row_of(s), seat));
}
