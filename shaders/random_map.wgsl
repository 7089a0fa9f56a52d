// Affine maps of n samples in the whole numbers that affine.wgsl takes, drawn from the clock: `rotation` by angles in 2^-24 turns, `zoom`
// by factors of height and width in 2^-16, `shift` by whole rows and columns. A number is one of range + 1 from low on, a 32-bit pattern. Where same = 1 the second one is
// the first. One invocation makes one map.

struct Params {
    n: u32,
    salt: u32,
    low_0: u32,
    low_1: u32,
    range_0: u32,
    range_1: u32,
    same: u32,
}

// step, rows, total, seed
@group(0) @binding(0) var<storage, read> clock: vec4<u32>;
@group(0) @binding(1) var<storage, read_write> maps: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

// The two numbers of a sample.
fn drawn(sample: u32) -> vec2<u32> {
    let words = vec2(random_word(2u * sample, params.salt, clock), random_word(2u * sample + 1u, params.salt, clock));
    return vec2(params.low_0, params.low_1) + high_words(words, vec2(params.range_0, params.range_1) + 1u);
}

fn write(sample: u32, rows: vec3<u32>, columns: vec3<u32>) {
    maps[6u * sample] = rows.x;
    maps[6u * sample + 1u] = rows.y;
    maps[6u * sample + 2u] = rows.z;
    maps[6u * sample + 3u] = columns.x;
    maps[6u * sample + 4u] = columns.y;
    maps[6u * sample + 5u] = columns.z;
}

// Cosine and sine of t of a quarter turn, t of it in 2^-32 from either end, in 2^-16: a sum of powers, whose terms are in 2^-30.
fn of_quarter(t: vec2<u32>) -> vec2<u32> {
    let z = high_words(t, t);
    var sum = vec2(3864u);
    sum = vec2(172272u) - high_words(z, sum);
    sum = vec2(5026995u) - high_words(z, sum);
    sum = vec2(85569306u) - high_words(z, sum);
    sum = vec2(693598668u) - high_words(z, sum);
    sum = vec2(1686629713u) - high_words(z, sum);
    return (high_words(t, sum) + 8192u) >> vec2(14u);
}

@compute @workgroup_size(WIDTH)
fn rotation(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let sample = grid_index(id, workgroups);
    if sample >= params.n {
        return;
    }
    let angle = drawn(sample).x;
    let rest = angle & 0x3fffffu;
    // What is nearest to a whole quarter stands for it.
    let t = vec2(select((0x400000u - rest) << 10u, 0xffffffffu, rest == 0u), rest << 10u);
    let own = of_quarter(t);
    let quarter = (angle >> 22u) & 3u;
    let turned = select(own, vec2(0u - own.y, own.x), (quarter & 1u) == 1u);
    let circle = select(turned, vec2(0u) - turned, quarter >= 2u);
    write(sample, vec3(circle, 0u), vec3(0u - circle.y, circle.x, 0u));
}

@compute @workgroup_size(WIDTH)
fn zoom(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let sample = grid_index(id, workgroups);
    if sample >= params.n {
        return;
    }
    let factors = drawn(sample);
    write(sample, vec3(factors.x, 0u, 0u), vec3(0u, select(factors.y, factors.x, params.same == 1u), 0u));
}

@compute @workgroup_size(WIDTH)
fn shift(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let sample = grid_index(id, workgroups);
    if sample >= params.n {
        return;
    }
    // 256ths of a pixel.
    let further = drawn(sample) << vec2(8u);
    write(sample, vec3(0x10000u, 0u, further.x), vec3(0u, 0x10000u, further.y));
}
