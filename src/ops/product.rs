//! The matrix product on the CPU.
//!
//! The `gemm` crate packs its operands before it multiplies them, which pays for large ones and is all that it does for
//! small ones. So f32 has kernels here that read both operands where they lie, for what is small enough to stay in a
//! core's cache meanwhile; f64, the reference, is the library's alone. Who shares the work and how is told here, too: a
//! core keeps to its rows of a layer's weights and of their gradient, from the forward pass to the optimizer's update.

use std::array::from_fn;
use std::cell::Cell;
use std::ops::Range;

use pulp::Simd;
use rayon::prelude::*;

use super::cpu::{Real, for_each_piece};

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

/// Products of fewer operations are not worth a second thread.
const PARALLEL_FROM: usize = 1_000_000;

/// Bytes of an operand that are gone through again and again: they share a core's cache with what streams by.
const RESIDENT_BYTES: usize = 256 << 10;

impl<T: Real> Product<'_, T> {
    fn is_parallel(&self) -> bool {
        let [m, n, k] = self.extents;
        2 * m * n * k >= PARALLEL_FROM && rayon::current_num_threads() > 1
    }

    /// Row and column strides of op(a) and op(b) as they are stored.
    fn strides(&self) -> [(isize, isize); 2] {
        let [m, n, k] = self.extents.map(|extent| extent as isize);
        [if self.trans_a { (1, m) } else { (k, 1) }, if self.trans_b { (1, k) } else { (n, 1) }]
    }

    /// By the `gemm` crate.
    pub(super) fn by_library(&self, y: &mut [T]) {
        let [m, _, k] = self.extents;
        let threads = if self.is_parallel() { gemm::Parallelism::Rayon(0) } else { gemm::Parallelism::None };
        self.part_by_library(0..m, 0..k, threads, y);
    }

    /// Some rows of y, of sums over a range of K, by the `gemm` crate.
    fn part_by_library(&self, rows: Range<usize>, depth: Range<usize>, threads: gemm::Parallelism, y: &mut [T]) {
        let [m, n, k] = self.extents;
        let [(a_rows, a_columns), (b_rows, b_columns)] = self.strides();
        assert!(self.a.len() == m * k && self.b.len() == k * n && y.len() == rows.len() * n, "{:?}", self.extents);
        assert!(rows.end <= m && depth.end <= k, "{rows:?} and {depth:?} of {:?}", self.extents);
        let (row, start) = (rows.start as isize, depth.start as isize);
        // SAFETY: y, a and b hold as many elements as asserted, and the strides index exactly those; y is borrowed mutably,
        // so it overlaps neither.
        unsafe {
            gemm::gemm(
                rows.len(),
                n,
                depth.len(),
                y.as_mut_ptr(),
                1,
                n as isize,
                false,
                self.a.as_ptr().wrapping_offset(row * a_rows + start * a_columns),
                a_columns,
                a_rows,
                self.b.as_ptr().wrapping_offset(start * b_rows),
                b_columns,
                b_rows,
                T::zero(),
                T::one(),
                false,
                false,
                false,
                threads,
            );
        }
    }
}

