//! What a cell makes of a row of numbers at a step, and its gradient, on the CPU: for [`vectorised!`](super::super::cpu::vectorised).

use super::super::activation::Function;
use super::super::cpu::Real;
use super::{Cell, Recurrence};

/// The number of part `i` of a list of equal parts.
pub(super) fn part<T>(all: &[T], i: usize, units: usize) -> &[T] {
    &all[i * units..][..units]
}

pub(super) fn part_mut<T>(all: &mut [T], i: usize, units: usize) -> &mut [T] {
    &mut all[i * units..][..units]
}

/// Slices of these lengths, one behind the other.
pub(super) fn cut<T, const N: usize>(mut all: &mut [T], lens: [usize; N]) -> [&mut [T]; N] {
    lens.map(|len| {
        let (one, rest) = std::mem::take(&mut all).split_at_mut(len);
        all = rest;
        one
    })
}

/// y = f(a + b)
#[inline(always)]
pub(super) fn activate<T: Real>(f: Option<Function>, a: &[T], b: &[T], y: &mut [T]) {
    y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (&a, &b))| *y = a + b);
    apply(f, y);
}

/// y = f(y), as far as there is an f.
#[inline(always)]
fn apply<T: Real>(f: Option<Function>, y: &mut [T]) {
    if let Some(f) = f {
        f.apply(y);
    }
}

/// f(x), as far as there is an f.
#[inline(always)]
fn of<T: Real>(f: Option<Function>, x: T) -> T {
    f.map_or(x, |f| f.of(x))
}

/// f'(x) from y = f(x).
#[inline(always)]
pub(super) fn slope<T: Real>(f: Option<Function>, y: T) -> T {
    f.map_or(T::one(), |f| f.gradient(y))
}

/// y = a * b
#[inline(always)]
pub(super) fn multiply<T: Real>(a: &[T], b: &[T], y: &mut [T]) {
    y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = a * b);
}

#[inline(always)]
pub(super) fn simple<T: Real>(op: &Recurrence, x: &[T], sums: &[T], saved: &mut [T]) {
    activate(op.activation, x, sums, saved);
}

#[inline(always)]
pub(super) fn lstm<T: Real>(op: &Recurrence, x: &[T], sums: &[T], saved: &mut [T], c: &[T]) {
    let units = c.len();
    activate(op.recurrent_activation, x, sums, &mut saved[..2 * units]);
    activate(op.activation, &x[2 * units..], &sums[2 * units..], &mut saved[2 * units..3 * units]);
    activate(op.recurrent_activation, &x[3 * units..], &sums[3 * units..], &mut saved[3 * units..4 * units]);
    saved[4 * units..].copy_from_slice(c);
}

#[inline(always)]
pub(super) fn gru<T: Real>(op: &Recurrence, x: &[T], sums: &[T], bias: &[T], saved: &mut [T]) {
    let units = bias.len();
    activate(op.recurrent_activation, x, sums, &mut saved[..2 * units]);
    let (gates, candidate) = saved.split_at_mut(2 * units);
    let (g, inner) = candidate.split_at_mut(units);
    inner.iter_mut().zip(&sums[2 * units..]).zip(bias).for_each(|((inner, &sum), &bias)| *inner = sum + bias);
    multiply(&gates[units..], inner, g);
    g.iter_mut().zip(&x[2 * units..]).for_each(|(g, &x)| *g += x);
    apply(op.activation, g);
}

/// The next state, of what the step kept.
#[inline(always)]
pub(super) fn advance<T: Real>(op: &Recurrence, saved: &[T], h: &mut [T], c: &mut [T]) {
    let n = h.len();
    let [a, b] = [0, 1].map(|i| &saved[(i * n).min(saved.len() - n)..][..n]);
    match op.cell {
        Cell::Simple => h.copy_from_slice(saved),
        Cell::Lstm => {
            let (g, o, c) = (part(saved, 2, n), part(saved, 3, n), &mut c[..n]);
            (0..n).for_each(|i| c[i] = b[i] * c[i] + a[i] * g[i]);
            h.copy_from_slice(c);
            apply(op.activation, h);
            h.iter_mut().zip(o).for_each(|(h, &o)| *h *= o);
        }
        Cell::Gru | Cell::GruResetAfter => {
            let g = part(saved, 2, n);
            (0..n).for_each(|i| h[i] = a[i] * h[i] + (T::one() - a[i]) * g[i]);
        }
    }
}

