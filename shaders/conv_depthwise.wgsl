// A convolution of each channel by itself (lib/convolution.wgsl): each column of y is a sum over taps of one column of a, or of
// as many as the channel has filters.
//
//   forward               y[pixel, f]  = sum over taps of x[seen pixel, f / multiplier] w[tap, f]
//   TRANS_B = 1           dx[pixel, c] = sum over taps and filters f of c of dy[seeing pixel, f] w[tap, f]
//   TRANS_A = 1           dw[tap, f]   = sum over pixels of y of x[seen pixel, f / multiplier] dy[pixel, f]
//
// Here `n` counts the columns of all groups, `group` and `y_group` those of one that are read and written. An invocation makes four
// columns of one or four pixels, or of three taps of a part of the pixels (SPLIT = 1, `span` of them), which another launch adds up.
// Entries `vec4`: one filter a channel, and columns a multiple of four.

// What an invocation makes: rows from m on, columns from n on, of a part.
struct Own {
    m: u32,
    n: u32,
    part: u32,
}

fn own(i: u32, rows: u32) -> Own {
    let quads = (params.n + 3u) / 4u;
    let blocks = (params.m + rows - 1u) / rows;
    return Own(rows * (i / quads % blocks), 4u * (i % quads), i / quads / blocks);
}

fn depth_of(o: Own) -> Depth {
    return enter(vec3(0u, 0u, o.part));
}

// A place along K: a tap of the kernel by row and column, and one of the filters that a channel has.
struct Step {
    row: u32,
    column: u32,
    f: u32,
}

fn step_at(k: u32) -> Step {
    let tap = k / params.group;
    return Step(tap / params.taps, tap % params.taps, k % params.group);
}

fn step_after(s: Step) -> Step {
    if (s.f + 1u < params.group) {
        return Step(s.row, s.column, s.f + 1u);
    }
    if (s.column + 1u < params.taps) {
        return Step(s.row, s.column + 1u, 0u);
    }
    return Step(s.row + 1u, 0u, 0u);
}

fn of_step(s: Step) -> Place {
    let row = i32(s.row) * params.tap_step_rows;
    let column = i32(s.column) * params.tap_step_columns;
    let in_kernel = params.kernel + s.row * params.kernel_step_rows + s.column * params.kernel_step_columns;
    let at = (u32(row) * params.columns + u32(column)) * params.channels + s.f;
    return Place(row, column, at, in_kernel * params.b_tap + s.f);
}

@compute @workgroup_size(WIDTH)
fn pixels_vec4(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let o = own(grid_index(id, workgroups), 4u);
    let depth = depth_of(o);
    let rows = rows_at(o.m);
    var c = mat4x4<f32>();
    var s = step_at(depth.k);
    for (var k = depth.k; k < depth.end; k++) {
        let p = of_step(s);
        let w = b4[(p.b + o.n) / 4u];
        let row = rows.row + p.row;
        let column = rows.column + p.column;
        let at = rows.at + p.at + o.n;
        c += mat4x4(
            w * a4_at(row.x, column.x, at.x), w * a4_at(row.y, column.y, at.y),
            w * a4_at(row.z, column.z, at.z), w * a4_at(row.w, column.w, at.w),
        );
        s = step_after(s);
    }
    if (o.part == 0u) {
        store_rows(o.m, o.n, c);
    }
}

@compute @workgroup_size(WIDTH)
fn pixel_vec4(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let o = own(grid_index(id, workgroups), 1u);
    let depth = depth_of(o);
    let pixel = of_pixel(made(o.m));
    var c = vec4<f32>();
    var s = step_at(depth.k);
    for (var k = depth.k; k < depth.end; k++) {
        let p = of_step(s);
        c += b4[(p.b + o.n) / 4u] * a4_at(pixel.row + p.row, pixel.column + p.column, pixel.at + p.at + o.n);
        s = step_after(s);
    }
    if (o.part == 0u) {
        store4(o.m, o.n, c, extras4(o.n));
    }
}

// The columns of a that four columns of y are made of, the first of each.
fn read_by(n: u32) -> vec4<u32> {
    return columns(n) / params.y_group * params.group;
}

