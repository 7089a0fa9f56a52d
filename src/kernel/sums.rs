//! Sums on the CPU, of blocks and of pairs of blocks, so that long ones keep their digits. The order follows from the
//! extents alone: neither the number of threads nor the processor's vectors change a bit.

use super::cpu::{Real, for_each_row_of};
use crate::threads;

/// Sums that are kept side by side: several vectors of every processor.
const LANES: usize = 64;
/// Numbers that are added one after the other, at most.
const SERIAL: usize = 16;
const BLOCK: usize = SERIAL * LANES;
/// What one call without recursion takes.
const LEAF: usize = SERIAL * BLOCK;
/// Rows of a strip of columns that one call without recursion takes.
const LEAF_ROWS: usize = SERIAL * SERIAL;
/// Fewer numbers than this are not worth a second thread.
const PARALLEL_FROM: usize = 8 * LEAF;

/// y[o, i] = sum over k < n of x[o, k, i]; x: (outer, n, inner), y: (outer, inner).
pub(crate) fn sum_axes<T: Real>(x: &[T], [_, n, inner]: [usize; 3], y: &mut [T]) {
    if n == 0 {
        return y.fill(T::zero());
    }
    for_each_row_of(x.len(), y, inner, |outer, y| sum_rows(&x[outer * n * inner..][..n * inner], y));
}

/// y[i] = sum over r of x[r, i], where x has rows as long as y.
pub(crate) fn sum_rows<T: Real>(x: &[T], y: &mut [T]) {
    let inner = y.len();
    match inner {
        0 => {}
        1 => y[0] = sum(x),
        // Several short rows stand side by side in the lanes, and are added up at the end.
        2..=32 => {
            let wide = LANES / inner * inner;
            let (head, tail) = x.split_at(x.len() / wide * wide);
            let mut lanes = strip(Strip { x: head, row: wide, first: 0, width: wide });
            let mut rows = LANES / inner;
            while rows > 1 {
                let half = rows.div_ceil(2);
                let (to, from) = lanes.split_at_mut(half * inner);
                to.iter_mut().zip(&from[..(rows - half) * inner]).for_each(|(to, &x)| *to += x);
                rows = half;
            }
            y.fill(T::zero());
            tail.chunks(inner).for_each(|x| y.iter_mut().zip(x).for_each(|(y, &x)| *y += x));
            y.iter_mut().zip(&lanes).for_each(|(y, &x)| *y += x);
        }
        _ => for_each_row_of(x.len(), y, LANES, |i, y| {
            let width = y.len();
            y.copy_from_slice(&strip(Strip { x, row: inner, first: i * LANES, width })[..width]);
        }),
    }
}

/// The sum of all numbers.
pub(crate) fn sum<T: Real>(x: &[T]) -> T {
    sum_of(x, &|x| x)
}

/// The sum of f of each number. What f calls becomes a part of the loop where it is `#[inline(always)]`.
pub(crate) fn sum_of<T: Real>(x: &[T], f: &(impl Fn(T) -> T + Sync)) -> T {
    if x.len() <= LEAF {
        return pulp::Arch::new().dispatch(Leaf(x, f));
    }
    let (a, b) = x.split_at(half(x.len(), LEAF));
    let (a, b) = join(x.len(), || sum_of(a, f), || sum_of(b, f));
    a + b
}

/// How many numbers there are, their sum, and the sum of their squared distances from their mean.
#[derive(Clone, Copy)]
pub(crate) struct Moments<T> {
    pub count: T,
    pub total: T,
    pub squares: T,
}

impl<T: Real> Moments<T> {
    /// Those of one number or more, each of which is read once.
    pub fn of(x: &[T]) -> Self {
        if x.len() <= LEAF {
            return pulp::Arch::new().dispatch(LeafMoments(x));
        }
        let (a, b) = x.split_at(half(x.len(), LEAF));
        let (a, b) = join(x.len(), || Self::of(a), || Self::of(b));
        a.merge(b)
    }

