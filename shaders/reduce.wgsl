// y[o, i] = max, min or product over k < n of x[o, k, i], or that of a part                     entries `forward`
// dx[o, k, i] = dy[o, i] / how many equal the extreme, where x[o, k, i] does; else 0            entries `gradient`
// dx[o, k, i] = dy[o, i] * product of x[o, j, i] over j != k                                    entry `product_gradient`
// x: (outer, n, inner), y: (outer, inner). The extreme of each part, and how many equal it, are left in y (entries `parts`).
// An invocation makes one output, or the gradient of what went into it, or a part of that. Entries `_shared`: a workgroup
// (lib/reduction.wgsl).

// 0: the largest, 1: the smallest, 2: the product
override REDUCTION: u32 = 0u;

@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

struct Stat {
    value: f32,
    equal: f32,
}

fn reduced(a: f32, b: f32) -> f32 {
    switch REDUCTION {
        case 0u: { return select(a, b, b > a || is_nan(b)); }
        case 1u: { return select(a, b, b < a || is_nan(b)); }
        default: { return a * b; }
    }
}

fn merge(a: Stat, b: Stat) -> Stat {
    let value = reduced(a.value, b.value);
    return Stat(value, select(0.0, a.equal, a.value == value) + select(0.0, b.equal, b.value == value));
}

// What makes no difference to a lane's numbers: 1, or the first of the unit's, in which there is one at least.
fn neutral(s: Share) -> f32 {
    if REDUCTION == 2u {
        return 1.0;
    }
    return x[place(s, min(s.first, params.n - 1u))];
}

fn value_of(s: Share) -> f32 {
    var value = neutral(s);
    for (var k = s.start; k < s.end; k += s.step) {
        value = reduced(value, x[place(s, k)]);
    }
    return value;
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        y[unit] = value_of(share_of(unit, 0u, 1u));
    }
}

@compute @workgroup_size(GROUP)
fn forward_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let whole = merge_all(Stat(value_of(share_of(seat.unit, seat.lane, SHARE)), 0.0), seat);
    if seat.lane == 0u && seat.unit < params.units {
        y[seat.unit] = whole.value;
    }
}

fn extreme_of_numbers(s: Share) -> Stat {
    let value = value_of(s);
    var equal = 0.0;
    for (var k = s.start; k < s.end; k += s.step) {
        equal += select(0.0, 1.0, x[place(s, k)] == value);
    }
    return Stat(value, equal);
}

fn extreme_of(s: Share) -> Stat {
    if !PARTED {
        return extreme_of_numbers(s);
    }
    let p = parts_of(s);
    var extreme = Stat(parts[2u * place(p, 0u)], 0.0);
    for (var part = p.start; part < p.end; part += p.step) {
        let at = 2u * place(p, part);
        extreme = merge(extreme, Stat(parts[at], parts[at + 1u]));
    }
    return extreme;
}

@compute @workgroup_size(WIDTH)
fn parts_alone(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let extreme = extreme_of_numbers(share_of(unit, 0u, 1u));
        y[2u * unit] = extreme.value;
        y[2u * unit + 1u] = extreme.equal;
    }
}

@compute @workgroup_size(GROUP)
fn parts_shared(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let seat = seat_of(group, groups, index, params.inner);
    let extreme = merge_all(extreme_of_numbers(share_of(seat.unit, seat.lane, SHARE)), seat);
    if seat.lane == 0u && seat.unit < params.units {
        y[2u * seat.unit] = extreme.value;
        y[2u * seat.unit + 1u] = extreme.equal;
    }
}

fn store_gradient(s: Share, extreme: Stat) {
    for (var k = s.start; k < s.end; k += s.step) {
        let at = place(s, k);
        dx[at] = select(0.0, dy[s.output] / extreme.equal, x[at] == extreme.value);
    }
}

@compute @workgroup_size(WIDTH)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit < params.units {
        let s = share_of(unit, 0u, 1u);
        store_gradient(s, extreme_of(s));
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
    store_gradient(s, merge_all(extreme_of(s), seat));
}

// On every adapter an invocation makes a part alone: each number's gradient is made of all that come before and after it.
@compute @workgroup_size(WIDTH)
fn product_gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let unit = grid_index(id, workgroups);
    if unit >= params.units {
        return;
    }
    let s = share_of(unit, 0u, 1u);
    var before = dy[s.output];
    var after = 1.0;
    if PARTED {
        let p = parts_of(s);
        for (var part = p.start; part < p.end; part++) {
            let product = parts[place(p, part)];
            before *= select(1.0, product, part < s.part);
            after *= select(1.0, product, part > s.part);
        }
    }
    // No division, so zeros do no harm.
    for (var k = s.start; k < s.end; k++) {
        dx[place(s, k)] = before;
        before *= x[place(s, k)];
    }
    for (var behind = s.end; behind > s.start; behind--) {
        dx[place(s, behind - 1u)] *= after;
        after *= x[place(s, behind - 1u)];
    }
}
