//! The recurrence on the CPU: a thread walks all steps with rows of its own, a product of their states with u each.

use super::super::activation::Function;
use super::super::cpu::{CpuArgs, Real, for_each_part, vectorised};
use super::super::product::Product;
use super::{Cell, Recurrence, RecurrenceGrad, Sizes};
use crate::kernel::room::with_room;
use crate::threads;

/// What a walk reads, of all rows.
struct Given<'a, T> {
    op: &'a Recurrence,
    sizes: Sizes,
    mask: Option<&'a [T]>,
    dropped: Option<&'a [T]>,
}

/// The number of part `i` of a list of equal parts.
fn part<T>(all: &[T], i: usize, units: usize) -> &[T] {
    &all[i * units..][..units]
}

fn part_mut<T>(all: &mut [T], i: usize, units: usize) -> &mut [T] {
    &mut all[i * units..][..units]
}

/// Slices of these lengths, one behind the other.
fn cut<T, const N: usize>(mut all: &mut [T], lens: [usize; N]) -> [&mut [T]; N] {
    lens.map(|len| {
        let (one, rest) = std::mem::take(&mut all).split_at_mut(len);
        all = rest;
        one
    })
}

/// y = f(a + b)
#[inline(always)]
fn activate<T: Real>(f: Option<Function>, a: &[T], b: &[T], y: &mut [T]) {
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
fn slope<T: Real>(f: Option<Function>, y: T) -> T {
    f.map_or(T::one(), |f| f.gradient(y))
}

/// y = a * b
#[inline(always)]
fn multiply<T: Real>(a: &[T], b: &[T], y: &mut [T]) {
    y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = a * b);
}

/// y (rows, n) = a (rows, k) b (k, n), by this thread.
fn product<T: Real>(a: &[T], b: &[T], y: &mut [T], [k, n]: [usize; 2]) {
    let extents = [a.len() / k, n, k];
    T::multiply_alone(&Product { a, b, extents, trans_a: false, trans_b: false }, y);
}

impl<T: Real> Given<'_, T> {
    /// The step that comes at a place in the order of the walk.
    fn step(&self, place: usize) -> usize {
        if self.op.backwards { self.sizes.steps - 1 - place } else { place }
    }

    fn is_masked(&self, row: usize, step: usize) -> bool {
        self.mask.is_some_and(|mask| mask[row * self.sizes.steps + step] == T::zero())
    }

    /// As many rows for a thread that all have some. A product's kernel may depend on how many rows it has where the sums are the
    /// library's: there it is a number of its own, so that the number of threads changes no bit.
    fn rows_at_once(&self) -> usize {
        let Sizes { rows, units, .. } = self.sizes;
        let width = self.op.cell.gates() * units;
        if T::is_by_rows([units, width]) && T::is_by_rows([width, units]) && self.op.cell != Cell::Gru {
            rows.div_ceil(threads::count()).max(1)
        } else {
            32
        }
    }
}

/// Calls a walk for parts of the rows of the outputs.
pub(super) fn forward<T: Real>(op: &Recurrence, mut args: CpuArgs<'_, T>) {
    let [rows, steps, units] = args.io.outputs[0].shape[..] else { unreachable!("the shape rule has made it") };
    let [mask, dropped] = op.optional().map(|i| i.map(|i| args.real(i)));
    let given = Given { op, sizes: Sizes { rows, steps, units }, mask, dropped };
    let (x, first) = (args.real(0), args.real(2));
    let bias = if op.has_bias() { args.real(3) } else { &[] };
    let walk = Forward { given: &given, x, u: args.real(1), first, bias };
    let outputs: [&mut [T]; 4] = args.out();
    let widths = [steps, op.cell.states(), steps, steps * op.cell.kept()].map(|parts| parts * units);
    for_each_part(outputs, widths, rows, given.rows_at_once(), &|first, outputs| walk.rows(first, outputs));
}

struct Forward<'a, T> {
    given: &'a Given<'a, T>,
    x: &'a [T],
    u: &'a [T],
    first: &'a [T],
    bias: &'a [T],
}

/// What a thread keeps of its rows from step to step.
struct Rows<'a, T> {
    h: &'a mut [T],
    c: &'a mut [T],
    /// h as the product reads it.
    read: &'a mut [T],
    /// h u
    sums: &'a mut [T],
}

