// log[clock.step, column + c] = sum over i < n of x_c[i] for each of `columns` columns; log: rows of `width` columns.
// Where `stride` is not 0 the columns are those of one matrix: sum over i < n of x_0[i, c], x_0: (n, stride).
// Then the step ends: clock = (step + steps, rows + batch, total + steps, seed), where steps is 1, or 0 where more columns
// follow in another dispatch.
// One workgroup: 64 invocations a column each sum every 64th element, the first of them adds the 64 sums, by eights. Of a
// matrix each sums every 256th column, by blocks of rows. What is longer comes as the sums of its parts (sum.wgsl).

struct Params {
    n: u32,
    stride: u32,
    width: u32,
    column: u32,
    columns: u32,
    steps: u32,
    batch: u32,
}

@group(0) @binding(0) var<storage, read> x_0: array<f32>;
@group(0) @binding(1) var<storage, read> x_1: array<f32>;
@group(0) @binding(2) var<storage, read> x_2: array<f32>;
@group(0) @binding(3) var<storage, read> x_3: array<f32>;
@group(0) @binding(4) var<storage, read_write> log_rows: array<f32>;
// step, rows, total, seed
@group(0) @binding(5) var<storage, read_write> clock: array<u32, 4>;
@group(0) @binding(6) var<uniform> params: Params;

var<workgroup> sums: array<f32, 256>;

fn element(column: u32, i: u32) -> f32 {
    switch column {
        case 0u: {
            return x_0[i];
        }
        case 1u: {
            return x_1[i];
        }
        case 2u: {
            return x_2[i];
        }
        default: {
            return x_3[i];
        }
    }
}

@compute @workgroup_size(256)
fn record(@builtin(local_invocation_index) index: u32) {
    let first = clock[0] * params.width + params.column;
    if params.stride > 0u {
        for (var c = index; c < params.columns; c += 256u) {
            var total = 0.0;
            // Rows are counted from c on: lavapipe compiles a loop anew at each dispatch that ends by uniforms alone.
            for (var head = c; head < c + params.n; head += 32u) {
                var block = 0.0;
                let end = min(c + params.n, head + 32u);
                for (var row = head; row < end; row++) {
                    block += x_0[(row - c) * params.stride + c];
                }
                total += block;
            }
            log_rows[first + c] = total;
        }
    } else {
        let column = index / 64u;
        var total = 0.0;
        for (var i = index % 64u; i < params.n; i += 64u) {
            total += element(column, i);
        }
        sums[index] = total;
        workgroupBarrier();
        if index % 64u == 0u && column < params.columns {
            total = 0.0;
            for (var head = index; head < index + 64u; head += 8u) {
                var block = 0.0;
                for (var i = head; i < head + 8u; i++) {
                    block += sums[i];
                }
                total += block;
            }
            log_rows[first + column] = total;
        }
    }
    // Every invocation has read the step by then.
    storageBarrier();
    if index == 0u {
        clock[0] += params.steps;
        clock[1] += params.batch;
        clock[2] += params.steps;
    }
}
