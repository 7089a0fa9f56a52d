// dx[o, k, i] = (x[o, k, i] - sums[o, i] / n - of_y[o, k, i] * products[o, i] / n) / sqrt(variance[o, i] + EPSILON)
// sums[o, i] = sum over k of x[o, k, i], products[o, i] = sum over k of x[o, k, i] * of_y[o, k, i], where x is dy
// Of each part both sums are left in y (entries `parts`). An invocation makes what belongs to one unit; entries `_shared`: a
// workgroup (lib/reduction.wgsl).
// Numbers are read for their sums and once more for dx. In a launch that does both, workgroup memory keeps the first KEPT of each
// invocation between: each finds its own again, so that nobody waits. Entry `gradient_kept` is `gradient` in small workgroups, whose
// invocations keep more.

override EPSILON: f32 = 0.001;
override KEPT: u32 = 0u;
// Invocations of a workgroup.
override KEEPERS: u32 = 1u;

@group(0) @binding(3) var<storage, read> of_y: array<f32>;
@group(0) @binding(4) var<storage, read> variance: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;
@group(0) @binding(7) var<storage, read_write> products: array<f32>;

// dy and y.
var<workgroup> kept: array<vec2<f32>, KEPT * KEEPERS + 1u>;

// Of dy, and of dy y.
alias Stat = vec2<f32>;

fn merge(a: Stat, b: Stat) -> Stat {
    return a + b;
}

// By the invocation of this index in its workgroup.
fn totals_of_numbers(s: Share, index: u32) -> Stat {
    var total = vec2(0.0);
    var keep = index;
    for (var head = s.start; head < s.end; head += BLOCK * s.step) {
        var block = vec2(0.0);
        let end = block_end(s, head);
        for (var k = head; k < end; k += s.step) {
            let at = place(s, k);
            let pair = vec2(x[at], of_y[at]);
            block += pair.x * vec2(1.0, pair.y);
            if keep < KEPT * KEEPERS {
                kept[keep] = pair;
            }
            keep += KEEPERS;
        }
        total += block;
    }
    return total;
}

fn totals_of(s: Share, index: u32) -> Stat {
    if !PARTED {
        return totals_of_numbers(s, index);
    }
    let p = parts_of(s);
    var total = vec2(0.0);
    for (var head = p.start; head < p.end; head += BLOCK * p.step) {
        var block = vec2(0.0);
        let end = block_end(p, head);
        for (var part = head; part < end; part += p.step) {
            let at = 2u * place(p, part);
            block += vec2(parts[at], parts[at + 1u]);
        }
        total += block;
    }
    return total;
}

fn keep_part(unit: u32, total: Stat) {
    y[2u * unit] = total.x;
    y[2u * unit + 1u] = total.y;
}

@compute @workgroup_size(WIDTH)
fn parts_alone(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        keep_part(unit, totals_of_numbers(share_of(unit, 0u, 1u), 0u));
    }
}

@compute @workgroup_size(GROUP)
fn parts_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let total = merge_all(totals_of_numbers(share_of(seat.unit, seat.lane, SHARE), index), seat);
    if seat.lane == 0u && seat.unit < params.units {
        keep_part(seat.unit, total);
    }
}

fn store(s: Share, total: Stat, index: u32) {
    let means = total / f32(params.n);
    // The first lane of the first part.
    if s.start == 0u && s.end > 0u {
        sums[s.output] = total.x;
        products[s.output] = total.y;
    }
    if s.start < s.end {
        let divisor = sqrt(variance[s.output] + EPSILON);
        var keep = index;
        for (var k = s.start; k < s.end; k += s.step) {
            let at = place(s, k);
            var pair: vec2<f32>;
            if keep < KEPT * KEEPERS {
                pair = kept[keep];
            } else {
                pair = vec2(x[at], of_y[at]);
            }
            keep += KEEPERS;
            dx[at] = (pair.x - means.x - pair.y * means.y) / divisor;
        }
    }
}

@compute @workgroup_size(WIDTH)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        store(s, totals_of(s, 0u), 0u);
    }
}

@compute @workgroup_size(KEEPERS)
fn gradient_kept(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let unit = (group.y * groups.x + group.x) * KEEPERS + index;
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        store(s, totals_of(s, index), index);
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
    store(s, merge_all(totals_of(s, index), seat), index);
}
