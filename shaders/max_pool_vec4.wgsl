// y[window] = the largest x[pixel] of the pixels under it, and dx: lib/max_pool.wgsl, four channels at a time.

alias Number = vec4<f32>;
alias Pixels = vec4<u32>;
alias Truths = vec4<bool>;

fn slope_of(h: Number) -> Number {
    return activate_grad(ACTIVATION_GRAD, h);
}
