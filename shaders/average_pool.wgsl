// y[window] = sum of x[pixel] / count[window], and dx: lib/average_pool.wgsl, a channel at a time.

alias Number = f32;

fn slope_of(h: Number) -> Number {
    return activate_grad(ACTIVATION_GRAD, vec4(h)).x;
}
