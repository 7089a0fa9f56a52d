// dx[t] = slope of cell(x[t], h[t - 1] u) times dh[t]; dh[t - 1] = dy[t - 1] + dx[t] u
// dx and the gradient ds of the first state of a recurrence, from the last step to the first: entry `walk`, behind `begin`; or entry
// `one_step` before each product, behind `begin` and before `end`.
// Shapes, cells and what a workgroup does are those of recurrence.wgsl; u here is transposed, (GATES UNITS, UNITS), dx is as x.
// ds has what goes from a step to the one before: dh and, of CELL 1, dc. At a step dx of all units is made; then the product of it
// with u is added to dh: by `walk` at once, by `one_step` where it goes on, from scratch, (rows, UNITS). A kernel of products makes that
// one of state, (rows, GATES UNITS).

override OF_Y: bool = true;
override OF_LAST: bool = true;

@group(0) @binding(0) var<storage, read> begin_last: array<f32>;
@group(0) @binding(1) var<storage, read> begin_dropped: array<f32>;
@group(0) @binding(2) var<storage, read_write> begin_ds: array<f32>;
@group(0) @binding(3) var<storage, read_write> begin_scratch: array<f32>;
@group(0) @binding(4) var<uniform> begin_params: Params;

// An invocation puts one element of each in place.
@compute @workgroup_size(WIDTH)
fn begin(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < begin_params.rows * begin_params.states * begin_params.units {
        var gradient = 0.0;
        if OF_LAST {
            gradient = begin_last[i];
        }
        begin_ds[i] = gradient;
    }
    if i < begin_params.bias - begin_params.dropped {
        begin_scratch[begin_params.dropped + i] = begin_dropped[i];
    }
    if i < begin_params.groups {
        begin_scratch[begin_params.counts + i] = 0.0;
    }
}

@group(0) @binding(0) var<storage, read> saved: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read> prev: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<storage, read_write> ds: array<f32>;

fn saved_at(p: Place, part: u32, unit: u32) -> vec4<f32> {
    let i = (p.at * KEPT + part) * UNITS + unit;
    return vec4(saved[i.x], saved[i.y], saved[i.z], saved[i.w]);
}

fn dx_at(p: Place, part: u32, unit: u32) -> vec4<f32> {
    let i = (p.at * GATES + part) * UNITS + unit;
    return vec4(dx[i.x], dx[i.y], dx[i.z], dx[i.w]);
}

fn ds_at(p: Place, part: u32, unit: u32) -> vec4<f32> {
    let i = (p.row * select(1u, 2u, CELL == 1u) + part) * UNITS + unit;
    return vec4(ds[i.x], ds[i.y], ds[i.z], ds[i.w]);
}

fn prev_at(p: Place, unit: u32) -> vec4<f32> {
    let i = p.at * UNITS + unit;
    return vec4(prev[i.x], prev[i.y], prev[i.z], prev[i.w]);
}

fn dy_at(p: Place, unit: u32) -> vec4<f32> {
    let i = p.at * UNITS + unit;
    return vec4(dy[i.x], dy[i.y], dy[i.z], dy[i.w]);
}

// What a step that does not count has no part in.
fn counted(p: Place, gradient: vec4<f32>) -> vec4<f32> {
    return select(vec4(0.0), gradient, counts_at(p.at));
}

fn put_dx(p: Place, part: u32, unit: u32, v: vec4<f32>) {
    let i = (p.at * GATES + part) * UNITS + unit;
    dx[i.x] = v.x;
    dx[i.y] = v.y;
    dx[i.z] = v.z;
    dx[i.w] = v.w;
}

fn put_ds(p: Place, part: u32, unit: u32, v: vec4<f32>) {
    let i = (p.row * select(1u, 2u, CELL == 1u) + part) * UNITS + unit;
    ds[i.x] = v.x;
    ds[i.y] = v.y;
    ds[i.z] = v.z;
    ds[i.w] = v.w;
}

