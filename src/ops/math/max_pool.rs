//! The largest number under each window over images (batch, height, width, channels).

use std::sync::Arc;

use super::activation::{Function, Slope};
use super::binary::changed;
use super::case::random;
use super::cpu::{CpuArgs, CpuOp, for_each_row_of};
use super::dispatch::{Binding, Dispatch, LIB_ACTIVATION, LIB_GRID, LIB_MAX_POOL, LIB_POOL, Module, Target};
use super::pool::{Area, Pool, cases_of};
use super::window::Window;
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::Result;
#[cfg(feature = "onnx")]
use crate::graph::onnx::Writer;
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Tensor, is_above};

/// One channel at a time, and four.
const MODULES: [Module; 2] = [
    Module {
        stem: "max_pool",
        source: include_str!("../../../shaders/max_pool.wgsl"),
        libs: &[LIB_GRID, LIB_ACTIVATION, LIB_POOL, LIB_MAX_POOL],
    },
    Module {
        stem: "max_pool_vec4",
        source: include_str!("../../../shaders/max_pool_vec4.wgsl"),
        libs: &[LIB_GRID, LIB_ACTIVATION, LIB_POOL, LIB_MAX_POOL],
    },
];

/// No pixel at the edges counts for a maximum.
const NOTHING: [[usize; 2]; 2] = [[0; 2]; 2];

/// y of images x: of each window the largest number, NaN where there is one, -infinity where no pixel is under it
#[derive(Clone, Copy, Debug)]
pub struct MaxPool(pub Area);

/// dx of images x and dy: to each pixel the dy of the windows of which it is the first with the largest number
#[derive(Clone, Copy, Debug)]
pub struct MaxPoolGrad {
    /// The windows.
    pub area: Area,
    /// The gradient of an activation that dx is multiplied by.
    pub slope: Slope,
}

impl MaxPoolGrad {
    /// dx alone.
    pub fn new(area: Area) -> Self {
        Self { area, slope: Slope::default() }
    }
}

impl CpuOp<f64> for MaxPool {
    fn cpu(&self, mut args: CpuArgs<'_, f64>) {
        let pool = Pool::new(&self.0, &args.io.inputs[0], &args.io.outputs[0]);
        let (x, [y]) = (args.real(0), args.out());
        for (i, y) in y.iter_mut().enumerate() {
            let (window, first) = pool.window_of(i);
            let values = pool.elements(window).map(|at| x[first + at]);
            *y = values.reduce(|y, x| if is_above(x, y) { x } else { y }).unwrap_or(f64::NEG_INFINITY);
        }
    }
}

impl CpuOp<f32> for MaxPool {
    fn cpu(&self, mut args: CpuArgs<'_, f32>) {
        let pool = Pool::new(&self.0, &args.io.inputs[0], &args.io.outputs[0]);
        let (x, [y]) = (args.real(0), args.out());
        for_each_row_of(x.len(), y, pool.pooled_row(), |row, y| {
            let (image, row) = (row / pool.axes[0].windows, row % pool.axes[0].windows);
            let x = &x[image * pool.image()..][..pool.image()];
            pulp::Arch::new().dispatch(Row { pool, x, row, y });
        });
    }
}

/// A row of windows over an image.
struct Row<'a> {
    pool: Pool,
    x: &'a [f32],
    row: usize,
    y: &'a mut [f32],
}

impl pulp::WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { pool, x, row, y } = self;
        let ([down, across], c) = (pool.axes, pool.channels);
        let rows = down.span(row);
        for (column, y) in y.chunks_exact_mut(c).enumerate() {
            let columns = across.span(column);
            if let Some([above, below]) = pool.four(x, rows, columns) {
                largest_of_four(y, above, below);
                continue;
            }
            y.fill(f32::NEG_INFINITY);
            for h in rows.pixels() {
                for w in columns.pixels() {
                    let x = &x[(h * across.extent + w) * c..][..c];
                    y.iter_mut().zip(x).for_each(|(y, &x)| *y = larger(*y, x));
                }
            }
        }
    }
}

/// The first of several that are equal; NaN stays.
#[inline(always)]
fn larger(so_far: f32, x: f32) -> f32 {
    if is_larger(so_far, x) { x } else { so_far }
}

#[inline(always)]
#[expect(clippy::eq_op, reason = "NaN's own test, of which the compiler makes vectors")]
fn is_larger(so_far: f32, x: f32) -> bool {
    (x > so_far) | ((x != x) & (so_far == so_far))
}

/// Of two pixels side by side and the two below them.
#[inline(always)]
fn largest_of_four(y: &mut [f32], above: &[f32], below: &[f32]) {
    let c = y.len();
    let ((a, b), (d, e)) = (above.split_at(c), below.split_at(c));
    for ((((y, &a), &b), &d), &e) in y.iter_mut().zip(a).zip(b).zip(d).zip(e) {
        *y = larger(larger(larger(a, b), d), e);
    }
}

