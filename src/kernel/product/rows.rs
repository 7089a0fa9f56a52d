//! The kernel of products of f32 by rows: rows of b are vectors, y\[i\]\[j..\] += op(a)\[i\]\[k\] b\[k\]\[j..\], with a block of y in registers.

use std::cell::Cell;
use std::ops::Range;

use pulp::Simd;

use super::Product;

/// Columns of y in a strip, at most: four vectors of the widest kind.
pub(super) const STRIP: usize = 64;

/// Numbers of the widest vector.
const MOST_LANES: usize = 16;

/// How many numbers a packed right side (K, N) has, whatever the processor's vectors are.
pub(in crate::kernel) fn packed_len([k, n]: [usize; 2]) -> usize {
    k * n.next_multiple_of(MOST_LANES)
}

/// Some columns of b, whose rows have `width` numbers, strip by strip.
pub(in crate::kernel) fn pack(b: &[f32], width: usize, columns: Range<usize>, packed: &mut [f32]) {
    pulp::Arch::new().dispatch(Pack { b, width, columns, packed });
}

/// y (M, N) = a (M, K) b (K, N), by the calling thread, of a b that is packed. It suits any b: of one that no cache holds, too, a strip
/// comes as fast as it is used.
pub(in crate::kernel) fn multiply_packed(a: &[f32], packed: &[f32], extents: [usize; 3], y: &mut [f32]) {
    let [m, n, k] = extents;
    assert!(a.len() == m * k && packed.len() >= packed_len([k, n]) && y.len() == m * n, "{extents:?}");
    let product = &Product { a, b: &[], extents, trans_a: false, trans_b: false };
    pulp::Arch::new().dispatch(Rows { product, packed: Some(packed), first: 0, depth: 0..k, y });
}

/// Columns of y that are made together, strip after strip, and how many vectors each has.
fn strips<S: Simd>(n: usize) -> impl Iterator<Item = (Range<usize>, usize)> {
    let most = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
    let (mut vectors, mut column) = (n.div_ceil(S::F32_LANES), 0);
    (1..=vectors.div_ceil(most)).rev().map(move |left| {
        // Strips of about one width: a narrow last one would leave registers idle.
        let taken = vectors.div_ceil(left);
        let columns = column..(column + taken * S::F32_LANES).min(n);
        (column, vectors) = (columns.end, vectors - taken);
        (columns, taken)
    })
}

/// Columns of b, and where they are packed.
struct Pack<'a> {
    b: &'a [f32],
    width: usize,
    columns: Range<usize>,
    packed: &'a mut [f32],
}

impl pulp::WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let k = self.b.len() / self.width;
        for (columns, vectors) in strips::<S>(self.columns.len()) {
            let width = vectors * S::F32_LANES;
            let strip = &mut self.packed[k * columns.start..][..k * width];
            for (packed, b) in strip.chunks_exact_mut(width).zip(self.b.chunks_exact(self.width)) {
                let (whole, rest) = packed.split_at_mut(columns.len());
                whole.copy_from_slice(&b[self.columns.clone()][columns.clone()]);
                rest.fill(0.0);
            }
        }
    }
}

/// Rows of y from `first` on, of sums over a range of K.
pub(super) struct Rows<'a> {
    pub product: &'a Product<'a, f32>,
    /// The right side where it is packed, in place of the product's.
    pub packed: Option<&'a [f32]>,
    pub first: usize,
    pub depth: Range<usize>,
    pub y: &'a mut [f32],
}

impl pulp::WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.product.trans_a { self.strips::<S, true>(simd) } else { self.strips::<S, false>(simd) }
    }
}

