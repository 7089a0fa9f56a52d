// w -= lr * sign(beta_1 * m + (1 - beta_1) * g); m = beta_2 * m + (1 - beta_2) * g; the sign of 0 is 0.
// lr = schedule[clock.step].x, rest_n = 1 - beta_n.
// One invocation updates four parameters of the arena, after their decay (`decayed`).

struct Params {
    vectors: u32,
    beta_1: f32,
    rest_1: f32,
    beta_2: f32,
    rest_2: f32,
}

@group(0) @binding(3) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read_write> m: array<vec4<f32>>;

@compute @workgroup_size(WIDTH)
fn lion(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let row = row_of_step();
    let gradient = g[i];
    let mean = params.beta_1 * m[i] + params.rest_1 * gradient;
    // Not sign(), which may be 0 of a NaN.
    let signs = select(select(mean, vec4(-1.0), mean < vec4(0.0)), vec4(1.0), mean > vec4(0.0));
    w[i] = decayed(w[i], row) - row.x * signs;
    m[i] = flushed(params.beta_2 * m[i] + params.rest_2 * gradient);
}
