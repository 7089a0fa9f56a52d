// m += (1 - beta_1) * (g - m); u = max(beta_2 * u, |g|); w -= alpha * m / (u + epsilon).
// alpha = lr / (1 - beta_1^t) = schedule[clock.step].x, rest_1 = 1 - beta_1.
// One invocation updates four parameters of the arena, after their decay (`decayed`).

struct Params {
    vectors: u32,
    rest_1: f32,
    beta_2: f32,
    epsilon: f32,
}

@group(0) @binding(3) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read_write> m: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> u: array<vec4<f32>>;

@compute @workgroup_size(WIDTH)
fn adamax(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let row = row_of_step();
    let mean = flushed(m[i] + params.rest_1 * (g[i] - m[i]));
    let largest = flushed(max(params.beta_2 * u[i], abs(g[i])));
    m[i] = mean;
    u[i] = largest;
    w[i] = decayed(w[i], row) - row.x * mean / (largest + params.epsilon);
}
