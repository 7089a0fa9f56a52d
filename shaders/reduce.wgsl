// y[o, i] = max, min or product over k < n of x[o, k, i]                              entry `forward`
// dx[o, k, i] = dy[o, i] * product of x[o, j, i] over j != k, for products            entry `gradient`
// dx[o, k, i] = dy[o, i] / how many equal the extreme, where x[o, k, i] does; else 0, for extremes
// x: (outer, n, inner), y: (outer, inner). One invocation makes one output, or the gradient of what went into it.

// 0 max, 1 min, 2 product
override REDUCTION: u32 = 0u;

struct Params {
    outputs: u32,
    n: u32,
    inner: u32,
}

fn reduced(a: f32, b: f32) -> f32 {
    switch REDUCTION {
        case 0u: { return select(a, b, b > a || is_nan(b)); }
        case 1u: { return select(a, b, b < a || is_nan(b)); }
        default: { return a * b; }
    }
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.outputs {
        return;
    }
    let inner = params.inner;
    let first = (i / inner) * params.n * inner + i % inner;
    let end = first + params.n * inner;
    var so_far = x[first];
    for (var at = first + inner; at < end; at += inner) {
        so_far = reduced(so_far, x[at]);
    }
    y[i] = so_far;
}

@group(0) @binding(1) var<storage, read> gradient_dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient_dx: array<f32>;
@group(0) @binding(3) var<uniform> gradient_params: Params;

@compute @workgroup_size(WIDTH)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= gradient_params.outputs {
        return;
    }
    let inner = gradient_params.inner;
    let n = gradient_params.n;
    let first = (i / inner) * n * inner + i % inner;
    let end = first + n * inner;
    if REDUCTION == 2u {
        // Products of those before, then times those behind: no division, so zeros do no harm.
        var product = gradient_dy[i];
        for (var at = first; at < end; at += inner) {
            gradient_dx[at] = product;
            product *= x[at];
        }
        product = 1.0;
        for (var behind = end; behind > first; behind -= inner) {
            gradient_dx[behind - inner] *= product;
            product *= x[behind - inner];
        }
        return;
    }
    var extreme = x[first];
    for (var at = first + inner; at < end; at += inner) {
        extreme = reduced(extreme, x[at]);
    }
    var equal = 0.0;
    for (var at = first; at < end; at += inner) {
        equal += select(0.0, 1.0, x[at] == extreme);
    }
    let share = gradient_dy[i] / equal;
    for (var at = first; at < end; at += inner) {
        gradient_dx[at] = select(0.0, share, x[at] == extreme);
    }
}
