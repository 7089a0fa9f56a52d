// v = rho * v + (1 - rho) * g^2; w -= lr * g / sqrt(v + epsilon); lr = schedule[clock.step].x, rest = 1 - rho.
// One invocation updates four parameters of the arena.

struct Params {
    vectors: u32,
    rho: f32,
    rest: f32,
    epsilon: f32,
}

@group(0) @binding(0) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> schedule: array<vec4<f32>>;
// step, rows, total, seed
@group(0) @binding(2) var<storage, read> clock: vec4<u32>;
@group(0) @binding(3) var<storage, read_write> w: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4<f32>>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn rmsprop(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let gradient = g[i];
    let mean = flushed(params.rho * v[i] + params.rest * (gradient * gradient));
    v[i] = mean;
    w[i] -= schedule[clock.x].x * gradient / sqrt(mean + params.epsilon);
}
