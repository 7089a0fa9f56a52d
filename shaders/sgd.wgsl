// w -= lr * g                                                    entry `plain`
// v = momentum * v - lr * g; w += v, or with NESTEROV            entry `momentum`
// w += momentum * v - lr * g
// lr = schedule[clock.step].x.
// One invocation updates four parameters of the arena, after their decay (`decayed`).

override NESTEROV: u32 = 0u;

struct Params {
    vectors: u32,
    momentum: f32,
}

@group(0) @binding(3) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read_write> v: array<vec4<f32>>;

@compute @workgroup_size(WIDTH)
fn plain(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let row = row_of_step();
    w[i] = decayed(w[i], row) - row.x * g[i];
}

@compute @workgroup_size(WIDTH)
fn momentum(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let row = row_of_step();
    let step = row.x * g[i];
    let velocity = flushed(params.momentum * v[i] - step);
    v[i] = velocity;
    w[i] = decayed(w[i], row) + select(velocity, params.momentum * velocity - step, NESTEROV == 1u);
}
