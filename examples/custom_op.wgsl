// Snake: x (rows, units), a (units,).
//
// y = x + sin(a x)^2 / a                                              entry `forward`
// dx = dy (1 + sin(2 a x))                                            entry `gradient`
// da = dy (x sin(2 a x) - sin(a x)^2 / a) / a, before the sum over rows
// One invocation makes one element of n.

struct Params {
    n: u32,
    units: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let a = a[i % params.units];
    let s = sin(a * x[i]);
    y[i] = x[i] + s * s / a;
}

@group(0) @binding(2) var<storage, read> gradient_dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradient_dx: array<f32>;
@group(0) @binding(4) var<storage, read_write> gradient_da: array<f32>;
@group(0) @binding(5) var<uniform> gradient_params: Params;

@compute @workgroup_size(WIDTH)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= gradient_params.n {
        return;
    }
    let a = a[i % gradient_params.units];
    let s = sin(a * x[i]);
    let double = sin(2.0 * a * x[i]);
    gradient_dx[i] = gradient_dy[i] * (1.0 + double);
    gradient_da[i] = gradient_dy[i] * (x[i] * double - s * s / a) / a;
}
