// y[M,N] = epilogue(op(a) op(b)), row-major f32: one matrix product, its bias, activation or activation gradient.
//
//   op(a) is MxK: a is stored [M,K], or [K,M] where TRANS_A = 1.
//   op(b) is KxN: b is stored [K,N], or [N,K] where TRANS_B = 1.
//   v = sum over k of op(a)[m,k] op(b)[k,n]
//   BIAS = 1:               v + bias[n]                        extra is bias[N]
//   ACTIVATION = f:         f(v)                               (lib/activation.wgsl has the kinds)
//   ACTIVATION_GRAD = f:    v f'(h[m,n])                       extra is h[M,N], the activation's output
//
// Two families here, an entry point for each register tile, and a third in matmul_subgroup.wgsl:
//   tiled_*   a workgroup computes BM x BN of y through shared tiles BK deep: for hardware GPUs.
//   direct_*  no workgroup memory: WG_X x WG_Y invocations, each with a tile of its own: for software adapters
//             and skinny products.
// Grids have column tiles along x, row tiles along y, and along z the products of a stack where STACKED = 1: a, b and y
// are then as many matrices one after the other. Good to 65,535 on each axis; of a larger stack the products from `first`
// on are a launch of their own.
// Every sum runs over k in one fixed order, so two runs give the same bits.

// direct_*: invocations along columns and along rows of y. The workgroup itself is one-dimensional, because software
// adapters make their SIMD lanes of neighbours in x alone: WG_X = 1, WG_Y = 8 then fills the lanes as 8 x 1 does.
override WG_X: u32 = 8;
override WG_Y: u32 = 1;

// tiled_*: the workgroup's tile of y, and the depth of the shared tiles. Multiples of the register tile.
override BM: u32 = 64;
override BN: u32 = 64;
override BK: u32 = 16;

// ---- direct --------------------------------------------------------------------------------------------------------

// Which register tile, as (row, column) in units of tiles, this invocation computes.
fn my_tile(group: vec3<u32>, index: u32) -> vec2<u32> {
    return vec2(group.y * WG_Y + index / WG_X, group.x * WG_X + index % WG_X);
}

// 8 rows x 8 columns an invocation, all loads and stores by vec4. Needs N, the contiguous extent of a (K, or M if
// TRANS_A) and that of b (N, or K if TRANS_B) to be multiples of 4.
@compute @workgroup_size(WG_X * WG_Y)
fn direct_vec4(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let depth = enter(group);
    let tile = my_tile(group, index);
    let m = tile.x * 8u;
    let n = tile.y * 8u;
    var c00 = mat4x4<f32>();
    var c01 = mat4x4<f32>();
    var c10 = mat4x4<f32>();
    var c11 = mat4x4<f32>();
    for (var k = 0u; k < depth; k += 4u) {
        let b0 = load_b4(k, n);
        let b1 = load_b4(k, n + 4u);
        let a0 = load_a4(m, k);
        c00 += b0 * a0;
        c01 += b1 * a0;
        let a1 = load_a4(m + 4u, k);
        c10 += b0 * a1;
        c11 += b1 * a1;
    }
    store_rows(m, n, c00);
    store_rows(m, n + 4u, c01);
    store_rows(m + 4u, n, c10);
    store_rows(m + 4u, n + 4u, c11);
}

// 16 rows x 16 columns an invocation: half the loads of 8x8 for each product, and four times the registers.
@compute @workgroup_size(WG_X * WG_Y)
fn direct_vec4_16x16(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let depth = enter(group);
    let tile = my_tile(group, index);
    let m = tile.x * 16u;
    let n = tile.y * 16u;
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
    for (var k = 0u; k < depth; k += 4u) {
        let b0 = load_b4(k, n);
        let b1 = load_b4(k, n + 4u);
        let b2 = load_b4(k, n + 8u);
        let b3 = load_b4(k, n + 12u);
        let a0 = load_a4(m, k);
        c00 += b0 * a0;
        c01 += b1 * a0;
        c02 += b2 * a0;
        c03 += b3 * a0;
        let a1 = load_a4(m + 4u, k);
        c10 += b0 * a1;
        c11 += b1 * a1;
        c12 += b2 * a1;
        c13 += b3 * a1;
        let a2 = load_a4(m + 8u, k);
        c20 += b0 * a2;
        c21 += b1 * a2;
        c22 += b2 * a2;
        c23 += b3 * a2;
        let a3 = load_a4(m + 12u, k);
        c30 += b0 * a3;
        c31 += b1 * a3;
        c32 += b2 * a3;
        c33 += b3 * a3;
    }
    store_rows(m, n, c00);
    store_rows(m, n + 4u, c01);
    store_rows(m, n + 8u, c02);
    store_rows(m, n + 12u, c03);
    store_rows(m + 4u, n, c10);
    store_rows(m + 4u, n + 4u, c11);
    store_rows(m + 4u, n + 8u, c12);
    store_rows(m + 4u, n + 12u, c13);
    store_rows(m + 8u, n, c20);
    store_rows(m + 8u, n + 4u, c21);
    store_rows(m + 8u, n + 8u, c22);
    store_rows(m + 8u, n + 12u, c23);
    store_rows(m + 12u, n, c30);
    store_rows(m + 12u, n + 4u, c31);
    store_rows(m + 12u, n + 8u, c32);
    store_rows(m + 12u, n + 12u, c33);
}

