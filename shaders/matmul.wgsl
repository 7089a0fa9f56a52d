// y[M,N] = epilogue(op(a) op(b)), row-major f32: one matrix product, its bias, activation or activation gradient.
//
//   op(a) is MxK: a is stored [M,K], or [K,M] where TRANS_A = 1.
//   op(b) is KxN: b is stored [K,N], or [N,K] where TRANS_B = 1.
//   v = sum over k of op(a)[m,k] op(b)[k,n]
//   BIAS = 1:               v + bias[n]                        extra is bias[N]
//   SCALE_SHIFT = 1:        v scale[n] + shift[n]              scale[N], shift[N]; after the bias
//   ACTIVATION = f:         f(v)                               (lib/activation.wgsl has the kinds)
//   ACTIVATION_GRAD = f:    v f'(h[m,n])                       extra is h[M,N], the activation's output
//
// Three families, an entry point for each register tile:
//   direct_*    here: no workgroup memory; LANES invocations, each with a tile of its own: for software adapters.
//   subgroup_*  in matmul_subgroup.wgsl, for software adapters whose subgroups have 8 lanes.
//   tiled_*     in matmul_tiled.wgsl: tiles in workgroup memory, for GPUs.
// Grids have column tiles along x, row tiles along y, and along z the products of a stack where STACKED = 1: a, b and y
// are then as many matrices one after the other. Good to 65,535 on each axis; of a larger stack the products from `first`
// on are a launch of their own.
// K is cut so that no invocation loops more than 2^14 times: lavapipe ends its loops, all counted together, after 65,535. A
// launch takes `depth` of K from `start` on, and one with ADD = 1 adds to what those before it have left in y. With SPLIT = 1 z
// is a part of K, `span` deep: what it comes to goes into y, there (parts, M, N), and matmul_split.wgsl adds the parts up and
// has the epilogue.
// Every sum runs over k in one fixed order, so two runs give the same bits.

// direct_*: how many invocations a workgroup has. 2^across of them lie side by side along columns of y, which is told when the kernel
// runs: shapes of y share a pipeline. The workgroup itself is one-dimensional, because software adapters make their SIMD lanes of
// neighbours in x alone: 1 x 8 then fills the lanes as 8 x 1 does.
override LANES: u32 = 8;

// ---- direct --------------------------------------------------------------------------------------------------------

// Which register tile, as (row, column) in units of tiles, this invocation computes.
fn my_tile(group: vec3<u32>, index: u32) -> vec2<u32> {
    let across = params.across;
    let column = index & ((1u << across) - 1u);
    return vec2(group.y * (LANES >> across) + (index >> across), (group.x << across) + column);
}

// 8 rows x 8 columns an invocation, all loads and stores by vec4. Needs N, the contiguous extent of a (K, or M if
// TRANS_A) and that of b (N, or K if TRANS_B) to be multiples of 4.
@compute @workgroup_size(LANES)
fn direct_vec4(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let depth = enter(group);
    let tile = my_tile(group, index);
    let m = tile.x * 8u;
    let n = tile.y * 8u;
    let m0 = rows_at(m);
    let m1 = rows_at(m + 4u);
    let n0 = columns_at(n);
    let n1 = columns_at(n + 4u);
    var c00 = mat4x4<f32>();
    var c01 = mat4x4<f32>();
    var c10 = mat4x4<f32>();
    var c11 = mat4x4<f32>();
    for (var k = depth.k; k < depth.end; k += 4u) {
        let q = quad_at(k);
        let b0 = load_b4(q, n0);
        let b1 = load_b4(q, n1);
        let a0 = load_a4(m0, q);
        c00 += b0 * a0;
        c01 += b1 * a0;
        let a1 = load_a4(m1, q);
        c10 += b0 * a1;
        c11 += b1 * a1;
    }
    store_rows(m, n, c00);
    store_rows(m, n + 4u, c01);
    store_rows(m + 4u, n, c10);
    store_rows(m + 4u, n + 4u, c11);
}

// Four blocks side by side.
fn store_four(m: u32, n: u32, c0: mat4x4<f32>, c1: mat4x4<f32>, c2: mat4x4<f32>, c3: mat4x4<f32>) {
    store_rows(m, n, c0);
    store_rows(m, n + 4u, c1);
    store_rows(m, n + 8u, c2);
    store_rows(m, n + 12u, c3);
}

