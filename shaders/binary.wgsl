// y[i] = a[j] OP b[k]; y: n elements; j and k: where lib/broadcast.wgsl finds the operands of element i.
// One invocation makes one element.

// 0 add, 1 sub, 2 mul, 3 div, 4 pow, 5 max, 6 min, 7 ==, 8 !=, 9 <, 10 <=, 11 >, 12 >=
override OPERATION: u32 = 0u;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const SMALLEST: f32 = 1.17549435e-38;
const LARGEST: f32 = 3.4028234e38;

// C's pow, which is NumPy's. WGSL's own knows no base below zero and leaves zeros, infinities and NaN open. Subnormals
// count as 0; a negative base to a power that is not whole has no value, and is left to WGSL's.
fn power(base: f32, exponent: f32) -> f32 {
    let endless = abs(exponent) > LARGEST;
    if abs(exponent) < SMALLEST || base == 1.0 || (base == -1.0 && endless) {
        return 1.0;
    }
    if is_nan(base) || is_nan(exponent) {
        return base + exponent;
    }
    let size = select(abs(base), 0.0, abs(base) < SMALLEST);
    let whole = exponent == trunc(exponent);
    var y = pow(select(base, size, whole), exponent);
    if size == 0.0 || size > LARGEST || endless {
        // Zero, or the one of these three that is infinite.
        y = select(0.0, max(max(size, 1.0 / size), abs(exponent)), (size > 1.0) == (exponent > 0.0));
    }
    let half = 0.5 * exponent;
    let negative = (bitcast<u32>(base) >> 31u) == 1u;
    return select(y, -y, negative && whole && half != trunc(half));
}

fn holds(condition: bool) -> f32 {
    return select(0.0, 1.0, condition);
}

@compute @workgroup_size(WIDTH)
fn binary(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    let at = places(i);
    let left = a[at.x];
    let right = b[at.y];
    switch OPERATION {
        case 0u: { y[i] = left + right; }
        case 1u: { y[i] = left - right; }
        case 2u: { y[i] = left * right; }
        case 3u: { y[i] = left / right; }
        case 4u: { y[i] = power(left, right); }
        // Comparisons, not max() and min(), which may drop a NaN.
        case 5u: { y[i] = select(right, left, left >= right || is_nan(left)); }
        case 6u: { y[i] = select(right, left, left <= right || is_nan(left)); }
        case 7u: { y[i] = holds(left == right); }
        // Not left != right, which a NaN need not fulfil.
        case 8u: { y[i] = holds(!(left == right)); }
        case 9u: { y[i] = holds(left < right); }
        case 10u: { y[i] = holds(left <= right); }
        case 11u: { y[i] = holds(left > right); }
        default: { y[i] = holds(left >= right); }
    }
}
