// y = epilogue(op(a) op(b)) as in matmul.wgsl, for GPUs.
//
// A workgroup makes BM x BN of y from tiles in workgroup memory that are BK deep, each invocation a register tile of it: 4x4
// or 8x8. There are two tiles of each operand: while the products of one are summed, the next is on its way from the buffers
// to registers, and goes into the other; so each tile takes one barrier.
//
//   vec4      loads and stores by vec4: N, the contiguous extent of a (K, or M if TRANS_A) and that of b (N, or K if TRANS_B)
//             are multiples of 4
//   guarded   any M, N, K >= 1
//
// An invocation brings one block of 4x4 a tile, or none: (BM + BN) * BK / 16 is at most the number of invocations. BM and BN
// are multiples of the register tile, BK of 8, and what K is cut at of BK.

override BM: u32 = 64;
override BN: u32 = 64;
override BK: u32 = 8;

// Row k of both tiles: BM / 4 vec4s of op(a)'s column k, then BN / 4 of op(b)'s row k. 2 * BK rows.
override ROW: u32 = (BM + BN) / 4;

var<workgroup> tiles: array<vec4<f32>, 2 * BK * ((BM + BN) / 4)>;

// A block of 4x4 of an operand's tile, `wide` vec4s wide: x along m or n in vec4s, y along k. Neighbours take neighbours in
// memory: along x, or, where K is contiguous, the two blocks along k that fill 32 bytes of a row, and then those along x. So
// no more than two of them meet in one memory bank.
fn block(i: u32, wide: u32, k_contiguous: bool) -> vec2<u32> {
    if (k_contiguous) {
        return vec2(i / 2u % wide, 4u * (i % 2u + 2u * (i / (2u * wide))));
    }
    return vec2(i % wide, 4u * (i / wide));
}

// The block that an invocation brings: x in vec4s of a row of `tiles`, y along k; from BK on it is none.
fn my_block(index: u32) -> vec2<u32> {
    let of_a = BM / 4u * (BK / 4u);
    if (index < of_a) {
        return block(index, BM / 4u, TRANS_A == 0u);
    }
    return vec2(BM / 4u, 0u) + block(index - of_a, BN / 4u, TRANS_B == 1u);
}

// Where the block of an invocation comes from: rows of op(a) or columns of op(b), found once.
struct Origin {
    mine: vec2<u32>,
    rows: Rows,
    columns: Columns,
}

fn origin(mine: vec2<u32>, corner: vec2<u32>) -> Origin {
    var o: Origin;
    o.mine = mine;
    if (mine.x < BM / 4u) {
        o.rows = rows_at(corner.x + 4u * mine.x);
    } else {
        o.columns = columns_at(corner.y + 4u * mine.x - BM);
    }
    return o;
}

// A block's four rows of `tiles`, for the tile that starts at k0: zeros past `end`, and where there is no block.
fn fetch_vec4(source: Origin, k0: u32, end: u32) -> mat4x4<f32> {
    let k = k0 + source.mine.y;
    if (source.mine.y >= BK || k >= end) {
        return mat4x4<f32>();
    }
    if (source.mine.x < BM / 4u) {
        return transpose(load_a4(source.rows, quad_at(k)));
    }
    return load_b4(quad_at(k), source.columns);
}

fn fetch_guarded(source: Origin, k0: u32, end: u32) -> mat4x4<f32> {
    let k = k0 + source.mine.y;
    if (source.mine.y >= BK || k >= end) {
        return mat4x4<f32>();
    }
    let q = quad_at(k);
    var rows: mat4x4<f32>;
    if (source.mine.x < BM / 4u) {
        let at = source.rows;
        rows = mat4x4(load_a(at, q.p0), load_a(at, q.p1), load_a(at, q.p2), load_a(at, q.p3));
    } else {
        let at = source.columns;
        rows = mat4x4(load_b(q.p0, at), load_b(q.p1, at), load_b(q.p2, at), load_b(q.p3, at));
    }
    // What lies past K, which ends in this block.
    let last = params.k - 1u;
    let zero = vec4<f32>();
    return mat4x4(
        rows[0], select(zero, rows[1], k < last), select(zero, rows[2], k + 1u < last), select(zero, rows[3], k + 2u < last),
    );
}

// Writes a block into the tiles whose first row is given.
fn stash(rows: mat4x4<f32>, mine: vec2<u32>, first_row: u32) {
    if (mine.y >= BK) {
        return;
    }
    let at = (first_row + mine.y) * ROW + mine.x;
    tiles[at] = rows[0];
    tiles[at + ROW] = rows[1];
    tiles[at + 2u * ROW] = rows[2];
    tiles[at + 3u * ROW] = rows[3];
}

// ---- 4 rows x 4 columns an invocation ------------------------------------------------------------------------------

