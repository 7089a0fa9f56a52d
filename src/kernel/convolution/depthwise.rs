//! Convolution of each channel by itself on the CPU, in f32, by vectors.
//!
//! A pixel has as many numbers as there are filters, and each is made of the number in its place of other pixels. So a row of an
//! image is one long line of numbers: a vector of it is multiplied by the vector of a tap's weights there, which comes again after
//! each unit, the least number of pixels whose numbers fill whole vectors.
//!
//! An image is read where it lies where a line of it can be. Else it is copied: with zeros around it, each channel as often as it
//! has filters, and columns that are a stride apart beside each other.

use std::ops::Range;

use pulp::Simd;

use super::vectors::{PADDED, SHARED, STRIPS};
use super::{Convolution, Sweep};
use crate::kernel::cpu::Finish;
use crate::threads::{Chunks, for_each_chunk};

/// Pixels whose products a gradient adds up before it goes to the next channels.
const PIXELS: usize = 128;

/// How a sweep reads the lines of an image.
pub(super) struct Lines {
    sweep: Sweep,
    /// Numbers of a pixel: filters.
    width: usize,
    /// How many of them are made of one channel of the image that is read.
    repeat: usize,
    /// Numbers of the pixels that fill whole vectors.
    unit: usize,
    /// The rows and columns that are read, where they are copied; what is read where it lies has neither.
    copied: Option<([isize; 2], [usize; 2])>,
    /// Where the first line starts, and how far the next one is.
    start: usize,
    line: usize,
    /// Where each tap reads, from the start of a line, and which of the kernel it is.
    offsets: Vec<usize>,
    taps: Vec<usize>,
    /// How far the last tap reads.
    reach: usize,
    /// Where its weights start among those that are packed, a unit a tap.
    first: usize,
}

/// The least number of numbers that are whole pixels of this width and whole vectors.
fn unit(width: usize) -> usize {
    struct Unit(usize);
    impl pulp::WithSimd for Unit {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            self.0 / super::gcd(self.0, S::F32_LANES) * S::F32_LANES
        }
    }
    pulp::Arch::new().dispatch(Unit(width))
}

impl Convolution<'_, f32> {
    /// How the kernel's gradient reads x.
    pub(super) fn lines(&self) -> Lines {
        Lines::new(self, self.geometry.forward())
    }

    /// Each image by all sweeps, and what follows.
    pub(super) fn depthwise_sweeps(&self, sweeps: &[Sweep], y: &mut [f32], finish: Finish<'_, f32>) {
        let [_, ([rows, columns], channels)] = self.sides();
        let mut packed = SHARED.take();
        packed.clear();
        let all: Vec<Lines> = sweeps.iter().map(|sweep| Lines::new(self, *sweep).packed(self.b, &mut packed)).collect();
        let image = rows * columns * channels;
        for_each_chunk(Chunks(y, image.max(1)), self.images_at_once(), &|n, y| {
            pulp::Arch::new().dispatch(Image { all: self, lines: &all, packed: &packed, n, y });
            finish(n * image, y);
        });
        SHARED.set(packed);
    }

    /// Adds the kernel's gradient of some images to dw.
    pub(super) fn depthwise_part(&self, lines: &Lines, images: Range<usize>, dw: &mut [f32]) {
        pulp::Arch::new().dispatch(Part { all: self, lines, images, dw });
    }
}

