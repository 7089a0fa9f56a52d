// y[i] = f(x[i]), where f is ACTIVATION of lib/activation.wgsl                 entry `forward`
// dx[i] = dy[i] * f'(x), with f' taken from the output: y = f(x)               entry `gradient`
// One invocation makes one element of n.

override ACTIVATION: u32 = 0u;

struct Params {
    n: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    y[i] = activate(ACTIVATION, vec4(x[i])).x;
}

@group(0) @binding(0) var<storage, read> gradient_y: array<f32>;
@group(0) @binding(1) var<storage, read> gradient_dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient_dx: array<f32>;
@group(0) @binding(3) var<uniform> gradient_params: Params;

@compute @workgroup_size(WIDTH)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= gradient_params.n {
        return;
    }
    gradient_dx[i] = gradient_dy[i] * activate_grad(ACTIVATION, vec4(gradient_y[i])).x;
}