// 4 rows x 4 columns an invocation: for outputs too small to give every core work by larger tiles.
@compute @workgroup_size(WG_X * WG_Y)
fn direct_vec4_4x4(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let depth = enter(group);
    let tile = my_tile(group, index);
    let m = tile.x * 4u;
    let n = tile.y * 4u;
    var c00 = mat4x4<f32>();
    for (var k = 0u; k < depth; k += 4u) {
        let b0 = load_b4(k, n);
        let a0 = load_a4(m, k);
        c00 += b0 * a0;
    }
    store_rows(m, n, c00);
}

// ---- direct, guarded: any M, N, K >= 1 -----------------------------------------------------------------------------

// How far apart two neighbours along m, k (of a) and k, n (of b) lie.
fn a_step_m() -> u32 {
    return select(params.k, 1u, TRANS_A == 1u);
}

fn a_step_k() -> u32 {
    return select(1u, params.m, TRANS_A == 1u);
}

fn b_step_k() -> u32 {
    return select(params.n, 1u, TRANS_B == 1u);
}

fn b_step_n() -> u32 {
    return select(1u, params.k, TRANS_B == 1u);
}

// Where rows m .. m+3 of op(a) start, and columns n .. n+3 of op(b); past the edge the last one repeats.
fn four_rows(m: u32) -> vec4<u32> {
    return min(vec4(m, m + 1u, m + 2u, m + 3u), vec4(params.m - 1u)) * a_step_m() + a_first;
}

fn four_columns(n: u32) -> vec4<u32> {
    return columns(n) * b_step_n() + b_first;
}

fn load_a(at: vec4<u32>) -> vec4<f32> {
    return vec4(a[at.x], a[at.y], a[at.z], a[at.w]);
}

fn load_b(at: vec4<u32>) -> vec4<f32> {
    return vec4(b[at.x], b[at.y], b[at.z], b[at.w]);
}

