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
        let [a, b, c, d] = [row(4 * i), row(4 * i + 1), row(4 * i + 2), row(4 * i + 3)];
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
            with_room((e.key + e.value + 2 * QUERIES) * e.keys, |room: &mut [T]| {
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

/// Queries whose parts of a key's gradients are added in one go, so that those are read and written once for all of them.
const QUERIES: usize = 4;

/// What some queries make of the keys, each a row over all keys, of which its span is set.
struct OfKeys<'a, T> {
    rows: &'a [T],
    spans: [Range<usize>; QUERIES],
    keys: usize,
}

impl<T: Real> OfKeys<'_, T> {
    /// y[at(j)..] += row[j] x for each query's row and x, one after the other, of as many queries as there are x.
    #[inline(always)]
    fn add_to(&self, y: &mut [T], at: impl Fn(usize) -> usize, x: &[&[T]]) {
        let rows: [&[T]; QUERIES] = std::array::from_fn(|i| &self.rows[i * self.keys..][..self.keys]);
        let start = self.spans.iter().map(|span| span.start).max().unwrap_or(0);
        let end = self.spans.iter().map(|span| span.end).min().unwrap_or(0);
        let mut common = 0..0;
        if let Ok(x) = <[&[T]; QUERIES]>::try_from(x)
            && start < end
            && x[0].len().is_multiple_of(COLUMNS)
        {
            common = start..end;
            add_four(y, &at, common.clone(), rows, x);
        }
        for ((x, row), span) in x.iter().zip(rows).zip(&self.spans) {
            // Of a common part that is empty all of the span.
            let (before, behind) = (span.start..common.start.max(span.start), common.end.max(span.start)..span.end);
            for j in before.chain(behind) {
                add(&mut y[at(j)..][..x.len()], row[j], x);
            }
        }
    }
}

/// y[at(j)..] += row[j] x for all four, whose x are whole vectors, and each j of a range.
#[inline(always)]
fn add_four<T: Real>(
    y: &mut [T],
    at: impl Fn(usize) -> usize,
    range: Range<usize>,
    rows: [&[T]; QUERIES],
    x: [&[T]; QUERIES],
) {
    let [a, b, c, d] = rows.map(|row| &row[range.clone()]);
    for column in (0..x[0].len()).step_by(COLUMNS) {
        let columns = |x: &[T]| -> [T; COLUMNS] { x[column..][..COLUMNS].try_into().expect("as many") };
        let [p, q, r, s] = x.map(columns);
        for ((((j, &a), &b), &c), &d) in range.clone().zip(a).zip(b).zip(c).zip(d) {
            let y: &mut [T; COLUMNS] = (&mut y[at(j) + column..][..COLUMNS]).try_into().expect("as many");
            for i in 0..COLUMNS {
                y[i] = d.mul_add(s[i], c.mul_add(r[i], b.mul_add(q[i], a.mul_add(p[i], y[i]))));
            }
        }
    }
}

impl<'a, T: Real> Backwards<'a, T> {
    #[inline(always)]
    fn of_sample(&self, sample: usize, room: &mut [T], [dq, dk, dv]: [&mut [T]; 3]) {
        let reads = self.reads;
        let e = reads.e;
        let (turned, room) = room.split_at_mut(e.key * e.keys);
        let (values, room) = room.split_at_mut(e.value * e.keys);
        let (weights, answers) = room.split_at_mut(QUERIES * e.keys);
        dk.fill(T::zero());
        dv.fill(T::zero());
        let mut last = None;
        for head in reads.heads(sample) {
            if last.replace(head.group) != Some(head.group) {
                reads.turn(turned, |j| reads.key(head, j));
                reads.turn(values, |j| reads.value(head, j));
            }
            for first in (0..e.queries).step_by(QUERIES) {
                let count = QUERIES.min(e.queries - first);
                let mut spans = [const { 0..0 }; QUERIES];
                let (mut queries, mut dys) = ([&[][..]; QUERIES], [&[][..]; QUERIES]);
                for i in 0..count {
                    let (t, of_query) = (first + i, i * e.keys..(i + 1) * e.keys);
                    (spans[i], queries[i], dys[i]) = (reads.span(t), reads.query(head, t), self.dy(head, t));
                    let made = [&mut weights[of_query.clone()], &mut answers[of_query]];
                    let dq = &mut dq[(t * e.heads + head.head) * e.key..][..e.key];
                    self.of_query(head, t, [turned, values], made, dq);
                }
                let key = |j: usize| j * e.groups + head.group;
                let of_keys = |rows| OfKeys { rows, spans: spans.clone(), keys: e.keys };
                of_keys(answers).add_to(dk, |j| key(j) * e.key, &queries[..count]);
                of_keys(weights).add_to(dv, |j| key(j) * e.value, &dys[..count]);
            }
        }
    }

    /// The place of a query's row of y.
    #[inline(always)]
    fn row(&self, head: Head, t: usize) -> usize {
        (head.sample * self.reads.e.queries + t) * self.reads.e.heads + head.head
    }

    #[inline(always)]
    fn dy(&self, head: Head, t: usize) -> &'a [T] {
        let value = self.reads.e.value;
        &self.dy[self.row(head, t) * value..][..value]
    }

    /// The weights of a query's keys, the gradients of its scores, and its own, by keys and values that are turned.
    #[inline(always)]
    fn of_query(
        &self,
        head: Head,
        t: usize,
        [turned, values]: [&[T]; 2],
        [weights, answers]: [&mut [T]; 2],
        dq: &mut [T],
    ) {
        let reads = self.reads;
        let e = reads.e;
        let (row, dy) = (self.row(head, t), self.dy(head, t));
        let y = &self.y[row * e.value..][..e.value];
        let (most, share) = (self.stats[2 * row], self.stats[2 * row + 1].recip());
        let delta = y.iter().zip(dy).fold(T::zero(), |sum, (&y, &dy)| y.mul_add(dy, sum));
        let span = reads.span(t);
        let (first, weights, answers) = (span.start, &mut weights[span.clone()], &mut answers[span.clone()]);
        reads.scores(head, t, span, turned, weights);
        products(dy, (values, e.keys, first), answers);
        // Of scores that do not count the weights are constants.
        let (scale, low) = (T::of(reads.op.scale), T::of(LOW));
        for (answer, weight) in answers.iter_mut().zip(weights.iter_mut()) {
            let counts = *weight != low;
            *weight = (*weight - most).exponential() * share;
            *answer = if counts { scale * *weight * (*answer - delta) } else { T::zero() };
        }
        mean(answers, |j| reads.key(head, first + j), dq);
    }
}
