// y[window] = sum of x[pixel] / count[window], and dx: lib/average_pool.wgsl, a channel at a time.

alias Number = f32;