// 8 rows x 8 columns an invocation.
@compute @workgroup_size(WG_X * WG_Y)
fn direct_guarded(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let depth = enter(group);
    let tile = my_tile(group, index);
    let m = tile.x * 8u;
    let n = tile.y * 8u;
    let m0 = four_rows(m);
    let m1 = four_rows(m + 4u);
    let n0 = four_columns(n);
    let n1 = four_columns(n + 4u);
    var c00 = mat4x4<f32>();
    var c01 = mat4x4<f32>();
    var c10 = mat4x4<f32>();
    var c11 = mat4x4<f32>();
    for (var k = 0u; k < depth; k++) {
        let a0 = load_a(m0 + k * a_step_k());
        let a1 = load_a(m1 + k * a_step_k());
        let b0 = load_b(n0 + k * b_step_k());
        let b1 = load_b(n1 + k * b_step_k());
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
@compute @workgroup_size(WG_X * WG_Y)
fn direct_guarded_4x4(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let depth = enter(group);
    let tile = my_tile(group, index);
    let m = tile.x * 4u;
    let n = tile.y * 4u;
    let m0 = four_rows(m);
    let n0 = four_columns(n);
    var c00 = mat4x4<f32>();
    for (var k = 0u; k < depth; k++) {
        let b0 = load_b(n0 + k * b_step_k());
        let a0 = load_a(m0 + k * a_step_k());
        c00 += outer(a0, b0);
    }
    store_rows_guarded(m, n, c00);
}

// ---- tiled ---------------------------------------------------------------------------------------------------------
// Shared tiles lie k by k, as vec4s along m (or n). A row of vec4s is one longer than the tile is wide: without it,
// the lanes that store a column of consecutive k would meet in one memory bank.

override THREADS_4X4: u32 = (BM / 4) * (BN / 4);
override THREADS_8X8: u32 = (BM / 8) * (BN / 8);
override A_STRIDE: u32 = BM / 4 + 1;
override B_STRIDE: u32 = BN / 4 + 1;

var<workgroup> tile_a: array<vec4<f32>, BK * (BM / 4 + 1)>;
var<workgroup> tile_b: array<vec4<f32>, BK * (BN / 4 + 1)>;

// Zero outside op(a).
fn a_or_zero(m: u32, k: u32) -> f32 {
    let inside = m < params.m && k < params.k;
    return select(0.0, a[a_first + min(m, params.m - 1u) * a_step_m() + min(k, params.k - 1u) * a_step_k()], inside);
}

fn b_or_zero(k: u32, n: u32) -> f32 {
    let inside = k < params.k && n < params.n;
    return select(0.0, b[b_first + min(k, params.k - 1u) * b_step_k() + min(n, params.n - 1u) * b_step_n()], inside);
}

// Fills both tiles from depth k0 on. Neighbouring invocations take neighbours along the axis that is contiguous
// in memory, whichever way the operand is stored.
fn fill_tiles(m0: u32, n0: u32, k0: u32, first: u32, threads: u32) {
    for (var i = first; i < BK * (BM / 4u); i += threads) {
        let k = select(i % BK, i / (BM / 4u), TRANS_A == 1u);
        let q = select(i / BK, i % (BM / 4u), TRANS_A == 1u);
        let m = m0 + q * 4u;
        tile_a[k * A_STRIDE + q] = vec4(
            a_or_zero(m, k0 + k), a_or_zero(m + 1u, k0 + k), a_or_zero(m + 2u, k0 + k), a_or_zero(m + 3u, k0 + k),
        );
    }
    for (var i = first; i < BK * (BN / 4u); i += threads) {
        let k = select(i / (BN / 4u), i % BK, TRANS_B == 1u);
        let q = select(i % (BN / 4u), i / BK, TRANS_B == 1u);
        let n = n0 + q * 4u;
        tile_b[k * B_STRIDE + q] = vec4(
            b_or_zero(k0 + k, n), b_or_zero(k0 + k, n + 1u), b_or_zero(k0 + k, n + 2u), b_or_zero(k0 + k, n + 3u),
        );
    }
}

// 4 rows x 4 columns an invocation. (BM/4) * (BN/4) invocations, at most 256.
@compute @workgroup_size(BN / 4, BM / 4)
fn tiled_4x4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let depth = enter(group);
    let m0 = group.y * BM;
    let n0 = group.x * BN;
    var c = mat4x4<f32>();
    for (var k0 = 0u; k0 < depth; k0 += BK) {
        fill_tiles(m0, n0, k0, index, THREADS_4X4);
        workgroupBarrier();
        for (var k = 0u; k < BK; k++) {
            c += outer(tile_a[k * A_STRIDE + local.y], tile_b[k * B_STRIDE + local.x]);
        }
        workgroupBarrier();
    }
    store_rows_guarded(m0 + local.y * 4u, n0 + local.x * 4u, c);
}

// 8 rows x 8 columns an invocation, as four blocks of 4x4 half a tile apart, so that neighbours read neighbouring
// vec4s. (BM/8) * (BN/8) invocations, at most 256.
@compute @workgroup_size(BN / 8, BM / 8)
fn tiled_8x8(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let depth = enter(group);
    let m0 = group.y * BM;
    let n0 = group.x * BN;
    var c00 = mat4x4<f32>();
    var c01 = mat4x4<f32>();
    var c10 = mat4x4<f32>();
    var c11 = mat4x4<f32>();
    for (var k0 = 0u; k0 < depth; k0 += BK) {
        fill_tiles(m0, n0, k0, index, THREADS_8X8);
        workgroupBarrier();
        for (var k = 0u; k < BK; k++) {
            let a0 = tile_a[k * A_STRIDE + local.y];
            let a1 = tile_a[k * A_STRIDE + local.y + BM / 8u];
            let b0 = tile_b[k * B_STRIDE + local.x];
            let b1 = tile_b[k * B_STRIDE + local.x + BN / 8u];
            c00 += outer(a0, b0);
            c01 += outer(a0, b1);
            c10 += outer(a1, b0);
            c11 += outer(a1, b1);
        }
        workgroupBarrier();
    }
    let m = m0 + local.y * 4u;
    let n = n0 + local.x * 4u;
    store_rows_guarded(m, n, c00);
    store_rows_guarded(m, n + BN / 2u, c01);
    store_rows_guarded(m + BM / 2u, n, c10);
    store_rows_guarded(m + BM / 2u, n + BN / 2u, c11);
}
