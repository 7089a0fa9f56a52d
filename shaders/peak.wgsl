// y[i] = x[i] after `rounds` times a = a / 2 + 1 / 4, fused where the driver fuses a product and a sum.
// One invocation takes four vec4s, whose chains do not wait for each other.

struct Params {
    invocations: u32,
    rounds: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn peak(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.invocations {
        return;
    }
    let half = vec4(0.5);
    let quarter = vec4(0.25);
    var a = x[4u * i];
    var b = x[4u * i + 1u];
    var c = x[4u * i + 2u];
    var d = x[4u * i + 3u];
    // Bounded by more than a uniform: see docs/rejected.md on what lavapipe does with loops that are not.
    for (var round = select(0u, 1u, i == params.invocations); round < params.rounds; round++) {
        a = a * half + quarter;
        b = b * half + quarter;
        c = c * half + quarter;
        d = d * half + quarter;
    }
    y[4u * i] = a;
    y[4u * i + 1u] = b;
    y[4u * i + 2u] = c;
    y[4u * i + 3u] = d;
}
