// m += (1 - beta_1) * (g - m); v += (1 - beta_2) * (g^2 - v);
// w -= (of_mean * m + of_gradient * g) / (sqrt(of_square * v) + epsilon).
// With u_t = beta_1 * (1 - 0.96^t / 2): of_mean = lr * u_(t+1) / (1 - u_1 ... u_(t+1)), of_square = 1 / (1 - beta_2^t)
// and of_gradient = lr * (1 - u_t) / (1 - u_1 ... u_t): schedule[clock.step].x, z and y. rest_n = 1 - beta_n.
// One invocation updates four parameters of the arena, after their decay (`decayed`).

struct Params {
    vectors: u32,
    rest_1: f32,
    rest_2: f32,
    epsilon: f32,
}

@group(0) @binding(3) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read_write> m: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> v: array<vec4<f32>>;

@compute @workgroup_size(WIDTH)
fn nadam(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let row = row_of_step();
    let gradient = g[i];
    let mean = flushed(m[i] + params.rest_1 * (gradient - m[i]));
    let square = flushed(v[i] + params.rest_2 * (gradient * gradient - v[i]));
    m[i] = mean;
    v[i] = square;
    w[i] = decayed(w[i], row) - (row.x * mean + row.y * gradient) / (sqrt(row.z * square) + params.epsilon);
}