impl Product<'_, f32> {
    /// By the kernels of this file where they are the faster ones, else by the library.
    pub(super) fn by_kernel(&self, y: &mut [f32]) {
        let [m, n, k] = self.extents;
        let pieces = if self.is_parallel() { rayon::current_num_threads() } else { 1 };
        // Where b is a layer's weights, or y their gradient, a core has the same rows of them here that it updates later:
        // what another core has read or written must be taken from it first.
        let few = pieces <= MOST_PARTS;
        if pieces > 1 && !self.trans_a && !self.trans_b && k >= (2 * m).max(64 * pieces) && few {
            return self.by_parts(pieces, y);
        }
        if pieces > 1 && (m < 6 * pieces || !(self.has_kernel(k) || self.trans_a && few)) {
            return self.by_library(y);
        }
        let rows = m.div_ceil(pieces);
        let piece = |(i, y): (usize, &mut [f32])| Rows { product: self, first: i * rows, depth: 0..k, y }.multiply();
        if pieces == 1 { piece((0, y)) } else { y.par_chunks_mut(rows * n).enumerate().for_each(piece) }
    }

    /// Whether the kernels of this file suit sums of so many of the K products.
    fn has_kernel(&self, depth: usize) -> bool {
        let [_, n, _] = self.extents;
        match (self.trans_a, self.trans_b) {
            // A strip of b stays in the cache. Of a narrow y most lanes of a vector would be idle. For a larger b these
            // kernels are no faster than the library's, which are right for any processor.
            (_, false) => n >= 8 && depth * 4 * STRIP.min(n) <= RESIDENT_BYTES && depth * n * 4 <= 2 * RESIDENT_BYTES,
            // Sums over fewer than some vectors are mostly additions across the lanes.
            (false, true) => (64..=4096).contains(&depth),
            (true, true) => false,
        }
    }

    /// Cuts the sums over K into parts, one a core, and adds these up.
    fn by_parts(&self, parts: usize, y: &mut [f32]) {
        let [_, _, k] = self.extents;
        let depth = k.div_ceil(parts);
        let part = |i: usize, y: &mut [f32]| {
            Rows { product: self, first: 0, depth: i * depth..((i + 1) * depth).min(k), y }.multiply();
        };
        // Taken out meanwhile: a core that waits may begin another product.
        let mut others = PARTS.take();
        let len = y.len();
        others.resize(others.len().max((parts - 1) * len), 0.0);
        let all = &mut others[..(parts - 1) * len];
        rayon::join(|| part(0, y), || all.par_chunks_mut(len).enumerate().for_each(|(i, y)| part(i + 1, y)));
        // By the rows that a core goes on with: in an epilogue each takes as many of them.
        for_each_piece(y, |start, y| {
            for other in all.chunks(len) {
                y.iter_mut().zip(&other[start..]).for_each(|(y, other)| *y += other);
            }
        });
        PARTS.set(others);
    }
}

/// Cores that share the sums over K, at most: their parts have to be added up.
const MOST_PARTS: usize = 4;

thread_local! {
    /// Sums over parts of K, kept from step to step.
    static PARTS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Columns of y in a strip, at most: four vectors of the widest kind.
const STRIP: usize = 64;

/// Rows of y from `first` on, of sums over a range of K.
struct Rows<'a> {
    product: &'a Product<'a, f32>,
    first: usize,
    depth: Range<usize>,
    y: &'a mut [f32],
}

impl Rows<'_> {
    fn multiply(self) {
        if self.product.has_kernel(self.depth.len()) {
            return pulp::Arch::new().dispatch(self);
        }
        let rows = self.first..self.first + self.y.len() / self.product.extents[1].max(1);
        self.product.part_by_library(rows, self.depth, gemm::Parallelism::None, self.y);
    }
}

impl pulp::WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let wide = S::REGISTER_COUNT >= 32;
        match (self.product.trans_b, self.product.trans_a, wide) {
            (true, _, true) => self.dots::<S, 6, 4>(simd),
            (true, _, false) => self.dots::<S, 4, 2>(simd),
            (false, false, _) => self.strips::<S, false>(simd),
            (false, true, _) => self.strips::<S, true>(simd),
        }
    }
}

