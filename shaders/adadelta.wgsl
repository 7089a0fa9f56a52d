// a = rho * a + (1 - rho) * g^2; delta = g * sqrt(d + epsilon) / sqrt(a + epsilon);
// d = rho * d + (1 - rho) * delta^2; w -= lr * delta; lr = schedule[clock.step].x, rest = 1 - rho.
// One invocation updates four parameters of the arena, after their decay (`decayed`).

struct Params {
    vectors: u32,
    rho: f32,
    rest: f32,
    epsilon: f32,
}

@group(0) @binding(3) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read_write> a: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> d: array<vec4<f32>>;

@compute @workgroup_size(WIDTH)
fn adadelta(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let row = row_of_step();
    let gradient = g[i];
    let square = flushed(params.rho * a[i] + params.rest * (gradient * gradient));
    let delta = sqrt(d[i] + params.epsilon) * gradient / sqrt(square + params.epsilon);
    a[i] = square;
    d[i] = flushed(params.rho * d[i] + params.rest * (delta * delta));
    w[i] = decayed(w[i], row) - row.x * delta;
}
