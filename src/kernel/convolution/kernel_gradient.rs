//! The gradient of a convolution with respect to its kernel on the CPU, in f32, by vectors.
//!
//! A block of the kernel stays in registers while the pixels of a few rows of an image go by. The images are cut into parts by the
//! extents alone, each of which makes a gradient of its own; these are added up in their order.

use std::ops::Range;

use pulp::Simd;

use super::vectors::{PADDED, Plan, SHARED, STRIPS};
use super::{Convolution, Geometry};
use crate::kernel::cpu::{for_each_piece, vectorised};
use crate::kernel::product::copy;
use crate::threads::{Chunks, for_each_chunk};

/// Parts that images are cut into, at most, and pixels of a part, at least.
const MOST_PARTS: usize = 8;
const LEAST_PIXELS: usize = 1024;

/// Pixels whose gradients are gone through at once, so that they stay in the innermost cache.
const PIXELS: usize = 128;

impl Convolution<'_, f32> {
    /// Each part of the images makes a gradient of its own; these are added up in their order.
    pub(super) fn kernel_gradient(&self, dw: &mut [f32]) {
        if dw.is_empty() {
            return;
        }
        let Geometry { batch, output: [rows, columns], .. } = self.geometry;
        let pixels = batch * rows * columns;
        let parts = (pixels / LEAST_PIXELS).clamp(1, MOST_PARTS).min(batch.max(1));
        let at_once = batch.div_ceil(parts);
        let images = |part: usize| part * at_once..((part + 1) * at_once).min(batch);
        if self.geometry.is_depthwise() {
            let lines = self.lines();
            return self.in_parts(parts, dw, |part, dw| self.depthwise_part(&lines, images(part), dw));
        }
        let [read, written] = self.geometry.grouped();
        let plan = Plan::new(self, self.geometry.forward(), read, written);
        self.in_parts(parts, dw, |part, dw| {
            pulp::Arch::new().dispatch(Part { all: self, plan: &plan, images: images(part), dw });
        });
    }

    /// The sum of what `work` adds to zeros for each of so many parts, in their order.
    fn in_parts(&self, parts: usize, dw: &mut [f32], work: impl Fn(usize, &mut [f32]) + Sync + Send) {
        let work = |part: usize, dw: &mut [f32]| {
            dw.fill(0.0);
            work(part, dw);
        };
        if parts == 1 {
            return work(0, dw);
        }
        let mut others = SHARED.take();
        let len = dw.len();
        others.resize(others.len().max(parts * len), 0.0);
        for_each_chunk(Chunks(&mut others[..parts * len], len), 1, &work);
        for_each_piece(dw, |start, dw| {
            let end = start + dw.len();
            dw.copy_from_slice(&others[start..end]);
            vectorised!(for part in 1..parts {
                dw.iter_mut().zip(&others[part * len + start..]).for_each(|(dw, other)| *dw += other);
            });
        });
        SHARED.set(others);
    }
}

/// The gradient of some images.
struct Part<'a> {
    all: &'a Convolution<'a, f32>,
    plan: &'a Plan,
    images: Range<usize>,
    dw: &'a mut [f32],
}

impl pulp::WithSimd for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut padded = PADDED.take();
        let mut strips = STRIPS.take();
        strips.resize(PIXELS * self.plan.width, 0.0);
        let [rows, columns] = self.plan.sweep.made;
        // Blocks of whole rows, or of parts of one.
        let (block_rows, block_columns) = ((PIXELS / columns.max(1)).max(1), columns.clamp(1, PIXELS));
        for n in self.images.clone() {
            let a = self.plan.image(self.all, n, &mut padded);
            for row in (0..rows).step_by(block_rows) {
                for column in (0..columns).step_by(block_columns) {
                    let block = Block {
                        n,
                        rows: row..(row + block_rows).min(rows),
                        columns: column..(column + block_columns).min(columns),
                    };
                    for group in 0..self.all.geometry.groups {
                        for strip in 0..self.plan.strips() {
                            match self.plan.width / S::F32_LANES {
                                1 => self.strip::<S, 1>(simd, a, &block, [group, strip], &mut strips),
                                2 => self.strip::<S, 2>(simd, a, &block, [group, strip], &mut strips),
                                _ if S::REGISTER_COUNT < 32 => unreachable!("strips are as wide as registers allow"),
                                3 => self.strip::<S, 3>(simd, a, &block, [group, strip], &mut strips),
                                _ => self.strip::<S, 4>(simd, a, &block, [group, strip], &mut strips),
                            }
                        }
                    }
                }
            }
        }
        STRIPS.set(strips);
        PADDED.set(padded);
    }
}

