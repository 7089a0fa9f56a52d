// The operands of a product of matrices (tile.wgsl): a is MxK, or stored KxM where TRANS_A = 1; b is KxN, or NxK where TRANS_B = 1; y
// is MxN. Stacked, each is as many of them one after the other.

struct Params {
    m: u32,
    n: u32,
    k: u32,
    first: u32,
    stacks: u32,
    span: u32,
    start: u32,
    depth: u32,
    // Of direct kernels: see matmul.wgsl.
    across: u32,
}

fn enter_stack(stack: u32) {
    a_first = stack * params.m * params.k;
    b_first = stack * params.k * params.n;
    y_first = stack * params.m * params.n;
}

fn y_row(m: u32) -> u32 {
    return y_first + m * params.n;
}

// Where four rows of op(a) start, or four columns of op(b); past the edge the last one repeats: nothing of it is stored.
alias Rows = vec4<u32>;
alias Columns = vec4<u32>;

// k .. k+3, of which those past the edge are the last one, and k as it is.
struct Quad {
    k: u32,
    p0: u32,
    p1: u32,
    p2: u32,
    p3: u32,
}

fn rows_at(m: u32) -> Rows {
    return min(vec4(m, m + 1u, m + 2u, m + 3u), vec4(params.m - 1u)) * select(params.k, 1u, TRANS_A == 1u) + a_first;
}

fn columns_at(n: u32) -> Columns {
    return columns(n) * select(1u, params.k, TRANS_B == 1u) + b_first;
}

fn quad_at(k: u32) -> Quad {
    let last = params.k - 1u;
    return Quad(k, min(k, last), min(k + 1u, last), min(k + 2u, last), min(k + 3u, last));
}

// Row k of operands stored with K as their rows: zero past K, which only they can have ragged (no multiple of 4).
fn a4_row(k: u32, place: u32, at: u32) -> vec4<f32> {
    return select(vec4<f32>(), a4[place * (params.m / 4u) + at], k < params.k);
}

fn b4_row(k: u32, place: u32, at: u32) -> vec4<f32> {
    return select(vec4<f32>(), b4[place * (params.n / 4u) + at], k < params.k);
}

// Four rows of op(a) at k .. k+3; column i holds row i.
fn load_a4(rows: Rows, q: Quad) -> mat4x4<f32> {
    if (TRANS_A == 1u) {
        let at = rows.x / 4u;
        return transpose(mat4x4(
            a4_row(q.k, q.p0, at), a4_row(q.k + 1u, q.p1, at), a4_row(q.k + 2u, q.p2, at), a4_row(q.k + 3u, q.p3, at),
        ));
    }
    let at = (rows + q.k) / 4u;
    return mat4x4(a4[at.x], a4[at.y], a4[at.z], a4[at.w]);
}

// Rows k .. k+3 of op(b) at four columns; column i holds row k+i.
fn load_b4(q: Quad, columns: Columns) -> mat4x4<f32> {
    if (TRANS_B == 1u) {
        let at = (columns + q.k) / 4u;
        return transpose(mat4x4(b4[at.x], b4[at.y], b4[at.z], b4[at.w]));
    }
    let at = columns.x / 4u;
    return mat4x4(
        b4_row(q.k, q.p0, at), b4_row(q.k + 1u, q.p1, at), b4_row(q.k + 2u, q.p2, at), b4_row(q.k + 3u, q.p3, at),
    );
}

fn load_a(rows: Rows, place: u32) -> vec4<f32> {
    let at = rows + place * select(1u, params.m, TRANS_A == 1u);
    return vec4(a[at.x], a[at.y], a[at.z], a[at.w]);
}

fn load_b(place: u32, columns: Columns) -> vec4<f32> {
    let at = columns + place * select(params.n, 1u, TRANS_B == 1u);
    return vec4(b[at.x], b[at.y], b[at.z], b[at.w]);
}
