// h[t] = cell(x[t], h[t - 1] u)                     entry `walk`, behind `begin`; entry `one_step`, behind `begin_products` and each product
// x: (rows, steps, GATES UNITS), u: (UNITS, GATES UNITS), y and prev: (rows, steps, UNITS), last: (rows, states, UNITS),
// saved: (rows, steps, KEPT UNITS). h before a step is in prev.
//
// `walk`: a workgroup has four rows, one a part of each vector here, and walks SPAN steps with them; an invocation makes every
// GROUP-th unit. How far a workgroup has come stands in scratch, for the next launch.
// `one_step`: an invocation makes a unit of four rows at one step. Scratch has the product of all rows' h with u, (rows, GATES UNITS),
// which a kernel of products makes of state, (rows, UNITS); and how far the invocation has come.
//
//   CELL 0   h = f(x + h u)
//   CELL 1   (i, f, g, o) = x + h u; c = s(f) c + s(i) f(g); h = s(o) f(c)
//   CELL 2   (z, r) = s(x + h u); g = f(x + (r h) u); h = z h + (1 - z) g
//   CELL 3   the same with g = f(x + r (h u + bias))

@group(0) @binding(0) var<storage, read> begin_first: array<f32>;
@group(0) @binding(1) var<storage, read> begin_dropped: array<f32>;
@group(0) @binding(2) var<storage, read> begin_bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> begin_last: array<f32>;
@group(0) @binding(4) var<storage, read_write> begin_prev: array<f32>;
@group(0) @binding(5) var<storage, read_write> begin_scratch: array<f32>;
@group(0) @binding(6) var<uniform> begin_params: Params;

// An invocation puts one element of each in place.
fn put_in_place(i: u32) {
    let rows = begin_params.rows;
    let steps = begin_params.steps;
    let units = begin_params.units;
    if i < rows * begin_params.states * units {
        begin_last[i] = begin_first[i];
    }
    if i < rows * units && steps > 0u {
        let row = i / units;
        let unit = i % units;
        begin_prev[(row * steps + begin_params.first) * units + unit] = begin_first[row * begin_params.states * units + unit];
    }
    if i < begin_params.groups {
        begin_scratch[begin_params.counts + i] = 0.0;
    }
    if i < begin_params.bias - begin_params.dropped {
        begin_scratch[begin_params.dropped + i] = begin_dropped[i];
    }
    if i < begin_params.end - begin_params.bias {
        begin_scratch[begin_params.bias + i] = begin_bias[i];
    }
}

@compute @workgroup_size(WIDTH)
fn begin(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    put_in_place(grid_index(id, workgroups));
}

@group(0) @binding(7) var<storage, read_write> begin_state: array<f32>;