impl<T: Real> Forward<'_, T> {
    fn rows(&self, first: usize, [y, last, prev, saved]: [&mut [T]; 4]) {
        let Given { op, sizes: Sizes { steps, units, .. }, .. } = *self.given;
        let (gates, states) = (op.cell.gates(), op.cell.states());
        let rows = last.len() / (states * units);
        let of_u = if op.cell == Cell::Gru { 3 * units * units } else { 0 };
        let lens = [rows * units, rows * units, rows * units, rows * gates * units, of_u];
        with_room(lens.iter().sum(), |scratch: &mut [T]| {
            let [h, c, read, sums, turned] = cut(scratch, lens);
            let of_first = self.first[first * states * units..].chunks(states * units);
            for (row, state) in of_first.take(rows).enumerate() {
                part_mut(h, row, units).copy_from_slice(&state[..units]);
                part_mut(c, row, units).copy_from_slice(&state[(states - 1) * units..]);
            }
            // Of a GRU the two parts of u are multiplied by two states.
            let u = self.parts_of_u(turned);
            let mut walk = Rows { h, c, read, sums };
            for step in (0..steps).map(|place| self.given.step(place)) {
                self.step(first, step, &mut walk, u, [&mut *y, &mut *prev, &mut *saved]);
            }
            for (row, state) in last.chunks_mut(states * units).enumerate() {
                state[(states - 1) * units..].copy_from_slice(part(walk.c, row, units));
                state[..units].copy_from_slice(part(walk.h, row, units));
            }
        });
    }

    /// u, of a GRU its first two thirds and its last.
    fn parts_of_u<'u>(&'u self, turned: &'u mut [T]) -> [&'u [T]; 2] {
        let units = self.given.sizes.units;
        if turned.is_empty() {
            return [self.u, &[]];
        }
        let (gates, candidate) = turned.split_at_mut(2 * units * units);
        for (row, u) in self.u.chunks(3 * units).enumerate() {
            part_mut(gates, row, 2 * units).copy_from_slice(&u[..2 * units]);
            part_mut(candidate, row, units).copy_from_slice(&u[2 * units..]);
        }
        [gates, candidate]
    }

    fn step(
        &self,
        first: usize,
        step: usize,
        Rows { h, c, read, sums }: &mut Rows<'_, T>,
        u: [&[T]; 2],
        [y, prev, saved]: [&mut [T]; 3],
    ) {
        let Given { op, sizes: Sizes { steps, units, .. }, dropped, .. } = *self.given;
        let (rows, width) = (h.len() / units, op.cell.gates() * units);
        let kept = op.cell.kept() * units;
        let dropped = dropped.map(|dropped| &dropped[first * units..]);
        match dropped {
            Some(dropped) => multiply(h, dropped, read),
            None => read.copy_from_slice(h),
        }
        let of_gates = if op.cell == Cell::Gru { 2 * units } else { width };
        product(read, u[0], &mut sums[..rows * of_gates], [units, of_gates]);
        if op.cell == Cell::Gru {
            for row in 0..rows {
                let at = row * steps + step;
                let (x, saved) = (part(self.x, first * steps + at, width), part_mut(saved, at, kept));
                let sums = part(sums, row, 2 * units);
                vectorised!(activate(op.recurrent_activation, x, sums, &mut saved[..2 * units]));
                let read = part_mut(read, row, units);
                read.iter_mut().zip(&saved[units..]).for_each(|(h, &r)| *h *= r);
            }
            product(read, u[1], &mut sums[..rows * units], [units, units]);
        }
        vectorised!({
            for row in 0..rows {
                let at = row * steps + step;
                let (x, saved) = (part(self.x, first * steps + at, width), part_mut(saved, at, kept));
                let (h, c) = (part_mut(h, row, units), part_mut(c, row, units));
                part_mut(prev, at, units).copy_from_slice(h);
                let keeps = self.given.is_masked(first + row, step);
                match op.cell {
                    Cell::Simple => simple(op, x, part(sums, row, units), saved),
                    Cell::Lstm => lstm(op, x, part(sums, row, width), saved, c),
                    Cell::Gru => {
                        activate(op.activation, &x[2 * units..], part(sums, row, units), &mut saved[2 * units..])
                    }
                    Cell::GruResetAfter => gru(op, x, part(sums, row, width), self.bias, saved),
                }
                if !keeps {
                    advance(op, saved, h, c);
                }
                part_mut(y, at, units).copy_from_slice(h);
            }
        });
    }
}

#[inline(always)]
fn simple<T: Real>(op: &Recurrence, x: &[T], sums: &[T], saved: &mut [T]) {
    activate(op.activation, x, sums, saved);
}

#[inline(always)]
fn lstm<T: Real>(op: &Recurrence, x: &[T], sums: &[T], saved: &mut [T], c: &[T]) {
    let units = c.len();
    activate(op.recurrent_activation, x, sums, &mut saved[..2 * units]);
    activate(op.activation, &x[2 * units..], &sums[2 * units..], &mut saved[2 * units..3 * units]);
    activate(op.recurrent_activation, &x[3 * units..], &sums[3 * units..], &mut saved[3 * units..4 * units]);
    saved[4 * units..].copy_from_slice(c);
}

