// y[i] = value                                                        entry `fill`, over the n elements of y
// y at first + i0 * s0 + i1 * s1 + ... = x[i0, i1, ...]               entry `place`, over the n elements of x
// One invocation makes one element.

struct FillParams {
    n: u32,
    value: f32,
}

@group(0) @binding(0) var<storage, read_write> filled: array<f32>;
@group(0) @binding(1) var<uniform> fill_params: FillParams;

@compute @workgroup_size(WIDTH)
fn fill(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < fill_params.n {
        filled[i] = fill_params.value;
    }
}

struct Params {
    n: u32,
    first: u32,
    e0: u32, e1: u32, e2: u32, e3: u32, e4: u32, e5: u32,
    s0: u32, s1: u32, s2: u32, s3: u32, s4: u32, s5: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn place(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let extents = Axes(params.e0, params.e1, params.e2, params.e3, params.e4, params.e5);
    let strides = Axes(params.s0, params.s1, params.s2, params.s3, params.s4, params.s5);
    y[params.first + strided(i, extents, strides)] = x[i];
}
