// y[i] = x[i] + stddev * z, z the standard normal number whose probability element i's random word gives.
// One invocation makes one of n elements.

struct Params {
    n: u32,
    salt: u32,
    stddev: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
// step, rows, total, seed
@group(0) @binding(1) var<storage, read> clock: vec4<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

// src/ops/math/gaussian_noise.rs is the same in Rust.
fn quantile(word: u32) -> f32 {
    let rank = word >> 9u;
    let tail = min(rank, 0x7fffffu - rank);
    let t = sqrt(-2.0 * logarithm((f32(tail) + 0.5) * 1.1920929e-7));
    let u = 5.376626 / (1.0 + 0.5 * t) - 2.3842821;
    var r = 0.00012627090 + u * 0.000063471918;
    r = 0.0015342711 + u * (0.00063425367 + u * r);
    r = 0.032286856 + u * (0.010096448 + u * r);
    let z = t - (0.79145926 + u * (0.34120908 + u * r));
    return select(z, -z, rank < 0x400000u);
}

@compute @workgroup_size(WIDTH)
fn gaussian_noise(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    y[i] = x[i] + params.stddev * quantile(random_word(i, params.salt, clock));
}
