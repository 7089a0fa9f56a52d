// y[r, c] = exp(x[r, c] - max x[r]) / sum over c of exp(x[r, c] - max x[r])        entry `forward`
// dx[r, c] = y[r, c] * (dy[r, c] - sum over c of dy[r, c] * y[r, c])               entry `gradient`
// One invocation makes one row.

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let row = grid_index(id, workgroups);
    if row >= params.rows {
        return;
    }
    let first = row * params.columns;
    let end = first + params.columns;
    var most = x[first];
    for (var i = first + 1u; i < end; i++) {
        most = max(most, x[i]);
    }
    var total = 0.0;
    for (var i = first; i < end; i++) {
        let e = exp(x[i] - most);
        y[i] = e;
        total += e;
    }
    for (var i = first; i < end; i++) {
        y[i] /= total;
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
    var dot = 0.0;
    for (var i = first; i < end; i++) {
        dot += gradient_y[i] * gradient_dy[i];
    }
    for (var i = first; i < end; i++) {
        gradient_dx[i] = gradient_y[i] * (gradient_dy[i] - dot);
    }
}