    /// Those of a block, by the distances from a number near its mean.
    #[inline(always)]
    fn about(block: &[T], near: T) -> Self {
        let [mut totals, mut shifts, mut squares] = [[T::zero(); MOMENTS]; 3];
        let mut add = |i: usize, x: T| {
            let apart = x - near;
            totals[i] += x;
            shifts[i] += apart;
            squares[i] += apart * apart;
        };
        let (rows, rest) = block.as_chunks::<MOMENTS>();
        for row in rows {
            (0..MOMENTS).for_each(|i| add(i, row[i]));
        }
        rest.iter().enumerate().for_each(|(i, &x)| add(i, x));
        let (count, shift) = (T::of(block.len() as f64), tree(shifts));
        Self { count, total: tree(totals), squares: tree(squares) - shift * shift / count }
    }

    #[inline(always)]
    pub fn mean(self) -> T {
        self.total / self.count
    }

    /// Chan's formula: nothing is lost where the mean is far from zero.
    #[inline(always)]
    fn merge(self, other: Self) -> Self {
        let count = self.count + other.count;
        let apart = other.mean() - self.mean();
        let squares = self.squares + other.squares + apart * apart * self.count * (other.count / count);
        Self { count, total: self.total + other.total, squares }
    }
}

/// From one number to [`LEAF`] of them.
struct LeafMoments<'a, T>(&'a [T]);

impl<T: Real> pulp::WithSimd for LeafMoments<'_, T> {
    type Output = Moments<T>;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Moments<T> {
        // The squares of a block are about the mean of what came before it, those of the first block about its first number, so
        // that few digits cancel.
        let (first, others) = self.0.split_at(self.0.len().min(SERIAL * MOMENTS));
        let mut moments = Moments::about(first, first[0]);
        for block in others.chunks(SERIAL * MOMENTS) {
            moments = moments.merge(Moments::about(block, moments.mean()));
        }
        moments
    }
}

/// Lanes of [`Moments::about`], which has three sums in each: as many as stay in registers.
const MOMENTS: usize = 32;

/// Where `len` numbers, more than `unit`, are parted: after a multiple of it.
fn half(len: usize, unit: usize) -> usize {
    len.div_ceil(2).next_multiple_of(unit)
}

/// Both, at once where there are so many numbers that it pays.
fn join<R: Send>(len: usize, a: impl FnOnce() -> R + Send, b: impl FnOnce() -> R + Send) -> (R, R) {
    if len < PARALLEL_FROM { (a(), b()) } else { threads::join(a, b) }
}

/// The sum of numbers whose count is a power of two, by halves.
#[inline(always)]
fn tree<T: Real, const N: usize>(mut x: [T; N]) -> T {
    let mut n = N;
    while n > 1 {
        n /= 2;
        for i in 0..n {
            let other = x[i + n];
            x[i] += other;
        }
    }
    x[0]
}

/// At most [`LEAF`] numbers, and what is summed of each.
struct Leaf<'a, T, F>(&'a [T], &'a F);

impl<T: Real, F: Fn(T) -> T> pulp::WithSimd for Leaf<'_, T, F> {
    type Output = T;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> T {
        let Self(x, f) = self;
        if x.len() <= SERIAL {
            return x.iter().fold(T::zero(), |sum, &x| sum + f(x));
        }
        let mut blocks = [T::zero(); LEAF / BLOCK];
        for (total, block) in blocks.iter_mut().zip(x.chunks(BLOCK)) {
            let mut lanes = [T::zero(); LANES];
            let rows = block.chunks_exact(LANES);
            let rest = rows.remainder();
            for row in rows {
                for i in 0..LANES {
                    lanes[i] += f(row[i]);
                }
            }
            // Of a whole row, too, so that f is made by vectors.
            let mut row = [T::zero(); LANES];
            row[..rest.len()].copy_from_slice(rest);
            for i in 0..LANES {
                lanes[i] += if i < rest.len() { f(row[i]) } else { T::zero() };
            }
            *total = tree(lanes);
        }
        tree(blocks)
    }
}

/// `width` columns, at most [`LANES`], from the column `first` on, of rows of `row` numbers.
#[derive(Clone, Copy)]
struct Strip<'a, T> {
    x: &'a [T],
    row: usize,
    first: usize,
    width: usize,
}

