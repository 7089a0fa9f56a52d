//! Convolution of images by a kernel, with its two gradients: what the CPU, GPUs and the reference go by.
//!
//! Images are NHWC, the kernel is (rows, columns, channels / groups, filters). All three passes are products of matrices whose
//! one side is never written down: its elements are read where they lie, as a [`Sweep`] says.

mod depthwise;
mod kernel_gradient;
mod vectors;

use super::cpu::{Finish, Real, for_each_row_of};
use super::window::Window;
use crate::error::{Error, Result};
use crate::tensor::Shape;

/// Which of the three maps that belong to a convolution y = x * w.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// y of x and w.
    Forward,
    /// The gradient with respect to x, of dy and w; of any image and w, the transposed convolution.
    Input {
        /// Rows and columns of x.
        image: [usize; 2],
    },
    /// The gradient with respect to w, of x and dy.
    Kernel,
}

/// The extents of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// How many images there are.
    pub batch: usize,
    /// Rows and columns of x.
    pub image: [usize; 2],
    /// Rows and columns of y.
    pub output: [usize; 2],
    /// Channels of x.
    pub channels: usize,
    /// Channels of y.
    pub filters: usize,
    /// How many groups channels and filters are cut into: filters of a group see its channels alone.
    pub groups: usize,
    /// How the kernel goes over x.
    pub window: Window,
}

/// How each pixel of an image, or each of some of them, is made of pixels of another: in the forward pass all pixels of y of those
/// of x; for the gradient of x, for each place within the strides, the pixels of x there of those of dy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// How many rows and columns are made.
    pub made: [usize; 2],
    /// The first of them, and how far they lie apart in the image that they are written to.
    pub to: [usize; 2],
    /// See `to`.
    pub to_step: [usize; 2],
    /// Which pixel the first one reads for its first tap, counted from the first pixel of the image that is read.
    pub from: [isize; 2],
    /// How far apart neighbours read.
    pub from_step: [usize; 2],
    /// How many rows and columns of the kernel take part.
    pub taps: [usize; 2],
    /// How far apart neighbouring taps read.
    pub tap_step: [isize; 2],
    /// The first row and column of the kernel, and how far they lie apart in it.
    pub kernel: [usize; 2],
    /// See `kernel`.
    pub kernel_step: [usize; 2],
}

impl Sweep {
    /// How far beyond the first tap the last one of a pixel reads along an axis.
    fn reach(&self, axis: usize) -> isize {
        (self.taps[axis].max(1) as isize - 1) * self.tap_step[axis]
    }

    /// The first row and column that are read, which may be outside the image, and how many there are from there to the last.
    fn reads(&self) -> ([isize; 2], [usize; 2]) {
        let (mut from, mut extent) = ([0; 2], [0; 2]);
        for axis in 0..2 {
            let reach = self.reach(axis);
            let last = (self.made[axis].max(1) - 1) * self.from_step[axis];
            from[axis] = self.from[axis] + reach.min(0);
            extent[axis] = (last as isize + reach.abs() + 1) as usize;
        }
        (from, extent)
    }

    /// How far behind the first row or column that a pixel reads it reads for a tap.
    fn offset(&self, axis: usize, tap: usize) -> usize {
        (tap as isize * self.tap_step[axis] - self.reach(axis).min(0)) as usize
    }

    /// Which tap of a kernel of so many columns it is that takes part as this row and column.
    fn kernel_tap(&self, columns: usize, [row, column]: [usize; 2]) -> usize {
        let Self { kernel, kernel_step, .. } = self;
        (kernel[0] + row * kernel_step[0]) * columns + kernel[1] + column * kernel_step[1]
    }
}

