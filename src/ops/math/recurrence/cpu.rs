//! The recurrence on the CPU: a thread walks all steps with rows of its own, a product of their states with u each, which is packed once.

use std::ops::Range;

use super::super::activation::Function;
use super::super::cpu::{CpuArgs, Real, vectorised};
use super::cells::{
    activate, advance, cut, gru, gru_grad, lstm, lstm_grad, multiply, part, part_mut, simple, simple_grad, slope,
};
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

/// A matrix (k, n) that the states of all steps are multiplied by.
struct Right<'a, T> {
    packed: &'a [T],
    extents: [usize; 2],
}

impl<T: Real> Right<'_, T> {
    /// Calls `f` with parts of b, whose rows have `width` numbers: each is some of its rows and of its columns.
    fn packed<const N: usize, R>(
        b: &[T],
        width: usize,
        parts: [[Range<usize>; 2]; N],
        f: impl FnOnce([Right<'_, T>; N]) -> R,
    ) -> R {
        let extents = parts.each_ref().map(|part| part.each_ref().map(Range::len));
        let lens = extents.map(T::packed_len);
        with_room(lens.iter().sum(), |room: &mut [T]| {
            let mut parts = parts.into_iter().zip(extents);
            f(cut(room, lens).map(|packed| {
                let ([rows, columns], extents) = parts.next().expect("one for each");
                T::pack(&b[rows.start * width..rows.end * width], width, columns, packed);
                Right { packed, extents }
            }))
        })
    }

    /// y (rows, n) = a (rows, k) times it, by this thread.
    fn multiply(&self, a: &[T], y: &mut [T]) {
        let [k, n] = self.extents;
        let rows = a.len() / k;
        T::multiply_packed(a, self.packed, [rows, n, k], &mut y[..rows * n]);
    }
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
        if T::BY_ROWS { self.sizes.rows.div_ceil(threads::count()).max(1) } else { 32 }
    }
}

/// Calls a walk for parts of the rows of the outputs.
pub(super) fn forward<T: Real>(op: &Recurrence, mut args: CpuArgs<'_, T>) {
    let [rows, steps, units] = args.io.outputs[0].shape[..] else { unreachable!("the shape rule has made it") };
    let [mask, dropped] = op.optional().map(|i| i.map(|i| args.real(i)));
    let given = Given { op, sizes: Sizes { rows, steps, units }, mask, dropped };
    let (x, first) = (args.real(0), args.real(2));
    let bias = if op.has_bias() { args.real(3) } else { &[] };
    let u = args.real(1);
    let outputs: [&mut [T]; 4] = args.out();
    let widths = [steps, op.cell.states(), steps, steps * op.cell.kept()].map(|parts| parts * units);
    let [width, of_h] = [op.cell.gates(), op.cell.of_h()].map(|parts| parts * units);
    Right::packed(u, width, [[0..units, 0..of_h], [0..units, of_h..width]], |u| {
        let walk = Forward { given: &given, x, u, first, bias };
        for_each_part(outputs, widths, rows, given.rows_at_once(), &|first, outputs| walk.rows(first, outputs));
    });
}