/// The sum of each column of a strip.
fn strip<T: Real>(s: Strip<'_, T>) -> [T; LANES] {
    let rows = s.x.len() / s.row;
    if rows <= LEAF_ROWS {
        return pulp::Arch::new().dispatch(s);
    }
    let (a, b) = s.x.split_at(half(rows, LEAF_ROWS) * s.row);
    let of = |x| strip(Strip { x, ..s });
    let (mut a, b) = join(rows * s.width, || of(a), || of(b));
    a.iter_mut().zip(&b).for_each(|(a, &b)| *a += b);
    a
}

impl<T: Real> pulp::WithSimd for Strip<'_, T> {
    type Output = [T; LANES];

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> [T; LANES] {
        let mut total = [T::zero(); LANES];
        for rows in self.x.chunks(SERIAL * self.row) {
            let mut block = [T::zero(); LANES];
            for row in rows.chunks_exact(self.row) {
                let columns = &row[self.first..][..self.width];
                if let Ok(columns) = <&[T; LANES]>::try_from(columns) {
                    for i in 0..LANES {
                        block[i] += columns[i];
                    }
                } else {
                    block.iter_mut().zip(columns).for_each(|(block, &x)| *block += x);
                }
            }
            for i in 0..LANES {
                total[i] += block[i];
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ulps(found: f32, wanted: f64) -> f64 {
        (f64::from(found) - wanted).abs() / f64::from((wanted as f32).next_up() - wanted as f32)
    }

    #[test]
    fn sums_of_equal_numbers_keep_their_digits() {
        for n in [1, 16, 17, 1_000, 70_000, 1_000_000] {
            for x in [0.1f32, 0.3, 1.0, 1e-3] {
                let wanted = n as f64 * f64::from(x);
                let all = vec![x; n];
                assert!(ulps(sum(&all), wanted) < 6.0, "{n} times {x} is {}", sum(&all));
                assert!(ulps(sum_of(&all, &|x| 2.0 * x), 2.0 * wanted) < 6.0, "{n} times {x}");
            }
        }
        for (rows, columns) in [(70_000, 1), (70_000, 2), (70_001, 7), (9, 33), (30_000, 65), (5, 1_000)] {
            let mut y = vec![9.0; columns];
            sum_rows(&vec![0.1f32; rows * columns], &mut y);
            let wanted = rows as f64 * f64::from(0.1f32);
            assert!(y.iter().all(|&y| ulps(y, wanted) < 12.0), "{rows} rows of {columns}: {y:?}, not {wanted}");
        }
    }

    #[test]
    fn every_number_counts_once() {
        for (outer, n, inner) in
            [(3, 5, 1), (1, 3000, 1), (2, 257, 3), (2, 100, 32), (3, 300, 33), (1, 600, 130), (2, 0, 3)]
        {
            let x: Vec<f64> = (0..outer * n * inner).map(|i| (i * 7919 % 10_007) as f64).collect();
            let mut y = vec![9.0; outer * inner];
            sum_axes(&x, [outer, n, inner], &mut y);
            let at = |o: usize, i: usize| (0..n).map(|k| x[(o * n + k) * inner + i]).sum::<f64>();
            let wanted: Vec<f64> = (0..outer * inner).map(|j| at(j / inner, j % inner)).collect();
            assert_eq!(y, wanted, "({outer}, {n}, {inner})");
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let x: Vec<f32> = (0..1_000_003).map(|i| (i as f32).sin()).collect();
        let by = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut columns = vec![0.0; 77];
                sum_rows(&x[..77 * 12_987], &mut columns);
                let mut few = vec![0.0; 3];
                sum_axes(&x[..999_999], [1, 333_333, 3], &mut few);
                (sum(&x).to_bits(), sum_of(&x, &|x| 3.0 * x).to_bits(), columns, few)
            })
        };
        let one = by(1);
        [2, 3, 8].into_iter().for_each(|threads| assert_eq!(by(threads), one, "{threads} threads"));
    }
}
