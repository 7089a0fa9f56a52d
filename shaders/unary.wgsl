// y[i] = OP x[i] for i < n. One invocation makes one element.

// 0 -x, 1 exp, 2 log, 3 sqrt, 4 x * x, 5 1 / x, 6 |x|, 7 sign, 8 x > 0
override OPERATION: u32 = 0u;

struct Params {
    n: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn unary(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let v = x[i];
    switch OPERATION {
        case 0u: { y[i] = -v; }
        case 1u: { y[i] = exp(v); }
        case 2u: { y[i] = logarithm(v); }
        case 3u: { y[i] = sqrt(v); }
        case 4u: { y[i] = v * v; }
        case 5u: { y[i] = 1.0 / v; }
        case 6u: { y[i] = abs(v); }
        // Not sign(), which may be 0 of a NaN.
        case 7u: { y[i] = select(select(v, -1.0, v < 0.0), 1.0, v > 0.0); }
        default: { y[i] = select(0.0, 1.0, v > 0.0); }
    }
}
