// y[i0, i1, ...] = x at first + i0 * s0 + i1 * s1 + ...        entry `take`: transposed, or a part of x; n elements of y
// y at first + i0 * s0 + i1 * s1 + ... = x[i0, i1, ...]        entry `place`: x within a larger y; n elements of x
// Up to six axes of extents e and strides s. One invocation moves one element.

struct Params {
    n: u32,
    first: u32,
    e0: u32, e1: u32, e2: u32, e3: u32, e4: u32, e5: u32,
    s0: u32, s1: u32, s2: u32, s3: u32, s4: u32, s5: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

// Where element i of the walk lies.
fn strided(i: u32) -> u32 {
    var extents = array(params.e0, params.e1, params.e2, params.e3, params.e4, params.e5);
    var strides = array(params.s0, params.s1, params.s2, params.s3, params.s4, params.s5);
    var rest = i;
    var at = params.first;
    for (var k = 0u; k < 6u; k++) {
        let axis = 5u - k;
        at += (rest % extents[axis]) * strides[axis];
        rest /= extents[axis];
    }
    return at;
}

@compute @workgroup_size(WIDTH)
fn take(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.n {
        y[i] = x[strided(i)];
    }
}

@compute @workgroup_size(WIDTH)
fn place(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.n {
        y[strided(i)] = x[i];
    }
}
