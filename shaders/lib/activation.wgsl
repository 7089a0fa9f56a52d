// Activations, and their gradients written from the output y (so that x need not be kept).
//
//   kind  name      y = f(x)                          dy/dx from y
//   0     none      x                                 1
//   1     relu      max(x, 0)                         y > 0 ? 1 : 0
//   2     sigmoid   1 / (1 + exp(-x))                 y (1 - y)
//   3     tanh      (1 - exp(-2x)) / (1 + exp(-2x))   1 - y^2 = (1 - y) (1 + y), exact as y nears 1
//
// `kind` comes from an override constant at every call, so the switch is gone once the pipeline is compiled.

// relu(x) = max(x, 0). A comparison, not max(): max may return either operand of a NaN pair; this one keeps a NaN
// where the device keeps NaNs at all, so that a diverged run shows in the loss.
fn relu(x: f32) -> f32 {
    return select(x, 0.0, x < 0.0);
}

// sigmoid(x) = 1 / (1 + exp(-x)), by e = exp(-|x|) <= 1: no overflow, no inf / inf, full relative accuracy in both tails.
fn sigmoid(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(1.0, e, x < 0.0) / (1.0 + e);
}

// tanh(x). Devices may compute it as sinh / cosh or by exp(2x): clamped, because those overflow past |x| = 44, while
// tanh is 1 to the last bit from |x| = 9.02 on. Near zero the quotient of exponentials cancels: the odd Taylor
// polynomial takes over (its next term is under 1e-8 relative at |x| = 0.25).
fn tanh_stable(x: f32) -> f32 {
    let e = exp(-2.0 * min(abs(x), 10.0));
    let far = sign(x) * (1.0 - e) / (1.0 + e);
    let s = x * x;
    let near = x + x * s * (-0.33333334 + s * (0.13333334 + s * (-0.053968254 + s * 0.021869488)));
    return select(far, near, s < 0.0625);
}

fn activate(kind: u32, x: f32) -> f32 {
    switch kind {
        case 1u: { return relu(x); }
        case 2u: { return sigmoid(x); }
        case 3u: { return tanh_stable(x); }
        default: { return x; }
    }
}

fn activate_grad(kind: u32, y: f32) -> f32 {
    switch kind {
        case 1u: { return select(0.0, 1.0, y > 0.0); }
        case 2u: { return y * (1.0 - y); }
        case 3u: { return (1.0 - y) * (1.0 + y); }
        default: { return 1.0; }
    }
}
