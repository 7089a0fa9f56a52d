//! The loops of attention on the CPU. The reference goes as the formula does; f32 makes the scores of a query, and what its values
//! answer, for all keys side by side, from keys and values that are turned once for each head.

use std::ops::Range;

use super::super::cpu::{CpuArgs, CpuOp, vectorised};
use super::{Attention, AttentionGrad, Extents, LEAST, LOW, Real};
use crate::kernel::room::with_room;
use crate::threads::{Chunks, for_each_block, for_each_pair};

/// What an attention reads, and where in it a head's rows lie.
struct Reads<'a, T> {
    op: Attention,
    e: Extents,
    q: &'a [T],
    k: &'a [T],
    v: &'a [T],
    mask: Option<&'a [T]>,
}

/// A head of a sample.
#[derive(Clone, Copy)]
struct Head {
    sample: usize,
    head: usize,
    group: usize,
}

impl<'a, T: Real> Reads<'a, T> {
    fn new(op: Attention, args: &CpuArgs<'a, T>) -> Self {
        let count = if args.inputs.len() % 3 == 1 { 4 } else { 3 };
        let e = Extents::of(&args.io.inputs[..count]).expect("checked by the shape rule");
        let mask = (count == 4).then(|| args.real(3));
        Self { op, e, q: args.real(0), k: args.real(1), v: args.real(2), mask }
    }

    /// The heads of a sample, those of one group one after the other.
    fn heads(&self, sample: usize) -> impl Iterator<Item = Head> + use<T> {
        let share = self.e.heads / self.e.groups;
        (0..self.e.heads).map(move |head| Head { sample, head, group: head / share })
    }

    #[inline(always)]
    fn query(&self, head: Head, t: usize) -> &'a [T] {
        let e = &self.e;
        &self.q[((head.sample * e.queries + t) * e.heads + head.head) * e.key..][..e.key]
    }

    #[inline(always)]
    fn key(&self, head: Head, j: usize) -> &'a [T] {
        let e = &self.e;
        &self.k[((head.sample * e.keys + j) * e.groups + head.group) * e.key..][..e.key]
    }

    #[inline(always)]
    fn value(&self, head: Head, j: usize) -> &'a [T] {
        let e = &self.e;
        &self.v[((head.sample * e.keys + j) * e.groups + head.group) * e.value..][..e.value]
    }

    /// Rows of so many numbers as columns.
    #[inline(always)]
    fn turn(&self, turned: &mut [T], row: impl Fn(usize) -> &'a [T]) {
        let keys = self.e.keys;
        for j in 0..keys {
            for (c, &x) in row(j).iter().enumerate() {
                turned[c * keys + j] = x;
            }
        }
    }

    /// Whether a key counts for a query.
    #[inline(always)]
    fn counts(&self, head: Head, t: usize, j: usize) -> bool {
        let Some(mask) = self.mask else { return true };
        let [a, b, c, d] = self.e.mask_strides();
        mask[head.sample * a + head.head * b + t * c + j * d] > T::of(0.5)
    }

    /// The keys that a query's mean is of: those that it sees, or all where it may see none.
    #[inline(always)]
    fn span(&self, t: usize) -> Range<usize> {
        let seen = self.op.seen(t, self.e.keys);
        if self.mask.is_some() || seen.is_empty() { 0..self.e.keys } else { seen }
    }

    /// The scores of a query for a span of the keys, by keys that are turned.
    #[inline(always)]
    fn scores(&self, head: Head, t: usize, span: Range<usize>, keys: &[T], scores: &mut [T]) {
        products(self.query(head, t), (keys, self.e.keys, span.start), scores);
        let (seen, scale, low) = (self.op.seen(t, self.e.keys), T::of(self.op.scale), T::of(LOW));
        scores.iter_mut().for_each(|s| *s *= scale);
        if seen != span || self.mask.is_some() {
            for (j, s) in span.zip(scores) {
                if !seen.contains(&j) || !self.counts(head, t, j) {
                    *s = low;
                }
            }
        }
    }
}

