// y[i] = a[i] OP b[i mod width]; a, y: n elements, b: width elements, repeated n / width times.
// One invocation makes one element.

// 0 add, 1 sub, 2 mul, 3 div
override OPERATION: u32 = 0u;

struct Params {
    n: u32,
    width: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn binary(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let left = a[i];
    let right = b[i % params.width];
    switch OPERATION {
        case 0u: { y[i] = left + right; }
        case 1u: { y[i] = left - right; }
        case 2u: { y[i] = left * right; }
        default: { y[i] = left / right; }
    }
}