// What goes to the step before without a product, where the step counts; elsewhere all does.
fn pass_on(p: Place, part: u32, unit: u32, all: vec4<f32>, rest: vec4<f32>) {
    put_ds(p, part, unit, select(all, rest, counts_at(p.at)));
}

// Parts of dx at a step.
struct Parts {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

fn lstm(p: Place, unit: u32, dh: vec4<f32>) -> Parts {
    let dc = ds_at(p, 1u, unit);
    let input = saved_at(p, 0u, unit);
    let forget = saved_at(p, 1u, unit);
    let g = saved_at(p, 2u, unit);
    let o = saved_at(p, 3u, unit);
    let before = saved_at(p, 4u, unit);
    let h = activate(ACTIVATION, forget * before + input * g);
    let through = dc + dh * o * activate_grad(ACTIVATION, h);
    pass_on(p, 0u, unit, dh, vec4(0.0));
    pass_on(p, 1u, unit, dc, through * forget);
    return Parts(
        through * g * activate_grad(RECURRENT_ACTIVATION, input),
        through * before * activate_grad(RECURRENT_ACTIVATION, forget),
        through * input * activate_grad(ACTIVATION, g),
        dh * h * activate_grad(RECURRENT_ACTIVATION, o),
    );
}

fn gru(p: Place, unit: u32, dh: vec4<f32>) -> Parts {
    let z = saved_at(p, 0u, unit);
    let g = saved_at(p, 2u, unit);
    let dg = dh * (1.0 - z) * activate_grad(ACTIVATION, g);
    var parts = Parts(dh * (prev_at(p, unit) - g) * activate_grad(RECURRENT_ACTIVATION, z), vec4(0.0), dg, vec4(0.0));
    if CELL == 3u {
        let r = saved_at(p, 1u, unit);
        parts.b = dg * saved_at(p, 3u, unit) * activate_grad(RECURRENT_ACTIVATION, r);
    }
    pass_on(p, 0u, unit, dh, dh * z);
    return parts;
}

// dx of a unit, given dh; of CELL 2 all but its second part, which is 0.
fn cell(p: Place, unit: u32, of_next: vec4<f32>) -> Parts {
    var dh = of_next;
    if OF_Y {
        dh += dy_at(p, unit);
    }
    var parts = Parts(vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
    if CELL == 0u {
        parts.a = dh * activate_grad(ACTIVATION, saved_at(p, 0u, unit));
        pass_on(p, 0u, unit, dh, vec4(0.0));
    } else if CELL == 1u {
        parts = lstm(p, unit, dh);
    } else {
        parts = gru(p, unit, dh);
    }
    parts = Parts(counted(p, parts.a), counted(p, parts.b), counted(p, parts.c), counted(p, parts.d));
    put_dx(p, 0u, unit, parts.a);
    if GATES > 1u {
        put_dx(p, 1u, unit, parts.b);
    }
    if GATES > 2u {
        put_dx(p, 2u, unit, parts.c);
    }
    if GATES > 3u {
        put_dx(p, 3u, unit, parts.d);
    }
    return parts;
}

// What dx of unit k adds to the gradient of h by way of some parts of u.
fn add(sum: ptr<function, vec4<f32>>, p: Place, k: u32, unit: u32) {
    let i = k * UNITS + unit;
    let part = UNITS * UNITS;
    *sum += dx_at(p, 0u, k) * u[i];
    if GATES > 1u {
        *sum += dx_at(p, 1u, k) * u[i + part];
    }
    if CELL == 1u {
        *sum += dx_at(p, 2u, k) * u[i + 2u * part] + dx_at(p, 3u, k) * u[i + 3u * part];
    }
    if CELL == 3u {
        *sum += dx_at(p, 2u, k) * saved_at(p, 1u, k) * u[i + 2u * part];
    }
}

fn add_one(sum: ptr<function, vec4<f32>>, p: Place, k: u32, unit: u32, of_candidate: bool) {
    if of_candidate {
        *sum += dx_at(p, 2u, k) * u[(2u * UNITS + k) * UNITS + unit];
    } else {
        add(sum, p, k, unit);
    }
}

// The gradient of h, or of r h of a GRU that resets h before the product.
fn product(p: Place, unit: u32, of_candidate: bool) -> vec4<f32> {
    var sum = vec4(0.0);
    for (var k = 0u; k + 4u <= UNITS; k += 4u) {
        add_one(&sum, p, k, unit, of_candidate);
        add_one(&sum, p, k + 1u, unit, of_candidate);
        add_one(&sum, p, k + 2u, unit, of_candidate);
        add_one(&sum, p, k + 3u, unit, of_candidate);
    }
    for (var k = UNITS / 4u * 4u; k < UNITS; k++) {
        add_one(&sum, p, k, unit, of_candidate);
    }
    return sum;
}

fn step_reset(p: Place, unit: u32) {
    let r = saved_at(p, 1u, unit);
    let drh = counted(p, product(p, unit, true) * dropped_at(p, unit));
    put_dx(p, 1u, unit, counted(p, drh * prev_at(p, unit) * activate_grad(RECURRENT_ACTIVATION, r)));
    put_ds(p, 0u, unit, ds_at(p, 0u, unit) + drh * r);
}

// The gradient of h before the step.
fn step_before(p: Place, unit: u32) {
    put_ds(p, 0u, unit, ds_at(p, 0u, unit) + product(p, unit, false) * dropped_at(p, unit));
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
        let done = start + i;
        let is_one = first < params.rows && done < params.steps;
        let p = place_of(first, params.steps - 1u - done);
        if is_one {
            for (var unit = local; unit < UNITS; unit += GROUP) {
                _ = cell(p, unit, ds_at(p, 0u, unit));
            }
        }
        storageBarrier();
        if CELL == 2u {
            if is_one {
                for (var unit = local; unit < UNITS; unit += GROUP) {
                    step_reset(p, unit);
                }
            }
            storageBarrier();
        }
        if is_one {
            for (var unit = local; unit < UNITS; unit += GROUP) {
                step_before(p, unit);
            }
        }
    }
    storageBarrier();
    if local == 0u && group < params.groups {
        scratch[params.counts + group] = f32(start + SPAN);
    }
}

// What the product that was made of state adds to the gradient of h before the step.
fn product_at(p: Place, unit: u32) -> vec4<f32> {
    return scratch_at(p.row * UNITS + unit) * dropped_at(p, unit);
}

// An invocation makes dx of a unit of four rows at one step.
@compute @workgroup_size(WIDTH)
fn one_step(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let index = grid_index(id, workgroups);
    if index >= params.groups {
        return;
    }
    let done = u32(scratch[params.counts + index]);
    let unit = index % UNITS;
    let p = place_of(4u * (index / UNITS), params.steps - 1u - done);
    var dh = ds_at(p, 0u, unit);
    // Behind the last step no product has been made yet.
    if done > 0u {
        dh += product_at(p, unit);
    }
    let parts = cell(p, unit, dh);
    let i = p.row * GATES * UNITS + unit;
    put_state(i, parts.a);
    if GATES > 1u {
        put_state(i + UNITS, parts.b);
    }
    if CELL == 1u {
        put_state(i + 2u * UNITS, parts.c);
        put_state(i + 3u * UNITS, parts.d);
    }
    if CELL == 3u {
        put_state(i + 2u * UNITS, parts.c * saved_at(p, 1u, unit));
    }
    scratch[params.counts + index] = f32(done + 1u);
}

@group(0) @binding(0) var<storage, read_write> end_ds: array<f32>;
@group(0) @binding(1) var<storage, read> end_scratch: array<f32>;
@group(0) @binding(2) var<uniform> end_params: Params;

// The product of the first step's dx.
@compute @workgroup_size(WIDTH)
fn end(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    let units = end_params.units;
    if i >= end_params.rows * units {
        return;
    }
    var gradient = end_scratch[i];
    if i < end_params.bias - end_params.dropped {
        gradient *= end_scratch[end_params.dropped + i];
    }
    end_ds[i / units * end_params.states * units + i % units] += gradient;
}
