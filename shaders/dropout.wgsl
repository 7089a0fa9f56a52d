// y[i] = scale * x[i] where the upper 24 bits of element i's random word reach the threshold, else 0.
// scale = 1 / (1 - rate), threshold = rate * 2^24. ACTIVATION_GRAD = f: times f'(h[i]), where y is the gradient of an activation.
// One invocation makes one of n elements.

override ACTIVATION_GRAD: u32 = 0u;

struct Params {
    n: u32,
    salt: u32,
    threshold: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
// step, rows, total, seed
@group(0) @binding(1) var<storage, read> clock: vec4<u32>;
@group(0) @binding(2) var<storage, read> h: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn dropout(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let stays = (random_word(i, params.salt, clock) >> 8u) >= params.threshold;
    var kept = select(0.0, params.scale * x[i], stays);
    if ACTIVATION_GRAD != 0u {
        kept *= activate_grad(ACTIVATION_GRAD, vec4(h[i])).x;
    }
    y[i] = kept;
}