impl Op for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("max_pool", inputs, &[DType::F32])?;
        Ok(vec![self.0.pooled("max_pool", &inputs[0])?])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(g.apply(MaxPoolGrad::new(self.0), &[x[0], only(dy)])?)])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        super::onnx::pooled(writer, &self.0, "Max", vec![])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let pool = Pool::new(&self.0, &io.inputs[0], &io.outputs[0]);
        let bindings = vec![Binding::Params, Binding::Input(0), Binding::Output(0)];
        vec![launch(&pool, "forward", bindings, io.outputs[0].shape.len())]
    }

    fn flops(&self, io: &Io) -> u64 {
        Pool::new(&self.0, &io.inputs[0], &io.outputs[0]).visits()
    }
}

/// A launch that makes `n` numbers.
fn launch(pool: &Pool, entry: &'static str, bindings: Vec<Binding>, n: usize) -> Dispatch {
    pool.launch(MODULES, entry, bindings, n, NOTHING)
}

impl CpuOp<f64> for MaxPoolGrad {
    fn cpu(&self, mut args: CpuArgs<'_, f64>) {
        let pool = Pool::new(&self.area, &args.io.inputs[0], &args.io.inputs[1]);
        let (x, dy, [dx]) = (args.real(0), args.real(1), args.out());
        dx.fill(0.0);
        for (i, dy) in dy.iter().enumerate() {
            let (window, first) = pool.window_of(i);
            let places = pool.elements(window).map(|at| first + at);
            let largest = places.reduce(|best, at| if is_above(x[at], x[best]) { at } else { best });
            largest.into_iter().for_each(|at| dx[at] += dy);
        }
        self.slope.apply(dx, args.real(2 * self.slope.inputs()));
    }
}

impl CpuOp<f32> for MaxPoolGrad {
    fn cpu(&self, mut args: CpuArgs<'_, f32>) {
        let pool = Pool::new(&self.area, &args.io.inputs[0], &args.io.inputs[1]).bands();
        let (x, dy, [dx]) = (args.real(0), args.real(1), args.out());
        let (slope, h) = (self.slope, args.real(2 * self.slope.inputs()));
        let (pixels, windows) = (pool.image(), pool.axes[0].windows * pool.pooled_row());
        for_each_row_of(x.len(), dx, pixels, |image, dx| {
            let [x, h] = [x, h].map(|x| &x[image * pixels..][..pixels]);
            let dy = &dy[image * windows..][..windows];
            pulp::Arch::new().dispatch(Image { pool, x, dy, slope, h, dx });
        });
    }
}

/// An image's gradient. One thread has all windows over it, which give their dy in order.
struct Image<'a> {
    pool: Pool,
    x: &'a [f32],
    dy: &'a [f32],
    slope: Slope,
    /// Of the slope, where there is one.
    h: &'a [f32],
    dx: &'a mut [f32],
}

/// Channels whose largest are looked for at once.
const LANES: usize = 64;

impl pulp::WithSimd for Image<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { pool, x, dy, slope, h, dx } = self;
        let ([down, across], c, apart) = (pool.axes, pool.channels, pool.is_apart());
        dx.fill(0.0);
        // Rows that no window is over yet: the slope goes over the others while they are in the cache.
        let mut ready = 0;
        for row in 0..down.windows {
            let rows = down.span(row);
            for column in 0..across.windows {
                let (columns, dy) = (across.span(column), &dy[(row * across.windows + column) * c..][..c]);
                if let (Some(h), Some(w), true) = (rows.pair(), columns.pair(), apart) {
                    let first = (h * across.extent + w) * c;
                    let (above, below) = dx[first..].split_at_mut(pool.row());
                    let x = [&x[first..][..2 * c], &x[first + pool.row()..][..2 * c]];
                    gradient_of_four([&mut above[..2 * c], &mut below[..2 * c]], x, dy);
                    continue;
                }
                let places = rows.pixels().flat_map(|h| columns.pixels().map(move |w| (h * across.extent + w) * c));
                for start in (0..c).step_by(LANES) {
                    let channels = start..c.min(start + LANES);
                    scatter(dx, x, places.clone().map(|at| at + start), &dy[channels]);
                }
            }
            let rows = ready * pool.row()..down.reached(row + 1) * pool.row();
            ready = down.reached(row + 1);
            slope.apply(&mut dx[rows.clone()], &h[rows]);
        }
    }
}

/// Adds a window's dy, of [`LANES`] channels at most, to dx where the first largest of x at these places stands.
#[inline(always)]
fn scatter(dx: &mut [f32], x: &[f32], places: impl Iterator<Item = usize> + Clone, dy: &[f32]) {
    let (mut largest, mut nth) = ([0.0f32; LANES], [0u32; LANES]);
    for (k, at) in (0u32..).zip(places.clone()) {
        for ((largest, nth), &x) in largest.iter_mut().zip(&mut nth).zip(&x[at..][..dy.len()]) {
            let displaces = (k == 0) | is_larger(*largest, x);
            (*largest, *nth) = (if displaces { x } else { *largest }, if displaces { k } else { *nth });
        }
    }
    for (k, at) in (0u32..).zip(places) {
        for ((dx, &nth), &dy) in dx[at..][..dy.len()].iter_mut().zip(&nth).zip(dy) {
            *dx += if nth == k { dy } else { 0.0 };
        }
    }
}

