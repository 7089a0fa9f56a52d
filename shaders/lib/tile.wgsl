// What the kernels of matrix products share, whatever their operands are: bindings, epilogue and stores. The kernels are in
// matmul.wgsl, matmul_subgroup.wgsl and matmul_tiled.wgsl. Where elements of the operands and of y lie, another file of this folder
// says: product.wgsl of matrices, convolution.wgsl of images. Each has
//
//   Params          m, n, k, first, stacks, span, start, depth, across, and what else it needs
//   enter_stack     goes to one of several products
//   y_row(m)        where row m of y starts
//   Rows, Columns   four rows of op(a) from m on, four columns of op(b) from n on: rows_at(m), columns_at(n)
//   Quad            places k .. k+3 along K: quad_at(k), its places p0 .. p3
//   load_a4, load_b4, load_a, load_b
//                   blocks of 4x4, by vec4s, and four elements that share a k

override TRANS_A: u32 = 0;
override TRANS_B: u32 = 0;
override STACKED: u32 = 0;
override SPLIT: u32 = 0;
override ADD: u32 = 0;
override BIAS: u32 = 0;
override SCALE_SHIFT: u32 = 0;
override ACTIVATION: u32 = 0;
override ACTIVATION_GRAD: u32 = 0;

// b comes last: the second pass of a product in parts (matmul_split.wgsl) has none.
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> extra: array<f32>;
@group(0) @binding(4) var<storage, read> scale: array<f32>;
@group(0) @binding(5) var<storage, read> shift: array<f32>;
@group(0) @binding(6) var<storage, read> b: array<f32>;

// The same buffers as vec4s: an entry point uses one set or the other, never both.
@group(0) @binding(0) var<storage, read> a4: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y4: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> extra4: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> scale4: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> shift4: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> b4: array<vec4<f32>>;

// Where this workgroup's product starts. Known to be 0 when a kernel for one product is compiled.
var<private> a_first: u32 = 0u;
var<private> b_first: u32 = 0u;
var<private> y_first: u32 = 0u;
// The same in rows of y: which column is its first.
var<private> n_first: u32 = 0u;

// Where K starts and ends for this workgroup.
struct Depth {
    k: u32,
    end: u32,
}

// Goes to this workgroup's product, or with SPLIT = 1 to its part of K, which is `span` deep and has an M x N of y to itself.
// Of that K the launch takes `depth` from `start` on: where that is not the first, ADD = 1, and y holds what those before came to.
//
// The end is a number that the driver cannot trace back to uniforms alone: lavapipe (Mesa 22.3) specialises a shader to the
// uniforms that bound its small loops, and compiles it anew for each submission.
fn enter(group: vec3<u32>) -> Depth {
    let stack = params.first + group.z;
    if (STACKED == 1u) {
        enter_stack(stack);
    }
    var part = Depth(0u, params.k);
    if (SPLIT == 1u) {
        y_first = stack * params.m * params.n;
        part = Depth(stack * params.span, min(params.k, (stack + 1u) * params.span));
    }
    if (ADD == 1u) {
        part.k += params.start;
    }
    return Depth(part.k, select(0u, min(part.end, part.k + params.depth), stack < params.stacks));
}

// What the epilogue knows of four columns; zeros where it is not used.
struct Extras {
    bias: vec4<f32>,
    scale: vec4<f32>,
    shift: vec4<f32>,
}

// Four columns of y from four sums v; h is zeros where it is not used. Drivers put a function into every place that calls it
// before they know what ACTIVATION is: one call an element, not four, took lavapipe six times as long.
fn epilogue(v: vec4<f32>, extras: Extras, h: vec4<f32>) -> vec4<f32> {
    var r = v;
    if (BIAS == 1u) {
        r += extras.bias;
    }
    if (SCALE_SHIFT == 1u) {
        r = r * extras.scale + extras.shift;
    }
    r = activate(ACTIVATION, r);
    if (ACTIVATION_GRAD != 0u) {
        r *= activate_grad(ACTIVATION_GRAD, h);
    }
    return r;
}

