// v = rho * v + (1 - rho) * g^2; step = lr * g / sqrt(v + epsilon); w -= step           entry `rmsprop`
// m = momentum * m + step; w -= m                                                      entry `momentum`
// a = rho * a + (1 - rho) * g; step = lr * g / sqrt(v - a^2 + epsilon); w -= step       entry `centered`
// the same a and step, then m and w as with momentum                                   entry `centered_momentum`
// lr = schedule[clock.step].x, rest = 1 - rho. The variance v - a^2 is at least 0 but for rounding, which is cut off.
// One invocation updates four parameters of the arena, after their decay (`decayed`).

struct Params {
    vectors: u32,
    rho: f32,
    rest: f32,
    epsilon: f32,
    momentum: f32,
}

@group(0) @binding(3) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read_write> v: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> m: array<vec4<f32>>;

@group(0) @binding(6) var<storage, read_write> a: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> m_after_a: array<vec4<f32>>;

// The new v.
fn mean_square(i: u32, gradient: vec4<f32>) -> vec4<f32> {
    let square = flushed(params.rho * v[i] + params.rest * (gradient * gradient));
    v[i] = square;
    return square;
}

// v - a^2 by the new v and a.
fn variance(i: u32, gradient: vec4<f32>) -> vec4<f32> {
    let average = flushed(params.rho * a[i] + params.rest * gradient);
    a[i] = average;
    let difference = mean_square(i, gradient) - average * average;
    // Not max(), which may drop a NaN: the step would be a gradient of 1e30 by the root of epsilon.
    return select(difference, vec4(0.0), difference < vec4(0.0));
}

fn step(row: vec4<f32>, gradient: vec4<f32>, square: vec4<f32>) -> vec4<f32> {
    return row.x * gradient / sqrt(square + params.epsilon);
}

@compute @workgroup_size(WIDTH)
fn rmsprop(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let row = row_of_step();
    let gradient = g[i];
    w[i] = decayed(w[i], row) - step(row, gradient, mean_square(i, gradient));
}

@compute @workgroup_size(WIDTH)
fn momentum(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let row = row_of_step();
    let gradient = g[i];
    let velocity = flushed(params.momentum * m[i] + step(row, gradient, mean_square(i, gradient)));
    m[i] = velocity;
    w[i] = decayed(w[i], row) - velocity;
}

@compute @workgroup_size(WIDTH)
fn centered(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let row = row_of_step();
    let gradient = g[i];
    w[i] = decayed(w[i], row) - step(row, gradient, variance(i, gradient));
}

@compute @workgroup_size(WIDTH)
fn centered_momentum(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let row = row_of_step();
    let gradient = g[i];
    let velocity = flushed(params.momentum * m_after_a[i] + step(row, gradient, variance(i, gradient)));
    m_after_a[i] = velocity;
    w[i] = decayed(w[i], row) - velocity;
}