/// y[j] = sum over c of x[c] columns[c, first + j], rows of columns being so long.
#[inline(always)]
fn products<T: Real>(x: &[T], (columns, width, first): (&[T], usize, usize), y: &mut [T]) {
    let n = y.len();
    y.fill(T::zero());
    let row = |c: usize| &columns[c * width + first..][..n];
    let fours = x.chunks_exact(4);
    let rest = fours.remainder();
    for (i, x) in fours.enumerate() {
        let [a, b, c, d] = std::array::from_fn(|c| row(4 * i + c));
        for ((((y, &a), &b), &c), &d) in y.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *y = x[3].mul_add(d, x[2].mul_add(c, x[1].mul_add(b, x[0].mul_add(a, *y))));
        }
    }
    for (c, &a) in (x.len() - rest.len()..).zip(rest) {
        y.iter_mut().zip(row(c)).for_each(|(y, &x)| *y = a.mul_add(x, *y));
    }
}

/// y += a x, of rows that are short: whole vectors of them are known to be such.
#[inline(always)]
fn add<T: Real>(y: &mut [T], a: T, x: &[T]) {
    let (mut y, mut x) = (y.chunks_exact_mut(COLUMNS), x.chunks_exact(COLUMNS));
    for (y, x) in (&mut y).zip(&mut x) {
        let (y, x): (&mut [T; COLUMNS], &[T; COLUMNS]) =
            (y.try_into().expect("as many"), x.try_into().expect("as many"));
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = a.mul_add(x, *y));
    }
    y.into_remainder().iter_mut().zip(x.remainder()).for_each(|(y, &x)| *y = a.mul_add(x, *y));
}

/// Columns of a mean that are summed at once.
const COLUMNS: usize = 16;

/// y[c] = sum over j of weights[j] row(j)[c]
#[inline(always)]
fn mean<'a, T: Real>(weights: &[T], row: impl Fn(usize) -> &'a [T], y: &mut [T]) {
    for (i, y) in y.chunks_mut(COLUMNS).enumerate() {
        let mut sums = [T::zero(); COLUMNS];
        if y.len() == COLUMNS {
            for (j, &weight) in weights.iter().enumerate() {
                let x: &[T; COLUMNS] = row(j)[i * COLUMNS..][..COLUMNS].try_into().expect("as many");
                sums.iter_mut().zip(x).for_each(|(sum, &x)| *sum = weight.mul_add(x, *sum));
            }
        } else {
            for (j, &weight) in weights.iter().enumerate() {
                add(&mut sums[..y.len()], weight, &row(j)[i * COLUMNS..][..y.len()]);
            }
        }
        y.copy_from_slice(&sums[..y.len()]);
    }
}

/// The largest, or [`LEAST`], by as many running ones as vectors have lanes. A NaN stays where it is: its exponential shows it.
#[inline(always)]
fn largest<T: Real>(x: &[T]) -> T {
    let mut most = [T::of(LEAST); COLUMNS];
    let chunks = x.chunks_exact(COLUMNS);
    for &x in chunks.remainder() {
        most[0] = most[0].max(x);
    }
    for x in chunks {
        most.iter_mut().zip(x).for_each(|(most, &x)| *most = if x > *most { x } else { *most });
    }
    most.into_iter().fold(T::of(LEAST), T::max)
}

/// The sum, by as many running ones as vectors have lanes.
#[inline(always)]
fn total<T: Real>(x: &[T]) -> T {
    let mut sums = [T::zero(); COLUMNS];
    let chunks = x.chunks_exact(COLUMNS);
    for (sum, &x) in sums.iter_mut().zip(chunks.remainder()) {
        *sum += x;
    }
    for x in chunks {
        sums.iter_mut().zip(x).for_each(|(sum, &x)| *sum += x);
    }
    let mut width = COLUMNS;
    while width > 1 {
        width /= 2;
        let (low, high) = sums.split_at_mut(width);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
    }
    sums[0]
}

impl<T: Real> CpuOp<T> for Attention {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let reads = Reads::new(*self, &args);
        let e = reads.e;
        let [y, stats] = args.out();
        let rows = e.queries * e.heads;
        for_each_pair([Chunks(y, rows * e.value), Chunks(stats, 2 * rows)], 1, &|sample, [y, stats]| {
            with_room((e.key + 1) * e.keys, |room: &mut [T]| vectorised!(of_sample(&reads, sample, room, y, stats)));
        });
    }
}

