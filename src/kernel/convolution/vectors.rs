//! The passes of a convolution on the CPU, in f32, by vectors.
//!
//! No image is unrolled: a row of the product's one side is a few stretches of an image, a row of the kernel's taps each, which
//! are read where they lie. Where the kernel goes over an edge, an image is copied into one with zeros around it. The other side
//! is packed once, in strips of as many columns as the registers hold sums for.
//!
//! A thread has whole images. Each sum runs over taps and channels in one order, and the images of a kernel's gradient are cut
//! into parts by the extents alone, so that the number of threads changes no bit.

use std::cell::Cell;
use std::ops::Range;

use pulp::Simd;

use super::{Convolution, Geometry, Pass, Sweep};
use crate::kernel::cpu::Finish;
use crate::kernel::product::copy;
use crate::threads::{Chunks, for_each_chunk};

/// Sums of so many products are not worth a second thread.
const PARALLEL_FROM: usize = 500_000;

/// Vectors in a row of sums, at most, and rows of them.
const VECTORS: usize = 4;
const ROWS: usize = 8;

thread_local! {
    /// Packed operands and padded images, kept from step to step.
    pub(super) static SHARED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    pub(super) static PADDED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    pub(super) static STRIPS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

impl Convolution<'_, f32> {
    /// By vectors.
    pub(crate) fn by_vectors(&self, y: &mut [f32], finish: Finish<'_, f32>) {
        match self.pass {
            Pass::Forward => self.sweeps(&[self.geometry.forward()], y, finish),
            Pass::Input { .. } => self.sweeps(&self.geometry.backward(), y, finish),
            Pass::Kernel => {
                self.kernel_gradient(y);
                finish(0, y);
            }
        }
    }

    /// Extents of the images that are read, of those that are written, and their channels.
    pub(super) fn sides(&self) -> [([usize; 2], usize); 2] {
        let Geometry { image, output, channels, filters, .. } = self.geometry;
        match self.pass {
            Pass::Input { .. } => [(output, filters), (image, channels)],
            _ => [(image, channels), (output, filters)],
        }
    }

    /// How many images a thread has at once.
    pub(super) fn images_at_once(&self) -> usize {
        let [m, n, k] = self.geometry.extents(Pass::Forward);
        let [batch, groups] = [self.geometry.batch, self.geometry.groups];
        let one = (m / batch.max(1) * n * k * groups).max(1);
        PARALLEL_FROM.div_ceil(one)
    }

    /// Each image by all sweeps, and what follows.
    fn sweeps(&self, sweeps: &[Sweep], y: &mut [f32], finish: Finish<'_, f32>) {
        if self.geometry.is_depthwise() {
            return self.depthwise_sweeps(sweeps, y, finish);
        }
        let [_, ([rows, columns], channels)] = self.sides();
        let mut packed = SHARED.take();
        packed.clear();
        let plans: Vec<Plan> = sweeps.iter().map(|sweep| self.plan(*sweep, &mut packed)).collect();
        let image = rows * columns * channels;
        for_each_chunk(Chunks(y, image.max(1)), self.images_at_once(), &|n, y| {
            pulp::Arch::new().dispatch(Image { all: self, plans: &plans, packed: &packed, n, y });
            finish(n * image, y);
        });
        SHARED.set(packed);
    }

    /// How a sweep reads, and what it is multiplied by, packed for all groups.
    fn plan(&self, sweep: Sweep, packed: &mut Vec<f32>) -> Plan {
        let first = packed.len();
        let [group_channels, group_filters] = self.geometry.grouped();
        let (read, written) = match self.pass {
            Pass::Input { .. } => (group_filters, group_channels),
            _ => (group_channels, group_filters),
        };
        let plan = Plan::new(self, sweep, read, written);
        packed.resize(first + self.geometry.groups * plan.group_len(), 0.0);
        let (filters, width) = (self.geometry.filters, plan.width);
        for group in 0..self.geometry.groups {
            for strip in 0..plan.strips() {
                let start = first + group * plan.group_len() + strip * plan.depth() * width;
                let into = &mut packed[start..][..plan.depth() * width];
                let columns = strip * width..((strip + 1) * width).min(written);
                for (i, into) in into.chunks_exact_mut(width).enumerate() {
                    let (tap, r) = (plan.taps[i / read], i % read);
                    match self.pass {
                        Pass::Input { .. } => {
                            let from = &self.b[tap * group_channels * filters + group * group_filters + r..];
                            for (into, c) in into.iter_mut().zip(columns.clone()) {
                                *into = from[c * filters];
                            }
                        }
                        _ => {
                            let from = &self.b[(tap * read + r) * filters + group * group_filters..];
                            into[..columns.len()].copy_from_slice(&from[columns.clone()]);
                        }
                    }
                }
            }
        }
        // A product with zero is zero where nothing that it is multiplied by is infinite or NaN.
        let skips_rows = plan.skips_rows && packed[first..].iter().all(|x| x.is_finite());
        Plan { first, skips_rows, ..plan }
    }
}