// The same, and the left side of the first product.
@compute @workgroup_size(WIDTH)
fn begin_products(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    put_in_place(i);
    let units = begin_params.units;
    if i < begin_params.rows * units {
        var h = begin_first[i / units * begin_params.states * units + i % units];
        if i < begin_params.bias - begin_params.dropped {
            h *= begin_dropped[i];
        }
        begin_state[i] = h;
    }
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> last: array<f32>;
@group(0) @binding(5) var<storage, read_write> prev: array<f32>;
@group(0) @binding(6) var<storage, read_write> saved: array<f32>;

fn x_at(i: vec4<u32>) -> vec4<f32> {
    return vec4(x[i.x], x[i.y], x[i.z], x[i.w]);
}

fn prev_at(i: vec4<u32>) -> vec4<f32> {
    return vec4(prev[i.x], prev[i.y], prev[i.z], prev[i.w]);
}

fn last_at(i: vec4<u32>) -> vec4<f32> {
    return vec4(last[i.x], last[i.y], last[i.z], last[i.w]);
}

fn saved_at(i: vec4<u32>) -> vec4<f32> {
    return vec4(saved[i.x], saved[i.y], saved[i.z], saved[i.w]);
}

fn save(p: Place, part: u32, unit: u32, v: vec4<f32>) {
    let i = (p.at * KEPT + part) * UNITS + unit;
    saved[i.x] = v.x;
    saved[i.y] = v.y;
    saved[i.z] = v.z;
    saved[i.w] = v.w;
}

fn put_last(i: vec4<u32>, v: vec4<f32>) {
    last[i.x] = v.x;
    last[i.y] = v.y;
    last[i.z] = v.z;
    last[i.w] = v.w;
}

// h behind the step, and before the next.
fn put(p: Place, unit: u32, v: vec4<f32>) {
    let i = p.at * UNITS + unit;
    y[i.x] = v.x;
    y[i.y] = v.y;
    y[i.z] = v.z;
    y[i.w] = v.w;
    put_last(p.row * select(1u, 2u, CELL == 1u) * UNITS + unit, v);
    if p.place + 1u < params.steps {
        let next = (p.row * params.steps + step_of(p.place + 1u)) * UNITS + unit;
        prev[next.x] = v.x;
        prev[next.y] = v.y;
        prev[next.z] = v.z;
        prev[next.w] = v.w;
    }
}

// Parts of x + h u.
struct Sums {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

// What h of unit k adds to the sums of a unit.
fn add(sums: ptr<function, Sums>, p: Place, k: u32, unit: u32) {
    let h = prev_at(p.at * UNITS + k) * dropped_at(p, k);
    let i = k * GATES * UNITS + unit;
    (*sums).a += h * u[i];
    if GATES > 1u {
        (*sums).b += h * u[i + UNITS];
    }
    if GATES > 2u && CELL != 2u {
        (*sums).c += h * u[i + 2u * UNITS];
    }
    if GATES > 3u {
        (*sums).d += h * u[i + 3u * UNITS];
    }
}

// What r h of unit k adds, in the third part.
fn add_reset(sums: ptr<function, Sums>, p: Place, k: u32, unit: u32) {
    let h = prev_at(p.at * UNITS + k) * saved_at((p.at * KEPT + 1u) * UNITS + k) * dropped_at(p, k);
    (*sums).c += h * u[(k * GATES + 2u) * UNITS + unit];
}

fn add_one(sums: ptr<function, Sums>, p: Place, k: u32, unit: u32, of_reset: bool) {
    if of_reset {
        add_reset(sums, p, k, unit);
    } else {
        add(sums, p, k, unit);
    }
}

// The sums over h of all units, or over r h.
fn product(p: Place, unit: u32, of_reset: bool) -> Sums {
    var sums = Sums(vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
    for (var k = 0u; k + 4u <= UNITS; k += 4u) {
        add_one(&sums, p, k, unit, of_reset);
        add_one(&sums, p, k + 1u, unit, of_reset);
        add_one(&sums, p, k + 2u, unit, of_reset);
        add_one(&sums, p, k + 3u, unit, of_reset);
    }
    for (var k = UNITS / 4u * 4u; k < UNITS; k++) {
        add_one(&sums, p, k, unit, of_reset);
    }
    return sums;
}

// h where the step counts, elsewhere what was there before.
fn keep(p: Place, unit: u32, h: vec4<f32>) -> vec4<f32> {
    let kept = select(prev_at(p.at * UNITS + unit), h, counts_at(p.at));
    put(p, unit, kept);
    return kept;
}

fn lstm(p: Place, unit: u32, sums: Sums, i: vec4<u32>) -> vec4<f32> {
    let input = activate(RECURRENT_ACTIVATION, x_at(i) + sums.a);
    let forget = activate(RECURRENT_ACTIVATION, x_at(i + UNITS) + sums.b);
    let g = activate(ACTIVATION, x_at(i + 2u * UNITS) + sums.c);
    let o = activate(RECURRENT_ACTIVATION, x_at(i + 3u * UNITS) + sums.d);
    let at = (p.row * 2u + 1u) * UNITS + unit;
    let before = last_at(at);
    let c = forget * before + input * g;
    save(p, 0u, unit, input);
    save(p, 1u, unit, forget);
    save(p, 2u, unit, g);
    save(p, 3u, unit, o);
    save(p, 4u, unit, before);
    put_last(at, select(before, c, counts_at(p.at)));
    return keep(p, unit, o * activate(ACTIVATION, c));
}

// z h + (1 - z) g
fn mixed(p: Place, unit: u32, z: vec4<f32>, g: vec4<f32>) -> vec4<f32> {
    save(p, 2u, unit, g);
    return keep(p, unit, z * prev_at(p.at * UNITS + unit) + (1.0 - z) * g);
}

// What the cell makes of the sums, which is h; of CELL 2 only its gates.
fn cell(p: Place, unit: u32, sums: Sums) -> vec4<f32> {
    let i = p.at * GATES * UNITS + unit;
    if CELL == 0u {
        let h = activate(ACTIVATION, x_at(i) + sums.a);
        save(p, 0u, unit, h);
        return keep(p, unit, h);
    }
    if CELL == 1u {
        return lstm(p, unit, sums, i);
    }
    let z = activate(RECURRENT_ACTIVATION, x_at(i) + sums.a);
    let r = activate(RECURRENT_ACTIVATION, x_at(i + UNITS) + sums.b);
    save(p, 0u, unit, z);
    save(p, 1u, unit, r);
    if CELL == 2u {
        return vec4(0.0);
    }
    let inner = sums.c + scratch[params.bias + unit];
    save(p, 3u, unit, inner);
    return mixed(p, unit, z, activate(ACTIVATION, x_at(i + 2u * UNITS) + r * inner));
}

// The candidate of a GRU that resets h before the product: it needs r of all units.
fn step_candidate(p: Place, unit: u32) {
    let x = x_at((p.at * GATES + 2u) * UNITS + unit);
    let g = activate(ACTIVATION, x + product(p, unit, true).c);
    _ = mixed(p, unit, saved_at(p.at * KEPT * UNITS + unit), g);
}

@compute @workgroup_size(GROUP)
fn walk(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = id.y * workgroups.x + id.x;
    let first = 4u * group;
    let start = u32(scratch[params.counts + min(group, params.groups - 1u)]);
    for (var i = 0u; i < SPAN; i++) {
        let place = start + i;
        let is_one = first < params.rows && place < params.steps;
        if is_one {
            let p = place_of(first, place);
            for (var unit = local; unit < UNITS; unit += GROUP) {
                _ = cell(p, unit, product(p, unit, false));
            }
        }
        storageBarrier();
        if CELL == 2u {
            if is_one {
                let p = place_of(first, place);
                for (var unit = local; unit < UNITS; unit += GROUP) {
                    step_candidate(p, unit);
                }
            }
            storageBarrier();
        }
    }
    if local == 0u && group < params.groups {
        scratch[params.counts + group] = f32(start + SPAN);
    }
}

// Parts of the product that was made of state.
fn sums_of(p: Place, unit: u32) -> Sums {
    let i = p.row * GATES * UNITS + unit;
    var sums = Sums(scratch_at(i), vec4(0.0), vec4(0.0), vec4(0.0));
    if GATES > 1u {
        sums.b = scratch_at(i + UNITS);
    }
    if GATES > 2u {
        sums.c = scratch_at(i + 2u * UNITS);
    }
    if GATES > 3u {
        sums.d = scratch_at(i + 3u * UNITS);
    }
    return sums;
}

@compute @workgroup_size(WIDTH)
fn one_step(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let index = grid_index(id, workgroups);
    if index >= params.groups {
        return;
    }
    let place = u32(scratch[params.counts + index]);
    let unit = index % UNITS;
    let p = place_of(4u * (index / UNITS), place);
    let h = cell(p, unit, sums_of(p, unit)) * dropped_at(p, unit);
    put_state(p.row * UNITS + unit, h);
    scratch[params.counts + index] = f32(place + 1u);
}
