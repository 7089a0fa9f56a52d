// y[i] = f(x[i]), where f is CURVE                        entry `forward`
// dx[i] = dy[i] * f'(x[i])                                entry `gradient`
// One invocation makes one element of n.
//
//   CURVE  name        f(x)                                    f'(x)
//   0      gelu        x Phi(x)                                Phi(x) + x phi(x)
//   1      gelu_tanh   x s(u), u = 2 sqrt(2/pi) (x + c x^3)    s(u) (1 + x u' s(-u))
//   2      silu        x s(x)                                  s(x) (1 + x s(-x))
//   3      mish        x t(x), t = tanh(log(1 + exp(x)))       t(x) + x t'(x)
//   4      softplus    log(1 + exp(x))                         s(x)
//   5      softsign    x / (1 + |x|)                           1 / (1 + |x|)^2
//   6      hard_silu   x min(max(x + 3, 0), 6) / 6             (2x + 3) / 6 from -3 to 3; 0 below, 1 above
//
// s is the sigmoid; s(-x) is 1 - s(x) with all its digits.

override CURVE: u32 = 0u;

struct Params {
    n: u32,
}

const GELU_SLOPE: f32 = 1.5957692;
const GELU_CUBE: f32 = 0.044715;

fn s(x: f32) -> f32 {
    return sigmoid(vec4(x)).x;
}

// Past 20 the sigmoid of u is 0 or 1, and the cube may overflow.
fn gelu_argument(x: f32) -> f32 {
    return GELU_SLOPE * (x + GELU_CUBE * x * x * x);
}

fn gelu_tanh_slope(x: f32) -> f32 {
    let near = clamp(x, -20.0, 20.0);
    let u = gelu_argument(near);
    let du = GELU_SLOPE * (1.0 + 3.0 * GELU_CUBE * near * near);
    return s(u) * (1.0 + near * du * s(-u));
}

// t and t'. With e = exp(-|x|) both are quotients of sums of positive terms: tanh(log(1 + z)) = z (z + 2) / (z (z + 2) + 2).
fn mish_factors(x: f32) -> vec2<f32> {
    let e = exp(-abs(x));
    if x < 0.0 {
        let below = 2.0 + e * (2.0 + e);
        return vec2(e * (2.0 + e) / below, 4.0 * e * (1.0 + e) / (below * below));
    }
    let below = 1.0 + 2.0 * e * (1.0 + e);
    return vec2((1.0 + 2.0 * e) / below, 4.0 * e * e * (1.0 + e) / (below * below));
}

fn curve(x: f32) -> f32 {
    switch CURVE {
        case 0u: { return x * normal(x); }
        case 1u: { return x * s(gelu_argument(clamp(x, -20.0, 20.0))); }
        case 2u: { return x * s(x); }
        case 3u: { return x * mish_factors(x).x; }
        case 4u: { return relu(vec4(x)).x + log_one_plus(exp(-abs(x))); }
        case 5u: { return x / (1.0 + abs(x)); }
        default: { return x * activate(9u, vec4(x)).x; }
    }
}

fn curve_slope(x: f32) -> f32 {
    switch CURVE {
        case 0u: { return normal(x) + x * normal_density(x); }
        case 1u: { return gelu_tanh_slope(x); }
        case 2u: { return s(x) * (1.0 + x * s(-x)); }
        case 3u: {
            let t = mish_factors(x);
            return t.x + x * t.y;
        }
        case 4u: { return s(x); }
        case 5u: {
            let size = 1.0 / (1.0 + abs(x));
            return size * size;
        }
        default: { return select(select((2.0 * x + 3.0) / 6.0, 1.0, x > 3.0), 0.0, x < -3.0); }
    }
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WIDTH)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= params.n {
        return;
    }
    y[i] = curve(x[i]);
}

@group(0) @binding(0) var<storage, read> gradient_x: array<f32>;
@group(0) @binding(1) var<storage, read> gradient_dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient_dx: array<f32>;
@group(0) @binding(3) var<uniform> gradient_params: Params;

@compute @workgroup_size(WIDTH)
fn gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = grid_index(id, workgroups);
    if i >= gradient_params.n {
        return;
    }
    gradient_dx[i] = gradient_dy[i] * curve_slope(gradient_x[i]);
}
