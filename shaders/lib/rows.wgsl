// What softmax and its logarithm read and write: y of x, and dx of y and dy, row by row.

struct Params {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@group(0) @binding(0) var<storage, read> gradient_y: array<f32>;
@group(0) @binding(1) var<storage, read> gradient_dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient_dx: array<f32>;
@group(0) @binding(3) var<uniform> gradient_params: Params;
