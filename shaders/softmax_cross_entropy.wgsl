// loss[r] = log(sum over c of exp(x[r, c] - m)) + m - x[r, labels[r]], m = max x[r]              entries `forward`
// dx[r, c] = dloss[r] * (exp(x[r, c] - m) / sum of the same - (1 if c = labels[r], else 0))      entries `gradient`
// both, and hits[r] = 1 if labels[r] is the first c with the largest x[r, c], else 0             entries `step`
// A label that is no class gives NaN for loss and dx. Parts of long rows come from softmax.wgsl. An invocation makes a row,
// or a part of it. Entries `_shared`: a workgroup (lib/reduction.wgsl).

@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;

// x where there is a class of this number, else NaN, by its bits: a constant NaN is an error.
fn unless_lost(x: f32, label: u32) -> f32 {
    return select(x, bitcast<f32>(label | 0x7fc00000u), label >= params.n);
}

fn loss_of(s: Share, row: Stat, label: u32) -> f32 {
    let own = x[place(s, min(label, params.n - 1u))];
    return unless_lost(log(total_of(s, row)) + (row.most - own), label);
}

// Whether an invocation is the one of its row that stores what the row has one of.
fn is_first(s: Share) -> bool {
    return s.start == 0u && s.end > 0u;
}

fn store_loss(s: Share, row: Stat) {
    if is_first(s) {
        loss[s.output] = loss_of(s, row, labels[s.output]);
    }
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        store_loss(s, row_of(s));
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
    store_loss(s, merge_all(row_of(s), seat));
}

@group(0) @binding(4) var<storage, read> dloss: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradient_dx: array<f32>;

// What dloss is multiplied by.
fn slope_of(s: Share, k: u32, most: f32, total: f32, label: u32) -> f32 {
    return exp(x[place(s, k)] - most) / total - select(0.0, 1.0, k == label);
}

fn store_gradient(s: Share, row: Stat) {
    if s.start >= s.end {
        return;
    }
    let total = total_of(s, row);
    let label = labels[s.output];
    let scale = unless_lost(dloss[s.output], label);
    for (var k = s.start; k < s.end; k += s.step) {
        gradient_dx[place(s, k)] = scale * slope_of(s, k, row.most, total, label);
    }
}

@compute @workgroup_size(WIDTH)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        store_gradient(s, row_of(s));
    }
}

@compute @workgroup_size(GROUP)
fn gradient_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let s = share_of(seat.unit, seat.lane, SHARE);
    store_gradient(s, merge_all(row_of(s), seat));
}

@group(0) @binding(5) var<storage, read_write> step_loss: array<f32>;
@group(0) @binding(6) var<storage, read_write> step_dx: array<f32>;
@group(0) @binding(7) var<storage, read_write> step_hits: array<f32>;

fn store_step(s: Share, row: Stat) {
    if s.start >= s.end {
        return;
    }
    let total = total_of(s, row);
    let label = labels[s.output];
    if is_first(s) {
        step_loss[s.output] = loss_of(s, row, label);
        step_hits[s.output] = select(0.0, 1.0, row.best == label);
    }
    let scale = unless_lost(dloss[s.output], label);
    for (var k = s.start; k < s.end; k += s.step) {
        step_dx[place(s, k)] = scale * slope_of(s, k, row.most, total, label);
    }
}

@compute @workgroup_size(WIDTH)
fn step(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        store_step(s, row_of(s));
    }
}

@compute @workgroup_size(GROUP)
fn step_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let s = share_of(seat.unit, seat.lane, SHARE);
    store_step(s, merge_all(row_of(s), seat));
}
