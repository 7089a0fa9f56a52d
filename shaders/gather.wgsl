// y[i, j] = scale * data[order[clock.rows + i], j] for i < batch, j < width; NaN where that is none of the data's rows, and
// the largest number where the column is of u32.
// Entry `one` makes the batch of one column of the data set, `two` that of two. KIND_0 and KIND_1 are the columns' types:
// 0 u8, four to a word and rows padded to whole words, 1 u32, which is not scaled, 2 f32.
// One invocation makes what one word of data holds; a row has `words` of them, and the first column's come first.
// Entries `one_vec4` and `two_vec4` are for a first column of bytes whose rows fill their words: four elements are one store.

struct Params {
    batch: u32,
    // Of the data, and of the order.
    rows: u32,
    entries: u32,
    // NaN
    missing: f32,
    width_0: u32,
    words_0: u32,
    scale_0: f32,
    width_1: u32,
    words_1: u32,
    scale_1: f32,
}

override KIND_0: u32 = 0;
override KIND_1: u32 = 0;

@group(0) @binding(0) var<storage, read> data_0: array<u32>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
// step, rows, total, seed
@group(0) @binding(2) var<storage, read> clock: vec4<u32>;
@group(0) @binding(3) var<storage, read_write> y_0: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;
@group(0) @binding(5) var<storage, read> data_1: array<u32>;
@group(0) @binding(6) var<storage, read_write> y_1: array<u32>;

@group(0) @binding(3) var<storage, read_write> y_0_vec4: array<vec4<f32>>;

// Where what is no row lies, and what stands for it where the column is of u32.
const MISSING: u32 = 0xffffffffu;

// Where word i of the batch lies in the data.
fn source(i: u32, words: u32) -> u32 {
    let place = clock.y + i / words;
    let row = order[min(place, params.entries - 1u)];
    return select(MISSING, row * words + i % words, place < params.entries && row < params.rows);
}

// The first element that word i makes, and how many it makes.
fn elements(kind: u32, i: u32, width: u32, words: u32) -> vec2<u32> {
    let column = 4u * (i % words);
    return select(vec2(i, 1u), vec2((i / words) * width + column, min(4u, width - column)), kind == 0u);
}

// The bits of element k of a word.
fn element(kind: u32, word: u32, k: u32, scale: f32) -> u32 {
    switch kind {
        case 0u: {
            return bitcast<u32>(f32((word >> (8u * k)) & 0xffu) * scale);
        }
        case 1u: {
            return word;
        }
        default: {
            return bitcast<u32>(bitcast<f32>(word) * scale);
        }
    }
}

// The bits of what is no row.
fn missing(kind: u32) -> u32 {
    return select(bitcast<u32>(params.missing), MISSING, kind == 1u);
}

fn column_0(i: u32) {
    let at = source(i, params.words_0);
    let word = data_0[min(at, arrayLength(&data_0) - 1u)];
    let made = elements(KIND_0, i, params.width_0, params.words_0);
    for (var k = 0u; k < made.y; k++) {
        y_0[made.x + k] = select(element(KIND_0, word, k, params.scale_0), missing(KIND_0), at == MISSING);
    }
}

fn column_0_vec4(i: u32) {
    let at = source(i, params.words_0);
    let word = data_0[min(at, arrayLength(&data_0) - 1u)];
    let pixels = vec4<f32>((vec4(word) >> vec4(0u, 8u, 16u, 24u)) & vec4(0xffu)) * params.scale_0;
    y_0_vec4[i] = select(pixels, vec4(params.missing), at == MISSING);
}

fn column_1(i: u32) {
    let at = source(i, params.words_1);
    let word = data_1[min(at, arrayLength(&data_1) - 1u)];
    let made = elements(KIND_1, i, params.width_1, params.words_1);
    for (var k = 0u; k < made.y; k++) {
        y_1[made.x + k] = select(element(KIND_1, word, k, params.scale_1), missing(KIND_1), at == MISSING);
    }
}

@compute @workgroup_size(WIDTH)
fn one(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.batch * params.words_0 {
        column_0(i);
    }
}

@compute @workgroup_size(WIDTH)
fn two(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    let first = params.batch * params.words_0;
    if i < first {
        column_0(i);
    } else if i < first + params.batch * params.words_1 {
        column_1(i - first);
    }
}

@compute @workgroup_size(WIDTH)
fn one_vec4(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.batch * params.words_0 {
        column_0_vec4(i);
    }
}

@compute @workgroup_size(WIDTH)
fn two_vec4(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    let first = params.batch * params.words_0;
    if i < first {
        column_0_vec4(i);
    } else if i < first + params.batch * params.words_1 {
        column_1(i - first);
    }
}