/// How a sweep reads an image: stretches of neighbouring numbers, the same for each pixel that is made.
pub(super) struct Plan {
    pub sweep: Sweep,
    /// Where its packed operand starts.
    first: usize,
    /// Channels of a group that are read and written, and of an image that is read.
    pub read: usize,
    pub written: usize,
    pub channels: usize,
    /// Columns of the kernel.
    kernel_columns: usize,
    /// Columns of a strip.
    pub width: usize,
    /// The taps of the kernel, in the order in which they are read.
    taps: Vec<usize>,
    /// Where each stretch starts, from the place of a pixel's first read, and how long it is.
    pub stretches: Vec<(usize, usize)>,
    /// The rows and columns that are read, the first of them counted from the image's own, which may be outside.
    from: [isize; 2],
    extent: [usize; 2],
    /// The row and column of these that the first pixel reads first.
    start: [usize; 2],
    is_inside: bool,
    /// Those of the rows that are no zeros around the image.
    rows: Range<usize>,
    /// Whether rows of taps that read zeros alone may be passed over.
    skips_rows: bool,
}

/// Columns of a strip, of so many in all: strips of about one width, whole vectors.
fn strip_width(columns: usize) -> usize {
    struct Width(usize);
    impl pulp::WithSimd for Width {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            let most = if S::REGISTER_COUNT >= 32 { VECTORS } else { 2 };
            let vectors = self.0.div_ceil(S::F32_LANES).max(1);
            vectors.div_ceil(vectors.div_ceil(most)) * S::F32_LANES
        }
    }
    pulp::Arch::new().dispatch(Width(columns))
}

impl Plan {
    pub fn new(all: &Convolution<'_, f32>, sweep: Sweep, read: usize, written: usize) -> Self {
        let ([rows, columns], channels) = all.sides()[0];
        let (mut from, mut extent) = sweep.reads();
        let inside = |axis: usize, all: usize| from[axis] >= 0 && from[axis] as usize + extent[axis] <= all;
        let is_inside = inside(0, rows) && inside(1, columns);
        let mut start = [0; 2];
        if is_inside {
            start = from.map(|from| from as usize);
            (from, extent) = ([0; 2], [rows, columns]);
        }
        let mut plan = Self {
            sweep,
            first: 0,
            read,
            written,
            channels,
            kernel_columns: all.geometry.window.size[1],
            width: strip_width(written),
            taps: Vec::new(),
            stretches: Vec::new(),
            from,
            extent,
            start,
            is_inside,
            rows: overlap(from[0], extent[0], rows).0,
            skips_rows: false,
        };
        plan.stretch();
        plan.skips_rows = !is_inside && plan.stretches.len().is_multiple_of(sweep.taps[0].max(1));
        plan
    }

