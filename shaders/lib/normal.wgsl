// The normal distribution: its density phi, and Phi, the integral of it up to x. WGSL has no erf.
//
// Phi(-a) = exp(-a^2 / 2) Q(a) for a >= 0 keeps its digits however small it is, and Phi(a) is 1 less that. Q is smooth
// and falls from 1/2 like 1 / a: a polynomial in t = 1 / (1 + 0.3 a) times t, fitted for this file to the least largest
// relative error over 0..20 (6e-9; 2.9 ulps evaluated in f32).

// exp(-a^2 / 2). The square is taken of the upper half of a's digits, which is exact, and of the rest: rounded, it would
// lose as many ulps as it is large.
fn bell(x: f32) -> f32 {
    let a = min(abs(x), 20.0);
    let upper = bitcast<f32>(bitcast<u32>(a) & 0xfffff000u);
    return exp(-0.5 * upper * upper) * exp(-0.5 * (a - upper) * (a + upper));
}

fn normal_density(x: f32) -> f32 {
    return 0.3989423 * bell(x);
}

fn normal(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.3 * min(abs(x), 20.0));
    var q = 0.10917813 + t * -0.019982312;
    q = 0.18302384 + t * (-0.22109374 + t * q);
    q = 0.09291422 + t * (-0.07275699 + t * q);
    q = 0.11004478 + t * (0.07939443 + t * q);
    q = 0.1196858 + t * (0.11959185 + t * q);
    let tail = bell(x) * t * q;
    return select(1.0 - tail, tail, x < 0.0);
}
