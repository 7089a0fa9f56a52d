// y[window] = sum of x[pixel] / count[window], and dx: lib/average_pool.wgsl, four channels at a time.

alias Number = vec4<f32>;

fn slope_of(h: Number) -> Number {
    return activate_grad(ACTIVATION_GRAD, h);
}
