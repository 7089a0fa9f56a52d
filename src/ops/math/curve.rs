//! Element-wise activations whose gradient needs their input: `y = f(x)`, and `dx = dy * f'(x)`.
//!
//! They stand apart from `activation.rs` because what products fuse, the gradient included, works from the output
//! alone: several of these take one value at two x, so y does not tell the slope.

use super::activation::Function;
use super::binary::changed;
use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, map, map_pairs};
use super::dispatch::{Dispatch, LIB_ACTIVATION, LIB_GRID, LIB_LOGARITHM, LIB_NORMAL, Module, Params, Target};
use super::{Case, Io, Op, one_shape, only};
use crate::error::Result;
#[cfg(feature = "onnx")]
use crate::graph::onnx::Writer;
use crate::graph::{Graph, Id, Type};
use crate::tensor::Tensor;

const MODULE: Module = Module {
    stem: "curve",
    source: include_str!("../../../shaders/curve.wgsl"),
    libs: &[LIB_GRID, LIB_ACTIVATION, LIB_LOGARITHM, LIB_NORMAL],
};

/// An element-wise activation whose gradient follows from its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// x times the normal distribution's Phi(x): Hendrycks and Gimpel, 2016.
    Gelu = 0,
    /// x sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3), which is half x (1 + tanh u): nearly the same.
    GeluTanh = 1,
    /// x sigmoid(x)
    Silu = 2,
    /// x tanh(log(1 + exp(x)))
    Mish = 3,
    /// log(1 + exp(x))
    Softplus = 4,
    /// x / (1 + |x|)
    Softsign = 5,
    /// x min(max(x + 3, 0), 6) / 6
    HardSilu = 6,
}

/// Of gelu's tanh form: sqrt(2 / pi), and the cube's share.
const GELU_SLOPE: f64 = 0.797_884_560_802_865_4;
const GELU_CUBE: f64 = 0.044_715;

impl Curve {
    /// Every function.
    pub const ALL: [Self; 7] =
        [Self::Gelu, Self::GeluTanh, Self::Silu, Self::Mish, Self::Softplus, Self::Softsign, Self::HardSilu];

    /// f(x), in forms that neither overflow nor cancel for an x of any size.
    #[inline(always)]
    fn of<T: Real>(self, x: T) -> T {
        let one = T::one();
        match self {
            Self::Gelu => x * x.normal(),
            Self::GeluTanh => x * gelu_argument(x).sigmoid(),
            Self::Silu => x * x.sigmoid(),
            Self::Mish => {
                let (tanh, _) = mish_factors(x);
                x * tanh
            }
            Self::Softplus => x.max(T::zero()) + (-x.abs()).exponential().log_one_plus(),
            Self::Softsign => x / (one + x.abs()),
            Self::HardSilu => x * Function::HardSigmoid.of(x),
        }
    }

    /// f'(x)
    #[inline(always)]
    fn gradient<T: Real>(self, x: T) -> T {
        let one = T::one();
        match self {
            Self::Gelu => x.normal() + x * x.normal_density(),
            Self::GeluTanh => {
                let (s, x) = (gelu_argument(x).sigmoid(), x.max(T::of(-50.0)).min(T::of(50.0)));
                let du = T::of(2.0 * GELU_SLOPE) * (one + T::of(3.0 * GELU_CUBE) * x * x);
                s * (one + x * du * (-gelu_argument(x)).sigmoid())
            }
            // s' = s (1 - s), where 1 - s is sigmoid(-x) with all its digits.
            Self::Silu => x.sigmoid() * (one + x * (-x).sigmoid()),
            Self::Mish => {
                let (tanh, slope) = mish_factors(x);
                tanh + x * slope
            }
            Self::Softplus => x.sigmoid(),
            Self::Softsign => {
                let size = one / (one + x.abs());
                size * size
            }
            Self::HardSilu if x < T::of(-3.0) => T::zero(),
            Self::HardSilu if x > T::of(3.0) => one,
            Self::HardSilu => (x + x + T::of(3.0)) / T::of(6.0),
        }
    }
}