// 16 rows x 16 columns an invocation: half the loads of 8x8 for each product, and four times the registers.
@compute @workgroup_size(LANES)
fn direct_vec4_16x16(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let depth = enter(group);
    let tile = my_tile(group, index);
    let m = tile.x * 16u;
    let n = tile.y * 16u;
    let m0 = rows_at(m);
    let m1 = rows_at(m + 4u);
    let m2 = rows_at(m + 8u);
    let m3 = rows_at(m + 12u);
    let n0 = columns_at(n);
    let n1 = columns_at(n + 4u);
    let n2 = columns_at(n + 8u);
    let n3 = columns_at(n + 12u);
    var c00 = mat4x4<f32>();
    var c01 = mat4x4<f32>();
    var c02 = mat4x4<f32>();
    var c03 = mat4x4<f32>();
    var c10 = mat4x4<f32>();
    var c11 = mat4x4<f32>();
    var c12 = mat4x4<f32>();
    var c13 = mat4x4<f32>();
    var c20 = mat4x4<f32>();
    var c21 = mat4x4<f32>();
    var c22 = mat4x4<f32>();
    var c23 = mat4x4<f32>();
    var c30 = mat4x4<f32>();
    var c31 = mat4x4<f32>();
    var c32 = mat4x4<f32>();
    var c33 = mat4x4<f32>();
    for (var k = depth.k; k < depth.end; k += 4u) {
        let q = quad_at(k);
        let b0 = load_b4(q, n0);
        let b1 = load_b4(q, n1);
        let b2 = load_b4(q, n2);
        let b3 = load_b4(q, n3);
        let a0 = load_a4(m0, q);
        c00 += b0 * a0;
        c01 += b1 * a0;
        c02 += b2 * a0;
        c03 += b3 * a0;
        let a1 = load_a4(m1, q);
        c10 += b0 * a1;
        c11 += b1 * a1;
        c12 += b2 * a1;
        c13 += b3 * a1;
        let a2 = load_a4(m2, q);
        c20 += b0 * a2;
        c21 += b1 * a2;
        c22 += b2 * a2;
        c23 += b3 * a2;
        let a3 = load_a4(m3, q);
        c30 += b0 * a3;
        c31 += b1 * a3;
        c32 += b2 * a3;
        c33 += b3 * a3;
    }
    store_four(m, n, c00, c01, c02, c03);
    store_four(m + 4u, n, c10, c11, c12, c13);
    store_four(m + 8u, n, c20, c21, c22, c23);
    store_four(m + 12u, n, c30, c31, c32, c33);
}

// 4 rows x 4 columns an invocation: for outputs too small to give every core work by larger tiles.
@compute @workgroup_size(LANES)
fn direct_vec4_4x4(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let depth = enter(group);
    let tile = my_tile(group, index);
    let m = tile.x * 4u;
    let n = tile.y * 4u;
    let m0 = rows_at(m);
    let n0 = columns_at(n);
    var c00 = mat4x4<f32>();
    for (var k = depth.k; k < depth.end; k += 4u) {
        let q = quad_at(k);
        let b0 = load_b4(q, n0);
        let a0 = load_a4(m0, q);
        c00 += b0 * a0;
    }
    store_rows(m, n, c00);
}

// ---- direct, guarded: any M, N, K >= 1 -----------------------------------------------------------------------------

// 8 rows x 8 columns an invocation.
@compute @workgroup_size(LANES)
fn direct_guarded(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let depth = enter(group);
    let tile = my_tile(group, index);
    let m = tile.x * 8u;
    let n = tile.y * 8u;
    let m0 = rows_at(m);
    let m1 = rows_at(m + 4u);
    let n0 = columns_at(n);
    let n1 = columns_at(n + 4u);
    var c00 = mat4x4<f32>();
    var c01 = mat4x4<f32>();
    var c10 = mat4x4<f32>();
    var c11 = mat4x4<f32>();
    for (var k = depth.k; k < depth.end; k++) {
        let q = quad_at(k);
        let a0 = load_a(m0, q.p0);
        let a1 = load_a(m1, q.p0);
        let b0 = load_b(q.p0, n0);
        let b1 = load_b(q.p0, n1);
        c00 += outer(a0, b0);
        c01 += outer(a0, b1);
        c10 += outer(a1, b0);
        c11 += outer(a1, b1);
    }
    store_rows_guarded(m, n, c00);
    store_rows_guarded(m, n + 4u, c01);
    store_rows_guarded(m + 4u, n, c10);
    store_rows_guarded(m + 4u, n + 4u, c11);
}

// 4 rows x 4 columns an invocation: for outputs too small to give every core work by larger tiles.
@compute @workgroup_size(LANES)
fn direct_guarded_4x4(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let depth = enter(group);
    let tile = my_tile(group, index);
    let m = tile.x * 4u;
    let n = tile.y * 4u;
    let m0 = rows_at(m);
    let n0 = columns_at(n);
    var c00 = mat4x4<f32>();
    for (var k = depth.k; k < depth.end; k++) {
        let q = quad_at(k);
        let b0 = load_b(q.p0, n0);
        let a0 = load_a(m0, q.p0);
        c00 += outer(a0, b0);
    }
    store_rows_guarded(m, n, c00);
}
