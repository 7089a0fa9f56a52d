// a += g^2; w -= lr * g / sqrt(a + epsilon); lr = schedule[clock.step].x.
// One invocation updates four parameters of the arena, after their decay (`decayed`).

struct Params {
    vectors: u32,
    epsilon: f32,
}

@group(0) @binding(3) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read_write> a: array<vec4<f32>>;

@compute @workgroup_size(WIDTH)
fn adagrad(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let row = row_of_step();
    let gradient = g[i];
    let total = flushed(a[i] + gradient * gradient);
    a[i] = total;
    w[i] = decayed(w[i], row) - row.x * gradient / sqrt(total + params.epsilon);
}