/// 2 u of gelu's tanh form. Past 50 the sigmoid of it is 0 or 1 in f64 too, and the cube may overflow.
#[inline(always)]
fn gelu_argument<T: Real>(x: T) -> T {
    let x = x.max(T::of(-50.0)).min(T::of(50.0));
    T::of(2.0 * GELU_SLOPE) * (x + T::of(GELU_CUBE) * x * x * x)
}

/// tanh(log(1 + exp x)) and its derivative. With e = exp(-|x|) both are quotients of sums of positive terms:
/// tanh(log(1 + z)) = z (z + 2) / (z (z + 2) + 2).
#[inline(always)]
fn mish_factors<T: Real>(x: T) -> (T, T) {
    let (one, two, four) = (T::one(), T::of(2.0), T::of(4.0));
    let e = (-x.abs()).exponential();
    let (above, below, share) = if x < T::zero() {
        (e * (two + e), two + e * (two + e), one)
    } else {
        (one + two * e, one + two * e * (one + e), e)
    };
    (above / below, four * e * share * (one + e) / (below * below))
}

/// y = f(x)
#[derive(Clone, Copy, Debug)]
pub struct Bend(pub Curve);

/// dx = dy * f'(x); inputs x and dy. From |x| = 1e19 on softsign's slope is 0 in f32.
#[derive(Clone, Copy, Debug)]
pub struct BendGrad(pub Curve);

/// A loop over numbers for each curve, which is a constant in it. The closures that loops are given say `#[inline(always)]`: some are so
/// long that a compiler makes functions of them, which know no vectors.
macro_rules! known {
    ($curve:expr, $f:ident => $made:expr) => {
        known!($curve, $f => $made; Gelu GeluTanh Silu Mish Softplus Softsign HardSilu)
    };
    ($curve:expr, $f:ident => $made:expr; $($name:ident)*) => {
        match $curve {
            $(Curve::$name => {
                const $f: Curve = Curve::$name;
                $made
            })*
        }
    };
}

impl<T: Real> CpuOp<T> for Bend {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (x, [y]) = (args.real(0), args.out());
        known!(self.0, F => map(x, y, #[inline(always)] |x| F.of(x)));
    }
}

impl Op for Bend {
    fn name(&self) -> &'static str {
        match self.0 {
            Curve::Gelu => "gelu",
            Curve::GeluTanh => "gelu_tanh",
            Curve::Silu => "silu",
            Curve::Mish => "mish",
            Curve::Softplus => "softplus",
            Curve::Softsign => "softsign",
            Curve::HardSilu => "hard_silu",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        one_shape(self.name(), inputs, 1)
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(g.apply(BendGrad(self.0), &[x[0], only(dy)])?)])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        match self.0 {
            Curve::Gelu | Curve::GeluTanh => writer.map(|writer, x| {
                let [half, one] = [0.5, 1.0].map(|number| writer.number(number));
                let share = if self.0 == Curve::Gelu { erf(writer, x) } else { tanh_of_gelu(writer, x) };
                let share = writer.add("Add", &[&share, &one], vec![]);
                let share = writer.add("Mul", &[&share, &half], vec![]);
                writer.add("Mul", &[x, &share], vec![])
            }),
            Curve::Silu => writer.map(|writer, x| {
                let share = writer.add("Sigmoid", &[x], vec![]);
                writer.add("Mul", &[x, &share], vec![])
            }),
            Curve::Mish => writer.follow("Mish", vec![]),
            Curve::Softplus => writer.follow("Softplus", vec![]),
            Curve::Softsign => writer.follow("Softsign", vec![]),
            Curve::HardSilu => writer.follow("HardSwish", vec![]),
        }
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        launch("forward", self.0, io)
    }
}