impl Rows<'_> {
    /// A strip of columns after the other.
    #[inline(always)]
    fn strips<S: Simd, const TRANS_A: bool>(mut self, simd: S) {
        let n = self.product.extents[1];
        let mut scratch = SCRATCH.take();
        scratch.resize(PART + TILE, 0.0);
        for (columns, vectors) in strips::<S>(n) {
            match vectors {
                1 => self.strip::<S, TRANS_A, 1>(simd, columns, &mut scratch),
                2 => self.strip::<S, TRANS_A, 2>(simd, columns, &mut scratch),
                // Never with 16 registers: the compiler sees it and leaves these out.
                _ if S::REGISTER_COUNT < 32 => unreachable!("strips are as wide as the registers allow"),
                3 => self.strip::<S, TRANS_A, 3>(simd, columns, &mut scratch),
                _ => self.strip::<S, TRANS_A, 4>(simd, columns, &mut scratch),
            }
        }
        SCRATCH.set(scratch);
    }

    /// Some of K at once, so that this part of b stays in the innermost cache while all rows go by.
    #[inline(always)]
    fn strip<S: Simd, const TRANS_A: bool, const VECTORS: usize>(
        &mut self,
        simd: S,
        columns: Range<usize>,
        scratch: &mut [f32],
    ) {
        let Product { b, extents: [_, n, k], .. } = *self.product;
        let (scratch, tile) = scratch.split_at_mut(PART);
        let width = VECTORS * S::F32_LANES;
        let parts = self.depth.len().div_ceil(PART / width).max(1);
        let depth = self.depth.len().div_ceil(parts).max(1);
        for start in self.depth.clone().step_by(depth) {
            let depth = start..(start + depth).min(self.depth.end);
            let part = match self.packed {
                Some(packed) => &packed[k * columns.start + start * width..][..depth.len() * width],
                None => {
                    let part = &mut scratch[..depth.len() * width];
                    for (part, b) in part.chunks_exact_mut(width).zip(b[start * n..].chunks(n)) {
                        copy::<S, VECTORS, false>(&b[columns.clone()], part);
                    }
                    part
                }
            };
            let mut block = Block { product: self.product, row: self.first, depth, part, tile };
            let add = start > self.depth.start;
            let mut rest = &mut self.y[..];
            while !rest.is_empty() {
                let count = match rest.len() / n {
                    // Of few vectors a row more rows, so that the processor always has sums to go on with.
                    8.. if VECTORS <= 2 && S::REGISTER_COUNT >= 32 => 8,
                    6.. => 6,
                    4.. => 4,
                    2.. => 2,
                    _ => 1,
                };
                match count {
                    8 => block.multiply::<S, TRANS_A, 8, VECTORS>(simd),
                    6 => block.multiply::<S, TRANS_A, 6, VECTORS>(simd),
                    4 => block.multiply::<S, TRANS_A, 4, VECTORS>(simd),
                    2 => block.multiply::<S, TRANS_A, 2, VECTORS>(simd),
                    _ => block.multiply::<S, TRANS_A, 1, VECTORS>(simd),
                }
                let (y, tail) = rest.split_at_mut(count * n);
                for (sums, y) in block.tile.chunks_exact(width).zip(y.chunks_exact_mut(n)) {
                    let y = &mut y[columns.clone()];
                    match add {
                        false => copy::<S, VECTORS, false>(sums, y),
                        true => copy::<S, VECTORS, true>(sums, y),
                    }
                }
                (block.row, rest) = (block.row + count, tail);
            }
        }
    }
}

/// Numbers of b at once: 24 KiB.
const PART: usize = 96 * STRIP;

/// Numbers of y at once.
const TILE: usize = 6 * STRIP;

thread_local! {
    /// A part of b and a block of y, kept from step to step.
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Some columns of some rows of y.
struct Block<'a> {
    product: &'a Product<'a, f32>,
    row: usize,
    depth: Range<usize>,
    /// Some columns of b, of this range of K, as whole vectors.
    part: &'a [f32],
    /// The rows' sums, as whole vectors.
    tile: &'a mut [f32],
}

