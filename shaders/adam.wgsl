// m += (1 - beta_1) * (g - m); v += (1 - beta_2) * (g^2 - v); w -= alpha * m / (sqrt(v) + epsilon)     entry `adam`
// largest = max(largest, v); w -= alpha * m / (sqrt(largest) + epsilon)                              entry `amsgrad`
// alpha = lr * sqrt(1 - beta_2^t) / (1 - beta_1^t) = schedule[clock.step].x, rest_n = 1 - beta_n.
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
@group(0) @binding(7) var<storage, read_write> largest: array<vec4<f32>>;

// The new m and v.
struct Moments {
    mean: vec4<f32>,
    square: vec4<f32>,
}

fn moved(i: u32) -> Moments {
    let gradient = g[i];
    let mean = flushed(m[i] + params.rest_1 * (gradient - m[i]));
    let square = flushed(v[i] + params.rest_2 * (gradient * gradient - v[i]));
    m[i] = mean;
    v[i] = square;
    return Moments(mean, square);
}

fn step(row: vec4<f32>, mean: vec4<f32>, square: vec4<f32>) -> vec4<f32> {
    return row.x * mean / (sqrt(square) + params.epsilon);
}

@compute @workgroup_size(WIDTH)
fn adam(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let row = row_of_step();
    let moments = moved(i);
    w[i] = decayed(w[i], row) - step(row, moments.mean, moments.square);
}

@compute @workgroup_size(WIDTH)
fn amsgrad(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.vectors {
        return;
    }
    let row = row_of_step();
    let moments = moved(i);
    let square = max(largest[i], moments.square);
    largest[i] = square;
    w[i] = decayed(w[i], row) - step(row, moments.mean, square);
}
