//! Pooling: which pixels of images are under a window, for loops and as parameters of kernels.

use super::dispatch::{Binding, Dispatch, Module, Params};
use super::window::Window;
use crate::error::{Error, Result};
use crate::tensor::{DType, Type};

/// The windows that images are pooled by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// One window that goes over the image. What is added at the edges has no pixels.
    Window(Window),
    /// A given number of rows and columns of windows over images of any extent. Along an axis of E pixels window i of n has those
    /// from `floor(i E / n)` up to below `ceil((i + 1) E / n)`.
    Adaptive([usize; 2]),
}

impl From<Window> for Area {
    fn from(window: Window) -> Self {
        Self::Window(window)
    }
}

/// Rounds that an invocation of a kernel makes at most.
const MOST_ROUNDS: usize = 1 << 14;

impl Area {
    /// The type of what images `x` (batch, height, width, channels) become.
    ///
    /// # Errors
    /// [`Error::Shape`] of `op` where `x` are no such images, no window fits, or one has more pixels than a kernel goes over.
    pub fn pooled(&self, op: &str, x: &Type) -> Result<Type> {
        let (&[images, height, width, channels], DType::F32) = (&x.shape[..], x.dtype) else {
            return Err(Error::shape(op, format!("takes images (batch, height, width, channels), was given {x}")));
        };
        let windows = self.windows(op, [height, width])?;
        let pooled = Type::float([images, windows[0], windows[1], channels]);
        let [rows, columns] = Pool::new(self, x, &pooled).axes.map(|axis| axis.most());
        if rows * (columns + 1) > MOST_ROUNDS {
            let message = format!(
                "takes windows of at most {MOST_ROUNDS} pixels, was given {rows} by {columns}; pool in two steps, or over whole images"
            );
            return Err(Error::shape(op, message));
        }
        Ok(pooled)
    }

    /// That dy is of what images `x` become, and that no more windows are over a pixel than a kernel goes over.
    ///
    /// # Errors
    /// [`Error::Shape`] of `op` where not, and those of [`Area::pooled`].
    pub fn check_gradient(&self, op: &str, x: &Type, dy: &Type) -> Result<()> {
        let pooled = self.pooled(op, x)?;
        if *dy != pooled {
            return Err(Error::shape(op, format!("dy {dy} is not {pooled}")));
        }
        let [rows, columns] = Pool::new(self, x, &pooled).axes.map(|axis| axis.most_over());
        if rows * (columns + 1) > MOST_ROUNDS {
            let message = format!(
                "takes at most {MOST_ROUNDS} windows over a pixel, was given {rows} by {columns}; take larger strides"
            );
            return Err(Error::shape(op, message));
        }
        Ok(())
    }

    /// Rows and columns of windows over an image.
    fn windows(&self, op: &str, image: [usize; 2]) -> Result<[usize; 2]> {
        let windows = match self {
            Self::Window(window) => window.output(op, image)?,
            Self::Adaptive(windows) => *windows,
        };
        let products = [0, 1].map(|axis| image[axis].saturating_mul(windows[axis]));
        if windows.contains(&0) || image.contains(&0) || products.iter().any(|&n| n > u32::MAX as usize) {
            let ([height, width], [rows, columns]) = (image, windows);
            let message = format!("images of {height} by {width} pixels have no {rows} by {columns} windows");
            return Err(Error::shape(op, message));
        }
        Ok(windows)
    }
}

/// An axis of images, and the windows along it. Places are counted from the first pixel that is added before the image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// Pixels of the image.
    pub extent: usize,
    pub windows: usize,
    pub size: usize,
    pub stride: usize,
    pub dilation: usize,
    /// Pixels added before the image.
    before: usize,
    is_adaptive: bool,
}

/// Pixels of an axis, a step apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub start: usize,
    pub end: usize,
    step: usize,
}

impl Span {
    /// How many they are.
    #[inline(always)]
    pub fn len(self) -> usize {
        (self.end - self.start).div_ceil(self.step)
    }

    #[inline(always)]
    pub fn pixels(self) -> impl Iterator<Item = usize> + Clone {
        (self.start..self.end).step_by(self.step)
    }

