//! The mean of the numbers under each window over images (batch, height, width, channels).

use std::sync::Arc;

use super::activation::{Function, Slope};
use super::binary::changed;
use super::case::random;
use super::cpu::{CpuArgs, CpuOp, for_each_row_of};
use super::dispatch::{Binding, Dispatch, LIB_ACTIVATION, LIB_AVERAGE_POOL, LIB_GRID, LIB_POOL, Module, Target};
use super::pool::{Area, Pool, cases_of};
use super::window::Window;
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::Writer;
use crate::graph::{Graph, Id, Type};
use crate::tensor::DType;

/// One channel at a time, and four.
const MODULES: [Module; 2] = [
    Module {
        stem: "average_pool",
        source: include_str!("../../../shaders/average_pool.wgsl"),
        libs: &[LIB_GRID, LIB_ACTIVATION, LIB_POOL, LIB_AVERAGE_POOL],
    },
    Module {
        stem: "average_pool_vec4",
        source: include_str!("../../../shaders/average_pool_vec4.wgsl"),
        libs: &[LIB_GRID, LIB_ACTIVATION, LIB_POOL, LIB_AVERAGE_POOL],
    },
];

/// y of images x: of each window the sum of its pixels over how many it counts, 0 where it counts none
#[derive(Clone, Copy, Debug)]
pub struct AveragePool {
    /// The windows.
    pub area: Area,
    /// Of what is added above and below images, then left and right of them, how many pixels count, as zeros. Keras counts none.
    pub counted: [[usize; 2]; 2],
}

/// dx of dy, for images of this height and width: of each pixel the sum of what its windows give it
#[derive(Clone, Copy, Debug)]
pub struct AveragePoolGrad {
    /// What it is the gradient of.
    pub forward: AveragePool,
    /// The images' height and width.
    pub image: [usize; 2],
    /// The gradient of an activation that dx is multiplied by.
    pub slope: Slope,
}

impl AveragePool {
    /// Of the images' pixels alone, as Keras has it.
    pub fn new(area: impl Into<Area>) -> Self {
        Self { area: area.into(), counted: [[0; 2]; 2] }
    }

    /// Counts what is added at the edges as zeros: ONNX's `count_include_pad`.
    #[must_use]
    pub fn counting_pads(mut self) -> Self {
        if let Area::Window(window) = self.area {
            self.counted = window.pads;
        }
        self
    }

    /// That no more is counted than is added.
    fn check(&self) -> Result<()> {
        let added = match self.area {
            Area::Window(window) => window.pads,
            Area::Adaptive(_) => [[0; 2]; 2],
        };
        let counted = self.counted;
        if counted.as_flattened().iter().zip(added.as_flattened()).all(|(counted, added)| counted <= added) {
            return Ok(());
        }
        Err(Error::shape("average_pool", format!("counts {counted:?} pixels at the edges, where {added:?} are added")))
    }
}

impl CpuOp<f64> for AveragePool {
    fn cpu(&self, mut args: CpuArgs<'_, f64>) {
        let pool = Pool::new(&self.area, &args.io.inputs[0], &args.io.outputs[0]);
        let (x, [y]) = (args.real(0), args.out());
        for (i, y) in y.iter_mut().enumerate() {
            let (window, first) = pool.window_of(i);
            let sum: f64 = pool.elements(window).map(|at| x[first + at]).sum();
            *y = sum / pool.count(window, self.counted).max(1) as f64;
        }
    }
}

impl CpuOp<f32> for AveragePool {
    fn cpu(&self, mut args: CpuArgs<'_, f32>) {
        let pool = Pool::new(&self.area, &args.io.inputs[0], &args.io.outputs[0]);
        let (x, [y]) = (args.real(0), args.out());
        for_each_row_of(x.len(), y, pool.pooled_row(), |row, y| {
            let (image, row) = (row / pool.axes[0].windows, row % pool.axes[0].windows);
            let x = &x[image * pool.image()..][..pool.image()];
            pulp::Arch::new().dispatch(Row { pool, counted: self.counted, x, row, y });
        });
    }
}

/// A row of windows over an image.
struct Row<'a> {
    pool: Pool,
    counted: [[usize; 2]; 2],
    x: &'a [f32],
    row: usize,
    y: &'a mut [f32],
}