#[inline(always)]
fn gru<T: Real>(op: &Recurrence, x: &[T], sums: &[T], bias: &[T], saved: &mut [T]) {
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
fn advance<T: Real>(op: &Recurrence, saved: &[T], h: &mut [T], c: &mut [T]) {
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

/// Calls the walk back for parts of the rows of the outputs.
pub(super) fn backward<T: Real>(op: &RecurrenceGrad, mut args: CpuArgs<'_, T>) {
    let [rows, steps, units] = args.io.inputs[2].shape[..] else { unreachable!("the shape rule has seen it") };
    let [dy, dlast, mask, dropped] = op.places().map(|i| i.map(|i| args.real(i)));
    let cell = op.forward.cell;
    let given = Given { op: &op.forward, sizes: Sizes { rows, steps, units }, mask, dropped };
    let (saved, u, prev) = (args.real(0), args.real(1), args.real(2));
    let walk = Backward { given: &given, saved, u, prev, dy, dlast };
    let outputs: [&mut [T]; 2] = args.out();
    let widths = [steps * cell.gates(), cell.states()].map(|parts| parts * units);
    for_each_part(outputs, widths, rows, given.rows_at_once(), &|first, outputs| walk.rows(first, outputs));
}

struct Backward<'a, T> {
    given: &'a Given<'a, T>,
    saved: &'a [T],
    /// u transposed.
    u: &'a [T],
    prev: &'a [T],
    dy: Option<&'a [T]>,
    dlast: Option<&'a [T]>,
}

/// The gradients that a thread brings from a step to the one before.
struct Gradients<'a, T> {
    dh: &'a mut [T],
    dc: &'a mut [T],
    /// With respect to h u; of a GRU to that of its gates.
    da: &'a mut [T],
    /// Of a GRU with respect to (r h) u.
    dg: &'a mut [T],
    /// da times u transposed.
    sums: &'a mut [T],
}

