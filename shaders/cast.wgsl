// y = x in the other type; n elements. One invocation makes one element.

struct Params {
    n: u32,
}

@group(0) @binding(0) var<storage, read> whole: array<u32>;
@group(0) @binding(1) var<storage, read_write> number: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn to_float(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.n {
        number[i] = f32(whole[i]);
    }
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;

// What a conversion makes of numbers beyond the type differs by driver: none comes to it.
@compute @workgroup_size(WIDTH)
fn to_u32(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.n {
        let value = x[i];
        var whole = 0u;
        if !is_nan(value) && value >= 4294967296.0 {
            whole = 0xffffffffu;
        } else if !is_nan(value) && value > 0.0 {
            whole = u32(value);
        }
        y[i] = whole;
    }
}