fn multiply_4x4(c: ptr<function, mat4x4<f32>>, local: vec2<u32>, first_row: u32) {
    for (var row = first_row; row < first_row + BK; row++) {
        *c += outer(tiles[row * ROW + local.y], tiles[row * ROW + BM / 4u + local.x]);
    }
}

@compute @workgroup_size(BN / 4, BM / 4)
fn tiled_4x4_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let depth = enter(group);
    let corner = vec2(group.y * BM, group.x * BN);
    let mine = my_block(index);
    let source = origin(mine, corner);
    var rows = fetch_vec4(source, depth.k, depth.end);
    var c = mat4x4<f32>();
    var tile = 0u;
    for (var k = depth.k; k < depth.end; k += BK) {
        stash(rows, mine, tile);
        workgroupBarrier();
        rows = fetch_vec4(source, k + BK, depth.end);
        multiply_4x4(&c, local.xy, tile);
        tile = BK - tile;
    }
    store_rows(corner.x + local.y * 4u, corner.y + local.x * 4u, c);
}

@compute @workgroup_size(BN / 4, BM / 4)
fn tiled_4x4_guarded(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let depth = enter(group);
    let corner = vec2(group.y * BM, group.x * BN);
    let mine = my_block(index);
    let source = origin(mine, corner);
    var rows = fetch_guarded(source, depth.k, depth.end);
    var c = mat4x4<f32>();
    var tile = 0u;
    for (var k = depth.k; k < depth.end; k += BK) {
        stash(rows, mine, tile);
        workgroupBarrier();
        rows = fetch_guarded(source, k + BK, depth.end);
        multiply_4x4(&c, local.xy, tile);
        tile = BK - tile;
    }
    store_rows_guarded(corner.x + local.y * 4u, corner.y + local.x * 4u, c);
}

// ---- 8 rows x 8 columns an invocation ------------------------------------------------------------------------------
// Four blocks of 4x4 half a tile apart, so that neighbours read neighbouring vec4s.

struct Eight {
    c00: mat4x4<f32>,
    c01: mat4x4<f32>,
    c10: mat4x4<f32>,
    c11: mat4x4<f32>,
}

fn multiply_8x8(c: ptr<function, Eight>, local: vec2<u32>, first_row: u32) {
    for (var row = first_row; row < first_row + BK; row++) {
        let at_a = row * ROW + local.y;
        let at_b = row * ROW + BM / 4u + local.x;
        let a0 = tiles[at_a];
        let a1 = tiles[at_a + BM / 8u];
        let b0 = tiles[at_b];
        let b1 = tiles[at_b + BN / 8u];
        (*c).c00 += outer(a0, b0);
        (*c).c01 += outer(a0, b1);
        (*c).c10 += outer(a1, b0);
        (*c).c11 += outer(a1, b1);
    }
}

@compute @workgroup_size(BN / 8, BM / 8)
fn tiled_8x8_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let depth = enter(group);
    let corner = vec2(group.y * BM, group.x * BN);
    let mine = my_block(index);
    let source = origin(mine, corner);
    var rows = fetch_vec4(source, depth.k, depth.end);
    var c = Eight();
    var tile = 0u;
    for (var k = depth.k; k < depth.end; k += BK) {
        stash(rows, mine, tile);
        workgroupBarrier();
        rows = fetch_vec4(source, k + BK, depth.end);
        multiply_8x8(&c, local.xy, tile);
        tile = BK - tile;
    }
    let m = corner.x + local.y * 4u;
    let n = corner.y + local.x * 4u;
    store_rows(m, n, c.c00);
    store_rows(m, n + BN / 2u, c.c01);
    store_rows(m + BM / 2u, n, c.c10);
    store_rows(m + BM / 2u, n + BN / 2u, c.c11);
}

@compute @workgroup_size(BN / 8, BM / 8)
fn tiled_8x8_guarded(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let depth = enter(group);
    let corner = vec2(group.y * BM, group.x * BN);
    let mine = my_block(index);
    let source = origin(mine, corner);
    var rows = fetch_guarded(source, depth.k, depth.end);
    var c = Eight();
    var tile = 0u;
    for (var k = depth.k; k < depth.end; k += BK) {
        stash(rows, mine, tile);
        workgroupBarrier();
        rows = fetch_guarded(source, k + BK, depth.end);
        multiply_8x8(&c, local.xy, tile);
        tile = BK - tile;
    }
    let m = corner.x + local.y * 4u;
    let n = corner.y + local.x * 4u;
    store_rows_guarded(m, n, c.c00);
    store_rows_guarded(m, n + BN / 2u, c.c01);
    store_rows_guarded(m + BM / 2u, n, c.c10);
    store_rows_guarded(m + BM / 2u, n + BN / 2u, c.c11);
}
