// The operands of a convolution's three passes (tile.wgsl), which are products of matrices that are never written down. Images
// are NHWC, kernels (rows, columns, channels of a group, filters); what is read beyond an image's edge is zero.
//
//   forward               y[pixel, f]  = sum over taps and channels c of x[seen pixel, c] w[tap, c, f]
//   TRANS_B = 1           dx[pixel, c] = sum over taps and filters f of dy[seeing pixel, f] w[tap, c, f]
//   TRANS_A = 1           dw[(tap, c), f] = sum over pixels of y of x[seen pixel, c] dy[pixel, f]
//
// In the first two a pixel (i, j) of those that are made reads a's pixel `from + (i, j) from_step + tap tap_step`; in the third
// that is what pixel (i, j) of dy and a tap see. With strides dx is made in several launches, each of the pixels at one place
// within the strides: SCATTERED = 1 stores them `to_step` apart. STACKED = 1: a product for each group of channels.

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
    // Rows and columns of a's images, and of what is made of them.
    rows: u32,
    columns: u32,
    made_rows: u32,
    made_columns: u32,
    from_row: i32,
    from_column: i32,
    from_step_rows: u32,
    from_step_columns: u32,
    // Columns of taps; how far apart they read.
    taps: u32,
    tap_step_rows: i32,
    tap_step_columns: i32,
    // Channels of a, and of one group.
    channels: u32,
    group: u32,
    // How far apart rows of b (columns where TRANS_B = 1) and of y lie, and taps of the kernel in b.
    b_row: u32,
    y_row: u32,
    b_tap: u32,
    // The first tap of the kernel, how far apart they lie in it by row and by column.
    kernel: u32,
    kernel_step_rows: u32,
    kernel_step_columns: u32,
    // How far apart groups lie.
    b_group: u32,
    y_group: u32,
    // Rows and columns of the image that is written, the first of them and how far they lie apart.
    to_rows: u32,
    to_columns: u32,
    to_row: u32,
    to_column: u32,
    to_step_rows: u32,
    to_step_columns: u32,
}

override SCATTERED: u32 = 0;

fn enter_stack(stack: u32) {
    a_first = stack * params.group;
    b_first = stack * params.b_group;
    y_first = stack * params.y_group;
    n_first = stack * params.y_group;
}

// The image, row and column of a pixel of those that are made.
fn made(pixel: u32) -> vec3<u32> {
    let row = pixel / params.made_columns;
    return vec3(row / params.made_rows, row % params.made_rows, pixel % params.made_columns);
}

// The one behind it, where there is one.
fn after(at: vec3<u32>, is_there: bool) -> vec3<u32> {
    if (!is_there) {
        return at;
    }
    if (at.z + 1u < params.made_columns) {
        return vec3(at.xy, at.z + 1u);
    }
    if (at.y + 1u < params.made_rows) {
        return vec3(at.x, at.y + 1u, 0u);
    }
    return vec3(at.x + 1u, 0u, 0u);
}

fn y_row(m: u32) -> u32 {
    if (SCATTERED == 1u) {
        let at = made(m);
        let row = at.x * params.to_rows + params.to_row + at.y * params.to_step_rows;
        return y_first + (row * params.to_columns + params.to_column + at.z * params.to_step_columns) * params.y_row;
    }
    return y_first + m * params.y_row;
}

// A share of where an element of a stands: its row and column, and its place in memory. What a pixel that is made gives and what
// a tap and a channel give are added. They may be less than nothing, the place modulo 2^32, as long as the sum is inside.
struct Place {
    row: i32,
    column: i32,
    at: u32,
    b: u32,
}

fn of_pixel(at: vec3<u32>) -> Place {
    let row = params.from_row + i32(at.y * params.from_step_rows);
    let column = params.from_column + i32(at.z * params.from_step_columns);
    let pixel = (at.x * params.rows + u32(row)) * params.columns + u32(column);
    return Place(row, column, pixel * params.channels, 0u);
}

// Taps come by row and column, the channels of each one after the other.
fn of_tap(i: u32) -> Place {
    let tap = i / params.group;
    let channel = i % params.group;
    let tap_row = tap / params.taps;
    let tap_column = tap % params.taps;
    let row = i32(tap_row) * params.tap_step_rows;
    let column = i32(tap_column) * params.tap_step_columns;
    let in_kernel = params.kernel + tap_row * params.kernel_step_rows + tap_column * params.kernel_step_columns;
    return Place(row, column, (u32(row) * params.columns + u32(column)) * params.channels + channel, in_kernel * params.b_tap + channel);
}

struct Rows {
    row: vec4<i32>,
    column: vec4<i32>,
    at: vec4<u32>,
}

alias Columns = vec4<u32>;

struct Quad {
    k: u32,
    p0: Place,
    p1: Place,
    p2: Place,
    p3: Place,
}

