//! The matrix product, either side transposed, with an epilogue: `y = f(a b + bias)`, or `y = (a b) * f'(h)`.
//!
//! Operands of more than two axes count as rows of their last axis, or, stacked, as matrices of their last two, each times
//! its like. A plain matrix on the right of a stack is the former. What follows goes into the epilogue: see [`Op::absorb`].

mod cases;

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use super::activation::{Activate, ActivateGrad, Function};
use super::binary::Binary;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row};
use super::dispatch::{Binding, Dispatch, LIB_ACTIVATION, LIB_GRID, LIB_PRODUCT, Module, Params, Target};
use super::product::Product;
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Shape};

pub use crate::kernel::matmul::{Kernel, Problem};
pub(crate) use cases::cases;
pub use cases::{case_of, case_of_problem, epilogues};

const SPLIT_MODULE: Module = Module {
    stem: "matmul_split",
    source: include_str!("../../../shaders/matmul_split.wgsl"),
    libs: &[LIB_GRID, LIB_ACTIVATION, LIB_PRODUCT],
};

/// What happens to each element of the product before it is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epilogue {
    /// Nothing.
    None,
    /// A bias (N,), the third input, is added.
    Bias,
    /// An activation, after the bias where there is one.
    Activate {
        /// Whether the third input is a bias (N,).
        bias: bool,
        /// The activation.
        activation: Function,
    },
    /// Times the gradient of an activation whose output h (M, N) is the third input.
    ActivateGrad(Function),
}

impl Epilogue {
    /// Whether there is a third input.
    fn has_extra(self) -> bool {
        self.has_bias() || matches!(self, Self::ActivateGrad(_))
    }

    fn has_bias(self) -> bool {
        matches!(self, Self::Bias | Self::Activate { bias: true, .. })
    }

    /// The launch of a kernel that ends with it.
    fn specialise(self, launch: Dispatch) -> Dispatch {
        let launch = launch.constant("BIAS", self.has_bias());
        match self {
            Self::None | Self::Bias => launch,
            Self::Activate { activation, .. } => activation.specialise(launch, "ACTIVATION"),
            Self::ActivateGrad(activation) => activation.specialise(launch, "ACTIVATION_GRAD"),
        }
    }
}

/// y (M, N) = op(a) op(b); op(a) is (M, K), op(b) is (K, N). Stacked, all three have the same axes before these.
#[derive(Clone, Copy, Debug)]
pub struct MatMul {
    /// Whether a is stored (K, M).
    pub trans_a: bool,
    /// Whether b is stored (N, K).
    pub trans_b: bool,
    /// Whether the operands are stacks of matrices: one product for each matrix of a and that of b in its place.
    pub stacked: bool,
    /// What is done to each element of the product.
    pub epilogue: Epilogue,
}

impl MatMul {
    /// The bare product; `true` for an operand that is stored transposed.
    pub fn new(trans_a: bool, trans_b: bool) -> Self {
        Self { trans_a, trans_b, stacked: false, epilogue: Epilogue::None }
    }

    /// The products of two stacks of matrices, (..., M, K) and (..., K, N), or those stored transposed.
    pub fn stacked(trans_a: bool, trans_b: bool) -> Self {
        Self { stacked: true, ..Self::new(trans_a, trans_b) }
    }

    /// Rows and columns of an operand's matrices as they are stored.
    fn matrix(&self, shape: &Shape) -> (usize, usize) {
        let (rows, columns) = shape.as_rows();
        (if self.stacked { shape[shape.rank() - 2] } else { rows }, columns)
    }

    /// M, N and K.
    fn extents(&self, inputs: &[Type]) -> [usize; 3] {
        let [(rows_a, columns_a), (rows_b, columns_b)] = [0, 1].map(|i| self.matrix(&inputs[i].shape));
        let (m, k) = if self.trans_a { (columns_a, rows_a) } else { (rows_a, columns_a) };
        [m, if self.trans_b { rows_b } else { columns_b }, k]
    }

    /// How many products there are.
    fn stacks(&self, inputs: &[Type]) -> usize {
        let a = &inputs[0].shape;
        if self.stacked { a[..a.rank() - 2].iter().product() } else { 1 }
    }

    /// What the choice of a kernel goes by, for operands of these types.
    pub fn problem(&self, inputs: &[Type]) -> Problem {
        let transposed = [self.trans_a, self.trans_b];
        Problem { stacks: self.stacks(inputs), extents: self.extents(inputs), transposed }
    }
}

impl<T: Real> CpuOp<T> for MatMul {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let extents @ [m, n, k] = self.extents(&args.io.inputs);
        let (a, b, [y]) = (args.real(0), args.real(1), args.out());
        let product = |a, b| Product { a, b, extents, trans_a: self.trans_a, trans_b: self.trans_b };
        if self.stacked {
            for_each_row(y, m * n, |i, y| T::multiply(&product(&a[i * m * k..][..m * k], &b[i * k * n..][..k * n]), y));
        } else {
            T::multiply(&product(a, b), y);
        }
        self.finish(&args, y, n);
    }
}