#[inline(always)]
pub(super) fn simple_grad<T: Real>(f: Option<Function>, saved: &[T], dh: &mut [T], dx: &mut [T]) {
    for ((dx, dh), &y) in dx.iter_mut().zip(&mut *dh).zip(saved) {
        *dx = *dh * slope(f, y);
        *dh = T::zero();
    }
}

#[inline(always)]
pub(super) fn lstm_grad<T: Real>(
    f: Option<Function>,
    s: Option<Function>,
    saved: &[T],
    [dh, dc]: [&mut [T]; 2],
    dx: &mut [T],
) {
    let n = dh.len();
    let dc = &mut dc[..n];
    let (input, forget, g, o, c) =
        (part(saved, 0, n), part(saved, 1, n), part(saved, 2, n), part(saved, 3, n), part(saved, 4, n));
    let [di, df, dg, d_o] = cut(dx, [n; 4]);
    for i in 0..n {
        let h = of(f, forget[i] * c[i] + input[i] * g[i]);
        let through = dc[i] + dh[i] * o[i] * slope(f, h);
        d_o[i] = dh[i] * h * slope(s, o[i]);
        di[i] = through * g[i] * slope(s, input[i]);
        df[i] = through * c[i] * slope(s, forget[i]);
        dg[i] = through * input[i] * slope(f, g[i]);
        dc[i] = through * forget[i];
        dh[i] = T::zero();
    }
}

/// Of a GRU that resets before the product, dr follows from that product's gradient: it is 0 here.
#[inline(always)]
pub(super) fn gru_grad<T: Real>([f, s]: [Option<Function>; 2], saved: &[T], prev: &[T], dh: &mut [T], dx: &mut [T]) {
    let n = dh.len();
    let [dz, dr, dg] = cut(dx, [n; 3]);
    let [z, r, g] = [0, 1, 2].map(|i| part(saved, i, n));
    in_blocks([z, g, prev], [dh, dz, dg], |[z, g, prev], [dh, ..]| {
        [dh * z, dh * (prev - g) * slope(s, z), dh * (T::one() - z) * slope(f, g)]
    });
    match saved.get(3 * n..4 * n) {
        Some(inner) => in_blocks([dg, inner, r], [dr], |[dg, inner, r], _| [dg * inner * slope(s, r)]),
        None => dr.fill(T::zero()),
    }
}

/// Numbers of a block.
const BLOCK: usize = 32;

/// y = f(x, y) for each place of rows of one length, by blocks that are copied: a compiler makes no vectors of a loop over so many places
/// in memory, any of which may be another.
#[inline(always)]
fn in_blocks<T: Real, const X: usize, const Y: usize>(
    x: [&[T]; X],
    mut y: [&mut [T]; Y],
    f: impl Fn([T; X], [T; Y]) -> [T; Y],
) {
    let (mut of_x, mut of_y) = ([[T::zero(); BLOCK]; X], [[T::zero(); BLOCK]; Y]);
    for start in (0..y[0].len()).step_by(BLOCK) {
        let len = BLOCK.min(y[0].len() - start);
        for (block, x) in of_x.iter_mut().zip(&x) {
            block[..len].copy_from_slice(&x[start..][..len]);
        }
        for (block, y) in of_y.iter_mut().zip(&y) {
            block[..len].copy_from_slice(&y[start..][..len]);
        }
        for i in 0..BLOCK {
            let (mut x, mut y) = ([T::zero(); X], [T::zero(); Y]);
            (0..X).for_each(|j| x[j] = of_x[j][i]);
            (0..Y).for_each(|j| y[j] = of_y[j][i]);
            let made = f(x, y);
            (0..Y).for_each(|j| of_y[j][i] = made[j]);
        }
        for (y, block) in y.iter_mut().zip(&of_y) {
            y[start..][..len].copy_from_slice(&block[..len]);
        }
    }
}