struct Forward<'a, T> {
    given: &'a Given<'a, T>,
    x: &'a [T],
    /// What h is multiplied by, and of a [`Cell::Gru`] what r h is.
    u: [Right<'a, T>; 2],
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
        let states = op.cell.states();
        let rows = last.len() / (states * units);
        let lens = [1, 1, 1, op.cell.gates()].map(|parts| parts * rows * units);
        with_room(lens.iter().sum(), |scratch: &mut [T]| {
            let [h, c, read, sums] = cut(scratch, lens);
            let of_first = self.first[first * states * units..].chunks(states * units);
            for (row, state) in of_first.take(rows).enumerate() {
                part_mut(h, row, units).copy_from_slice(&state[..units]);
                part_mut(c, row, units).copy_from_slice(&state[(states - 1) * units..]);
            }
            let mut walk = Rows { h, c, read, sums };
            for step in (0..steps).map(|place| self.given.step(place)) {
                self.step(first, step, &mut walk, [&mut *y, &mut *prev, &mut *saved]);
            }
            for (row, state) in last.chunks_mut(states * units).enumerate() {
                state[(states - 1) * units..].copy_from_slice(part(walk.c, row, units));
                state[..units].copy_from_slice(part(walk.h, row, units));
            }
        });
    }

    fn step(
        &self,
        first: usize,
        step: usize,
        Rows { h, c, read, sums }: &mut Rows<'_, T>,
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
        self.u[0].multiply(read, sums);
        if op.cell == Cell::Gru {
            for row in 0..rows {
                let at = row * steps + step;
                let (x, saved) = (part(self.x, first * steps + at, width), part_mut(saved, at, kept));
                let sums = part(sums, row, 2 * units);
                vectorised!(activate(op.recurrent_activation, x, sums, &mut saved[..2 * units]));
                let read = part_mut(read, row, units);
                read.iter_mut().zip(&saved[units..]).for_each(|(h, &r)| *h *= r);
            }
            self.u[1].multiply(read, sums);
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

/// Calls the walk back for parts of the rows of the outputs.
pub(super) fn backward<T: Real>(op: &RecurrenceGrad, mut args: CpuArgs<'_, T>) {
    let [rows, steps, units] = args.io.inputs[2].shape[..] else { unreachable!("the shape rule has seen it") };
    let [dy, dlast, mask, dropped] = op.places().map(|i| i.map(|i| args.real(i)));
    let cell = op.forward.cell;
    let given = Given { op: &op.forward, sizes: Sizes { rows, steps, units }, mask, dropped };
    let (saved, u, prev) = (args.real(0), args.real(1), args.real(2));
    let outputs: [&mut [T]; 2] = args.out();
    let widths = [steps * cell.gates(), cell.states()].map(|parts| parts * units);
    let [width, of_h] = [cell.gates(), cell.of_h()].map(|parts| parts * units);
    Right::packed(u, units, [[0..of_h, 0..units], [of_h..width, 0..units]], |u| {
        let walk = Backward { given: &given, saved, u, prev, dy, dlast };
        for_each_part(outputs, widths, rows, given.rows_at_once(), &|first, outputs| walk.rows(first, outputs));
    });
}

struct Backward<'a, T> {
    given: &'a Given<'a, T>,
    saved: &'a [T],
    /// u transposed, of a [`Cell::Gru`] that of its gates and that of its candidate.
    u: [Right<'a, T>; 2],
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
        let lens = [1, 1, op.cell.of_h(), 1, 1].map(|parts| parts * rows * units);
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
            self.u[0].multiply(walk.da, walk.sums);
            return self.add_sums(first, walk);
        }
        self.u[1].multiply(walk.dg, walk.sums);
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
        self.u[0].multiply(walk.da, walk.sums);
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
        let of_da = op.cell.of_h() * units;
        let (da, dg) = (part_mut(walk.da, row, of_da), part_mut(walk.dg, row, units));
        if self.given.is_masked(first + row, step) {
            [dx, da, dg].into_iter().for_each(|all| all.fill(T::zero()));
            return;
        }
        match op.cell {
            // Activations known to the compiler, so that the loops are of vectors.
            Cell::Simple => match op.activation {
                Some(Function::Tanh) => simple_grad(Some(Function::Tanh), saved, dh, dx),
                f => simple_grad(f, saved, dh, dx),
            },
            Cell::Lstm => match (op.activation, op.recurrent_activation) {
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

/// Calls `f(first row, parts)` for parts of the same rows of several slices, at most so many rows at once, in parallel. `widths` are
/// of a row of each slice.
fn for_each_part<T: Send, const N: usize>(
    all: [&mut [T]; N],
    widths: [usize; N],
    rows: usize,
    most: usize,
    f: &(impl Fn(usize, [&mut [T]; N]) + Sync),
) {
    part_of_rows(all, widths, 0..rows, most, f);
}

fn part_of_rows<T: Send, const N: usize>(
    all: [&mut [T]; N],
    widths: [usize; N],
    rows: Range<usize>,
    most: usize,
    f: &(impl Fn(usize, [&mut [T]; N]) + Sync),
) {
    let parts = rows.len().div_ceil(most);
    if parts < 2 {
        return if parts == 1 {
            f(rows.start, all)
        };
    }
    let (first, middle) = (rows.start, rows.start + parts / 2 * most);
    let mut tails: [&mut [T]; N] = std::array::from_fn(|_| &mut [][..]);
    let mut slots = tails.iter_mut().zip(widths);
    let heads = all.map(|slice| {
        let (tail, width) = slots.next().expect("one for each");
        let (head, behind) = slice.split_at_mut((middle - first) * width);
        *tail = behind;
        head
    });
    threads::join(
        || part_of_rows(heads, widths, first..middle, most, f),
        || part_of_rows(tails, widths, middle..rows.end, most, f),
    );
}
