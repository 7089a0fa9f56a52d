// clock = (step + 1, rows + batch, total + 1, seed): one invocation ends a step.

struct Params {
    batch: u32,
}

@group(0) @binding(0) var<storage, read_write> clock: array<u32>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(1)
fn advance() {
    clock[0] += 1u;
    clock[1] += params.batch;
    clock[2] += 1u;
}