    /// Orders taps by where they read, and joins neighbours.
    fn stretch(&mut self) {
        let sweep = self.sweep;
        let in_order = |axis: usize| -> Vec<usize> {
            let taps = 0..sweep.taps[axis];
            if sweep.tap_step[axis] < 0 { taps.rev().collect() } else { taps.collect() }
        };
        for &i in &in_order(0) {
            for &j in &in_order(1) {
                let at = (sweep.offset(0, i) * self.extent[1] + sweep.offset(1, j)) * self.channels;
                match self.stretches.last_mut() {
                    Some((start, len)) if *start + *len == at && self.read == self.channels => *len += self.read,
                    _ => self.stretches.push((at, self.read)),
                }
                self.taps.push(sweep.kernel_tap(self.kernel_columns, [i, j]));
            }
        }
    }

    fn depth(&self) -> usize {
        self.taps.len() * self.read
    }

    pub fn strips(&self) -> usize {
        self.written.div_ceil(self.width)
    }

    fn group_len(&self) -> usize {
        self.strips() * self.depth() * self.width
    }

    /// Where the pixel (i, j) of those that are made reads its first number.
    pub fn base(&self, i: usize, j: usize) -> usize {
        let at = |axis: usize, i: usize| self.start[axis] + i * self.sweep.from_step[axis];
        (at(0, i) * self.extent[1] + at(1, j)) * self.channels
    }

    /// The image n as this sweep reads it: where it lies, or with zeros around it.
    pub fn image<'a>(&self, all: &Convolution<'a, f32>, n: usize, padded: &'a mut Vec<f32>) -> &'a [f32] {
        let ([rows, columns], channels) = all.sides()[0];
        let x = &all.a[n * rows * columns * channels..][..rows * columns * channels];
        if self.is_inside {
            return x;
        }
        let [height, width] = self.extent;
        padded.clear();
        padded.resize(height * width * channels, 0.0);
        let (to_columns, from_column) = overlap(self.from[1], self.extent[1], columns);
        for (row, to_row) in (self.from[0].max(0) as usize..).zip(self.rows.clone()) {
            let from = &x[(row * columns + from_column) * channels..][..to_columns.len() * channels];
            let to = (to_row * width + to_columns.start) * channels;
            padded[to..][..from.len()].copy_from_slice(from);
        }
        padded
    }

    /// The rows of taps that read more than zeros for some pixel of these rows of pixels.
    fn tap_rows(&self, pixels: [usize; 2]) -> Range<usize> {
        let Sweep { taps: [taps, _], tap_step: [apart, _], from_step: [step, _], .. } = self.sweep;
        if !self.skips_rows {
            return 0..taps;
        }
        let apart = apart.unsigned_abs().max(1);
        // The first tap that reads this row or one behind it.
        let first =
            |row: usize, pixel: usize| row.saturating_sub(self.start[0] + pixel * step).div_ceil(apart).min(taps);
        let (first, end) = (first(self.rows.start, pixels[1]), first(self.rows.end, pixels[0]));
        first..end.max(first)
    }
}

/// Of so many rows or columns that are read from one on, which may be outside, those that an image of so many has; and the first of
/// them in the image.
fn overlap(from: isize, extent: usize, all: usize) -> (Range<usize>, usize) {
    let first = from.max(0);
    let end = (from + extent as isize).clamp(0, all as isize).max(first);
    ((first - from) as usize..(end - from) as usize, first as usize)
}

/// One image that is made.
struct Image<'a> {
    all: &'a Convolution<'a, f32>,
    plans: &'a [Plan],
    packed: &'a [f32],
    n: usize,
    y: &'a mut [f32],
}

impl pulp::WithSimd for Image<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut padded = PADDED.take();
        for plan in self.plans {
            let a = plan.image(self.all, self.n, &mut padded);
            for group in 0..self.all.geometry.groups {
                for strip in 0..plan.strips() {
                    match plan.width / S::F32_LANES {
                        1 => self.strip::<S, 1>(simd, plan, a, group, strip),
                        2 => self.strip::<S, 2>(simd, plan, a, group, strip),
                        _ if S::REGISTER_COUNT < 32 => unreachable!("strips are as wide as the registers allow"),
                        3 => self.strip::<S, 3>(simd, plan, a, group, strip),
                        _ => self.strip::<S, 4>(simd, plan, a, group, strip),
                    }
                }
            }
        }
        PADDED.set(padded);
    }
}

