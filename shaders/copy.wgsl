// y[i] = x[i]; n words of any type, one an invocation.

struct Params {
    n: u32,
}

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn copy(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.n {
        y[i] = x[i];
    }
}
