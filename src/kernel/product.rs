//! The matrix product on the CPU.
//!
//! The `gemm` crate packs both operands before it multiplies them, which pays for large ones and is all that it does for
//! small ones. So f32 has kernels here that copy a part of b and read a where it lies, for what is small enough to stay in
//! a core's cache meanwhile; f64, the reference, is the library's alone. Who shares the work and how is told here, too: a
//! core keeps to its rows of a layer's weights and of their gradient, from the forward pass to the optimizer's update.
//!
//! Which kernel runs, where K is cut and which rows the library has in one call follow from the extents alone. So the
//! number of threads changes no bit: it only decides how many rows of a kernel of `rows.rs` a thread has, each of which is
//! summed by itself, and how many threads the library takes for a call.

mod rows;

use std::ops::Range;

use gemm_common::Parallelism;

use super::cpu::{Real, for_each_piece, vectorised};
use super::room::with_room;
use super::strided::turn;
use crate::threads::{self, Chunks, for_each_chunk};

use rows::{Rows, STRIP};
pub(super) use rows::{copy, multiply_packed, pack, packed_len};

/// y (M, N) = op(a) op(b), by rows; op(a) is (M, K), op(b) is (K, N).
#[derive(Clone, Copy, Debug)]
pub struct Product<'a, T> {
    /// a (M, K), or (K, M) where it is stored transposed.
    pub a: &'a [T],
    /// b (K, N), or (N, K) where it is stored transposed.
    pub b: &'a [T],
    /// M, N and K.
    pub extents: [usize; 3],
    /// Whether a is stored transposed.
    pub trans_a: bool,
    /// Whether b is stored transposed.
    pub trans_b: bool,
}

/// A product of the `gemm` crate for one type of floats: y = y * alpha + beta * left * right. It takes rows and columns of y, the sums'
/// length, y with its strides from column to column and from row to row, whether y is read, left and right with their strides, alpha
/// and beta, whether y, left and right are conjugated, and the threads.
pub(super) type Library<T> = unsafe fn(
    usize,
    usize,
    usize,
    *mut T,
    isize,
    isize,
    bool,
    *const T,
    isize,
    isize,
    *const T,
    isize,
    isize,
    T,
    T,
    bool,
    bool,
    bool,
    Parallelism,
);

/// Products of fewer operations are not worth a second thread.
const PARALLEL_FROM: usize = 1_000_000;

/// Bytes of an operand that are gone through again and again: they share a core's cache with what streams by.
const RESIDENT_BYTES: usize = 256 << 10;

impl<T: Real> Product<'_, T> {
    /// How many cores the work is cut for: two from some size on. More share the work of one.
    fn halves(&self) -> usize {
        let [m, n, k] = self.extents;
        if 2 * m * n * k >= PARALLEL_FROM { 2 } else { 1 }
    }

    /// Threads that work on it.
    fn threads(&self) -> usize {
        if self.halves() == 1 { 1 } else { threads::count() }
    }

    /// Row and column strides of op(a) and op(b) as they are stored.
    fn strides(&self) -> [(isize, isize); 2] {
        let [m, n, k] = self.extents.map(|extent| extent as isize);
        [if self.trans_a { (1, m) } else { (k, 1) }, if self.trans_b { (1, k) } else { (n, 1) }]
    }

    /// By the `gemm` crate.
    pub(crate) fn by_library(&self, y: &mut [T]) {
        let [m, _, k] = self.extents;
        self.part_by_library(0..m, 0..k, self.threads(), y);
    }

    /// By the `gemm` crate on the calling thread.
    pub(crate) fn by_library_alone(&self, y: &mut [T]) {
        let [m, _, k] = self.extents;
        self.part_by_library(0..m, 0..k, 1, y);
    }

    /// Some rows of y, of sums over a range of K, by the `gemm` crate. Rows and range decide the bits, threads do not.
    fn part_by_library(&self, rows: Range<usize>, depth: Range<usize>, threads: usize, y: &mut [T]) {
        let [m, n, k] = self.extents;
        let [(a_rows, a_columns), (b_rows, b_columns)] = self.strides();
        assert!(self.a.len() == m * k && self.b.len() == k * n && y.len() == rows.len() * n, "{:?}", self.extents);
        assert!(rows.end <= m && depth.end <= k, "{rows:?} and {depth:?} of {:?}", self.extents);
        let (row, start) = (rows.start as isize, depth.start as isize);
        let a = self.a.as_ptr().wrapping_offset(row * a_rows + start * a_columns);
        let b = self.b.as_ptr().wrapping_offset(start * b_rows);
        // Strides from column to column come before those from row to row.
        let (mut left, mut right) = ((a, rows.len(), (a_columns, a_rows)), (b, n, (b_columns, b_rows)));
        let mut y_strides = (1, n as isize);
        // The library's kernels go down columns, which are rows of y where it makes y' = op(b)' op(a)'.
        if n > 1 {
            std::mem::swap(&mut left, &mut right);
            for strides in [&mut left.2, &mut right.2, &mut y_strides] {
                *strides = (strides.1, strides.0);
            }
        }
        let ((left, rows, left_strides), (right, columns, right_strides)) = (left, right);
        // SAFETY: y, a and b hold as many elements as asserted, and the strides index exactly those; y is borrowed mutably,
        // so it overlaps neither.
        unsafe {
            T::library()(
                rows,
                columns,
                depth.len(),
                y.as_mut_ptr(),
                y_strides.0,
                y_strides.1,
                false,
                left,
                left_strides.0,
                left_strides.1,
                right,
                right_strides.0,
                right_strides.1,
                T::zero(),
                T::one(),
                false,
                false,
                false,
                parallelism(threads),
            );
        }
    }
}

