//! Element-wise activations: `y = f(x)`, and their gradient `dx = dy * f'(y)`, taken from the output y.
//!
//! All of them are one op with a switch, because products apply them too, in their epilogue: an activation is named
//! here and in `shaders/lib/activation.wgsl`, nowhere else. Those whose gradient needs x are in `curve.rs`.

use std::any::Any;

use super::binary::changed;
use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_piece, vectorised};
use super::dispatch::{Dispatch, LIB_ACTIVATION, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, one_shape, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::Writer;
use crate::graph::{Graph, Id, Type};
use crate::tensor::Tensor;

const MODULE: Module = Module {
    stem: "activation",
    source: include_str!("../../../shaders/activation.wgsl"),
    libs: &[LIB_GRID, LIB_ACTIVATION],
};

/// An element-wise activation whose gradient follows from its output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// max(x, 0)
    Relu,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// (exp(x) - exp(-x)) / (exp(x) + exp(-x))
    Tanh,
    /// x where x >= 0, else `negative_slope` x, which is above 0: of 0, y would not tell the side of x.
    LeakyRelu {
        /// The slope where x < 0.
        negative_slope: f64,
    },
    /// min(max(x, 0), 6)
    Relu6,
    /// x where x >= 0, else `alpha` (exp(x) - 1), which is above 0 for the same reason.
    Elu {
        /// What -y tends to as x falls.
        alpha: f64,
    },
    /// 1.0507 times (x where x >= 0, else 1.6733 (exp(x) - 1)): Klambauer et al., 2017.
    Selu,
    /// exp(x)
    Exponential,
    /// min(max(x + 3, 0), 6) / 6
    HardSigmoid,
}

/// Klambauer et al.'s two numbers, and their product.
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_LEAST: f64 = SELU_SCALE * SELU_ALPHA;

impl Function {
    /// Every function, with what Keras' function of the name has unless told.
    pub const ALL: [Self; 9] = [
        Self::Relu,
        Self::Sigmoid,
        Self::Tanh,
        Self::LeakyRelu { negative_slope: 0.2 },
        Self::Relu6,
        Self::Elu { alpha: 1.0 },
        Self::Selu,
        Self::Exponential,
        Self::HardSigmoid,
    ];

