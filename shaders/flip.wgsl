// y of images x, each flipped along an axis where the first bit of its random word is 1: y[.., j, ..] = x[.., m, ..],
// m = extent - 1 - j. An image has `len` elements, the axis `extent` places that are `stride` elements apart; axis is 1
// for an image's height, 2 for its width, each with words of its own. One invocation makes one of n elements.

struct Params {
    n: u32,
    len: u32,
    extent: u32,
    stride: u32,
    axis: u32,
    salt: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
// step, rows, total, seed
@group(0) @binding(1) var<storage, read> clock: vec4<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn flip(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let j = (i / params.stride) % params.extent;
    let flips = (random_word(2u * (i / params.len) + params.axis - 1u, params.salt, clock) >> 31u) == 1u;
    y[i] = x[select(i, i + (params.extent - 1u - j) * params.stride - j * params.stride, flips)];
}