impl Lines {
    fn new(all: &Convolution<'_, f32>, sweep: Sweep) -> Self {
        let [([rows, columns], channels), _] = all.sides();
        let (width, step) = (all.geometry.filters, sweep.from_step[1]);
        let (from, extent) = sweep.reads();
        let inside = |axis: usize, all: usize| from[axis] >= 0 && from[axis] as usize + extent[axis] <= all;
        let in_place = inside(0, rows) && inside(1, columns) && step == 1 && channels == width;
        let apart = extent[1].div_ceil(step) * width;
        let (start, line) = match in_place {
            true => ((from[0] as usize * columns + from[1] as usize) * width, columns * width),
            false => (0, step * apart),
        };
        let (mut offsets, mut taps) = (Vec::new(), Vec::new());
        for i in 0..sweep.taps[0] {
            for j in 0..sweep.taps[1] {
                let column = sweep.offset(1, j);
                offsets.push(sweep.offset(0, i) * line + column % step * apart + column / step * width);
                taps.push(sweep.kernel_tap(all.geometry.window.size[1], [i, j]));
            }
        }
        let copied = (!in_place).then_some((from, extent));
        let (repeat, unit, reach) = (width / channels, unit(width), offsets.iter().copied().max().unwrap_or(0));
        Self { sweep, width, repeat, unit, copied, start, line, offsets, taps, reach, first: 0 }
    }

    /// Packs the weights behind what is there.
    fn packed(self, b: &[f32], packed: &mut Vec<f32>) -> Self {
        let (width, first) = (self.width, packed.len());
        for &tap in &self.taps {
            (0..self.unit / width).for_each(|_| packed.extend_from_slice(&b[tap * width..][..width]));
        }
        Self { first, ..self }
    }

    /// Where the line starts of which row i of what is made is made.
    fn base(&self, i: usize) -> usize {
        self.start + i * self.sweep.from_step[0] * self.line
    }

    /// Numbers of a line of what is made.
    fn made(&self) -> usize {
        self.sweep.made[1] * self.width
    }

    /// The image n as this sweep reads it.
    fn image<'a>(&self, all: &Convolution<'a, f32>, n: usize, copy: &'a mut Vec<f32>) -> &'a [f32] {
        let [([rows, columns], channels), _] = all.sides();
        let x = &all.a[n * rows * columns * channels..][..rows * columns * channels];
        let Some((from, extent)) = self.copied else { return x };
        let (step, repeat, width) = (self.sweep.from_step[1], self.repeat, self.width);
        copy.resize(extent[0] * self.line, 0.0);
        let apart = self.line / step;
        // Those of what is read that are of the image.
        let [of_rows, of_columns] = [(0, rows), (1, columns)].map(|(axis, all)| {
            let end = (all as isize - from[axis]).clamp(0, extent[axis] as isize) as usize;
            ((-from[axis]).max(0) as usize).min(end)..end
        });
        copy[..of_rows.start * self.line].fill(0.0);
        copy[of_rows.end * self.line..].fill(0.0);
        for i in of_rows {
            let row = (from[0] + i as isize) as usize * columns;
            let copy = &mut copy[i * self.line..][..self.line];
            if of_columns.is_empty() {
                copy.fill(0.0);
                continue;
            }
            if step == 1 && repeat == 1 {
                let first = (row + (from[1] + of_columns.start as isize) as usize) * channels;
                let (before, rest) = copy.split_at_mut(of_columns.start * width);
                let (inside, behind) = rest.split_at_mut(of_columns.len() * width);
                before.fill(0.0);
                inside.copy_from_slice(&x[first..][..inside.len()]);
                behind.fill(0.0);
                continue;
            }
            copy.fill(0.0);
            for j in of_columns.clone() {
                let x = &x[(row + (from[1] + j as isize) as usize) * channels..][..channels];
                let copy = &mut copy[j % step * apart + j / step * width..][..width];
                match repeat {
                    1 => copy.copy_from_slice(x),
                    _ => copy.chunks_exact_mut(repeat).zip(x).for_each(|(copy, &x)| copy.fill(x)),
                }
            }
        }
        copy
    }