    /// Keras' name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Relu6 => "relu6",
            Self::Elu { .. } => "elu",
            Self::Selu => "selu",
            Self::Exponential => "exponential",
            Self::HardSigmoid => "hard_sigmoid",
        }
    }

    /// The launch of a kernel that applies it: its number there goes by `name`, what it is told by a name of its own.
    pub(crate) fn specialise(self, dispatch: Dispatch, name: &'static str) -> Dispatch {
        let (number, told) = match self {
            Self::Relu => (1, None),
            Self::Sigmoid => (2, None),
            Self::Tanh => (3, None),
            Self::LeakyRelu { negative_slope } => (4, Some(negative_slope)),
            Self::Relu6 => (5, None),
            Self::Elu { alpha } => (6, Some(alpha)),
            Self::Selu => (7, None),
            Self::Exponential => (8, None),
            Self::HardSigmoid => (9, None),
        };
        let dispatch = dispatch.constant(name, number);
        told.into_iter().fold(dispatch, |dispatch, told| dispatch.constant("ACTIVATION_PARAMETER", told))
    }

    /// f(x). Of a function that the compiler does not know it is a choice for each number, where `apply` makes one for all.
    #[inline(always)]
    pub fn of<T: Real>(self, x: T) -> T {
        match self {
            // Written so that NaN passes through, as it does in Keras.
            Self::Relu if x < T::zero() => T::zero(),
            Self::Relu => x,
            Self::Sigmoid => x.sigmoid(),
            Self::Tanh => x.hyperbolic_tangent(),
            Self::LeakyRelu { negative_slope } if x < T::zero() => T::of(negative_slope) * x,
            Self::Elu { alpha } if x < T::zero() => T::of(alpha) * x.exponential_minus_one(),
            Self::Selu if x < T::zero() => T::of(SELU_LEAST) * x.exponential_minus_one(),
            Self::Selu => T::of(SELU_SCALE) * x,
            Self::LeakyRelu { .. } | Self::Elu { .. } => x,
            Self::Relu6 => within(x, 6.0),
            Self::Exponential => x.exponential(),
            Self::HardSigmoid => within(x + T::of(3.0), 6.0) / T::of(6.0),
        }
    }

    /// f'(x), from y = f(x). At a corner it is what JAX has for leaky_relu, elu and selu, the slope of the right side, and
    /// 0 for the others, where JAX halves: a unit on a corner of a clamp is as good as off.
    #[inline(always)]
    pub fn gradient<T: Real>(self, y: T) -> T {
        match self {
            Self::Relu if y > T::zero() => T::one(),
            Self::Relu => T::zero(),
            Self::Sigmoid => y * (T::one() - y),
            // Not 1 - y * y, which loses its digits as y nears 1.
            Self::Tanh => (T::one() - y) * (T::one() + y),
            Self::LeakyRelu { negative_slope } if y < T::zero() => T::of(negative_slope),
            Self::Elu { alpha } if y < T::zero() => T::of(alpha) + y,
            Self::Selu if y < T::zero() => T::of(SELU_LEAST) + y,
            Self::Selu => T::of(SELU_SCALE),
            Self::LeakyRelu { .. } | Self::Elu { .. } => T::one(),
            Self::Relu6 => inside(y, 6.0),
            Self::Exponential => y,
            Self::HardSigmoid => inside(y, 1.0) / T::of(6.0),
        }
    }

    /// x = f(x), for [`vectorised!`](super::cpu::vectorised).
    #[inline(always)]
    pub(crate) fn apply<T: Real>(self, x: &mut [T]) {
        match self {
            Self::Relu => change(x, |x| Self::Relu.of(x)),
            Self::Sigmoid => change(x, |x| Self::Sigmoid.of(x)),
            Self::Tanh => change(x, |x| Self::Tanh.of(x)),
            Self::LeakyRelu { negative_slope } => change(x, |x| Self::LeakyRelu { negative_slope }.of(x)),
            Self::Relu6 => change(x, |x| Self::Relu6.of(x)),
            Self::Elu { alpha } => change(x, |x| Self::Elu { alpha }.of(x)),
            Self::Selu => change(x, |x| Self::Selu.of(x)),
            Self::Exponential => change(x, |x| Self::Exponential.of(x)),
            Self::HardSigmoid => change(x, |x| Self::HardSigmoid.of(x)),
        }
    }

    /// dy = dy f'(x), from y = f(x), for [`vectorised!`](super::cpu::vectorised).
    #[inline(always)]
    pub(crate) fn apply_gradient<T: Real>(self, dy: &mut [T], y: &[T]) {
        match self {
            Self::Relu => weigh(dy, y, |y| Self::Relu.gradient(y)),
            Self::Sigmoid => weigh(dy, y, |y| Self::Sigmoid.gradient(y)),
            Self::Tanh => weigh(dy, y, |y| Self::Tanh.gradient(y)),
            Self::LeakyRelu { negative_slope } => weigh(dy, y, |y| Self::LeakyRelu { negative_slope }.gradient(y)),
            Self::Relu6 => weigh(dy, y, |y| Self::Relu6.gradient(y)),
            Self::Elu { alpha } => weigh(dy, y, |y| Self::Elu { alpha }.gradient(y)),
            Self::Selu => weigh(dy, y, |y| Self::Selu.gradient(y)),
            Self::Exponential => weigh(dy, y, |y| Self::Exponential.gradient(y)),
            Self::HardSigmoid => weigh(dy, y, |y| Self::HardSigmoid.gradient(y)),
        }
    }
}

/// x = f(x)
#[inline(always)]
fn change<T: Real>(x: &mut [T], f: impl Fn(T) -> T) {
    x.iter_mut().for_each(|x| *x = f(*x));
}