impl Product<'_, f32> {
    /// By the kernels of `rows.rs` where they are the faster ones, else by the library.
    pub(crate) fn by_kernel(&self, y: &mut [f32]) {
        let [m, n, k] = self.extents;
        let halves = self.halves();
        // Where b is a layer's weights, or y their gradient, a core has the same rows of them here that it updates later:
        // what another core has read or written must be taken from it first.
        if halves == 2 && !self.trans_a && !self.trans_b && k >= (2 * m).max(128) {
            return self.by_parts(y);
        }
        // Turning pays where what is turned is small beside the sums, and beside b, which the library packs.
        if !self.trans_a && self.trans_b && (8..=MOST_TURNED).contains(&m) && k >= 64 && n >= 6 * halves {
            return self.by_turning(y);
        }
        if halves == 2 && (m < 12 || !(self.has_kernel(k) || self.trans_a)) {
            return self.by_library(y);
        }
        self.multiply(0..k, halves, self.threads(), y);
    }

    /// Sums over a range of K, by so many threads. The library has the rows in `calls` calls: it chooses by their number.
    fn multiply(&self, depth: Range<usize>, calls: usize, threads: usize, y: &mut [f32]) {
        let n = self.extents[1];
        if self.has_kernel(depth.len()) {
            in_pieces(y, n, threads, |first, y| {
                pulp::Arch::new().dispatch(Rows { product: self, packed: None, first, depth: depth.clone(), y });
            });
        } else {
            in_pieces(y, n, calls, |first, y| {
                let rows = first..first + y.len() / n.max(1);
                self.part_by_library(rows, depth.clone(), threads.div_ceil(calls), y);
            });
        }
    }

    /// Whether the kernels of `rows.rs` suit sums of so many of the K products.
    fn has_kernel(&self, depth: usize) -> bool {
        let n = self.extents[1];
        // A strip of b stays in the cache. Of a narrow y most lanes of a vector would be idle. For a larger b these
        // kernels are no faster than the library's, which are right for any processor.
        !self.trans_b && n >= 8 && depth * 4 * STRIP.min(n) <= RESIDENT_BYTES && depth * n * 4 <= 2 * RESIDENT_BYTES
    }

    /// Cuts the sums over K into two parts, one for each half of the threads, and adds these up.
    fn by_parts(&self, y: &mut [f32]) {
        let [_, _, k] = self.extents;
        let (middle, threads) = (k.div_ceil(2), self.threads().div_ceil(2));
        with_room(y.len(), |other: &mut [f32]| {
            threads::join(|| self.multiply(0..middle, 1, threads, y), || self.multiply(middle..k, 1, threads, other));
            // By the rows that a core goes on with: in an epilogue each takes as many of them.
            for_each_piece(y, |start, y| {
                vectorised!(y.iter_mut().zip(&other[start..]).for_each(|(y, other)| *y += other));
            });
        });
    }
}

