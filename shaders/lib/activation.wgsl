// Activations, and their gradients written from the output y (so that x need not be kept).
//
//   kind  name      y = f(x)                          dy/dx from y
//   0     none      x                                 1
//   1     relu      max(x, 0)                         y > 0 ? 1 : 0
//   2     sigmoid   1 / (1 + exp(-x))                 y (1 - y)
//   3     tanh      (1 - exp(-2x)) / (1 + exp(-2x))   1 - y^2 = (1 - y) (1 + y), exact as y nears 1
//   4     leaky     x >= 0 ? x : p x                  y < 0 ? p : 1;  p > 0
//   5     relu6     min(max(x, 0), 6)                 0 < y < 6 ? 1 : 0
//   6     elu       x >= 0 ? x : p (exp(x) - 1)       y < 0 ? p + y : 1;  p > 0
//   7     selu      s (x >= 0 ? x : a (exp(x) - 1))   y < 0 ? s a + y : s;  s = 1.0507, a = 1.6733
//   8     exp       exp(x)                            y
//   9     hard      min(max(x + 3, 0), 6) / 6         0 < y < 1 ? 1 / 6 : 0
//
// All of them take four values at a time, as the product's epilogue has them; one value is a vec4's x.
//
// `kind` comes from an override constant at every call, so the switch is gone once the pipeline is compiled. p is another.

override ACTIVATION_PARAMETER: f32 = 0.0;

// relu(x) = max(x, 0). A comparison, not max(): max may return either operand of a NaN pair; this one keeps a NaN
// where the device keeps NaNs at all, so that a diverged run shows in the loss.
fn relu(x: vec4<f32>) -> vec4<f32> {
    return select(x, vec4(0.0), x < vec4(0.0));
}

// sigmoid(x) = 1 / (1 + exp(-x)), by e = exp(-|x|) <= 1: no overflow, no inf / inf, full relative accuracy in both tails.
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(x));
    return select(vec4(1.0), e, x < vec4(0.0)) / (1.0 + e);
}

// tanh(x). Devices may compute it as sinh / cosh or by exp(2x): clamped, because those overflow past |x| = 44, while
// tanh is 1 to the last bit from |x| = 9.02 on; by a comparison as in relu, so that a NaN stays one. Near zero the quotient
// of exponentials cancels: the odd Taylor polynomial takes over (its next term is under 1e-8 relative at |x| = 0.25).
fn tanh_stable(x: vec4<f32>) -> vec4<f32> {
    let e = exp(-2.0 * select(abs(x), vec4(10.0), abs(x) > vec4(10.0)));
    let far = sign(x) * (1.0 - e) / (1.0 + e);
    let s = x * x;
    let near = x + x * s * (-0.33333334 + s * (0.13333334 + s * (-0.053968254 + s * 0.021869488)));
    return select(far, near, s < vec4(0.0625));
}

const SELU_SCALE: f32 = 1.050701;
// Of the scale and alpha = 1.6732632.
const SELU_LEAST: f32 = 1.7580993;

// exp(x) - 1 for x < 0, where the difference of the two would cancel: 2t / (1 - t) with t = tanh(x / 2).
fn exp_minus_one(x: vec4<f32>) -> vec4<f32> {
    let t = tanh_stable(0.5 * min(x, vec4(0.0)));
    return 2.0 * t / (1.0 - t);
}

// min(max(x, 0), most), by comparisons as in relu.
fn within(x: vec4<f32>, most: f32) -> vec4<f32> {
    return select(relu(x), vec4(most), x > vec4(most));
}

fn inside(y: vec4<f32>, most: f32) -> vec4<f32> {
    return select(vec4(0.0), vec4(1.0), (y > vec4(0.0)) & (y < vec4(most)));
}

fn activate(kind: u32, x: vec4<f32>) -> vec4<f32> {
    switch kind {
        case 1u: { return relu(x); }
        case 2u: { return sigmoid(x); }
        case 3u: { return tanh_stable(x); }
        case 4u: { return select(x, ACTIVATION_PARAMETER * x, x < vec4(0.0)); }
        case 5u: { return within(x, 6.0); }
        case 6u: { return select(x, ACTIVATION_PARAMETER * exp_minus_one(x), x < vec4(0.0)); }
        case 7u: { return select(SELU_SCALE * x, SELU_LEAST * exp_minus_one(x), x < vec4(0.0)); }
        case 8u: { return exp(x); }
        case 9u: { return within(x + 3.0, 6.0) / 6.0; }
        default: { return x; }
    }
}

fn activate_grad(kind: u32, y: vec4<f32>) -> vec4<f32> {
    switch kind {
        case 1u: { return select(vec4(0.0), vec4(1.0), y > vec4(0.0)); }
        case 2u: { return y * (1.0 - y); }
        case 3u: { return (1.0 - y) * (1.0 + y); }
        case 4u: { return select(vec4(1.0), vec4(ACTIVATION_PARAMETER), y < vec4(0.0)); }
        case 5u: { return inside(y, 6.0); }
        case 6u: { return select(vec4(1.0), ACTIVATION_PARAMETER + y, y < vec4(0.0)); }
        case 7u: { return select(vec4(SELU_SCALE), SELU_LEAST + y, y < vec4(0.0)); }
        case 8u: { return y; }
        case 9u: { return inside(y, 1.0) / 6.0; }
        default: { return vec4(1.0); }
    }
}