/// y = y * f(h)
#[inline(always)]
fn weigh<T: Real>(y: &mut [T], h: &[T], f: impl Fn(T) -> T) {
    y.iter_mut().zip(h).for_each(|(y, &h)| *y *= f(h));
}

/// Numbers that stay in the innermost cache between a copy and what changes them.
const AT_ONCE: usize = 1024;

/// min(max(x, 0), most), by which a NaN passes through.
#[inline(always)]
fn within<T: Real>(x: T, most: f64) -> T {
    if x < T::zero() {
        T::zero()
    } else if x > T::of(most) {
        T::of(most)
    } else {
        x
    }
}

/// 1 where 0 < y < most, else 0
#[inline(always)]
fn inside<T: Real>(y: T, most: f64) -> T {
    if y > T::zero() && y < T::of(most) { T::one() } else { T::zero() }
}

/// y = f(x)
#[derive(Clone, Copy, Debug)]
pub struct Activate(pub Function);

/// dx = dy * f'(y); inputs y and dy. y is an output of f: of numbers that f does not give, f' may overflow.
#[derive(Clone, Copy, Debug)]
pub struct ActivateGrad(pub Function);

impl<T: Real> CpuOp<T> for Activate {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (x, [y]) = (args.real(0), args.out());
        for_each_piece(y, |start, y| {
            let x = &x[start..][..y.len()];
            vectorised!(for (x, y) in x.chunks(AT_ONCE).zip(y.chunks_mut(AT_ONCE)) {
                y.copy_from_slice(x);
                self.0.apply(y);
            });
        });
    }
}

impl Op for Activate {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        one_shape(self.name(), inputs, 1)
    }

    fn grad(&self, g: &mut Graph, _x: &[Id], y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(g.apply(ActivateGrad(self.0), &[y[0], only(dy)])?)])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let alpha = |alpha: f64| vec![("alpha", alpha.into())];
        match self.0 {
            Function::Relu => writer.follow("Relu", vec![]),
            Function::Sigmoid => writer.follow("Sigmoid", vec![]),
            Function::Tanh => writer.follow("Tanh", vec![]),
            Function::LeakyRelu { negative_slope } => writer.follow("LeakyRelu", alpha(negative_slope)),
            Function::Relu6 => writer.map(|writer, x| {
                let ends = [0.0, 6.0].map(|end| writer.number(end));
                writer.add("Clip", &[x, &ends[0], &ends[1]], vec![])
            }),
            Function::Elu { alpha: number } => writer.follow("Elu", alpha(number)),
            Function::Selu => writer.follow("Selu", vec![]),
            Function::Exponential => writer.follow("Exp", vec![]),
            Function::HardSigmoid => writer.follow("HardSigmoid", alpha(1.0 / 6.0)),
        }
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        launch("forward", self.0, io)
    }
}

impl<T: Real> CpuOp<T> for ActivateGrad {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (y, dy, [dx]) = (args.real(0), args.real(1), args.out());
        for_each_piece(dx, |start, dx| {
            let (y, dy) = (&y[start..][..dx.len()], &dy[start..][..dx.len()]);
            vectorised!(for ((y, dy), dx) in y.chunks(AT_ONCE).zip(dy.chunks(AT_ONCE)).zip(dx.chunks_mut(AT_ONCE)) {
                dx.copy_from_slice(dy);
                self.0.apply_gradient(dx, y);
            });
        });
    }
}

impl Op for ActivateGrad {
    fn name(&self) -> &'static str {
        match self.0 {
            Function::Relu => "relu_grad",
            Function::Sigmoid => "sigmoid_grad",
            Function::Tanh => "tanh_grad",
            Function::LeakyRelu { .. } => "leaky_relu_grad",
            Function::Relu6 => "relu6_grad",
            Function::Elu { .. } => "elu_grad",
            Function::Selu => "selu_grad",
            Function::Exponential => "exponential_grad",
            Function::HardSigmoid => "hard_sigmoid_grad",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        one_shape(self.name(), inputs, 2)
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        launch("gradient", self.0, io)
    }
}