// Rows of b are vectors: y[i][j..] += op(a)[i][k] b[k][j..], a block of y in registers.
impl Rows<'_> {
    /// A strip of columns after the other, so that the strip of b stays in the cache while all rows go by.
    #[inline(always)]
    fn strips<S: Simd, const TRANS_A: bool>(self, simd: S) {
        let n = self.product.extents[1];
        let most = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
        let mut vectors = n.div_ceil(S::F32_LANES);
        let mut column = 0;
        for left in (1..=vectors.div_ceil(most)).rev() {
            // Strips of about one width: a narrow last one would leave registers idle.
            let taken = vectors.div_ceil(left);
            let columns = column..(column + taken * S::F32_LANES).min(n);
            (column, vectors) = (columns.end, vectors - taken);
            let (mut row, mut rest) = (self.first, &mut self.y[..]);
            while !rest.is_empty() {
                let count = match rest.len() / n {
                    6.. => 6,
                    4.. => 4,
                    2.. => 2,
                    _ => 1,
                };
                let (y, tail) = rest.split_at_mut(count * n);
                let (columns, depth) = (columns.clone(), self.depth.clone());
                let block = Block { product: self.product, row, columns, depth, y };
                match count {
                    6 => block.rows::<S, TRANS_A, 6>(simd),
                    4 => block.rows::<S, TRANS_A, 4>(simd),
                    2 => block.rows::<S, TRANS_A, 2>(simd),
                    _ => block.rows::<S, TRANS_A, 1>(simd),
                }
                (row, rest) = (row + count, tail);
            }
        }
    }
}

/// Some columns of some rows of y, which are whole.
struct Block<'a> {
    product: &'a Product<'a, f32>,
    row: usize,
    columns: Range<usize>,
    depth: Range<usize>,
    y: &'a mut [f32],
}

impl Block<'_> {
    #[inline(always)]
    fn rows<S: Simd, const TRANS_A: bool, const ROWS: usize>(self, simd: S) {
        match self.columns.len().div_ceil(S::F32_LANES) {
            1 => self.multiply::<S, TRANS_A, ROWS, 1>(simd),
            2 => self.multiply::<S, TRANS_A, ROWS, 2>(simd),
            // Never with 16 registers: the compiler sees it and leaves these out.
            _ if S::REGISTER_COUNT < 32 => unreachable!("strips are as wide as the registers allow"),
            3 => self.multiply::<S, TRANS_A, ROWS, 3>(simd),
            _ => self.multiply::<S, TRANS_A, ROWS, 4>(simd),
        }
    }

    #[inline(always)]
    fn multiply<S: Simd, const TRANS_A: bool, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        let Product { a, b, extents: [m, n, depth], .. } = *self.product;
        let width = self.columns.len();
        let vector = |v: usize| v * S::F32_LANES..if v + 1 == VECTORS { width } else { (v + 1) * S::F32_LANES };
        let rows: [&[f32]; ROWS] =
            if TRANS_A { [&[]; ROWS] } else { from_fn(|r| &a[(self.row + r) * depth..][..depth]) };
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        for k in self.depth {
            let b = &b[k * n + self.columns.start..][..width];
            let b: [S::f32s; VECTORS] = from_fn(|v| simd.partial_load_f32s(&b[vector(v)]));
            let a: [f32; ROWS] = if TRANS_A {
                let column = &a[k * m + self.row..][..ROWS];
                from_fn(|r| column[r])
            } else {
                from_fn(|r| rows[r][k])
            };
            for r in 0..ROWS {
                let a = simd.splat_f32s(a[r]);
                for v in 0..VECTORS {
                    sums[r][v] = simd.mul_add_e_f32s(a, b[v], sums[r][v]);
                }
            }
        }
        for (y, sums) in self.y.chunks_mut(n).zip(sums) {
            let y = &mut y[self.columns.clone()];
            for (v, sum) in sums.into_iter().enumerate() {
                simd.partial_store_f32s(&mut y[vector(v)], sum);
            }
        }
    }
}

