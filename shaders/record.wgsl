// log[clock.step, column] = sum over i < n of x[i]; log: rows of `width` columns.
// One workgroup: each invocation sums every 64th element, the first adds the 64 sums in order.

struct Params {
    n: u32,
    width: u32,
    column: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
// step, rows, total, seed
@group(0) @binding(1) var<storage, read> clock: vec4<u32>;
@group(0) @binding(2) var<storage, read_write> log_rows: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn record(@builtin(local_invocation_index) lane: u32) {
    var total = 0.0;
    for (var i = lane; i < params.n; i += 64u) {
        total += x[i];
    }
    sums[lane] = total;
    workgroupBarrier();
    if lane == 0u {
        for (var i = 1u; i < 64u; i++) {
            total += sums[i];
        }
        log_rows[clock.x * params.width + params.column] = total;
    }
}