    /// A line of what is made, of the line of x that starts at `base`.
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, x: &[f32], weights: &[f32], y: &mut [f32]) {
        let (lanes, unit) = (S::F32_LANES, self.unit);
        let whole = y.len() / unit;
        let weights = S::as_simd_f32s(weights).0;
        let mut done = 0;
        while done < whole {
            let count = match whole - done {
                8.. => 8,
                4.. => 4,
                2.. => 2,
                _ => 1,
            };
            for v in 0..unit / lanes {
                let at = done * unit + v * lanes;
                let (x, y) = (&x[at..], &mut y[at..]);
                match count {
                    8 => self.units::<S, 8>(simd, x, weights, v, y),
                    4 => self.units::<S, 4>(simd, x, weights, v, y),
                    2 => self.units::<S, 2>(simd, x, weights, v, y),
                    _ => self.units::<S, 1>(simd, x, weights, v, y),
                }
            }
            done += count;
        }
        let (x, y) = (&x[whole * unit..], &mut y[whole * unit..]);
        for (v, y) in y.chunks_mut(lanes).enumerate() {
            let mut sum = simd.splat_f32s(0.0);
            for (&offset, weights) in self.offsets.iter().zip(weights.chunks_exact(unit / lanes)) {
                let x = simd.partial_load_f32s(&x[v * lanes + offset..][..y.len()]);
                sum = simd.mul_add_e_f32s(x, weights[v], sum);
            }
            simd.partial_store_f32s(y, sum);
        }
    }

    /// Vector v of so many units.
    #[inline(always)]
    fn units<S: Simd, const R: usize>(&self, simd: S, x: &[f32], weights: &[S::f32s], v: usize, y: &mut [f32]) {
        let (lanes, unit, reach) = (S::F32_LANES, self.unit, self.reach + S::F32_LANES);
        let mut lines: [&[f32]; R] = [&[]; R];
        for r in 0..R {
            lines[r] = &x[r * unit..][..reach];
        }
        let mut sums = [simd.splat_f32s(0.0); R];
        for (&offset, weights) in self.offsets.iter().zip(weights.chunks_exact(unit / lanes)) {
            let w = weights[v];
            for r in 0..R {
                let x = S::as_simd_f32s(&lines[r][offset..offset + lanes]).0[0];
                sums[r] = simd.mul_add_e_f32s(x, w, sums[r]);
            }
        }
        for r in 0..R {
            S::as_mut_simd_f32s(&mut y[r * unit..][..lanes]).0[0] = sums[r];
        }
    }
}

/// One image that is made.
struct Image<'a> {
    all: &'a Convolution<'a, f32>,
    lines: &'a [Lines],
    packed: &'a [f32],
    n: usize,
    y: &'a mut [f32],
}

impl pulp::WithSimd for Image<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { all, packed, n, y, .. } = self;
        let [_, ([_, to_columns], channels)] = all.sides();
        let (mut copy, mut made) = (PADDED.take(), STRIPS.take());
        for lines in self.lines {
            let x = lines.image(all, n, &mut copy);
            let weights = &packed[lines.first..][..lines.taps.len() * lines.unit];
            let Sweep { made: [rows, _], to, to_step, .. } = lines.sweep;
            let (width, len) = (lines.width, lines.made());
            made.resize(made.len().max(len), 0.0);
            for i in 0..rows {
                let x = &x[lines.base(i)..];
                let y = &mut y[((to[0] + i * to_step[0]) * to_columns + to[1]) * channels..];
                if to_step[1] == 1 && width == channels {
                    lines.multiply(simd, x, weights, &mut y[..len]);
                    continue;
                }
                lines.multiply(simd, x, weights, &mut made[..len]);
                for (y, made) in y.chunks_mut(to_step[1] * channels).zip(made[..len].chunks_exact(width)) {
                    let y = &mut y[..channels];
                    match width / channels {
                        1 => y.copy_from_slice(made),
                        repeat => {
                            let sums = made.chunks_exact(repeat).map(|made| made.iter().sum());
                            y.iter_mut().zip(sums).for_each(|(y, sum)| *y = sum);
                        }
                    }
                }
            }
        }
        PADDED.set(copy);
        STRIPS.set(made);
    }
}

/// The kernel's gradient of some images.
struct Part<'a> {
    all: &'a Convolution<'a, f32>,
    lines: &'a Lines,
    images: Range<usize>,
    dw: &'a mut [f32],
}

