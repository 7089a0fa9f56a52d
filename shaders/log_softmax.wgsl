// y[r, c] = x[r, c] - max x[r] - log(sum over c of exp(x[r, c] - max x[r]))        entry `forward`
// dx[r, c] = dy[r, c] - exp(y[r, c]) * sum over c of dy[r, c]                      entry `gradient`
// One invocation makes one row.

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let row = grid_index(id, workgroups);
    if row >= params.rows {
        return;
    }
    let first = row * params.columns;
    let end = first + params.columns;
    var best = first;
    for (var i = first + 1u; i < end; i++) {
        best = select(best, i, x[i] > x[best]);
    }
    let most = x[best];
    // Without the largest, whose term is 1: near certainty the others' sum would be lost beside it.
    var others = 0.0;
    for (var i = first; i < end; i++) {
        others += select(exp(x[i] - most), 0.0, i == best);
    }
    let log_total = select(logarithm(1.0 + others), log_one_plus(others), others <= 1.0);
    for (var i = first; i < end; i++) {
        y[i] = (x[i] - most) - log_total;
    }
}

@compute @workgroup_size(WIDTH)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let row = grid_index(id, workgroups);
    if row >= gradient_params.rows {
        return;
    }
    let first = row * gradient_params.columns;
    let end = first + gradient_params.columns;
    var total = 0.0;
    for (var i = first; i < end; i++) {
        total += gradient_dy[i];
    }
    for (var i = first; i < end; i++) {
        gradient_dx[i] = gradient_dy[i] - exp(gradient_y[i]) * total;
    }
}