fn store4(m: u32, n: u32, v: vec4<f32>, extras: Extras) {
    if (m >= params.m || n >= params.n) {
        return;
    }
    let at = (y_row(m) + n) / 4u;
    var sum = v;
    if (ADD == 1u) {
        sum += y4[at];
    }
    var h = vec4<f32>();
    if (ACTIVATION_GRAD != 0u) {
        h = extra4[at];
    }
    y4[at] = epilogue(sum, extras, h);
}

// Of columns n .. n+3.
fn extras4(n: u32) -> Extras {
    let at = (n_first + min(n, params.n - 1u)) / 4u;
    var extras = Extras();
    if (BIAS == 1u) {
        extras.bias = extra4[at];
    }
    if (SCALE_SHIFT == 1u) {
        extras.scale = scale4[at];
        extras.shift = shift4[at];
    }
    return extras;
}

// Four rows that lie so many apart.
fn store_rows_apart(m: u32, apart: u32, n: u32, c: mat4x4<f32>) {
    let extras = extras4(n);
    store4(m, n, c[0], extras);
    store4(m + apart, n, c[1], extras);
    store4(m + 2u * apart, n, c[2], extras);
    store4(m + 3u * apart, n, c[3], extras);
}

fn store_rows(m: u32, n: u32, c: mat4x4<f32>) {
    store_rows_apart(m, 1u, n, c);
}

// Columns n .. n+3; past the edge the last one repeats.
fn columns(n: u32) -> vec4<u32> {
    return min(vec4(n, n + 1u, n + 2u, n + 3u), vec4(params.n - 1u));
}

fn load_extra(at: vec4<u32>) -> vec4<f32> {
    return vec4(extra[at.x], extra[at.y], extra[at.z], extra[at.w]);
}

// Element by element, in straight lines: indexing c[i][j] in loops would send the matrix through memory.
fn store_row_guarded(m: u32, n: u32, v: vec4<f32>, extras: Extras) {
    if (m >= params.m) {
        return;
    }
    let row = y_row(m);
    var h = vec4<f32>();
    if (ACTIVATION_GRAD != 0u) {
        h = load_extra(row + columns(n));
    }
    var sum = v;
    if (ADD == 1u) {
        let others = row + columns(n);
        sum += vec4(y[others.x], y[others.y], y[others.z], y[others.w]);
    }
    let r = epilogue(sum, extras, h);
    let at = row + n;
    if (n < params.n) {
        y[at] = r.x;
    }
    if (n + 1u < params.n) {
        y[at + 1u] = r.y;
    }
    if (n + 2u < params.n) {
        y[at + 2u] = r.z;
    }
    if (n + 3u < params.n) {
        y[at + 3u] = r.w;
    }
}

fn extras_guarded(n: u32) -> Extras {
    let at = n_first + columns(n);
    var extras = Extras();
    if (BIAS == 1u) {
        extras.bias = load_extra(at);
    }
    if (SCALE_SHIFT == 1u) {
        extras.scale = vec4(scale[at.x], scale[at.y], scale[at.z], scale[at.w]);
        extras.shift = vec4(shift[at.x], shift[at.y], shift[at.z], shift[at.w]);
    }
    return extras;
}

fn store_rows_guarded(m: u32, n: u32, c: mat4x4<f32>) {
    let extras = extras_guarded(n);
    store_row_guarded(m, n, c[0], extras);
    store_row_guarded(m + 1u, n, c[1], extras);
    store_row_guarded(m + 2u, n, c[2], extras);
    store_row_guarded(m + 3u, n, c[3], extras);
}

// A block of 4x4 is a mat4x4 whose column i is row i of the block (WGSL's matrices are stored by column), so a
// product of blocks y = a b reads `b * a`.
fn outer(l: vec4<f32>, r: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(r * l.x, r * l.y, r * l.z, r * l.w);
}
