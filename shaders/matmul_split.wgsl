// y[m,n] = epilogue(sum over parts p of a[p,m,n]): the second pass of a product whose K was split (SPLIT in
// matmul.wgsl). a holds the parts, (params.stacks, M, N); they are added in their order, so two runs give the same
// bits. One invocation makes four columns of a row.

fn part(at: vec4<u32>) -> vec4<f32> {
    return vec4(a[at.x], a[at.y], a[at.z], a[at.w]);
}

@compute @workgroup_size(WIDTH)
fn add_parts(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let quads = (params.n + 3u) / 4u;
    let i = grid_index(id, workgroups);
    let m = i / quads;
    if (m >= params.m) {
        return;
    }
    let n = 4u * (i % quads);
    var v = part(m * params.n + columns(n));
    for (var row = m + params.m; row < params.stacks * params.m; row += params.m) {
        v += part(row * params.n + columns(n));
    }
    store_row_guarded(m, n, v, extras_guarded(n));
}
