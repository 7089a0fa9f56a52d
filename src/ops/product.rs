//! The matrix product on the CPU.
//!
//! The `gemm` crate packs its operands before it multiplies them, which pays for large ones and is all that it does for
//! small ones. So f32 has kernels here that read both operands where they lie, for what is small enough to stay in a
//! core's cache meanwhile; f64, the reference, is the library's alone.

use std::array::from_fn;

use pulp::Simd;
use rayon::prelude::*;

use super::cpu::Real;

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
        let [m, n, k] = self.extents;
        let [(a_rows, a_columns), (b_rows, b_columns)] = self.strides();
        assert!(self.a.len() == m * k && self.b.len() == k * n && y.len() == m * n, "{:?}", self.extents);
        let threads = if self.is_parallel() { gemm::Parallelism::Rayon(0) } else { gemm::Parallelism::None };
        // SAFETY: y, a and b hold m * n, m * k and k * n elements (asserted), and the strides index exactly those;
        // y is borrowed mutably, so it overlaps neither.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                y.as_mut_ptr(),
                1,
                n as isize,
                false,
                self.a.as_ptr(),
                a_columns,
                a_rows,
                self.b.as_ptr(),
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
        let suits = match (self.trans_a, self.trans_b) {
            // A strip of b stays in the cache. Of a narrow y most lanes of a vector would be idle. Every core reads all
            // of b: of a large one the optimizer's update, which writes it next, waits for the others to give it up.
            (_, false) => n >= 8 && k * 4 * STRIP <= RESIDENT_BYTES && k * n * 4 <= 2 * RESIDENT_BYTES,
            // Sums over fewer than some vectors are mostly additions across the lanes.
            (false, true) => (64..=4096).contains(&k),
            (true, true) => false,
        };
        let pieces = if self.is_parallel() { rayon::current_num_threads() } else { 1 };
        if !suits || m < 6 * pieces && pieces > 1 {
            return self.by_library(y);
        }
        let rows = m.div_ceil(pieces);
        let piece =
            |(i, y): (usize, &mut [f32])| pulp::Arch::new().dispatch(Rows { product: self, first: i * rows, y });
        if pieces == 1 { piece((0, y)) } else { y.par_chunks_mut(rows * n).enumerate().for_each(piece) }
    }
}

/// Columns of y in a strip, at most: four vectors of the widest kind.
const STRIP: usize = 64;

/// Rows of y from `first` on.
struct Rows<'a> {
    product: &'a Product<'a, f32>,
    first: usize,
    y: &'a mut [f32],
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
                let block = Block { product: self.product, row, columns: columns.clone(), y };
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
    columns: std::ops::Range<usize>,
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
        for k in 0..depth {
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