/// dx of two pixels side by side and the two below them, which are under one window alone.
#[inline(always)]
fn gradient_of_four(dx: [&mut [f32]; 2], [above, below]: [&[f32]; 2], dy: &[f32]) {
    let c = dy.len();
    let [dx_above, dx_below] = dx;
    let ((da, db), (dd, de)) = (dx_above.split_at_mut(c), dx_below.split_at_mut(c));
    let ((a, b), (d, e)) = (above.split_at(c), below.split_at(c));
    let (a, b, d, e) = (&a[..c], &b[..c], &d[..c], &e[..c]);
    let (da, db, dd, de) = (&mut da[..c], &mut db[..c], &mut dd[..c], &mut de[..c]);
    for i in 0..c {
        let second = is_larger(a[i], b[i]);
        let largest = larger(a[i], b[i]);
        let third = is_larger(largest, d[i]);
        let fourth = is_larger(larger(largest, d[i]), e[i]);
        let given = |here: bool| if here { dy[i] } else { 0.0 };
        da[i] = given(!second & !third & !fourth);
        db[i] = given(second & !third & !fourth);
        dd[i] = given(third & !fourth);
        de[i] = given(fourth);
    }
}

impl Op for MaxPoolGrad {
    fn name(&self) -> &'static str {
        self.slope.choose(["max_pool_grad", "max_pool_grad+activation_grad"])
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32; 3][..2 + self.slope.inputs()])?;
        self.area.check_gradient(self.name(), &inputs[0], &inputs[1])?;
        self.slope.check(self.name(), &inputs[2..], &inputs[0])?;
        Ok(vec![inputs[0].clone()])
    }

    /// The gradient of an activation.
    fn absorb(&self, next: &dyn Op, operand: usize, _y: &Type, _others: &[Type]) -> Option<Arc<dyn Op>> {
        let slope = self.slope.and(next, operand)?;
        Some(Arc::new(Self { slope, ..*self }))
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let [x, y, ..] = &io.inputs[..] else { unreachable!("the shape rule has seen two inputs") };
        let pool = Pool::new(&self.area, x, y);
        let (params, dy, dx) = (Binding::Params, Binding::Input(1), Binding::Output(0));
        let h = Binding::Input(2 * self.slope.inputs());
        if let Some([rows, columns]) = pool.blocks() {
            let n = pool.images * rows * columns * pool.channels;
            let apart = self.slope.specialise(launch(&pool, "apart", vec![params, Binding::Input(0), dy, dx, h], n));
            return vec![apart.constant("BLOCK_ROWS", rows as f64).constant("BLOCK_COLUMNS", columns as f64)];
        }
        let (windows, places) = (y.shape.len(), Binding::Scratch(y.shape.len()));
        vec![
            launch(&pool, "places_of_largest", vec![params, Binding::Input(0), places], windows),
            self.slope.specialise(launch(&pool, "gradient", vec![params, places, dy, dx, h], x.shape.len())),
        ]
    }

    fn flops(&self, io: &Io) -> u64 {
        2 * Pool::new(&self.area, &io.inputs[0], &io.inputs[1]).visits()
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (label, shape, area) in cases_of() {
        let x = random(shape.clone(), 800);
        let y = area.pooled("max_pool", &Type::of(&x)).expect("cases are legal");
        // -infinity has no differences.
        let wrt: &[usize] = if label == "windows over pads alone" { &[] } else { &[0] };
        cases.push(Case::new(label, MaxPool(area), vec![x.clone()]).wrt(wrt).ulps(0.0));
        let dy = random(y.shape, 801);
        let f = Function::Elu { alpha: 1.0 };
        let inputs = vec![x.clone(), dy.clone(), changed(&random(shape, 804), |x| f.of(x))];
        let sloped = MaxPoolGrad { area, slope: Slope(Some(f)) };
        cases.push(Case::new(format!("{label}, elu"), sloped, inputs).sums(9));
        cases.push(Case::new(label, MaxPoolGrad::new(area), vec![x, dy]).sums(9));
    }
    for (label, area) in
        [("ties", Area::Adaptive([2, 2])), ("ties", Window { strides: [2; 2], ..Window::new([2; 2]) }.into())]
    {
        let integers: Vec<f32> =
            random([2, 4, 4, 9], 802).values().to_f32().iter().map(|x| (2.0 * x).round()).collect();
        // Infinities are no NaN, which a window gives where it has one.
        let special = |i: usize, x: f32| match i % 29 {
            7 => f32::NAN,
            11 => f32::INFINITY,
            13 | 23 => f32::NEG_INFINITY,
            _ => x,
        };
        let x = Tensor::new([2, 4, 4, 9], integers.iter().enumerate().map(|(i, &x)| special(i, x)).collect::<Vec<_>>());
        let x = x.expect("as many as before");
        cases.push(Case::new(label, MaxPool(area), vec![x.clone()]).ulps(0.0));
        cases.push(Case::new(label, MaxPoolGrad::new(area), vec![x, random([2, 2, 2, 9], 803)]).ulps(0.0));
    }
    cases
}