impl Image<'_> {
    /// Some columns of a group of all pixels.
    #[inline(always)]
    fn strip<S: Simd, const V: usize>(&mut self, simd: S, plan: &Plan, a: &[f32], group: usize, strip: usize) {
        let [_, ([_, to_columns], written)] = self.all.sides();
        let Sweep { made: [rows, columns], to, to_step, .. } = plan.sweep;
        let (depth, width) = (plan.depth(), plan.width);
        let part = &self.packed[plan.first + group * plan.group_len() + strip * depth * width..][..depth * width];
        let part = S::as_simd_f32s(part).0;
        let first = group * plan.written + strip * width;
        let taken = width.min(plan.written - strip * width);
        let a = &a[group * plan.read..];
        let mut tile = [simd.splat_f32s(0.0); ROWS * VECTORS];
        let pixels = rows * columns;
        // Stretches and vectors of a row of taps.
        let taps = plan.sweep.taps[0].max(1);
        let (a_row, b_row) = (plan.stretches.len() / taps, part.len() / taps);
        let (mut pixel, mut at) = (0, [0; 2]);
        while pixel < pixels {
            let count = match pixels - pixel {
                8.. if V == 1 || V == 2 && S::REGISTER_COUNT >= 32 => 8,
                6.. => 6,
                4.. => 4,
                2.. => 2,
                _ => 1,
            };
            let mut bases = [0; ROWS];
            let mut places = [0; ROWS];
            let mut made = [at[0]; 2];
            for r in 0..count {
                made[1] = at[0];
                bases[r] = plan.base(at[0], at[1]);
                let [row, column] = [to[0] + at[0] * to_step[0], to[1] + at[1] * to_step[1]];
                places[r] = (row * to_columns + column) * written + first;
                at[1] += 1;
                if at[1] == columns {
                    at = [at[0] + 1, 0];
                }
            }
            let taps = plan.tap_rows(made);
            let stretches = &plan.stretches[taps.start * a_row..taps.end * a_row];
            let part = &part[taps.start * b_row..];
            match count {
                8 => multiply::<S, 8, V>(simd, a, &bases, stretches, part, &mut tile),
                6 => multiply::<S, 6, V>(simd, a, &bases, stretches, part, &mut tile),
                4 => multiply::<S, 4, V>(simd, a, &bases, stretches, part, &mut tile),
                2 => multiply::<S, 2, V>(simd, a, &bases, stretches, part, &mut tile),
                _ => multiply::<S, 1, V>(simd, a, &bases, stretches, part, &mut tile),
            }
            for r in 0..count {
                let sums: &[f32] = bytemuck::cast_slice(&tile[r * V..][..V]);
                copy::<S, V, false>(sums, &mut self.y[places[r]..][..taken]);
            }
            pixel += count;
        }
    }
}

/// A block of so many pixels and vectors of columns: the sums stay in registers, for which the loops over them must be unrolled.
#[inline(always)]
fn multiply<S: Simd, const R: usize, const V: usize>(
    simd: S,
    a: &[f32],
    bases: &[usize; ROWS],
    stretches: &[(usize, usize)],
    part: &[S::f32s],
    tile: &mut [S::f32s; ROWS * VECTORS],
) {
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    let mut part = part;
    for &(offset, len) in stretches {
        let mut rows: [&[f32]; R] = [&[]; R];
        for r in 0..R {
            rows[r] = &a[bases[r] + offset..][..len];
        }
        let (now, rest) = part.split_at(len * V);
        part = rest;
        // Of as many as the rows have numbers, so that no bounds are checked in the loop.
        let now = &now.as_chunks::<V>().0[..len];
        for i in 0..len {
            let b = &now[i];
            for r in 0..R {
                let a = simd.splat_f32s(rows[r][i]);
                for v in 0..V {
                    sums[r][v] = simd.mul_add_e_f32s(a, b[v], sums[r][v]);
                }
            }
        }
    }
    for r in 0..R {
        for v in 0..V {
            tile[r * V + v] = sums[r][v];
        }
    }
}
