// loss[r] = log(sum over c of exp(x[r, c] - m)) + m - x[r, labels[r]], m = max x[r]              entry `forward`
// dx[r, c] = dloss[r] * (exp(x[r, c] - m) / sum of the same - (1 if c = labels[r], else 0))      entry `gradient`
// One invocation makes one row.

struct Params {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

// The maximum of x[first..end], and the sum of exp(x - maximum).
fn exponentials(first: u32, end: u32) -> vec2<f32> {
    var most = x[first];
    for (var i = first + 1u; i < end; i++) {
        most = max(most, x[i]);
    }
    var total = 0.0;
    for (var i = first; i < end; i++) {
        total += exp(x[i] - most);
    }
    return vec2(most, total);
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let row = grid_index(id, workgroups);
    if row >= params.rows {
        return;
    }
    let first = row * params.columns;
    let e = exponentials(first, first + params.columns);
    loss[row] = log(e.y) + (e.x - x[first + labels[row]]);
}

@group(0) @binding(2) var<storage, read> gradient_dloss: array<f32>;
@group(0) @binding(3) var<storage, read_write> gradient_dx: array<f32>;
@group(0) @binding(4) var<uniform> gradient_params: Params;

@compute @workgroup_size(WIDTH)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let row = grid_index(id, workgroups);
    if row >= gradient_params.rows {
        return;
    }
    let columns = gradient_params.columns;
    let first = row * columns;
    let e = exponentials(first, first + columns);
    for (var c = 0u; c < columns; c++) {
        let hit = select(0.0, 1.0, c == labels[row]);
        gradient_dx[first + c] = gradient_dloss[row] * (exp(x[first + c] - e.x) / e.y - hit);
    }
}