impl MatMul {
    /// Applies the epilogue on the CPU.
    fn finish<T: Real>(&self, args: &CpuArgs<'_, T>, y: &mut [T], n: usize) {
        match self.epilogue {
            Epilogue::None => {}
            Epilogue::Bias => {
                let bias = args.real(2);
                for_each_row(y, n, |_, y| y.iter_mut().zip(bias).for_each(|(y, &b)| *y += b));
            }
            // Relu, which most products end with, is named apart: known to the compiler it is one instruction of a
            // vector, while a choice of function made for each element is made alone.
            Epilogue::Activate { bias, activation: Function::Relu } => {
                activate(y, n, bias.then(|| args.real(2)), |x| Function::Relu.of(x));
            }
            Epilogue::Activate { bias, activation } => {
                activate(y, n, bias.then(|| args.real(2)), |x| activation.of(x));
            }
            Epilogue::ActivateGrad(Function::Relu) => weigh(y, n, args.real(2), |h| Function::Relu.gradient(h)),
            Epilogue::ActivateGrad(activation) => weigh(y, n, args.real(2), |h| activation.gradient(h)),
        }
    }
}

/// y = f(y + bias), row by row
fn activate<T: Real>(y: &mut [T], n: usize, bias: Option<&[T]>, f: impl Fn(T) -> T + Sync) {
    match bias {
        Some(bias) => for_each_row(y, n, |_, y| y.iter_mut().zip(bias).for_each(|(y, &b)| *y = f(*y + b))),
        None => for_each_row(y, n, |_, y| y.iter_mut().for_each(|y| *y = f(*y))),
    }
}

/// y = y * f(h), row by row
fn weigh<T: Real>(y: &mut [T], n: usize, h: &[T], f: impl Fn(T) -> T + Sync) {
    for_each_row(y, n, |row, y| y.iter_mut().zip(&h[row * n..]).for_each(|(y, &h)| *y *= f(h)));
}

impl Op for MatMul {
    fn name(&self) -> &'static str {
        match self.epilogue {
            Epilogue::None => "matmul",
            Epilogue::Bias => "matmul+bias",
            Epilogue::Activate { .. } => "matmul+activation",
            Epilogue::ActivateGrad(_) => "matmul+activation_grad",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        let count = if self.epilogue.has_extra() { 3 } else { 2 };
        expect_inputs(self.name(), inputs, &[DType::F32; 3][..count])?;
        let (a, b) = (&inputs[0].shape, &inputs[1].shape);
        if a.rank() < 2 || b.rank() < 2 {
            return Err(Error::shape(self.name(), format!("{a} times {b}: expected two axes or more on either side")));
        }
        if self.stacked && a[..a.rank() - 2] != b[..b.rank() - 2] {
            let message = format!("{a} times {b}: the axes before the last two differ, expected stacks of one shape");
            return Err(Error::shape(self.name(), message));
        }
        let k_of = |shape: &Shape, rows: bool| {
            let (r, c) = self.matrix(shape);
            if rows { r } else { c }
        };
        let (ka, kb) = (k_of(a, self.trans_a), k_of(b, !self.trans_b));
        if ka != kb || ka == 0 {
            let how = |t: bool| if t { " transposed" } else { "" };
            let (how_a, how_b) = (how(self.trans_a), how(self.trans_b));
            let message =
                format!("{a}{how_a} times {b}{how_b}: the inner extents are {ka} and {kb}, expected one number");
            return Err(Error::shape(self.name(), message));
        }
        let [m, n, _] = self.extents(inputs);
        let shape = match (self.stacked, self.trans_a) {
            (true, _) => [&a[..a.rank() - 2], &[m, n]].concat(),
            (false, true) => vec![m, n],
            (false, false) => [&a[..a.rank() - 1], &[n]].concat(),
        };
        let output = Type::float(shape);
        if let Some(extra) = inputs.get(2) {
            let fits = if self.epilogue.has_bias() { *extra.shape == [n] } else { extra.shape == output.shape };
            if !fits {
                return Err(Error::shape(self.name(), format!("the third input {extra} does not fit {output}")));
            }
        }
        Ok(vec![output])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        if self.epilogue != Epilogue::None {
            return Err(Error::shape(self.name(), "has no gradient; call gradients before the graph is fused"));
        }
        let (a, b, dy) = (x[0], x[1], only(dy));
        let mut product = |trans_a, trans_b, x: [Id; 2]| g.apply(Self { trans_a, trans_b, ..*self }, &x);
        // da = dy b', db = a' dy, each laid out as its operand is stored.
        let da = match self.trans_a {
            false => product(false, !self.trans_b, [dy, b])?,
            true => product(self.trans_b, true, [b, dy])?,
        };
        let db = match self.trans_b {
            false => product(!self.trans_a, false, [a, dy])?,
            true => product(true, self.trans_a, [dy, a])?,
        };
        Ok(vec![Some(da), Some(db)])
    }

