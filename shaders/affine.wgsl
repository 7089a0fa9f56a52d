// y of images x (batch, height, width, pixel), each under an affine map of its own about its middle: the place at v rows and u columns
// from the middle, in half pixels, is taken from (m0 v + m1 u) / 2^17 rows and (m3 v + m4 u) / 2^17 columns from there, and m2 and m5
// of 256 parts of a pixel further. All of that is in whole numbers, and so is which pixels a place lies between. What stands
// beyond the edges says lib/fill.wgsl; where that is a number, it is params.value. Where NEAREST = 1 it is the nearest pixel's.
// `affine_taps` writes for each place the four pixels, counted over the batch, and their weights: no pixel has the number 2^32 - 1.

struct Params {
    n: u32,
    height: u32,
    width: u32,
    pixel: u32,
    value: f32,
}

override NEAREST: u32 = 0;

const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<storage, read> maps: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> pixels: array<u32>;
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;

// The pixels that a place is made of: above left, above right, below left, below right.
struct Taps {
    places: vec4<u32>,
    weights: vec4<f32>,
}

// The number of a pixel within its image.
fn number(r: i32, c: i32) -> u32 {
    return select(u32(r) * params.width + u32(c), NONE, r < 0 || c < 0);
}

// A number of an image's map.
fn part(sample: u32, i: u32) -> i32 {
    return bitcast<i32>(maps[6u * sample + i]);
}

// Of place k of an image.
fn taps(sample: u32, k: u32) -> Taps {
    let extents = vec2(i32(params.height), i32(params.width));
    let v = 2 * i32(k / params.width) - extents.x + 1;
    let u = 2 * i32(k % params.width) - extents.y + 1;
    let moved = vec2(part(sample, 0u) * v + part(sample, 1u) * u, part(sample, 3u) * v + part(sample, 4u) * u);
    let offsets = vec2(part(sample, 2u), part(sample, 5u));
    // A shift to the right rounds down, of negative numbers too.
    let at = 128 * (extents - 1) + offsets + ((moved + 256) >> vec2(9u));
    if NEAREST == 1u {
        let nearest = (at + 128) >> vec2(8u);
        let one = number(place(nearest.x, extents.x), place(nearest.y, extents.y));
        return Taps(vec4(one, NONE, NONE, NONE), vec4(1.0, 0.0, 0.0, 0.0));
    }
    let whole = at >> vec2(8u);
    let share = vec2<f32>(at & vec2(255)) / 256.0;
    let r = vec2(place(whole.x, extents.x), place(whole.x + 1, extents.x));
    let c = vec2(place(whole.y, extents.y), place(whole.y + 1, extents.y));
    let above = 1.0 - share.x;
    let left = 1.0 - share.y;
    return Taps(
        vec4(number(r.x, c.x), number(r.x, c.y), number(r.y, c.x), number(r.y, c.y)),
        vec4(above * left, above * share.y, share.x * left, share.x * share.y),
    );
}

// An element of the image whose first is `first`.
fn element(first: u32, k: u32) -> f32 {
    if k == NONE {
        return params.value;
    }
    return x[first + k * params.pixel];
}

@compute @workgroup_size(WIDTH)
fn affine(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let area = params.height * params.width;
    let sample = i / (area * params.pixel);
    let from_places = taps(sample, (i / params.pixel) % area);
    let first = sample * area * params.pixel + i % params.pixel;
    if NEAREST == 1u {
        y[i] = element(first, from_places.places.x);
        return;
    }
    let above = from_places.weights.x * element(first, from_places.places.x)
        + from_places.weights.y * element(first, from_places.places.y);
    let below = from_places.weights.z * element(first, from_places.places.z)
        + from_places.weights.w * element(first, from_places.places.w);
    y[i] = above + below;
}

@compute @workgroup_size(WIDTH)
fn affine_taps(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let area = params.height * params.width;
    let from_places = taps(i / area, i % area);
    let first = i / area * area;
    pixels[4u * i] = numbered(first, from_places.places.x);
    pixels[4u * i + 1u] = numbered(first, from_places.places.y);
    pixels[4u * i + 2u] = numbered(first, from_places.places.z);
    pixels[4u * i + 3u] = numbered(first, from_places.places.w);
    weights[4u * i] = from_places.weights.x;
    weights[4u * i + 1u] = from_places.weights.y;
    weights[4u * i + 2u] = from_places.weights.z;
    weights[4u * i + 3u] = from_places.weights.w;
}

// A pixel's number over the batch.
fn numbered(first: u32, k: u32) -> u32 {
    return select(first + k, NONE, k == NONE);
}