impl pulp::WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { pool, counted, x, row, y } = self;
        let ([down, across], c, counted) = (pool.axes, pool.channels, pool.counting(counted));
        let rows = down.span(row);
        for (column, y) in y.chunks_exact_mut(c).enumerate() {
            let columns = across.span(column);
            let count = counted.len([row, column]).max(1);
            if let (Some([above, below]), 4) = (pool.four(x, rows, columns), count) {
                mean_of_four(y, above, below);
                continue;
            }
            y.fill(0.0);
            for h in rows.pixels() {
                for w in columns.pixels() {
                    let x = &x[(h * across.extent + w) * c..][..c];
                    y.iter_mut().zip(x).for_each(|(y, &x)| *y += x);
                }
            }
            y.iter_mut().for_each(|y| *y /= count as f32);
        }
    }
}

/// Of two pixels side by side and the two below them.
#[inline(always)]
fn mean_of_four(y: &mut [f32], above: &[f32], below: &[f32]) {
    let c = y.len();
    let ((a, b), (d, e)) = (above.split_at(c), below.split_at(c));
    for ((((y, &a), &b), &d), &e) in y.iter_mut().zip(a).zip(b).zip(d).zip(e) {
        *y = (a + b + d + e) * 0.25;
    }
}

impl Op for AveragePool {
    fn name(&self) -> &'static str {
        "average_pool"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("average_pool", inputs, &[DType::F32])?;
        self.check()?;
        Ok(vec![self.area.pooled("average_pool", &inputs[0])?])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let image = [g.shape(x[0])[1], g.shape(x[0])[2]];
        Ok(vec![Some(g.apply(AveragePoolGrad::new(*self, image), &[only(dy)])?)])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let all = Self::new(self.area).counting_pads().counted;
        let counts = match self.counted {
            counted if counted == [[0; 2]; 2] => 0i64,
            counted if counted == all => 1,
            _ => return Err(writer.refused("counts some of what is added at the edges")),
        };
        super::onnx::pooled(writer, &self.area, "Mean", vec![("count_include_pad", counts.into())])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let pool = Pool::new(&self.area, &io.inputs[0], &io.outputs[0]);
        let bindings = vec![Binding::Params, Binding::Input(0), Binding::Output(0)];
        vec![self.launch(&pool, "forward", bindings, io.outputs[0].shape.len())]
    }

    fn flops(&self, io: &Io) -> u64 {
        Pool::new(&self.area, &io.inputs[0], &io.outputs[0]).visits()
    }
}

impl AveragePool {
    fn launch(&self, pool: &Pool, entry: &'static str, bindings: Vec<Binding>, n: usize) -> Dispatch {
        pool.launch(MODULES, entry, bindings, n, self.counted)
    }
}

impl AveragePoolGrad {
    /// dx alone.
    pub fn new(forward: AveragePool, image: [usize; 2]) -> Self {
        Self { forward, image, slope: Slope::default() }
    }

    /// The images' type, for dy of this type.
    fn images(&self, dy: &Type) -> Result<Type> {
        let (&[images, _, _, channels], [height, width]) = (&dy.shape[..], self.image) else {
            return Err(Error::shape(self.name(), format!("dy {dy} is not of images")));
        };
        Ok(Type::float([images, height, width, channels]))
    }
}

impl CpuOp<f64> for AveragePoolGrad {
    fn cpu(&self, mut args: CpuArgs<'_, f64>) {
        let AveragePool { area, counted } = self.forward;
        let pool = Pool::new(&area, &args.io.outputs[0], &args.io.inputs[0]);
        let (dy, [dx]) = (args.real(0), args.out());
        dx.fill(0.0);
        for (i, dy) in dy.iter().enumerate() {
            let (window, first) = pool.window_of(i);
            let share = dy / pool.count(window, counted).max(1) as f64;
            pool.elements(window).for_each(|at| dx[first + at] += share);
        }
        self.slope.apply(dx, args.real(self.slope.inputs()));
    }
}

impl CpuOp<f32> for AveragePoolGrad {
    fn cpu(&self, mut args: CpuArgs<'_, f32>) {
        let AveragePool { area, counted } = self.forward;
        let pool = Pool::new(&area, &args.io.outputs[0], &args.io.inputs[0]).bands();
        let (dy, [dx]) = (args.real(0), args.out());
        let (slope, h) = (self.slope, args.inputs.get(1).map(|_| args.real(1)));
        let (pixels, windows) = (pool.image(), pool.axes[0].windows * pool.pooled_row());
        for_each_row_of(dx.len(), dx, pixels, |image, dx| {
            let dy = &dy[image * windows..][..windows];
            let h = h.map(|h| &h[image * pixels..][..pixels]);
            pulp::Arch::new().dispatch(Image { pool, counted, dy, slope, h, dx });
        });
    }
}

