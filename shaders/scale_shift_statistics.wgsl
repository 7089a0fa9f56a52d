// scale[i] = gamma[i] / sqrt(variance[i] + epsilon), shift[i] = beta[i] - mean[i] * scale[i]; all of n elements: x * scale + shift
// is x brought to gamma and beta by a mean and a variance.
// One invocation makes one element of each.

struct Params {
    n: u32,
    epsilon: f32,
}

@group(0) @binding(0) var<storage, read> mean: array<f32>;
@group(0) @binding(1) var<storage, read> variance: array<f32>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read_write> scale: array<f32>;
@group(0) @binding(5) var<storage, read_write> shift: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn statistics(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let factor = gamma[i] / sqrt(variance[i] + params.epsilon);
    scale[i] = factor;
    shift[i] = beta[i] - mean[i] * factor;
}