    /// The first, where they are two neighbours.
    #[inline(always)]
    pub fn pair(self) -> Option<usize> {
        (self.step == 1 && self.end == self.start + 2).then_some(self.start)
    }
}

impl Axis {
    fn reach(&self) -> usize {
        (self.size - 1) * self.dilation + 1
    }

    /// The places of a window, whether they are of the image or not.
    fn places(&self, window: usize) -> impl Iterator<Item = usize> + use<> {
        let (first, end, step) = if self.is_adaptive {
            let bounds = self.adapted(window);
            (bounds.start, bounds.end, 1)
        } else {
            let first = window * self.stride;
            (first, first + self.reach(), self.dilation)
        };
        (first..end).step_by(step)
    }

    #[inline(always)]
    fn adapted(&self, window: usize) -> Span {
        let (start, end) = (window * self.extent / self.windows, ((window + 1) * self.extent).div_ceil(self.windows));
        Span { start, end, step: 1 }
    }

    /// The pixels of the image under a window.
    #[inline(always)]
    pub fn span(&self, window: usize) -> Span {
        if self.is_adaptive {
            return self.adapted(window);
        }
        let (first, before, step) = (window * self.stride, self.before, self.dilation);
        let start = if first < before { first + (before - first).div_ceil(step) * step } else { first };
        let end = (first + self.reach()).min(before + self.extent).max(start);
        Span { start: start - before, end: end - before, step }
    }

    /// A pixel that neither this window nor a later one reaches before.
    #[inline(always)]
    pub fn reached(&self, window: usize) -> usize {
        if window == self.windows {
            return self.extent;
        }
        let first = if self.is_adaptive { self.adapted(window).start + self.before } else { window * self.stride };
        first.saturating_sub(self.before).min(self.extent)
    }

    /// Pixels under a window, at most.
    pub fn most(&self) -> usize {
        if self.is_adaptive { shared_out(self.extent, self.windows) } else { self.size.min(self.extent) }
    }

    /// How many windows are over a pixel, at most, those between whose pixels it is counted.
    fn most_over(&self) -> usize {
        match self.is_adaptive {
            true => shared_out(self.windows, self.extent),
            false => self.reach().div_ceil(self.stride).min(self.windows),
        }
    }

    /// Whether each pixel is under one window at most.
    fn is_apart(&self) -> bool {
        !self.is_adaptive && self.stride >= self.reach()
    }
}

/// How many of n neighbours one of so many shares has at most, where shares begin and end at any part of one.
fn shared_out(n: usize, shares: usize) -> usize {
    if n.is_multiple_of(shares) { n / shares } else { (n.div_ceil(shares) + 1).min(n) }
}

/// Images, and the windows that go over them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool {
    pub images: usize,
    pub axes: [Axis; 2],
    pub channels: usize,
}

impl Pool {
    /// Pixels that all windows go over, at most, of all channels.
    pub fn visits(&self) -> u64 {
        let places: usize = self.axes.iter().map(|axis| axis.windows * axis.most()).product();
        (self.images * self.channels * places) as u64
    }

    /// Of images x, which become y.
    pub fn new(area: &Area, x: &Type, y: &Type) -> Self {
        let axis = |axis: usize| {
            let (extent, windows, is_adaptive) =
                (x.shape[1 + axis], y.shape[1 + axis], matches!(area, Area::Adaptive(_)));
            let window = match area {
                Area::Window(window) => *window,
                Area::Adaptive(_) => Window::new([1, 1]),
            };
            let (size, stride, dilation) = (window.size[axis], window.strides[axis], window.dilation[axis]);
            Axis { extent, windows, size, stride, dilation, before: window.pads[axis][0], is_adaptive }
        };
        Self { images: x.shape[0], axes: [axis(0), axis(1)], channels: x.shape[3] }
    }

    /// Elements of an image.
    pub fn image(&self) -> usize {
        self.axes[0].extent * self.row()
    }

    /// Elements of a row of an image.
    pub fn row(&self) -> usize {
        self.axes[1].extent * self.channels
    }