fn launch(entry: &'static str, f: Function, io: &Io) -> Vec<Dispatch> {
    let n = io.outputs[0].shape.len();
    vec![f.specialise(Dispatch::over(MODULE, entry, io, Params::new().u32("n", n), n), "ACTIVATION")]
}

/// The gradient of an activation that an op of gradients has taken in: it multiplies what it makes by f'(h), where h, the
/// activation's output, is its last input.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slope(pub Option<Function>);

impl Slope {
    /// What it becomes where `next` has the op's output as its input `operand`: [`Op::absorb`].
    pub(super) fn and(self, next: &dyn Op, operand: usize) -> Option<Self> {
        let gradient: &ActivateGrad = (next as &dyn Any).downcast_ref()?;
        (self.0.is_none() && operand == 1).then_some(Self(Some(gradient.0)))
    }

    /// The one of these names, of an op without it and with it.
    pub(super) fn choose(self, [without, with]: [&'static str; 2]) -> &'static str {
        if self.0.is_some() { with } else { without }
    }

    /// How many inputs of an op are h.
    pub(super) fn inputs(self) -> usize {
        usize::from(self.0.is_some())
    }

    /// Checks h, where it is there, against the op's output.
    pub(super) fn check(self, op: &str, h: &[Type], output: &Type) -> Result<()> {
        match h.iter().find(|h| *h != output) {
            Some(h) => Err(Error::shape(op, format!("h {h} is not of the output's shape, {output}"))),
            None => Ok(()),
        }
    }

    /// That an op has taken in nothing, which its gradient does not know.
    pub(super) fn check_none(self, op: &str) -> Result<()> {
        if self == Self(None) {
            return Ok(());
        }
        Err(Error::shape(op, "has no gradient; call gradients before the graph is fused"))
    }

    /// dx f'(h)
    #[inline(always)]
    pub(in crate::ops) fn apply<T: Real>(self, dx: &mut [T], h: &[T]) {
        if let Some(f) = self.0 {
            f.apply_gradient(dx, h);
        }
    }

    /// The launch of a kernel that does it.
    pub(super) fn specialise(self, launch: Dispatch) -> Dispatch {
        match self.0 {
            Some(f) => f.specialise(launch, "ACTIVATION_GRAD"),
            None => launch,
        }
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let told = [Function::LeakyRelu { negative_slope: 0.01 }, Function::Elu { alpha: 1.75 }];
    for f in Function::ALL.into_iter().chain(told) {
        for n in [1, 2, 3, 255, 256, 257] {
            let x = random([n], 10 + n as u64);
            // exp is good to 3 + 2|x| ulps in WGSL, tanh to what its exponentials are: absolute error 2^-11 allowed
            // there, some 8 ulps seen on every adapter tried.
            cases.push(Case::new(format!("({n},)"), Activate(f), vec![x]).wrt(&[0]).ulps(16.0));
        }
        // From where some saturate to where others do.
        let y = changed(&random([7, 37], 20), |x| f.of(8.0 * x));
        let inputs = vec![y, random([7, 37], 21)];
        let corners = [[0.0f32, 1.0, 6.0], [0.5; 3]].into_iter().map(|x| Tensor::new([3], x.to_vec()).expect("three"));
        cases.push(Case::new("corners", ActivateGrad(f), corners.collect()).ulps(4.0));
        cases.push(Case::new("(7, 37)", ActivateGrad(f), inputs).ulps(4.0).sums(1));
    }
    // The polynomial alone, whose last term is worth 3 ulps at the end.
    let near = Tensor::new([5], vec![-0.249f32, -0.1, 1e-4, 0.2, 0.249]).expect("five");
    cases.push(Case::new("near zero", Activate(Function::Tanh), vec![near]).ulps(2.0));
    let wide = Tensor::new([8], vec![-1e30f32, -100.0, -20.0, -0.0, 0.0, 20.0, 80.0, 1e30]).expect("eight");
    cases.extend(Function::ALL.map(|f| Case::new("far from zero", Activate(f), vec![wide.clone()]).ulps(64.0)));
    cases
}
