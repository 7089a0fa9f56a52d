// y = epilogue(op(a) op(b)) as in matmul.wgsl, where a subgroup has 8 lanes and vec4 loads fit (see `direct_vec4` there).
//
// One workgroup, which is one subgroup, computes 32 rows x 64 columns of y, each lane all rows of 8 columns. Of the rows of a
// that all lanes need each loads four and gives them to the others: software adapters load lane by lane, so that loads, not
// arithmetic, are what a product costs there.
//
// WGSL asks for `enable subgroups;`, which naga 30 does not take: without it, it lets these functions in.

// Four rows, each four apart, of 8 columns.
struct Eight {
    left: mat4x4<f32>,
    right: mat4x4<f32>,
}

// What the lanes 0 to 3 and 4 to 7 hold, a lane a column.
fn lower(x: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(subgroupBroadcast(x, 0u), subgroupBroadcast(x, 1u), subgroupBroadcast(x, 2u), subgroupBroadcast(x, 3u));
}

fn upper(x: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(subgroupBroadcast(x, 4u), subgroupBroadcast(x, 5u), subgroupBroadcast(x, 6u), subgroupBroadcast(x, 7u));
}

fn multiply(c: ptr<function, Eight>, a: mat4x4<f32>, b: Eight) {
    (*c).left += b.left * a;
    (*c).right += b.right * a;
}

fn store(m: u32, n: u32, c: Eight) {
    store_rows_apart(m, 4u, n, c.left);
    store_rows_apart(m, 4u, n + 4u, c.right);
}

@compute @workgroup_size(8)
fn subgroup_32x8(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let depth = enter(group);
    let m = group.y * 32u;
    let n = group.x * 64u + index * 8u;
    // c<i>: rows m + i + 0, 4, 8 and 12; d<i>: the same 16 further down.
    var c0 = Eight();
    var c1 = Eight();
    var c2 = Eight();
    var c3 = Eight();
    var d0 = Eight();
    var d1 = Eight();
    var d2 = Eight();
    var d3 = Eight();
    let rows = rows_at(m + 4u * lane);
    let left = columns_at(n);
    let right = columns_at(n + 4u);
    for (var k = depth.k; k < depth.end; k += 4u) {
        let q = quad_at(k);
        let b = Eight(load_b4(q, left), load_b4(q, right));
        let a = load_a4(rows, q);
        multiply(&c0, lower(a[0]), b);
        multiply(&c1, lower(a[1]), b);
        multiply(&c2, lower(a[2]), b);
        multiply(&c3, lower(a[3]), b);
        multiply(&d0, upper(a[0]), b);
        multiply(&d1, upper(a[1]), b);
        multiply(&d2, upper(a[2]), b);
        multiply(&d3, upper(a[3]), b);
    }
    store(m, n, c0);
    store(m + 1u, n, c1);
    store(m + 2u, n, c2);
    store(m + 3u, n, c3);
    store(m + 16u, n, d0);
    store(m + 17u, n, d1);
    store(m + 18u, n, d2);
    store(m + 19u, n, d3);
}