#[inline(always)]
fn of_sample<T: Real>(reads: &Reads<'_, T>, sample: usize, room: &mut [T], y: &mut [T], stats: &mut [T]) {
    let e = reads.e;
    let (turned, weights) = room.split_at_mut(e.key * e.keys);
    let mut last = None;
    for head in reads.heads(sample) {
        if last.replace(head.group) != Some(head.group) {
            reads.turn(turned, |j| reads.key(head, j));
        }
        for t in 0..e.queries {
            let span = reads.span(t);
            let (first, weights) = (span.start, &mut weights[..span.len()]);
            reads.scores(head, t, span, turned, weights);
            let most = largest(weights);
            weights.iter_mut().for_each(|s| *s = (*s - most).exponential());
            let sum = total(weights);
            let row = t * e.heads + head.head;
            let y = &mut y[row * e.value..][..e.value];
            mean(weights, |j| reads.value(head, first + j), y);
            let share = sum.recip();
            y.iter_mut().for_each(|y| *y *= share);
            stats[2 * row..][..2].copy_from_slice(&[most, sum]);
        }
    }
}

impl<T: Real> CpuOp<T> for AttentionGrad {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let reads = Reads::new(self.0, &args);
        let e = reads.e;
        let count = args.inputs.len();
        let [y, stats, dy] = [count - 3, count - 2, count - 1].map(|i| args.real(i));
        let [dq, dk, dv] = args.out();
        let keys = e.keys * e.groups;
        let chunks = [Chunks(dq, e.queries * e.heads * e.key), Chunks(dk, keys * e.key), Chunks(dv, keys * e.value)];
        for_each_block(chunks, 1, &|sample, gradients| {
            with_room((e.key + e.value + 2) * e.keys, |room: &mut [T]| {
                let reads = Backwards { reads: &reads, y, stats, dy };
                vectorised!(reads.of_sample(sample, room, gradients));
            });
        });
    }
}

/// What the gradients read beside what the attention did.
struct Backwards<'a, T> {
    reads: &'a Reads<'a, T>,
    y: &'a [T],
    stats: &'a [T],
    dy: &'a [T],
}

impl<T: Real> Backwards<'_, T> {
    #[inline(always)]
    fn of_sample(&self, sample: usize, room: &mut [T], [dq, dk, dv]: [&mut [T]; 3]) {
        let reads = self.reads;
        let e = reads.e;
        let (turned, room) = room.split_at_mut(e.key * e.keys);
        let (values, room) = room.split_at_mut(e.value * e.keys);
        let (weights, answers) = room.split_at_mut(e.keys);
        let scale = T::of(reads.op.scale);
        dk.fill(T::zero());
        dv.fill(T::zero());
        let mut last = None;
        for head in reads.heads(sample) {
            if last.replace(head.group) != Some(head.group) {
                reads.turn(turned, |j| reads.key(head, j));
                reads.turn(values, |j| reads.value(head, j));
            }
            for t in 0..e.queries {
                let own = t * e.heads + head.head;
                let row = sample * e.queries * e.heads + own;
                let (y, dy) = (&self.y[row * e.value..][..e.value], &self.dy[row * e.value..][..e.value]);
                let (most, share) = (self.stats[2 * row], self.stats[2 * row + 1].recip());
                let delta = y.iter().zip(dy).fold(T::zero(), |sum, (&y, &dy)| y.mul_add(dy, sum));
                let span = reads.span(t);
                let (first, weights, answers) = (span.start, &mut weights[..span.len()], &mut answers[..span.len()]);
                reads.scores(head, t, span, turned, weights);
                products(dy, (values, e.keys, first), answers);
                // Of scores that do not count the weights are constants.
                let low = T::of(LOW);
                for (answer, weight) in answers.iter_mut().zip(weights.iter_mut()) {
                    let counts = *weight != low;
                    *weight = (*weight - most).exponential() * share;
                    *answer = if counts { scale * *weight * (*answer - delta) } else { T::zero() };
                }
                mean(answers, |j| reads.key(head, first + j), &mut dq[own * e.key..][..e.key]);
                let query = reads.query(head, t);
                for (j, (&answer, &weight)) in (first..).zip(answers.iter().zip(weights.iter())) {
                    let key = j * e.groups + head.group;
                    add(&mut dk[key * e.key..][..e.key], answer, query);
                    add(&mut dv[key * e.value..][..e.value], weight, dy);
                }
            }
        }
    }
}