impl Geometry {
    /// Of images x (batch, rows, columns, channels) and so many filters.
    ///
    /// # Errors
    /// [`Error::Shape`] of `op` where the window does not fit, or channels or filters are no multiple of the groups.
    pub fn new(op: &str, x: &Shape, filters: usize, groups: usize, window: Window) -> Result<Self> {
        let &[batch, rows, columns, channels] = &x[..] else {
            return Err(Error::shape(op, format!("{x} are no images (batch, rows, columns, channels)")));
        };
        let image = [rows, columns];
        let output = window.output(op, image)?;
        if groups == 0 || !channels.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
            let message =
                format!("{channels} channels and {filters} filters are not both multiples of {groups} groups");
            return Err(Error::shape(op, message));
        }
        if channels == 0 {
            return Err(Error::shape(op, format!("{x} has 0 channels, of which nothing is made")));
        }
        Ok(Self { batch, image, output, channels, filters, groups, window })
    }

    /// Channels and filters of a group.
    pub fn grouped(&self) -> [usize; 2] {
        [self.channels / self.groups, self.filters / self.groups]
    }

    /// Whether each channel has filters of its own, which see no other.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.channels && self.filters > 0
    }

    /// The kernel's shape.
    pub fn kernel(&self) -> [usize; 4] {
        let [rows, columns] = self.window.size;
        [rows, columns, self.channels / self.groups, self.filters]
    }

    /// Rows, columns and depth of one group's matrix product.
    pub fn extents(&self, pass: Pass) -> [usize; 3] {
        let [channels, filters] = self.grouped();
        let taps: usize = self.window.size.iter().product();
        let [inputs, outputs] = [self.image, self.output].map(|[rows, columns]| self.batch * rows * columns);
        match pass {
            Pass::Forward => [outputs, filters, taps * channels],
            Pass::Input { .. } => [inputs, channels, taps * filters],
            Pass::Kernel => [taps * channels, filters, outputs],
        }
    }

    /// How the pixels of y are made of those of x.
    pub fn forward(&self) -> Sweep {
        let Window { size, strides, dilation, pads } = self.window;
        Sweep {
            made: self.output,
            to: [0; 2],
            to_step: [1; 2],
            from: pads.map(|[before, _]| -(before as isize)),
            from_step: strides,
            taps: size,
            tap_step: dilation.map(|step| step as isize),
            kernel: [0; 2],
            kernel_step: [1; 2],
        }
    }

    /// How the pixels of dx are made of those of dy: a sweep for each place within the strides that dx has.
    pub fn backward(&self) -> Vec<Sweep> {
        let [rows, columns] =
            [0, 1].map(|axis| (0..self.window.strides[axis].min(self.image[axis])).map(move |at| (axis, at)));
        let mut sweeps = Vec::new();
        for (_, row) in rows {
            for (_, column) in columns.clone() {
                sweeps.push(self.backward_from([row, column]));
            }
        }
        sweeps
    }

    /// The sweep over the pixels of dx from `to` on, as far apart as the strides.
    fn backward_from(&self, to: [usize; 2]) -> Sweep {
        let Window { size, strides, dilation, pads } = self.window;
        let mut sweep = Sweep {
            made: [0, 1].map(|axis| (self.image[axis] - to[axis]).div_ceil(strides[axis])),
            to,
            to_step: strides,
            from: [0; 2],
            from_step: [1; 2],
            taps: [0; 2],
            tap_step: [0; 2],
            kernel: [0; 2],
            kernel_step: [1; 2],
        };
        for axis in 0..2 {
            // Pixel i of dx is seen by row o of y through tap k where i + pad = o stride + k dilation.
            let (stride, dilation, at) = (strides[axis], dilation[axis], to[axis] + pads[axis][0]);
            let step = stride / gcd(stride, dilation);
            let Some(first) = (0..step.min(size[axis])).find(|k| (at + k * (stride - 1) * dilation) % stride == 0)
            else {
                continue;
            };
            sweep.from[axis] = (at as isize - (first * dilation) as isize).div_euclid(stride as isize);
            sweep.taps[axis] = (size[axis] - first).div_ceil(step);
            sweep.tap_step[axis] = -((step * dilation / stride) as isize);
            (sweep.kernel[axis], sweep.kernel_step[axis]) = (first, step);
        }
        sweep
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// One pass over slices: `a` is x, or dy where the gradient of x is made; `b` is w, or dy where that of w is.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<'a, T> {
    /// The images.
    pub a: &'a [T],
    /// The kernel, or the images that its gradient is made with.
    pub b: &'a [T],
    /// The extents.
    pub geometry: Geometry,
    /// What is made.
    pub pass: Pass,
}

