// loss[r] = log(sum over c of exp(x[r, c] - m)) + m - x[r, labels[r]], m = max x[r]              entry `forward`
// dx[r, c] = dloss[r] * (exp(x[r, c] - m) / sum of the same - (1 if c = labels[r], else 0))      entry `gradient`
// both, and hits[r] = 1 if labels[r] is the first c with the largest x[r, c], else 0             entry `step`
// One invocation makes one row.

struct Params {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

struct Row {
    // Where the maximum stands, the first of several; the first NaN, where there is one.
    best: u32,
    most: f32,
    // The sum of exp(x - most).
    total: f32,
}

fn row_of(first: u32, columns: u32) -> Row {
    var best = first;
    for (var at = first + 1u; at < first + columns; at++) {
        if x[at] > x[best] || (is_nan(x[at]) && !is_nan(x[best])) {
            best = at;
        }
    }
    let most = x[best];
    var total = 0.0;
    for (var at = first; at < first + columns; at++) {
        total += exp(x[at] - most);
    }
    return Row(best, most, total);
}

// `own`: where the label's x stands.
fn loss_of(row: Row, own: u32) -> f32 {
    return log(row.total) + (row.most - x[own]);
}

fn gradient_of(row: Row, at: u32, own: u32) -> f32 {
    return exp(x[at] - row.most) / row.total - select(0.0, 1.0, at == own);
}

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let row = grid_index(id, workgroups);
    if row >= params.rows {
        return;
    }
    let first = row * params.columns;
    loss[row] = loss_of(row_of(first, params.columns), first + labels[row]);
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
    let e = row_of(first, columns);
    for (var at = first; at < first + columns; at++) {
        gradient_dx[at] = gradient_dloss[row] * gradient_of(e, at, first + labels[row]);
    }
}

@group(0) @binding(3) var<storage, read_write> step_loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> step_dx: array<f32>;
@group(0) @binding(5) var<storage, read_write> step_hits: array<f32>;
@group(0) @binding(6) var<uniform> step_params: Params;

@compute @workgroup_size(WIDTH)
fn step(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let row = grid_index(id, workgroups);
    if row >= step_params.rows {
        return;
    }
    let columns = step_params.columns;
    let first = row * columns;
    let own = first + labels[row];
    let e = row_of(first, columns);
    step_loss[row] = loss_of(e, own);
    for (var at = first; at < first + columns; at++) {
        step_dx[at] = gradient_dloss[row] * gradient_of(e, at, own);
    }
    step_hits[row] = select(0.0, 1.0, e.best == own);
}