impl pulp::WithSimd for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { all, lines, dw, .. } = self;
        let (mut copy, mut sums) = (PADDED.take(), STRIPS.take());
        let (rows, unit, width, len) = (lines.sweep.made[0], lines.unit, lines.width, lines.made());
        sums.clear();
        sums.resize(lines.taps.len() * unit, 0.0);
        let at_once = (PIXELS / lines.sweep.made[1].max(1)).max(1);
        for n in self.images {
            let x = lines.image(all, n, &mut copy);
            let dy = &all.b[n * rows * len..][..rows * len];
            for row in (0..rows).step_by(at_once) {
                let rows = row..(row + at_once).min(rows);
                let mut tap = 0;
                while tap < lines.taps.len() {
                    let sums = &mut sums[tap * unit..];
                    let block = Block { lines, x, dy, rows: rows.clone(), tap };
                    tap += match lines.taps.len() - tap {
                        9.. => block.add::<S, 9>(simd, sums),
                        6.. => block.add::<S, 6>(simd, sums),
                        4.. => block.add::<S, 4>(simd, sums),
                        2.. => block.add::<S, 2>(simd, sums),
                        _ => block.add::<S, 1>(simd, sums),
                    };
                }
            }
        }
        for (dw, sums) in dw.chunks_exact_mut(width).zip(sums.chunks_exact(unit)) {
            for sums in sums.chunks_exact(width) {
                dw.iter_mut().zip(sums).for_each(|(dw, sum)| *dw += sum);
            }
        }
        PADDED.set(copy);
        STRIPS.set(sums);
    }
}

/// Some rows of an image of dy and the taps from one on.
struct Block<'a> {
    lines: &'a Lines,
    x: &'a [f32],
    dy: &'a [f32],
    rows: Range<usize>,
    tap: usize,
}

impl Block<'_> {
    /// Adds to the sums of so many taps what these rows give.
    #[inline(always)]
    fn add<S: Simd, const T: usize>(&self, simd: S, sums: &mut [f32]) -> usize {
        let Lines { unit, ref offsets, .. } = *self.lines;
        let (lanes, len) = (S::F32_LANES, self.lines.made());
        let mut taps = [0; T];
        taps.copy_from_slice(&offsets[self.tap..][..T]);
        for v in (0..unit.min(len)).step_by(lanes) {
            let mut added = [simd.splat_f32s(0.0); T];
            for row in self.rows.clone() {
                let dy = &self.dy[row * len..][..len];
                let x = &self.x[self.lines.base(row)..];
                let whole = (len - v) / unit + usize::from((len - v) % unit >= lanes);
                let reach = whole.saturating_sub(1) * unit + lanes;
                if whole > 0 {
                    let dy = &dy[v..][..reach];
                    let mut lines: [&[f32]; T] = [&[]; T];
                    for t in 0..T {
                        lines[t] = &x[v + taps[t]..][..reach];
                    }
                    for at in (0..whole).map(|i| i * unit) {
                        let dy = S::as_simd_f32s(&dy[at..at + lanes]).0[0];
                        for t in 0..T {
                            let x = S::as_simd_f32s(&lines[t][at..at + lanes]).0[0];
                            added[t] = simd.mul_add_e_f32s(x, dy, added[t]);
                        }
                    }
                }
                // The line's end, less than a vector.
                let at = v + whole * unit;
                if at < len {
                    let rest = (len - at).min(lanes);
                    let dy = simd.partial_load_f32s(&dy[at..][..rest]);
                    for t in 0..T {
                        let x = simd.partial_load_f32s(&x[at + taps[t]..][..rest]);
                        added[t] = simd.mul_add_e_f32s(x, dy, added[t]);
                    }
                }
            }
            for t in 0..T {
                let sum = &mut S::as_mut_simd_f32s(&mut sums[t * unit + v..][..lanes]).0[0];
                *sum = simd.add_f32s(*sum, added[t]);
            }
        }
        T
    }
}
