// y[window] = the largest x[pixel] of the pixels under it, and dx: lib/max_pool.wgsl, a channel at a time.

alias Number = f32;
alias Pixels = u32;
alias Truths = bool;

fn slope_of(h: Number) -> Number {
    return activate_grad(ACTIVATION_GRAD, vec4(h)).x;
}
