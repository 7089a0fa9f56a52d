// y of images x (batch, height, width, pixel), each moved by an offset of its own, drawn from -reach..=reach along each
// axis (0 down, 1 right), in 256ths of a pixel: y[o, p] = sum over the taps r of o and c of p of w(o, r) w(p, c) x[r, c], where o is taken
// from the two places around o - offset; beyond the edges stands what lib/fill.wgsl says, or zeros. `translate_grad` is the transposed
// map, an axis a launch, so that no invocation loops over more than one: y[r, c] = sum over all p of w(p, c) x[r, p] where AXIS = 1, of
// w(p, r) x[p, c] where AXIS = 0. One invocation makes one of n elements.

struct Params {
    n: u32,
    height: u32,
    width: u32,
    pixel: u32,
    reach_0: u32,
    reach_1: u32,
    salt: u32,
}

override AXIS: u32 = 0;

@group(0) @binding(0) var<storage, read> x: array<f32>;
// step, rows, total, seed
@group(0) @binding(1) var<storage, read> clock: vec4<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

// The offsets of an image down and to the right.
fn offsets(sample: u32) -> vec2<i32> {
    let words = vec2(random_word(2u * sample, params.salt, clock), random_word(2u * sample + 1u, params.salt, clock));
    let reach = vec2(params.reach_0, params.reach_1);
    return vec2<i32>(high_words(words, 2u * reach + 1u)) - vec2<i32>(reach);
}

// The two places that a place is taken from, and the weight of the second.
struct Taps {
    places: vec2<i32>,
    weight: f32,
}

fn taps(o: i32, offset: i32, extent: i32) -> Taps {
    let at = 256 * o - offset;
    // A shift to the right rounds down, of negative numbers too.
    let whole = at >> 8u;
    return Taps(vec2(place(whole, extent), place(whole + 1, extent)), f32(at & 255) / 256.0);
}

// How much of place k goes into place o.
fn weight(o: i32, k: i32, offset: i32, extent: i32) -> f32 {
    let from_places = taps(o, offset, extent);
    return select(0.0, 1.0 - from_places.weight, from_places.places.x == k)
        + select(0.0, from_places.weight, from_places.places.y == k);
}

// An element of the image whose first is `first`.
fn element(first: u32, r: i32, c: i32) -> f32 {
    if r < 0 || c < 0 {
        return 0.0;
    }
    return x[first + (u32(r) * params.width + u32(c)) * params.pixel];
}

// Between two places of a row.
fn within_row(first: u32, r: i32, columns: Taps) -> f32 {
    return (1.0 - columns.weight) * element(first, r, columns.places.x)
        + columns.weight * element(first, r, columns.places.y);
}

// Where an element lies: the image's first element of the same channel, row and column.
struct At {
    offset: vec2<i32>,
    first: u32,
    r: i32,
    c: i32,
}

fn at_element(i: u32) -> At {
    let len = params.height * params.width * params.pixel;
    let sample = i / len;
    let r = (i / (params.width * params.pixel)) % params.height;
    let c = (i / params.pixel) % params.width;
    return At(offsets(sample), sample * len + i % params.pixel, i32(r), i32(c));
}

@compute @workgroup_size(WIDTH)
fn translate(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let at = at_element(i);
    let rows = taps(at.r, at.offset.x, i32(params.height));
    let columns = taps(at.c, at.offset.y, i32(params.width));
    y[i] = (1.0 - rows.weight) * within_row(at.first, rows.places.x, columns)
        + rows.weight * within_row(at.first, rows.places.y, columns);
}

@compute @workgroup_size(WIDTH)
fn translate_grad(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let at = at_element(i);
    let along_row = AXIS == 1u;
    let place = select(at.r, at.c, along_row);
    let offset = select(at.offset.x, at.offset.y, along_row);
    // Bounded by more than uniforms, which lavapipe would compile the kernel for anew: docs/rejected.md.
    let extent = min(i32(select(params.height, params.width, along_row)), i32(arrayLength(&x)));
    var sum = 0.0;
    for (var p = 0; p < extent; p++) {
        let share = weight(p, place, offset, extent);
        if share != 0.0 {
            sum += share * element(at.first, select(p, at.r, along_row), select(at.c, p, along_row));
        }
    }
    y[i] = sum;
}
