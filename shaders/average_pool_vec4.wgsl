// y[window] = sum of x[pixel] / count[window], and dx: lib/average_pool.wgsl, four channels at a time.

alias Number = vec4<f32>;