impl<T: Real> CpuOp<T> for BendGrad {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (x, dy, [dx]) = (args.real(0), args.real(1), args.out());
        known!(self.0, F => map_pairs(x, dy, dx, #[inline(always)] |x, dy| dy * F.gradient(x)));
    }
}

impl Op for BendGrad {
    fn name(&self) -> &'static str {
        match self.0 {
            Curve::Gelu => "gelu_grad",
            Curve::GeluTanh => "gelu_tanh_grad",
            Curve::Silu => "silu_grad",
            Curve::Mish => "mish_grad",
            Curve::Softplus => "softplus_grad",
            Curve::Softsign => "softsign_grad",
            Curve::HardSilu => "hard_silu_grad",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        one_shape(self.name(), inputs, 2)
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        launch("gradient", self.0, io)
    }
}

fn launch(entry: &'static str, f: Curve, io: &Io) -> Vec<Dispatch> {
    let n = io.outputs[0].shape.len();
    vec![Dispatch::over(MODULE, entry, io, Params::new().u32("n", n), n).constant("CURVE", f as u32)]
}

pub(crate) fn cases() -> Vec<Case> {
    let tensor = |values: Vec<f32>| Tensor::new([values.len()], values).expect("one extent");
    let mut cases = Vec::new();
    for (i, f) in Curve::ALL.into_iter().enumerate() {
        let seed = 90 + 2 * i as u64;
        for n in [1, 2, 3, 255, 256, 257] {
            let x = changed(&random([n], seed), |x| 4.0 * x);
            // exp is good to 3 + 2|x| ulps in WGSL, and x up to 4 makes gelu's exponent 8.
            cases.push(Case::new(format!("({n},)"), Bend(f), vec![x]).wrt(&[0]).ulps(32.0));
        }
        let inputs = vec![changed(&random([7, 37], seed), |x| 4.0 * x), random([7, 37], seed + 1)];
        // The slopes of all but softplus and softsign cross zero, where their terms cancel.
        cases.push(Case::new("(7, 37)", BendGrad(f), inputs).ulps(16.0).sums(1));
        let far = vec![-1e30, -80.0, -10.0, -3.0, -0.0, 0.0, 3.0, 10.0, 20.0, 80.0, 100.0, 1e30];
        let dy = tensor(vec![0.5; far.len()]);
        let far = tensor(far);
        cases.push(Case::new("far from zero", Bend(f), vec![far.clone()]).ulps(128.0));
        cases.push(Case::new("far from zero", BendGrad(f), vec![far, dy]).ulps(128.0));
        // Subnormal in f32, or nothing at all where exp(-100) is flushed: 100 of its 27 units.
        if f == Curve::Softplus {
            // log(2), where the logarithm's series is longest: its last term is worth an ulp.
            cases.push(Case::new("0", Bend(f), vec![tensor(vec![0.0])]).ulps(1.5));
        }
        cases.push(Case::new("-100", Bend(f), vec![tensor(vec![-100.0])]).ulps(2800.0));
    }
    cases
}

/// erf(x / sqrt(2))
#[cfg(feature = "onnx")]
fn erf(writer: &mut Writer<'_>, x: &str) -> String {
    let root = writer.number(std::f64::consts::FRAC_1_SQRT_2);
    let x = writer.add("Mul", &[x, &root], vec![]);
    writer.add("Erf", &[&x], vec![])
}

/// tanh(sqrt(2 / pi) (x + 0.044715 x^3))
#[cfg(feature = "onnx")]
fn tanh_of_gelu(writer: &mut Writer<'_>, x: &str) -> String {
    let [share, factor, one] = [0.044_715, (2.0 / std::f64::consts::PI).sqrt(), 1.0].map(|n| writer.number(n));
    let square = writer.add("Mul", &[x, x], vec![]);
    let square = writer.add("Mul", &[&square, &share], vec![]);
    let sum = writer.add("Add", &[&square, &one], vec![]);
    let sum = writer.add("Mul", &[x, &sum], vec![]);
    let sum = writer.add("Mul", &[&sum, &factor], vec![]);
    writer.add("Tanh", &[&sum], vec![])
}
