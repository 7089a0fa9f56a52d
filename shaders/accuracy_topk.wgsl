// hits[r] = 1 if fewer than K of x[r, c] are above x[r, labels[r]], else 0; x: scores (rows, n). A label that is no class
// is no hit. How many are above in each part of a long row is left in y (entries `parts`).
// An invocation judges one row or part. Entries `_shared`: a workgroup (lib/reduction.wgsl).

override K: u32 = 1u;

@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> hits: array<f32>;

alias Stat = f32;

fn merge(a: Stat, b: Stat) -> Stat {
    return a + b;
}

fn above_in_numbers(s: Share) -> f32 {
    if s.start >= s.end {
        return 0.0;
    }
    let own = x[place(s, min(labels[s.output], params.n - 1u))];
    let lost = is_nan(own);
    var above = 0.0;
    for (var k = s.start; k < s.end; k += s.step) {
        let score = x[place(s, k)];
        // Above a label's that is NaN are all that are numbers: neither NaN, which compares with nothing, nor -infinity.
        above += select(0.0, 1.0, select(score > own, score >= -0x1.fffffep+127f, lost));
    }
    return above;
}

fn above(s: Share) -> f32 {
    if !PARTED {
        return above_in_numbers(s);
    }
    let p = parts_of(s);
    var total = 0.0;
    for (var part = p.start; part < p.end; part += p.step) {
        total += parts[place(p, part)];
    }
    return total;
}

fn hit(s: Share, above: f32) -> f32 {
    return select(0.0, 1.0, above < f32(K) && labels[s.output] < params.n);
}

@compute @workgroup_size(WIDTH)
fn parts_alone(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        y[unit] = above_in_numbers(share_of(unit, 0u, 1u));
    }
}

@compute @workgroup_size(GROUP)
fn parts_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let count = merge_all(above_in_numbers(share_of(seat.unit, seat.lane, SHARE)), seat);
    if seat.lane == 0u && seat.unit < params.units {
        y[seat.unit] = count;
    }
}

@compute @workgroup_size(WIDTH)
fn in_top_k(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        hits[s.output] = hit(s, above(s));
    }
}

@compute @workgroup_size(GROUP)
fn in_top_k_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let s = share_of(seat.unit, seat.lane, SHARE);
    let count = merge_all(above(s), seat);
    if seat.lane == 0u && seat.unit < params.units {
        hits[s.output] = hit(s, count);
    }
}