// The reference: plain loops, by the definition alone. What lies around an image is zeros, which are multiplied as all numbers are: a
// product of one and infinity is NaN.
impl<T: Real> Convolution<'_, T> {
    /// By plain loops.
    pub(crate) fn by_loops(&self, y: &mut [T], finish: Finish<'_, T>) {
        let g = &self.geometry;
        let [m, n, k] = g.extents(self.pass);
        let columns = if let Pass::Input { .. } = self.pass { g.channels } else { g.filters };
        for_each_row_of(m * n * k * g.groups, y, columns, |i, y| {
            match self.pass {
                Pass::Forward => self.output_pixel(i, y),
                Pass::Input { .. } => self.input_pixel(i, y),
                Pass::Kernel => self.kernel_row(i, y),
            }
            finish(i * columns, y);
        });
    }

    /// The image, row and column of a pixel.
    fn place(pixel: usize, [rows, columns]: [usize; 2]) -> [usize; 3] {
        [pixel / (rows * columns), pixel / columns % rows, pixel % columns]
    }

    /// Which pixel of x an output sees through a tap; `None` is one of the zeros around it.
    fn seen(&self, output: [usize; 2], tap: [usize; 2]) -> Option<usize> {
        let Window { strides, dilation, pads, .. } = self.geometry.window;
        let [rows, columns] = self.geometry.image;
        let [row, column] =
            [0, 1].map(|axis| (output[axis] * strides[axis] + tap[axis] * dilation[axis]).checked_sub(pads[axis][0]));
        let (row, column) = (row.filter(|&row| row < rows)?, column.filter(|&column| column < columns)?);
        Some(row * columns + column)
    }

    /// Through which pixel of y one of x is seen by a tap, where the strides have one there: `Some(None)` is one of the zeros
    /// around y.
    fn seeing(&self, input: [usize; 2], tap: [usize; 2]) -> Option<Option<usize>> {
        let Window { strides, dilation, pads, .. } = self.geometry.window;
        let [rows, columns] = self.geometry.output;
        let at = [0, 1].map(|axis| (input[axis] + pads[axis][0]) as isize - (tap[axis] * dilation[axis]) as isize);
        let [row, column] = [0, 1].map(|axis| at[axis].div_euclid(strides[axis] as isize));
        if [0, 1].into_iter().any(|axis| at[axis].rem_euclid(strides[axis] as isize) != 0) {
            return None;
        }
        let inside = (0..rows as isize).contains(&row) && (0..columns as isize).contains(&column);
        Some(inside.then(|| row as usize * columns + column as usize))
    }

    /// Rows and columns of the kernel, one tap after the other.
    fn taps(&self) -> impl Iterator<Item = [usize; 2]> + use<T> {
        let [rows, columns] = self.geometry.window.size;
        (0..rows * columns).map(move |tap| [tap / columns, tap % columns])
    }

    fn output_pixel(&self, pixel: usize, y: &mut [T]) {
        let Geometry { output, image, channels: all, filters, .. } = self.geometry;
        let [channels, group] = self.geometry.grouped();
        let [n, row, column] = Self::place(pixel, output);
        y.fill(T::zero());
        for (tap, at) in self.taps().enumerate() {
            let x = self.seen([row, column], at).map(|pixel| &self.a[(n * image[0] * image[1] + pixel) * all..][..all]);
            for (f, y) in y.iter_mut().enumerate() {
                let first = f / group * channels;
                let element = |c: usize| x.map_or(T::zero(), |x| x[first + c]);
                *y += (0..channels).map(|c| element(c) * self.b[(tap * channels + c) * filters + f]).sum();
            }
        }
    }

    fn input_pixel(&self, pixel: usize, dx: &mut [T]) {
        let Geometry { output, image, filters: all, .. } = self.geometry;
        let [channels, group] = self.geometry.grouped();
        let [n, row, column] = Self::place(pixel, image);
        dx.fill(T::zero());
        for (tap, at) in self.taps().enumerate() {
            let Some(seeing) = self.seeing([row, column], at) else { continue };
            let dy = seeing.map(|pixel| &self.a[(n * output[0] * output[1] + pixel) * all..][..all]);
            for (c, dx) in dx.iter_mut().enumerate() {
                let first = c / channels * group;
                let w = &self.b[(tap * channels + c % channels) * all + first..][..group];
                let element = |f: usize| dy.map_or(T::zero(), |dy| dy[first + f]);
                *dx += w.iter().enumerate().map(|(f, &w)| w * element(f)).sum();
            }
        }
    }

    fn kernel_row(&self, row: usize, dw: &mut [T]) {
        let Geometry { batch, output, image, channels: all, filters, window, .. } = self.geometry;
        let [channels, group] = self.geometry.grouped();
        let (tap, c) = (row / channels, row % channels);
        let tap = [tap / window.size[1], tap % window.size[1]];
        dw.fill(T::zero());
        for pixel in 0..batch * output[0] * output[1] {
            let [n, row, column] = Self::place(pixel, output);
            let x =
                self.seen([row, column], tap).map(|pixel| &self.a[(n * image[0] * image[1] + pixel) * all..][..all]);
            let dy = &self.b[pixel * filters..][..filters];
            for (f, dw) in dw.iter_mut().enumerate() {
                *dw += x.map_or(T::zero(), |x| x[f / group * channels + c]) * dy[f];
            }
        }
    }
}