impl<T: Real> Backward<'_, T> {
    fn rows(&self, first: usize, [dx, ds]: [&mut [T]; 2]) {
        let Given { op, sizes: Sizes { steps, units, .. }, .. } = *self.given;
        let states = op.cell.states();
        let rows = ds.len() / (states * units);
        let of_da = if op.cell == Cell::Gru { 2 } else { op.cell.gates() };
        let lens = [1, 1, of_da, 1, 1].map(|parts| parts * rows * units);
        with_room(lens.iter().sum(), |scratch: &mut [T]| {
            let [dh, dc, da, dg, sums] = cut(scratch, lens);
            match self.dlast {
                Some(dlast) => ds.copy_from_slice(&dlast[first * states * units..][..ds.len()]),
                None => ds.fill(T::zero()),
            }
            for (row, state) in ds.chunks(states * units).enumerate() {
                part_mut(dh, row, units).copy_from_slice(&state[..units]);
                part_mut(dc, row, units).copy_from_slice(&state[(states - 1) * units..]);
            }
            let mut walk = Gradients { dh, dc, da, dg, sums };
            for step in (0..steps).rev().map(|place| self.given.step(place)) {
                self.step(first, step, &mut walk, dx);
            }
            for (row, state) in ds.chunks_mut(states * units).enumerate() {
                state[(states - 1) * units..].copy_from_slice(part(walk.dc, row, units));
                state[..units].copy_from_slice(part(walk.dh, row, units));
            }
        });
    }

    fn step(&self, first: usize, step: usize, walk: &mut Gradients<'_, T>, dx: &mut [T]) {
        let Given { op, sizes: Sizes { steps, units, .. }, .. } = *self.given;
        let rows = walk.dh.len() / units;
        vectorised!({
            for row in 0..rows {
                self.row(first, row, step, walk, dx);
            }
        });
        let width = op.cell.gates() * units;
        if op.cell != Cell::Gru {
            product(walk.da, self.u, walk.sums, [width, units]);
            return self.add_sums(first, walk);
        }
        let (of_gates, of_candidate) = self.u.split_at(2 * units * units);
        product(walk.dg, of_candidate, walk.sums, [units, units]);
        for row in 0..rows {
            // A step that is masked has its gradients, zeros, by now.
            if self.given.is_masked(first + row, step) {
                continue;
            }
            let at = row * steps + step;
            let (r, h) =
                (part(self.saved, 3 * (first * steps + at) + 1, units), part(self.prev, first * steps + at, units));
            let da = &mut walk.da[(2 * row + 1) * units..][..units];
            let sums = part(walk.sums, row, units);
            for i in 0..units {
                let dropped = self.given.dropped.map_or(T::one(), |d| d[(first + row) * units + i]);
                let drh = sums[i] * dropped;
                da[i] = drh * h[i] * slope(op.recurrent_activation, r[i]);
                walk.dh[row * units + i] += drh * r[i];
            }
            dx[at * width + units..][..units].copy_from_slice(da);
        }
        product(walk.da, of_gates, walk.sums, [2 * units, units]);
        self.add_sums(first, walk);
    }

    /// What the product gives of the gradient with respect to h.
    fn add_sums(&self, first: usize, Gradients { dh, sums, .. }: &mut Gradients<'_, T>) {
        match self.given.dropped {
            None => dh.iter_mut().zip(&**sums).for_each(|(dh, &sum)| *dh += sum),
            Some(dropped) => {
                let dropped = &dropped[first * self.given.sizes.units..];
                dh.iter_mut().zip(&**sums).zip(dropped).for_each(|((dh, &sum), &dropped)| *dh += sum * dropped);
            }
        }
    }

    /// What a step gives of one row: dx, the gradient of the product, and what goes on without one.
    #[inline(always)]
    fn row(&self, first: usize, row: usize, step: usize, walk: &mut Gradients<'_, T>, dx: &mut [T]) {
        let Given { op, sizes: Sizes { steps, units, .. }, .. } = *self.given;
        let (at, width, kept) = (row * steps + step, op.cell.gates() * units, op.cell.kept() * units);
        let place = first * steps + at;
        let (dh, dc) = (part_mut(walk.dh, row, units), part_mut(walk.dc, row, units));
        if let Some(dy) = self.dy {
            dh.iter_mut().zip(part(dy, place, units)).for_each(|(dh, &dy)| *dh += dy);
        }
        let (dx, saved) = (part_mut(dx, at, width), part(self.saved, place, kept));
        let of_da = if op.cell == Cell::Gru { 2 * units } else { width };
        let (da, dg) = (part_mut(walk.da, row, of_da), part_mut(walk.dg, row, units));
        if self.given.is_masked(first + row, step) {
            [dx, da, dg].into_iter().for_each(|all| all.fill(T::zero()));
            return;
        }
        match op.cell {
            Cell::Simple => {
                (0..units).for_each(|i| dx[i] = dh[i] * slope(op.activation, saved[i]));
                dh.fill(T::zero());
            }
            Cell::Lstm => match (op.activation, op.recurrent_activation) {
                // Known to the compiler, so that the loop is of vectors.
                (Some(Function::Tanh), Some(Function::Sigmoid)) => {
                    lstm_grad(Some(Function::Tanh), Some(Function::Sigmoid), saved, [dh, dc], dx);
                }
                (f, s) => lstm_grad(f, s, saved, [dh, dc], dx),
            },
            Cell::Gru | Cell::GruResetAfter => match (op.activation, op.recurrent_activation) {
                (Some(Function::Tanh), Some(Function::Sigmoid)) => {
                    let functions = [Some(Function::Tanh), Some(Function::Sigmoid)];
                    gru_grad(functions, saved, part(self.prev, place, units), dh, dx);
                }
                (f, s) => gru_grad([f, s], saved, part(self.prev, place, units), dh, dx),
            },
        }
        da.copy_from_slice(&dx[..of_da]);
        match op.cell {
            Cell::Gru => dg.copy_from_slice(&dx[2 * units..]),
            Cell::GruResetAfter => multiply(&dx[2 * units..], part(saved, 1, units), &mut da[2 * units..]),
            _ => {}
        }
    }
}

#[inline(always)]
fn lstm_grad<T: Real>(f: Option<Function>, s: Option<Function>, saved: &[T], [dh, dc]: [&mut [T]; 2], dx: &mut [T]) {
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
fn gru_grad<T: Real>([f, s]: [Option<Function>; 2], saved: &[T], prev: &[T], dh: &mut [T], dx: &mut [T]) {
    let n = dh.len();
    let (z, r, g, prev) = (part(saved, 0, n), part(saved, 1, n), part(saved, 2, n), &prev[..n]);
    let [dz, dr, dg] = cut(dx, [n; 3]);
    for i in 0..n {
        dz[i] = dh[i] * (prev[i] - g[i]) * slope(s, z[i]);
        dg[i] = dh[i] * (T::one() - z[i]) * slope(f, g[i]);
        dh[i] *= z[i];
    }
    match saved.get(3 * n..4 * n) {
        Some(inner) => (0..n).for_each(|i| dr[i] = dg[i] * inner[i] * slope(s, r[i])),
        None => dr.fill(T::zero()),
    }
}