// Rows of a and of b are vectors: y[i][j] is the sum over lanes of a[i] b[j].
impl Rows<'_> {
    /// As many rows of a as stay in the cache, while all rows of b go by.
    #[inline(always)]
    fn dots<S: Simd, const ROWS: usize, const COLUMNS: usize>(self, simd: S) {
        let [_, n, depth] = self.product.extents;
        let resident = (RESIDENT_BYTES / (4 * depth)).max(ROWS);
        for (i, y) in self.y.chunks_mut(resident * n).enumerate() {
            let rows = self.first + i * resident..self.first + i * resident + y.len() / n;
            let whole = rows.start + rows.len() / ROWS * ROWS;
            for column in (0..n / COLUMNS * COLUMNS).step_by(COLUMNS) {
                for row in (rows.start..whole).step_by(ROWS) {
                    self.product.dot::<S, ROWS, COLUMNS>(simd, row, column, &mut y[(row - rows.start) * n..]);
                }
                for row in whole..rows.end {
                    self.product.dot::<S, 1, COLUMNS>(simd, row, column, &mut y[(row - rows.start) * n..]);
                }
            }
            for column in n / COLUMNS * COLUMNS..n {
                for row in (rows.start..whole).step_by(ROWS) {
                    self.product.dot::<S, ROWS, 1>(simd, row, column, &mut y[(row - rows.start) * n..]);
                }
                for row in whole..rows.end {
                    self.product.dot::<S, 1, 1>(simd, row, column, &mut y[(row - rows.start) * n..]);
                }
            }
        }
    }
}

impl Product<'_, f32> {
    /// The block of y at a row and a column; `y` starts with that row.
    #[inline(always)]
    fn dot<S: Simd, const ROWS: usize, const COLUMNS: usize>(&self, simd: S, row: usize, column: usize, y: &mut [f32]) {
        let [_, n, depth] = self.extents;
        let whole = depth / S::F32_LANES;
        let a: [&[f32]; ROWS] = from_fn(|r| &self.a[(row + r) * depth..][..depth]);
        let b: [&[f32]; COLUMNS] = from_fn(|c| &self.b[(column + c) * depth..][..depth]);
        let a_vectors: [&[S::f32s]; ROWS] = from_fn(|r| &S::as_simd_f32s(a[r]).0[..whole]);
        let b_vectors: [&[S::f32s]; COLUMNS] = from_fn(|c| &S::as_simd_f32s(b[c]).0[..whole]);
        let mut sums = [[simd.splat_f32s(0.0); COLUMNS]; ROWS];
        let mut add = |a: [S::f32s; ROWS], b: [S::f32s; COLUMNS]| {
            for r in 0..ROWS {
                for c in 0..COLUMNS {
                    sums[r][c] = simd.mul_add_e_f32s(a[r], b[c], sums[r][c]);
                }
            }
        };
        for k in 0..whole {
            add(from_fn(|r| a_vectors[r][k]), from_fn(|c| b_vectors[c][k]));
        }
        let rest = whole * S::F32_LANES..;
        add(
            from_fn(|r| simd.partial_load_f32s(&a[r][rest.clone()])),
            from_fn(|c| simd.partial_load_f32s(&b[c][rest.clone()])),
        );
        for (y, sums) in y.chunks_mut(n).zip(sums) {
            for (y, sum) in y[column..].iter_mut().zip(sums) {
                *y = simd.reduce_sum_f32s(sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::case::random;

    /// [`Case::sums`](crate::ops::Case::sums) has the reason: 2 sqrt(K) ulps of the results' root mean square, sqrt(K) / 3.
    #[test]
    fn kernels_give_what_the_library_gives_in_f64() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for (seed, extents) in [
            [1, 1, 1],
            [5, 9, 64],
            [7, 100, 3],
            [13, 65, 67],
            [32, 100, 784],
            [19, 1028, 129],
            [150, 31, 1024],
            [401, 70, 700],
        ]
        .into_iter()
        .enumerate()
        {
            let [m, n, k] = extents;
            let (a, b) = (random([m * k], 300 + seed as u64), random([k * n], 320 + seed as u64));
            let (a32, b32, a64, b64) =
                (a.values().to_f32(), b.values().to_f32(), a.values().to_f64(), b.values().to_f64());
            for (trans_a, trans_b) in [(false, false), (true, false), (false, true), (true, true)] {
                let (mut y, mut expected) = (vec![f32::NAN; m * n], vec![0.0; m * n]);
                pool.install(|| Product { a: &a32, b: &b32, extents, trans_a, trans_b }.by_kernel(&mut y));
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