impl Block<'_> {
    // The sums stay in registers only if the compiler unrolls the loops over rows and vectors, for which they must be short:
    // of 12 rows it does not. And loops, where std::array::from_fn would be shorter: that is a call where the compiler does
    // not see fit to inline it, and what it calls in turn then knows no vectors.
    #[inline(always)]
    fn multiply<S: Simd, const TRANS_A: bool, const ROWS: usize, const VECTORS: usize>(&mut self, simd: S) {
        let Product { a, extents: [m, _, k], .. } = *self.product;
        let (start, depth) = (self.depth.start, self.depth.len());
        let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
        if !TRANS_A {
            for r in 0..ROWS {
                rows[r] = &a[(self.row + r) * k + start..][..depth];
            }
        }
        // Of as many blocks as the rows have numbers, so that no bounds are checked in the loop.
        let part = &S::as_simd_f32s(self.part).0.as_chunks::<VECTORS>().0[..depth];
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        for i in 0..depth {
            let b = &part[i];
            let column = if TRANS_A { &a[(start + i) * m + self.row..][..ROWS] } else { &[] };
            for r in 0..ROWS {
                let a = simd.splat_f32s(if TRANS_A { column[r] } else { rows[r][i] });
                for v in 0..VECTORS {
                    sums[r][v] = simd.mul_add_e_f32s(a, b[v], sums[r][v]);
                }
            }
        }
        let tile = &mut S::as_mut_simd_f32s(self.tile).0[..ROWS * VECTORS];
        for r in 0..ROWS {
            for v in 0..VECTORS {
                tile[r * VECTORS + v] = sums[r][v];
            }
        }
    }
}

/// Copies so many vectors, or adds them, of which the last need not be whole where it comes from or goes to.
#[inline(always)]
pub(in crate::kernel) fn copy<S: Simd, const VECTORS: usize, const ADD: bool>(x: &[f32], y: &mut [f32]) {
    let put = |y: &mut f32, x: f32| *y = if ADD { *y + x } else { x };
    let width = VECTORS * S::F32_LANES;
    if x.len() == width && y.len() == width {
        // The same loop, but the compiler knows its length.
        for i in 0..width {
            put(&mut y[i], x[i]);
        }
    } else {
        y.iter_mut().zip(x).for_each(|(y, &x)| put(y, x));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::cpu::Real;
    use crate::ops::case::random;

    /// By the bound of the products' test; some columns of a b whose rows are wider.
    #[test]
    fn a_packed_right_side_gives_what_the_library_gives_in_f64_and_a_row_the_same_bits_by_itself() {
        for (seed, extents) in
            [[1, 1, 1], [2, 5, 3], [7, 16, 100], [13, 65, 67], [5, 100, 400], [19, 1028, 129], [16, 1024, 256]]
                .into_iter()
                .enumerate()
        {
            let [m, n, k] = extents;
            let (width, columns) = (n + 3, 2..n + 2);
            let (a, b) = (random([m * k], 340 + seed as u64), random([k * width], 360 + seed as u64));
            let (a32, b32) = (a.values().to_f32(), b.values().to_f32());
            let (mut packed, mut y) = (vec![f32::NAN; packed_len([k, n])], vec![f32::NAN; m * n]);
            pack(&b32, width, columns.clone(), &mut packed);
            multiply_packed(&a32, &packed, extents, &mut y);
            for (a, y) in a32.chunks(k).zip(y.chunks(n)) {
                let mut row = vec![f32::NAN; n];
                multiply_packed(a, &packed, [1, n, k], &mut row);
                assert!(row.iter().zip(y).all(|(a, b)| a.to_bits() == b.to_bits()), "{extents:?}: a row by itself");
            }
            let (a64, b64) = (a.values().to_f64(), b.values().to_f64());
            let (mut of_columns, mut expected) = (vec![0.0; k * n], vec![0.0; m * n]);
            <f64 as Real>::pack(&b64, width, columns, &mut of_columns);
            <f64 as Real>::multiply_packed(&a64, &of_columns, extents, &mut expected);
            let bound = f64::from(f32::EPSILON) * (1.0 + k as f64 * 2.0 / 3.0);
            for (i, (y, expected)) in y.iter().zip(&expected).enumerate() {
                let off = (f64::from(*y) - expected).abs();
                assert!(off <= bound, "{extents:?}, element {i}: {y}, not {expected}");
            }
        }
    }
}