/// Some pixels of an image of dy.
struct Block {
    n: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Part<'_> {
    /// Some columns of a group, of all taps and channels.
    #[inline(always)]
    fn strip<S: Simd, const V: usize>(
        &mut self,
        simd: S,
        a: &[f32],
        block: &Block,
        [group, strip]: [usize; 2],
        strips: &mut [f32],
    ) {
        let Geometry { output, filters, .. } = self.all.geometry;
        let plan = self.plan;
        let first = group * plan.written + strip * plan.width;
        let taken = plan.width.min(plan.written - strip * plan.width);
        let mut packed = strips.chunks_exact_mut(plan.width);
        for i in block.rows.clone() {
            let from = ((block.n * output[0] + i) * output[1] + block.columns.start) * filters;
            for dy in self.all.b[from..].chunks(filters).take(block.columns.len()) {
                let packed = packed.next().expect("as many as a block has pixels");
                copy::<S, V, false>(&dy[first..][..taken], packed);
            }
        }
        let dy = S::as_simd_f32s(strips).0;
        let a = &a[group * plan.read..];
        let mut row = 0;
        for &(offset, len) in &plan.stretches {
            let mut done = 0;
            while done < len {
                let count = match len - done {
                    8.. if V == 1 || V == 2 && S::REGISTER_COUNT >= 32 => 8,
                    6.. => 6,
                    5 => 5,
                    4 => 4,
                    3 => 3,
                    2 => 2,
                    _ => 1,
                };
                let a = &a[offset + done..];
                let rows = Rows { dw: &mut self.dw[row * filters + first..], apart: filters, taken };
                match count {
                    8 => add::<S, 8, V>(simd, plan, a, block, dy, rows),
                    6 => add::<S, 6, V>(simd, plan, a, block, dy, rows),
                    5 => add::<S, 5, V>(simd, plan, a, block, dy, rows),
                    4 => add::<S, 4, V>(simd, plan, a, block, dy, rows),
                    3 => add::<S, 3, V>(simd, plan, a, block, dy, rows),
                    2 => add::<S, 2, V>(simd, plan, a, block, dy, rows),
                    _ => add::<S, 1, V>(simd, plan, a, block, dy, rows),
                }
                (done, row) = (done + count, row + count);
            }
        }
    }
}

/// Some columns of some rows of dw.
struct Rows<'a> {
    dw: &'a mut [f32],
    /// How far apart the rows lie.
    apart: usize,
    /// How many columns.
    taken: usize,
}

/// Adds to so many rows of dw what a block's pixels give.
#[inline(always)]
fn add<S: Simd, const R: usize, const V: usize>(
    simd: S,
    plan: &Plan,
    a: &[f32],
    block: &Block,
    dy: &[S::f32s],
    rows: Rows<'_>,
) {
    let Rows { dw, apart: step, taken } = rows;
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    let apart = plan.sweep.from_step[1] * plan.channels;
    let count = block.columns.len();
    for (i, dy) in block.rows.clone().zip(dy.chunks_exact(count * V)) {
        let base = plan.base(i, block.columns.start);
        let a = &a[base..][..(count - 1) * apart + R];
        for j in 0..count {
            let a = &a[j * apart..][..R];
            let b = &dy[j * V..][..V];
            for r in 0..R {
                let a = simd.splat_f32s(a[r]);
                for v in 0..V {
                    sums[r][v] = simd.mul_add_e_f32s(a, b[v], sums[r][v]);
                }
            }
        }
    }
    // By way of memory: what a loop that is not unrolled looks into would be kept there from the start.
    let mut tile = [[simd.splat_f32s(0.0); V]; R];
    for r in 0..R {
        for v in 0..V {
            tile[r][v] = sums[r][v];
        }
    }
    for r in 0..R {
        copy::<S, V, true>(bytemuck::cast_slice(&tile[r]), &mut dw[r * step..][..taken]);
    }
}