#[cfg(feature = "threads")]
fn parallelism(threads: usize) -> Parallelism {
    if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None }
}

#[cfg(not(feature = "threads"))]
fn parallelism(_threads: usize) -> Parallelism {
    Parallelism::None
}

// Rows of a and of b lie along K: with a turned, y' = b a' is a product as above, and is turned back.
impl Product<'_, f32> {
    /// A core has the same rows of b here, which are a layer's weights, that it updates.
    fn by_turning(&self, y: &mut [f32]) {
        let ([_, n, k], pieces) = (self.extents, self.threads());
        with_room((k + n) * TURNED_ROWS, |scratch: &mut [f32]| {
            for (a, y) in self.a.chunks(TURNED_ROWS * k).zip(y.chunks_mut(TURNED_ROWS * n)) {
                let m = a.len() / k;
                let (turned_a, turned_y) = scratch[..(k + n) * m].split_at_mut(k * m);
                in_pieces(turned_a, m, pieces, |first, turned| turn(&a[first..], k, turned, m));
                let product = Product { a: self.b, b: turned_a, extents: [n, m, k], trans_a: false, trans_b: false };
                product.multiply(0..k, self.halves(), pieces, turned_y);
                in_pieces(y, n, pieces, |first, y| turn(&turned_y[first..], m, y, n));
            }
        });
    }
}

/// Rows of a, at most, that are rather turned than b is packed.
const MOST_TURNED: usize = 320;

/// Rows of a that are turned at once, so that these and their part of y stay in the cache.
const TURNED_ROWS: usize = 128;

/// Calls `f(first row, its rows)` for each of so many pieces of y, by rows of a width, in parallel.
fn in_pieces(y: &mut [f32], width: usize, pieces: usize, f: impl Fn(usize, &mut [f32]) + Sync) {
    if pieces == 1 {
        return f(0, y);
    }
    let rows = (y.len() / width).div_ceil(pieces);
    for_each_chunk(Chunks(y, rows * width), 1, &|i, y| f(i * rows, y));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::case::random;

    /// [`Case::sums`](crate::ops::Case::sums) has the reason: 2 sqrt(K) ulps of the results' root mean square, sqrt(K) / 3.
    #[test]
    fn kernels_give_what_the_library_gives_in_f64_and_the_same_bits_on_any_number_of_threads() {
        let pools = [1, 2, 3, 8].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
        for (seed, extents) in [
            [1, 1, 1],
            [5, 9, 64],
            [7, 100, 3],
            [13, 65, 67],
            [32, 100, 784],
            [19, 1028, 129],
            [150, 31, 1024],
            [300, 70, 700],
            [401, 70, 700],
            [130, 40, 1100],
            [20, 24, 20_000],
        ]
        .into_iter()
        .enumerate()
        {
            let [m, n, k] = extents;
            let (a, b) = (random([m * k], 300 + seed as u64), random([k * n], 320 + seed as u64));
            let (a32, b32, a64, b64) =
                (a.values().to_f32(), b.values().to_f32(), a.values().to_f64(), b.values().to_f64());
            for (trans_a, trans_b) in [(false, false), (true, false), (false, true), (true, true)] {
                let mut expected = vec![0.0; m * n];
                let of_threads = pools.each_ref().map(|pool| {
                    let mut y = vec![f32::NAN; m * n];
                    pool.install(|| Product { a: &a32, b: &b32, extents, trans_a, trans_b }.by_kernel(&mut y));
                    y
                });
                let [y, others @ ..] = &of_threads;
                let bits = |y: &[f32]| y.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
                assert!(
                    others.iter().all(|other| bits(other) == bits(y)),
                    "{extents:?} {trans_a} {trans_b}: by threads"
                );
                Product { a: &a64, b: &b64, extents, trans_a, trans_b }.by_library(&mut expected);
                let bound = f64::from(f32::EPSILON) * (1.0 + k as f64 * 2.0 / 3.0);
                for (i, (y, expected)) in y.iter().zip(&expected).enumerate() {
                    let off = (f64::from(*y) - expected).abs();
                    assert!(off <= bound, "{extents:?} {trans_a} {trans_b}, element {i}: {y}, not {expected}");
                }
            }
        }
    }
}