fn four(p0: Place, p1: Place, p2: Place, p3: Place) -> Rows {
    let first = vec4(a_first);
    return Rows(
        vec4(p0.row, p1.row, p2.row, p3.row),
        vec4(p0.column, p1.column, p2.column, p3.column),
        first + vec4(p0.at, p1.at, p2.at, p3.at),
    );
}

// Past the edge the last row repeats: nothing of it is stored.
fn rows_at(m: u32) -> Rows {
    let last = params.m - 1u;
    if (TRANS_A == 1u) {
        return four(of_tap(min(m, last)), of_tap(min(m + 1u, last)), of_tap(min(m + 2u, last)), of_tap(min(m + 3u, last)));
    }
    let p0 = made(min(m, last));
    let p1 = after(p0, m < last);
    let p2 = after(p1, m + 1u < last);
    let p3 = after(p2, m + 2u < last);
    return four(of_pixel(p0), of_pixel(p1), of_pixel(p2), of_pixel(p3));
}

fn columns_at(n: u32) -> Columns {
    return columns(n) * select(1u, params.b_row, TRANS_B == 1u) + b_first;
}

fn quad_at(k: u32) -> Quad {
    let last = params.k - 1u;
    var q: Quad;
    if (TRANS_A == 1u) {
        let p0 = made(min(k, last));
        let p1 = after(p0, k < last);
        let p2 = after(p1, k + 1u < last);
        let p3 = after(p2, k + 2u < last);
        q = Quad(k, of_pixel(p0), of_pixel(p1), of_pixel(p2), of_pixel(p3));
    } else {
        q = Quad(k, of_tap(min(k, last)), of_tap(min(k + 1u, last)), of_tap(min(k + 2u, last)), of_tap(min(k + 3u, last)));
    }
    if (TRANS_B == 0u) {
        q.p0.b = min(k, last) * params.b_row;
        q.p1.b = min(k + 1u, last) * params.b_row;
        q.p2.b = min(k + 2u, last) * params.b_row;
        q.p3.b = min(k + 3u, last) * params.b_row;
    }
    return q;
}

fn is_inside(row: i32, column: i32) -> bool {
    return u32(row) < params.rows && u32(column) < params.columns;
}

fn a4_at(row: i32, column: i32, at: u32) -> vec4<f32> {
    let inside = is_inside(row, column);
    return select(vec4<f32>(), a4[select(0u, at / 4u, inside)], inside);
}

// One tap's four channels as four pixels along K see them: zeros past K.
fn a4_seen(rows: Rows, place: Place, is_there: bool) -> vec4<f32> {
    return select(vec4<f32>(), a4_at(rows.row.x + place.row, rows.column.x + place.column, rows.at.x + place.at), is_there);
}

fn load_a4(rows: Rows, q: Quad) -> mat4x4<f32> {
    if (TRANS_A == 1u) {
        return transpose(mat4x4(
            a4_seen(rows, q.p0, q.k < params.k), a4_seen(rows, q.p1, q.k + 1u < params.k),
            a4_seen(rows, q.p2, q.k + 2u < params.k), a4_seen(rows, q.p3, q.k + 3u < params.k),
        ));
    }
    let row = rows.row + q.p0.row;
    let column = rows.column + q.p0.column;
    let at = rows.at + q.p0.at;
    return mat4x4(
        a4_at(row.x, column.x, at.x), a4_at(row.y, column.y, at.y),
        a4_at(row.z, column.z, at.z), a4_at(row.w, column.w, at.w),
    );
}

fn load_b4(q: Quad, columns: Columns) -> mat4x4<f32> {
    if (TRANS_B == 1u) {
        let at = (columns + q.p0.b) / 4u;
        return transpose(mat4x4(b4[at.x], b4[at.y], b4[at.z], b4[at.w]));
    }
    let at = columns.x;
    let zero = vec4<f32>();
    return mat4x4(
        select(zero, b4[(at + q.p0.b) / 4u], q.k < params.k), select(zero, b4[(at + q.p1.b) / 4u], q.k + 1u < params.k),
        select(zero, b4[(at + q.p2.b) / 4u], q.k + 2u < params.k), select(zero, b4[(at + q.p3.b) / 4u], q.k + 3u < params.k),
    );
}

fn a_at(row: i32, column: i32, at: u32) -> f32 {
    let inside = is_inside(row, column);
    return select(0.0, a[select(0u, at, inside)], inside);
}

fn load_a(rows: Rows, place: Place) -> vec4<f32> {
    let row = rows.row + place.row;
    let column = rows.column + place.column;
    let at = rows.at + place.at;
    return vec4(
        a_at(row.x, column.x, at.x), a_at(row.y, column.y, at.y), a_at(row.z, column.z, at.z), a_at(row.w, column.w, at.w),
    );
}

fn load_b(place: Place, columns: Columns) -> vec4<f32> {
    let at = columns + place.b;
    return vec4(b[at.x], b[at.y], b[at.z], b[at.w]);
}