/// An image's gradient. One thread has all windows over it, which give their dy in order.
struct Image<'a> {
    pool: Pool,
    counted: [[usize; 2]; 2],
    dy: &'a [f32],
    slope: Slope,
    h: Option<&'a [f32]>,
    dx: &'a mut [f32],
}

impl pulp::WithSimd for Image<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { pool, counted, dy, slope, h, dx } = self;
        let ([down, across], c, counted) = (pool.axes, pool.channels, pool.counting(counted));
        dx.fill(0.0);
        // Rows that no window is over yet: the slope goes over the others while they are in the cache.
        let mut ready = 0;
        for (row, dy) in dy.chunks_exact(across.windows * c).enumerate() {
            for (column, dy) in dy.chunks_exact(c).enumerate() {
                let count = counted.len([row, column]).max(1) as f32;
                for h in down.span(row).pixels() {
                    for w in across.span(column).pixels() {
                        let dx = &mut dx[(h * across.extent + w) * c..][..c];
                        dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += dy / count);
                    }
                }
            }
            let rows = ready * pool.row()..down.reached(row + 1) * pool.row();
            ready = down.reached(row + 1);
            if let Some(h) = h {
                slope.apply(&mut dx[rows.clone()], &h[rows]);
            }
        }
    }
}

impl Op for AveragePoolGrad {
    fn name(&self) -> &'static str {
        self.slope.choose(["average_pool_grad", "average_pool_grad+activation_grad"])
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32; 2][..1 + self.slope.inputs()])?;
        self.forward.check()?;
        let x = self.images(&inputs[0])?;
        self.forward.area.check_gradient(self.name(), &x, &inputs[0])?;
        self.slope.check(self.name(), &inputs[1..], &x)?;
        Ok(vec![x])
    }

    /// The gradient of an activation.
    fn absorb(&self, next: &dyn Op, operand: usize, _y: &Type, _others: &[Type]) -> Option<Arc<dyn Op>> {
        let slope = self.slope.and(next, operand)?;
        Some(Arc::new(Self { slope, ..*self }))
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let pool = Pool::new(&self.forward.area, &io.outputs[0], &io.inputs[0]);
        let h = Binding::Input(self.slope.inputs());
        let bindings = vec![Binding::Params, Binding::Input(0), Binding::Output(0), h];
        vec![self.slope.specialise(self.forward.launch(&pool, "gradient", bindings, io.outputs[0].shape.len()))]
    }

    fn flops(&self, io: &Io) -> u64 {
        Pool::new(&self.forward.area, &io.outputs[0], &io.inputs[0]).visits()
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |label: &str, shape: &[usize], op: AveragePool| {
        let x = random(shape, 810);
        let y = op.area.pooled("average_pool", &Type::of(&x)).expect("cases are legal");
        let grad = AveragePoolGrad::new(op, [shape[1], shape[2]]);
        let f = Function::Elu { alpha: 1.0 };
        let inputs = vec![random(y.shape.clone(), 811), changed(&random(shape, 812), |x| f.of(x))];
        let sloped = AveragePoolGrad { slope: Slope(Some(f)), ..grad };
        cases.push(Case::new(format!("{label}, elu"), sloped, inputs).sums(9));
        cases.push(Case::new(label, op, vec![x]).wrt(&[0]).sums(9));
        cases.push(Case::new(label, grad, vec![random(y.shape, 811)]).sums(9));
    };
    for (label, shape, area) in cases_of() {
        add(label, &shape, AveragePool::new(area));
    }
    let window = Window { strides: [2, 1], pads: [[1, 2], [2, 0]], ..Window::new([3, 4]) };
    add("counting pads", &[2, 5, 7, 3], AveragePool::new(window).counting_pads());
    let counted = [[1, 0], [0, 0]];
    add("counting some pads", &[2, 5, 7, 3], AveragePool { area: window.into(), counted });
    let dilated = Window { dilation: [2, 3], ..window };
    add("counting pads, dilated", &[1, 6, 11, 2], AveragePool::new(dilated).counting_pads());
    cases
}
