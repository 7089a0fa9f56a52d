// y[r, first + j] = x[r, j]; x: n elements in rows of `width`, y: rows of `whole`. One launch an input; one invocation
// moves one element.

struct Params {
    n: u32,
    width: u32,
    whole: u32,
    first: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn concat(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.n {
        y[(i / params.width) * params.whole + params.first + i % params.width] = x[i];
    }
}