fn weights(p: Place, n: u32) -> vec4<f32> {
    let at = columns(n) * params.group + p.b;
    return vec4(b[at.x], b[at.y], b[at.z], b[at.w]);
}

fn a_of(row: i32, column: i32, columns: vec4<u32>) -> vec4<f32> {
    let inside = is_inside(row, column);
    let at = select(vec4<u32>(), columns, inside);
    return select(vec4<f32>(), vec4(a[at.x], a[at.y], a[at.z], a[at.w]), inside);
}

@compute @workgroup_size(WIDTH)
fn pixels_guarded(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let o = own(grid_index(id, workgroups), 4u);
    let depth = depth_of(o);
    let rows = rows_at(o.m);
    let read = read_by(o.n);
    var c = mat4x4<f32>();
    var s = step_at(depth.k);
    for (var k = depth.k; k < depth.end; k++) {
        let p = of_step(s);
        let w = weights(p, o.n);
        let row = rows.row + p.row;
        let column = rows.column + p.column;
        let at = rows.at + p.at;
        c += mat4x4(
            w * a_of(row.x, column.x, read + at.x), w * a_of(row.y, column.y, read + at.y),
            w * a_of(row.z, column.z, read + at.z), w * a_of(row.w, column.w, read + at.w),
        );
        s = step_after(s);
    }
    if (o.part == 0u) {
        store_rows_guarded(o.m, o.n, c);
    }
}

@compute @workgroup_size(WIDTH)
fn pixel_guarded(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let o = own(grid_index(id, workgroups), 1u);
    let depth = depth_of(o);
    let pixel = of_pixel(made(o.m));
    let read = read_by(o.n) + pixel.at;
    var c = vec4<f32>();
    var s = step_at(depth.k);
    for (var k = depth.k; k < depth.end; k++) {
        let p = of_step(s);
        c += weights(p, o.n) * a_of(pixel.row + p.row, pixel.column + p.column, read + p.at);
        s = step_after(s);
    }
    if (o.part == 0u) {
        store_row_guarded(o.m, o.n, c, extras_guarded(o.n));
    }
}

@compute @workgroup_size(WIDTH)
fn taps_vec4(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let o = own(grid_index(id, workgroups), 3u);
    let depth = depth_of(o);
    let taps = rows_at(o.m);
    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var pixel = made(depth.k);
    for (var k = depth.k; k < depth.end; k++) {
        let p = of_pixel(pixel);
        let dy = b4[(k * params.b_row + o.n) / 4u];
        let row = taps.row + p.row;
        let column = taps.column + p.column;
        let at = taps.at + p.at + o.n;
        c0 += dy * a4_at(row.x, column.x, at.x);
        c1 += dy * a4_at(row.y, column.y, at.y);
        c2 += dy * a4_at(row.z, column.z, at.z);
        pixel = after(pixel, true);
    }
    if (o.part < params.stacks) {
        let extras = extras4(o.n);
        store4(o.m, o.n, c0, extras);
        store4(o.m + 1u, o.n, c1, extras);
        store4(o.m + 2u, o.n, c2, extras);
    }
}

@compute @workgroup_size(WIDTH)
fn taps_guarded(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let o = own(grid_index(id, workgroups), 3u);
    let depth = depth_of(o);
    let taps = rows_at(o.m);
    let read = read_by(o.n);
    var c0 = vec4<f32>();
    var c1 = vec4<f32>();
    var c2 = vec4<f32>();
    var pixel = made(depth.k);
    for (var k = depth.k; k < depth.end; k++) {
        let p = of_pixel(pixel);
        let dy = load_b(Place(0, 0, 0u, k * params.b_row), columns(o.n));
        let row = taps.row + p.row;
        let column = taps.column + p.column;
        let at = taps.at + p.at;
        c0 += dy * a_of(row.x, column.x, read + at.x);
        c1 += dy * a_of(row.y, column.y, read + at.y);
        c2 += dy * a_of(row.z, column.z, read + at.z);
        pixel = after(pixel, true);
    }
    if (o.part < params.stacks) {
        let extras = extras_guarded(o.n);
        store_row_guarded(o.m, o.n, c0, extras);
        store_row_guarded(o.m + 1u, o.n, c1, extras);
        store_row_guarded(o.m + 2u, o.n, c2, extras);
    }
}
