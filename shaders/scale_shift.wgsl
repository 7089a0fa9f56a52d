// y[i] = x[j] * scale[k] + shift[l]; y: n elements; j, k and l: where lib/broadcast.wgsl finds the operands of element i.
// One invocation makes one element.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read> shift: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn scale_shift(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let at = places(i);
    y[i] = x[at.x] * scale[at.y] + shift[at.z];
}
