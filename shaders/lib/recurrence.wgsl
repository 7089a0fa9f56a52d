// What a recurrence and its gradient share: cells, which are in recurrence.wgsl, and four rows at a time, one a part of each vector.

override CELL: u32 = 1u;
override GATES: u32 = 4u;
override KEPT: u32 = 5u;
override UNITS: u32 = 1u;
override SPAN: u32 = 1u;
override GROUP: u32 = 32u;
override BACKWARDS: bool = false;
override MASKED: bool = false;
override DROPPED: bool = false;
override ACTIVATION: u32 = 0u;
override RECURRENT_ACTIVATION: u32 = 0u;

struct Params {
    rows: u32,
    steps: u32,
    // How many counts there are of steps that are done: one for each workgroup that walks, or invocation of a launch of one step.
    groups: u32,
    // Where in scratch they begin, and behind them what h is multiplied by, then the bias; and where that ends. What there is not
    // takes no place.
    counts: u32,
    dropped: u32,
    bias: u32,
    end: u32,
    // UNITS, for launches that are the same of any number; and the states of a cell.
    units: u32,
    states: u32,
    // The step that is walked first.
    first: u32,
}

// A walk has u, a launch of one step the left side of the product that another launch makes with it.
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(1) var<storage, read_write> state: array<f32>;
@group(0) @binding(2) var<storage, read> mask: array<f32>;
@group(0) @binding(7) var<storage, read_write> scratch: array<f32>;
@group(0) @binding(8) var<uniform> params: Params;

// Four rows at a step. The last row stands for those that there are not: what is made of it is written again where it is.
struct Place {
    row: vec4<u32>,
    // Of the step in a list of all rows' steps.
    at: vec4<u32>,
    place: u32,
}

fn step_of(place: u32) -> u32 {
    return select(place, params.steps - 1u - place, BACKWARDS);
}

fn place_of(first: u32, place: u32) -> Place {
    let row = min(vec4(first, first + 1u, first + 2u, first + 3u), vec4(params.rows - 1u));
    return Place(row, row * params.steps + step_of(place), place);
}

fn scratch_at(i: vec4<u32>) -> vec4<f32> {
    return vec4(scratch[i.x], scratch[i.y], scratch[i.z], scratch[i.w]);
}

// What the next product is made of.
fn put_state(i: vec4<u32>, v: vec4<f32>) {
    state[i.x] = v.x;
    state[i.y] = v.y;
    state[i.z] = v.z;
    state[i.w] = v.w;
}

// What h of a unit is multiplied by before the product.
fn dropped_at(p: Place, unit: u32) -> vec4<f32> {
    if DROPPED {
        return scratch_at(params.dropped + p.row * UNITS + unit);
    }
    return vec4(1.0);
}

// Where the mask is not 0: what is no number counts, too.
fn counts_at(i: vec4<u32>) -> vec4<bool> {
    if MASKED {
        return !(vec4(mask[i.x], mask[i.y], mask[i.z], mask[i.w]) == vec4(0.0));
    }
    return vec4(true);
}
