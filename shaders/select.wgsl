// y[i] = c[j] != 0 ? a[k] : b[l]; y: n elements; j, k and l: where lib/broadcast.wgsl finds the operands of element i.
// One invocation makes one element.

@group(0) @binding(0) var<storage, read> c: array<f32>;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn choose(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let at = places(i);
    // Not c != 0, which a NaN need not fulfil.
    y[i] = select(a[at.y], b[at.z], c[at.x] == 0.0);
}