    /// A row that is added, then an activation; or the gradient of one.
    fn absorb(&self, next: &dyn Op, operand: usize, y: &Type, others: &[Type]) -> Option<Arc<dyn Op>> {
        let next = next as &dyn Any;
        let epilogue = match (self.epilogue, operand) {
            (Epilogue::None | Epilogue::Bias, 0) if next.is::<Activate>() => {
                let Activate(activation) = *next.downcast_ref()?;
                Epilogue::Activate { bias: self.epilogue == Epilogue::Bias, activation }
            }
            (Epilogue::None, 1) => Epilogue::ActivateGrad(next.downcast_ref::<ActivateGrad>()?.0),
            (Epilogue::None, 0) if next.downcast_ref() == Some(&Binary::Add) => {
                // The epilogue adds a row of N numbers, nothing wider.
                let (_, n) = y.shape.as_rows();
                if *others[0].shape != [n] {
                    return None;
                }
                Epilogue::Bias
            }
            _ => return None,
        };
        Some(Arc::new(Self { epilogue, ..*self }))
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        let stacks = self.stacks(&io.inputs);
        let problem = self.problem(&io.inputs);
        let kernel = target.tuning.kernel(&problem).cloned().unwrap_or_else(|| problem.built_in(target));
        if kernel.span.is_some() {
            return self.in_parts(io, &kernel);
        }
        let at_once = problem.stacks_at_once();
        let ranges = (0..stacks).step_by(at_once).map(|first| first..stacks.min(first + at_once));
        ranges.flat_map(|stacks| self.launches(io, &kernel, stacks)).collect()
    }

    fn flops(&self, io: &Io) -> u64 {
        let [m, n, k] = self.extents(&io.inputs).map(|extent| extent as u64);
        2 * self.stacks(&io.inputs) as u64 * m * n * k
    }
}

impl MatMul {
    /// The launches that make these products, or parts of K: one for each [`Problem::depth`] of K, of which each adds to what is
    /// there and the last has the epilogue.
    fn launches(&self, io: &Io, kernel: &Kernel, stacks: Range<usize>) -> Vec<Dispatch> {
        let [.., k] = self.extents(&io.inputs);
        let span = kernel.span.unwrap_or(k);
        let depth = self.problem(&io.inputs).depth();
        let bare = Self { epilogue: Epilogue::None, ..*self };
        let launch = |start: usize| {
            let op = if start + depth < span { bare } else { *self };
            let launch = op.launch(io, kernel, stacks.clone(), start..start + depth);
            if start == 0 { launch } else { launch.constant("ADD", true) }
        };
        (0..span).step_by(depth).map(launch).collect()
    }

    /// One of these launches, that for a range of K.
    fn launch(&self, io: &Io, kernel: &Kernel, stacks: Range<usize>, deep: Range<usize>) -> Dispatch {
        let [m, n, k] = self.extents(&io.inputs);
        let bindings = vec![Binding::Input(0), Binding::Output(0), Binding::Params, self.extra(), Binding::Input(1)];
        let params = Params::new().u32("m", m).u32("n", n).u32("k", k);
        let params = params.u32("first", stacks.start).u32("stacks", stacks.end);
        let params = params.u32("span", kernel.span.unwrap_or(k)).u32("start", deep.start).u32("depth", deep.len());
        let Kernel { module, entry, tile: [tile_m, tile_n], .. } = *kernel;
        let constants = kernel.constants.iter().map(|&(name, value)| (name, value as f64)).collect();
        let workgroups = [n.div_ceil(tile_n), m.div_ceil(tile_m), stacks.len()].map(|x| x as u32);
        let launch = Dispatch { module, entry, constants, bindings, params, workgroups }
            .constant("TRANS_A", self.trans_a)
            .constant("TRANS_B", self.trans_b)
            .constant("STACKED", self.stacked);
        self.epilogue.specialise(launch)
    }

    /// The launches of a product whose K is split: its parts, which are a stack of what y is, and their sum.
    fn in_parts(&self, io: &Io, kernel: &Kernel) -> Vec<Dispatch> {
        let [m, n, k] = self.extents(&io.inputs);
        let parts = k.div_ceil(kernel.span.unwrap_or(k));
        let bare = Self { stacked: false, epilogue: Epilogue::None, ..*self };
        let scratch = Binding::Scratch(parts * m * n);
        let of_parts = |mut launch: Dispatch| {
            launch.bindings[1] = scratch;
            launch.constant("SPLIT", true)
        };
        let mut launches: Vec<Dispatch> = bare.launches(io, kernel, 0..parts).into_iter().map(of_parts).collect();
        let bindings = vec![scratch, Binding::Output(0), Binding::Params, self.extra()];
        let sum = Dispatch::over(SPLIT_MODULE, "add_parts", io, launches[0].params.clone(), m * n.div_ceil(4));
        launches.push(self.epilogue.specialise(Dispatch { bindings, ..sum }));
        launches
    }

    /// What the kernels bind as the third input, which must be something: without one, b a second time.
    fn extra(&self) -> Binding {
        Binding::Input(if self.epilogue.has_extra() { 2 } else { 1 })
    }
}