    /// Elements of a row of what the images become.
    pub fn pooled_row(&self) -> usize {
        self.axes[1].windows * self.channels
    }

    /// Whether each pixel is under one window at most.
    pub fn is_apart(&self) -> bool {
        self.axes.iter().all(Axis::is_apart)
    }

    /// The same as images of one row of windows each, where images can be cut so; for threads to share.
    pub fn bands(mut self) -> Self {
        let rows = &mut self.axes[0];
        if rows.is_apart() && rows.before == 0 && rows.windows * rows.stride == rows.extent {
            self.images *= rows.windows;
            (rows.extent, rows.windows) = (rows.stride, 1);
        }
        self
    }

    /// The row and column of windows and the first element of the image's and of the channel's, of an element of y.
    pub fn window_of(&self, i: usize) -> ([usize; 2], usize) {
        let (place, channel) = (i / self.channels, i % self.channels);
        let [rows, columns] = self.axes.map(|axis| axis.windows);
        ([place / columns % rows, place % columns], place / columns / rows * self.image() + channel)
    }

    /// The places of a window's pixels in its image's channel, row by row, as [`Pool::window_of`] has the first: plainly, for the
    /// reference.
    pub fn elements(&self, [row, column]: [usize; 2]) -> impl Iterator<Item = usize> + use<'_> {
        let [down, across] = self.axes;
        let inside =
            |axis: Axis| move |place: usize| place.checked_sub(axis.before).filter(|&pixel| pixel < axis.extent);
        let rows = down.places(row).filter_map(inside(down));
        let columns = move || across.places(column).filter_map(inside(across));
        rows.flat_map(move |h| columns().map(move |w| (h * across.extent + w) * self.channels))
    }

    /// How many places of a window are of the image, or of the `counted` pixels at its edges: plainly, for the reference.
    pub fn count(&self, window: [usize; 2], counted: [[usize; 2]; 2]) -> usize {
        let along = |axis: usize| {
            let (Axis { before, extent, .. }, [low, high]) = (self.axes[axis], counted[axis]);
            let is_counted = |place: &usize| place + low >= before && *place < before + extent + high;
            self.axes[axis].places(window[axis]).filter(is_counted).count()
        };
        along(0) * along(1)
    }

    /// The same images with the pixels at their edges that an average counts as their own, by which [`Pool::len`] counts.
    pub fn counting(mut self, counted: [[usize; 2]; 2]) -> Self {
        for (axis, [low, high]) in self.axes.iter_mut().zip(counted) {
            axis.before -= low;
            axis.extent += low + high;
        }
        self
    }

    /// How many pixels are under a window.
    #[inline(always)]
    pub fn len(&self, [row, column]: [usize; 2]) -> usize {
        self.axes[0].span(row).len() * self.axes[1].span(column).len()
    }

    /// The pixels of an image x that are under a window of two rows and two columns of neighbours, row by row; `None` of other windows.
    #[inline(always)]
    pub fn four<'x>(&self, x: &'x [f32], rows: Span, columns: Span) -> Option<[&'x [f32]; 2]> {
        let (row, column) = (rows.pair()?, columns.pair()?);
        Some([row, row + 1].map(|row| &x[(row * self.axes[1].extent + column) * self.channels..][..2 * self.channels]))
    }

    /// Channels that an invocation of a kernel makes at once: their number fits loads of four, or not.
    pub fn lanes(&self) -> usize {
        if self.channels.is_multiple_of(4) { 4 } else { 1 }
    }

    /// The launch of an entry for n numbers, [`Pool::lanes`] an invocation, by the module for one or that for four.
    pub fn launch(
        &self,
        [one, four]: [Module; 2],
        entry: &'static str,
        bindings: Vec<Binding>,
        n: usize,
        counted: [[usize; 2]; 2],
    ) -> Dispatch {
        let (n, module) = (n / self.lanes(), if self.lanes() == 4 { four } else { one });
        let launch = Dispatch::of(module, entry, bindings, self.params(n, counted), n.div_ceil(Dispatch::WIDTH));
        launch.constant("ADAPTIVE", self.axes[0].is_adaptive)
    }

    /// The fields of `Params` in `shaders/lib/pool.wgsl`, for a kernel of n invocations.
    fn params(&self, n: usize, counted: [[usize; 2]; 2]) -> Params {
        let [down, across] = self.axes;
        let pair = |params: Params, names: [&'static str; 2], value: &dyn Fn(usize) -> usize| {
            params.u32(names[0], value(0)).u32(names[1], value(1))
        };
        let params = Params::new().u32("n", n).u32("channels", self.channels / self.lanes());
        let params = params.u32("height", down.extent).u32("width", across.extent);
        let params = params.u32("rows", down.windows).u32("columns", across.windows);
        let axes = self.axes;
        let params = pair(params, ["stride_0", "stride_1"], &|axis| axes[axis].stride);
        let params = pair(params, ["reach_0", "reach_1"], &|axis| axes[axis].reach());
        let params = pair(params, ["dilation_0", "dilation_1"], &|axis| axes[axis].dilation);
        let params = pair(params, ["before_0", "before_1"], &|axis| axes[axis].before);
        let params = pair(params, ["low_0", "low_1"], &|axis| axes[axis].before - counted[axis][0]);
        let params =
            pair(params, ["high_0", "high_1"], &|axis| axes[axis].before + axes[axis].extent + counted[axis][1]);
        params.f32("lowest", f64::NEG_INFINITY)
    }

    /// Rows and columns of blocks of a stride's extent, each with the pixels under one window, that cover the image; `None` where
    /// windows overlap or a block has more pixels than an invocation goes over.
    pub fn blocks(&self) -> Option<[usize; 2]> {
        let [down, across] = self.axes;
        let is_small = down.stride * (across.stride + 1) + down.size * (across.size + 1) <= MOST_ROUNDS;
        let cover = |axis: Axis| (axis.before + axis.extent).div_ceil(axis.stride);
        (self.is_apart() && is_small).then(|| [cover(down), cover(across)])
    }
}

