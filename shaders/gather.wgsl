// y[i, j] = scale * data[order[clock.rows + i], j] for i < batch, j < width.
// Entries by the data's type: `bytes` (u8, four to a word, rows padded to whole words), `floats`, and `integers`
// (u32, not scaled). One invocation makes what one word of data holds; a row has `words` of them.

struct Params {
    batch: u32,
    width: u32,
    words: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(0) var<storage, read> data_f32: array<f32>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
// step, rows, total, seed
@group(0) @binding(2) var<storage, read> clock: vec4<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> y_u32: array<u32>;
@group(0) @binding(4) var<uniform> params: Params;

// Where invocation i reads: the word's index in the data.
fn source(i: u32) -> u32 {
    return order[clock.y + i / params.words] * params.words + i % params.words;
}

@compute @workgroup_size(WIDTH)
fn bytes(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.batch * params.words {
        return;
    }
    let word = data[source(i)];
    let column = 4u * (i % params.words);
    let first = (i / params.words) * params.width + column;
    for (var k = 0u; k < min(4u, params.width - column); k++) {
        y[first + k] = f32((word >> (8u * k)) & 0xffu) * params.scale;
    }
}

@compute @workgroup_size(WIDTH)
fn floats(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.batch * params.words {
        y[i] = data_f32[source(i)] * params.scale;
    }
}

@compute @workgroup_size(WIDTH)
fn integers(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i < params.batch * params.words {
        y_u32[i] = data[source(i)];
    }
}
