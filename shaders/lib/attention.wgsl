// The scores of attention: s[t, j] = scale q[b, t, h] . k[b, j, g], or LOW where key j does not count for query t.
//
// Rows of q are (b, t, h) in order, rows of k and v (b, j, g); `heads / groups` neighbouring heads share a group. A key counts where
// the mask is above a half there, if there is one, and where the query may look: nowhere behind its own place where it is CAUSAL, and
// less than `window` places away. Without a mask a query passes over what it does not see, unless it sees no key at all: then it takes
// them all alike. Where it is BOUNDED, there is no mask, and each query sees a key: loops go along those alone.

override KEY: u32 = 1u;
override VALUE: u32 = 1u;
override MASKED: bool = false;
override CAUSAL: bool = false;
override BOUNDED: bool = false;

struct Params {
    n: u32,
    queries: u32,
    keys: u32,
    heads: u32,
    groups: u32,
    window: u32,
    // Of the axis that an invocation goes along: what this launch goes along.
    first: u32,
    end: u32,
    // The mask's strides.
    mask_batch: u32,
    mask_head: u32,
    mask_query: u32,
    mask_key: u32,
    // Which head of each group this launch is for, where it is for one.
    member: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> q: array<f32>;
@group(0) @binding(4) var<storage, read> k: array<f32>;
@group(0) @binding(5) var<storage, read> mask: array<f32>;
@group(0) @binding(7) var<storage, read> v: array<f32>;

const LOW: f32 = -1e30;
// The largest score is no lower.
const LEAST: f32 = -3e38;
// Columns of a row that an invocation adds up, or keeps: four vectors, which have names, since registers have no index.
const COLUMNS: u32 = 16u;

struct Sixteen {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

// Where four numbers of a row of so many are, from a column on: the last of them again for those that it does not have.
fn four(row: u32, width: u32, column: u32) -> vec4<u32> {
    return row * width + min(vec4(column, column + 1u, column + 2u, column + 3u), vec4(width - 1u));
}

fn zeros() -> Sixteen {
    return Sixteen(vec4<f32>(0.0), vec4<f32>(0.0), vec4<f32>(0.0), vec4<f32>(0.0));
}

struct Places {
    first: u32,
    end: u32,
}

// The places that place `own` is paired with: those keys that a query sees, or those queries that see a key.
fn places_of(own: u32, is_key: bool) -> Places {
    var places = Places(params.first, params.end);
    if BOUNDED {
        let low = own - min(own, params.window - 1u);
        let high = own + min(params.window, 0xffffffffu - own);
        places.first = max(places.first, select(low, own, CAUSAL && is_key));
        places.end = min(places.end, select(high, own + 1u, CAUSAL && !is_key));
    }
    return places;
}

// Whether the query may look there.
fn sees(t: u32, j: u32) -> bool {
    return !(CAUSAL && j > t) && max(t, j) - min(t, j) < params.window;
}

// Whether the key has a part in what the query takes, if only that of a score of LOW.
fn has_part(t: u32, j: u32) -> bool {
    return MASKED || BOUNDED || sees(t, j) || t + 1u - min(t + 1u, params.window) >= params.keys;
}

fn counts(sample: u32, head: u32, t: u32, j: u32) -> bool {
    if !sees(t, j) {
        return false;
    }
    if MASKED {
        let at = sample * params.mask_batch + head * params.mask_head + t * params.mask_query + j * params.mask_key;
        return mask[at] > 0.5;
    }
    return true;
}

fn q_of(row: u32, column: u32) -> vec4<f32> {
    let i = four(row, KEY, column);
    return vec4(q[i.x], q[i.y], q[i.z], q[i.w]);
}

fn k_of(row: u32, column: u32) -> vec4<f32> {
    let i = four(row, KEY, column);
    return vec4(k[i.x], k[i.y], k[i.z], k[i.w]);
}

fn v_of(row: u32, column: u32) -> vec4<f32> {
    let i = four(row, VALUE, column);
    return vec4(v[i.x], v[i.y], v[i.z], v[i.w]);
}

// The first columns of a row. An invocation's own row is the same in all its scores.
fn head_of_q(row: u32) -> Sixteen {
    return Sixteen(q_of(row, 0u), q_of(row, 4u), q_of(row, 8u), q_of(row, 12u));
}

fn head_of_k(row: u32) -> Sixteen {
    return Sixteen(k_of(row, 0u), k_of(row, 4u), k_of(row, 8u), k_of(row, 12u));
}

// Of the row that is not an invocation's own.
fn other_of(own_is_key: bool, row: u32, key: u32, column: u32) -> vec4<f32> {
    if own_is_key {
        return q_of(row, column);
    }
    return k_of(key, column);
}

// The product of two rows, given the head of one of them.
fn answer(own: Sixteen, own_is_key: bool, row: u32, key: u32) -> f32 {
    var sums = vec4<f32>(0.0);
    if KEY >= 4u { sums += own.a * other_of(own_is_key, row, key, 0u); }
    if KEY >= 8u { sums += own.b * other_of(own_is_key, row, key, 4u); }
    if KEY >= 12u { sums += own.c * other_of(own_is_key, row, key, 8u); }
    if KEY >= 16u { sums += own.d * other_of(own_is_key, row, key, 12u); }
    for (var at = COLUMNS; at < KEY / 4u * 4u; at += 4u) {
        sums += q_of(row, at) * k_of(key, at);
    }
    var sum = (sums.x + sums.y) + (sums.z + sums.w);
    for (var at = KEY / 4u * 4u; at < KEY; at++) {
        sum += q[row * KEY + at] * k[key * KEY + at];
    }
    return params.scale * sum;
}
