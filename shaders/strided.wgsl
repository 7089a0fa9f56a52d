// y[i0, i1, ...] = x at first + i0 * s0 + i1 * s1 + ...        entry `take`: transposed, or a part of x; n elements of y
// y at first + i0 * s0 + i1 * s1 + ... = x[i0, i1, ...]        entry `place`: x within a larger y; n elements of x
// Up to six axes of extents e and strides s. One invocation moves one element.

struct Params {
    // Of each axis: x is the extent, y the stride.
    axes: array<vec4<u32>, 6>,
    n: u32,
    first: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

// Where element i of the walk lies.
fn strided(i: u32) -> u32 {
    var rest = i;
    var at = params.first;
    for (var k = 0u; k < 6u; k++) {
        let axis = params.axes[5u - k];
        at += (rest % axis.x) * axis.y;
        rest /= axis.x;
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