/// What ops that pool are tried on: a label, the shape of images, and windows.
pub(crate) fn cases_of() -> Vec<(&'static str, Vec<usize>, Area)> {
    use super::window::Padding::Same;
    let window = |size| Window { strides: size, ..Window::new(size) };
    let same = |window: Window, image| Area::from(window.padded(Same, image));
    let pads = |window: Window, pads| Area::from(Window { pads, ..window });
    vec![
        ("one pixel", vec![1, 1, 1, 1], window([1, 1]).into()),
        ("2x2 of (2, 6, 4, 5)", vec![2, 6, 4, 5], window([2, 2]).into()),
        ("2x2 of (3, 4, 6, 67)", vec![3, 4, 6, 67], window([2, 2]).into()),
        ("2x2 of four channels", vec![2, 5, 6, 4], window([2, 2]).into()),
        (
            "3x3 the same of eight channels",
            vec![2, 5, 4, 8],
            same(Window { strides: [2, 1], ..Window::new([3, 3]) }, [5, 4]),
        ),
        ("2x2 that leave a row and a column", vec![2, 7, 5, 3], window([2, 2]).into()),
        ("2x2 the same", vec![2, 5, 7, 1], same(window([2, 2]), [5, 7])),
        ("2x3", vec![1, 5, 7, 3], window([2, 3]).into()),
        ("3x3 that overlap", vec![2, 7, 8, 3], Window { strides: [2, 2], ..Window::new([3, 3]) }.into()),
        ("2x2 that overlap", vec![1, 5, 3, 2], Window::new([2, 2]).into()),
        ("3x3 the same", vec![2, 5, 6, 1], same(Window::new([3, 3]), [5, 6])),
        (
            "windows larger than the image",
            vec![2, 2, 3, 5],
            same(Window { strides: [1, 2], ..Window::new([5, 7]) }, [2, 3]),
        ),
        (
            "strides larger than the window",
            vec![2, 11, 13, 3],
            Window { strides: [3, 5], ..Window::new([2, 2]) }.into(),
        ),
        ("dilated", vec![2, 9, 11, 2], Window { dilation: [2, 3], ..Window::new([3, 2]) }.into()),
        (
            "dilated, apart",
            vec![1, 7, 8, 3],
            Window { strides: [3, 4], dilation: [2, 3], ..Window::new([2, 2]) }.into(),
        ),
        ("uneven pads", vec![2, 3, 5, 3], pads(Window { strides: [1, 2], ..Window::new([2, 3]) }, [[1, 0], [0, 2]])),
        ("pads, dilated", vec![1, 4, 5, 2], pads(Window { dilation: [2, 3], ..Window::new([2, 2]) }, [[1, 2], [3, 1]])),
        (
            "pads, dilated, of four channels",
            vec![2, 5, 7, 4],
            pads(Window { strides: [2, 1], dilation: [1, 2], ..Window::new([2, 3]) }, [[1, 0], [0, 2]]),
        ),
        ("2x2 the same of eight channels", vec![1, 5, 7, 8], same(window([2, 2]), [5, 7])),
        ("windows over pads alone", vec![1, 2, 2, 1], pads(window([2, 2]), [[4, 2], [2, 2]])),
        ("a sequence", vec![3, 1, 17, 5], window([1, 3]).into()),
        ("to (2, 3)", vec![2, 7, 5, 3], Area::Adaptive([2, 3])),
        ("to (5, 7)", vec![1, 7, 3, 2], Area::Adaptive([5, 7])),
        ("to (2, 2), evenly", vec![1, 4, 6, 3], Area::Adaptive([2, 2])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_a_kernel_would_go_over_too_long_are_refused() {
        let said = |image: [usize; 2], area: Area| {
            let x = Type::float([1, image[0], image[1], 1]);
            let checked = area.pooled("op", &x).and_then(|y| area.check_gradient("op", &x, &y));
            checked.map_err(|e| e.to_string())
        };
        let window = |size| Window::new(size);
        assert_eq!(said([200, 200], window([127, 128]).into()), Ok(()));
        let refused = said([200, 200], window([128, 128]).into()).unwrap_err();
        assert!(refused.contains("at most 16384 pixels, was given 128 by 128"), "{refused}");
        assert!(said([1, 40_000], Area::Adaptive([1, 2])).unwrap_err().contains("given 1 by 20000"));
        let dilated = Window { dilation: [2, 2], ..window([90, 90]) };
        let refused = said([400, 400], dilated.into()).unwrap_err();
        assert!(refused.contains("at most 16384 windows over a pixel, was given 179 by 179"), "{refused}");
        assert!(said([70_000, 1], Area::Adaptive([70_000, 1])).unwrap_err().contains("have no 70000 by 1 windows"));
    }

    /// What loops and kernels have in closed form, against what the reference counts.
    #[test]
    fn the_pixels_under_a_window_are_those_that_the_reference_finds() {
        for (label, shape, area) in cases_of() {
            let x = Type::float(shape);
            let pool = Pool::new(&area, &x, &area.pooled("op", &x).unwrap());
            let [rows, columns] = pool.axes.map(|axis| axis.windows);
            for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                let [down, across] = [pool.axes[0].span(row), pool.axes[1].span(column)];
                let at = |h: usize, w: usize| (h * pool.axes[1].extent + w) * pool.channels;
                let spans: Vec<usize> = down.pixels().flat_map(|h| across.pixels().map(move |w| at(h, w))).collect();
                assert_eq!(spans, pool.elements([row, column]).collect::<Vec<_>>(), "{label}: {row}, {column}");
                assert_eq!(pool.len([row, column]), spans.len(), "{label}: {row}, {column}");
                assert_eq!(pool.count([row, column], [[0; 2]; 2]), spans.len(), "{label}: {row}, {column}");
                let pads = if let Area::Window(window) = area { window.pads } else { [[0; 2]; 2] };
                for counted in [pads, [pads[0], [0; 2]], pads.map(|[before, _]| [before, 0])] {
                    let (found, wanted) = (pool.counting(counted), pool.count([row, column], counted));
                    assert_eq!(found.len([row, column]), wanted, "{label}: {row}, {column}, {counted:?}");
                }
            }
        }
    }
}
