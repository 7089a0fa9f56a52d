// y[o, i] = scale * sum over k < n of x[o, k, i]; x: (outer, n, inner), y: (outer, inner), or the parts' sums of a unit each.
// Entries `pair` make the column sums y_0 and y_1 of two matrices x_0 (rows_0, columns_0) and x_1 (rows_1, columns_1).
// An invocation sums one output in order of k; neighbouring invocations read neighbouring columns. Entries `_shared`: a
// workgroup takes rows, or a tile of columns (lib/reduction.wgsl).

alias Stat = f32;

fn merge(a: Stat, b: Stat) -> Stat {
    return a + b;
}

fn sum_of(s: Share) -> f32 {
    var total = 0.0;
    for (var head = s.start; head < s.end; head += BLOCK * s.step) {
        var block = 0.0;
        let end = block_end(s, head);
        for (var k = head; k < end; k += s.step) {
            block += x[place(s, k)];
        }
        total += block;
    }
    return total;
}

@compute @workgroup_size(WIDTH)
fn sum(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        y[unit] = params.scale * sum_of(share_of(unit, 0u, 1u));
    }
}

@compute @workgroup_size(GROUP)
fn sum_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let total = merge_all(sum_of(share_of(seat.unit, seat.lane, SHARE)), seat);
    if seat.lane == 0u && seat.unit < params.units {
        y[seat.unit] = params.scale * total;
    }
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

// A lane's share of column i, where those of x_1 come after those of x_0.
fn sum_of_pair(i: u32, lane: u32, lanes: u32) -> f32 {
    let p = pair_params;
    var total = 0.0;
    if i < p.columns_0 {
        let s = Share(i, 0u, i, p.columns_0, 0u, lane, p.rows_0, lanes);
        for (var head = s.start; head < s.end; head += BLOCK * s.step) {
            var block = 0.0;
            let end = block_end(s, head);
            for (var k = head; k < end; k += s.step) {
                block += x_0[place(s, k)];
            }
            total += block;
        }
    } else if i - p.columns_0 < p.columns_1 {
        let s = Share(i, 0u, i - p.columns_0, p.columns_1, 0u, lane, p.rows_1, lanes);
        for (var head = s.start; head < s.end; head += BLOCK * s.step) {
            var block = 0.0;
            let end = block_end(s, head);
            for (var k = head; k < end; k += s.step) {
                block += x_1[place(s, k)];
            }
            total += block;
        }
    }
    return total;
}

fn store_of_pair(i: u32, total: f32) {
    if i < pair_params.columns_0 {
        y_0[i] = total;
    } else if i - pair_params.columns_0 < pair_params.columns_1 {
        y_1[i - pair_params.columns_0] = total;
    }
}

@compute @workgroup_size(WIDTH)
fn pair(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    // 0, since no buffer has 2^31 floats, but lavapipe cannot know it: docs/rejected.md.
    store_of_pair(i, sum_of_pair(i, i >> 31u, 1u));
}

@compute @workgroup_size(GROUP)
fn pair_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, 2u);
    let total = merge_all(sum_of_pair(seat.unit, seat.lane, SHARE), seat);
    if seat.lane == 0u {
        store_of_pair(seat.unit, total);
    }
}
