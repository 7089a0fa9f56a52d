//! Element-wise operations on one operand: `y = OP x`. Those of layers are in `activation.rs` and `curve.rs`.

use super::binary::{Binary, changed};
use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, map};
use super::dispatch::{Dispatch, LIB_GRID, LIB_LOGARITHM, Module, Params, Target};
use super::{Case, Io, Op, one_shape, only};
use crate::error::Result;
#[cfg(feature = "onnx")]
use crate::graph::onnx::{FLOAT, Writer};
use crate::graph::{Graph, Id, Type};
use crate::tensor::Tensor;

const MODULE: Module =
    Module { stem: "unary", source: include_str!("../../../shaders/unary.wgsl"), libs: &[LIB_GRID, LIB_LOGARITHM] };

/// An operation on one float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// -x
    Neg = 0,
    /// e to the power of x
    Exp = 1,
    /// The natural logarithm: minus infinity of 0, NaN below.
    Log = 2,
    /// The square root: NaN below 0.
    Sqrt = 3,
    /// x * x
    Square = 4,
    /// 1 / x
    Reciprocal = 5,
    /// |x|; its gradient at 0 is 0.
    Abs = 6,
    /// -1, 0 or 1; has no gradient.
    Sign = 7,
    /// 1 where x > 0, else 0: Heaviside's function; has no gradient.
    Step = 8,
}

impl Unary {
    /// Every operation.
    pub const ALL: [Self; 9] = [
        Self::Neg,
        Self::Exp,
        Self::Log,
        Self::Sqrt,
        Self::Square,
        Self::Reciprocal,
        Self::Abs,
        Self::Sign,
        Self::Step,
    ];

    #[inline]
    fn of<T: Real>(self, x: T) -> T {
        match self {
            Self::Neg => -x,
            Self::Exp => x.exp(),
            Self::Log => x.ln(),
            Self::Sqrt => x.sqrt(),
            Self::Square => x * x,
            Self::Reciprocal => T::one() / x,
            Self::Abs => x.abs(),
            // Not signum, which is 1 of 0. Zeros and NaN are their own sign.
            Self::Sign if x == T::zero() => x,
            Self::Sign => x.signum(),
            Self::Step if x > T::zero() => T::one(),
            Self::Step => T::zero(),
        }
    }

    /// dx from x, y and dy; `None` where every gradient is zero.
    fn gradient(self, g: &mut Graph, [x, y, dy]: [Id; 3]) -> Result<Option<Id>> {
        let mut times = |a: Id, b: Id| g.apply(Binary::Mul, &[a, b]);
        Ok(Some(match self {
            Self::Neg => g.apply(Self::Neg, &[dy])?,
            Self::Exp => times(dy, y)?,
            Self::Log => g.apply(Binary::Div, &[dy, x])?,
            Self::Sqrt => {
                let (slope, half) = (g.apply(Binary::Div, &[dy, y])?, g.fill(0.5, []));
                g.apply(Binary::Mul, &[slope, half])?
            }
            Self::Square => {
                let (slope, two) = (times(dy, x)?, g.fill(2.0, []));
                g.apply(Binary::Mul, &[slope, two])?
            }
            Self::Reciprocal => {
                // One factor after the other: y * y may overflow where dx does not.
                let slope = times(dy, y)?;
                let dx = times(slope, y)?;
                g.apply(Self::Neg, &[dx])?
            }
            Self::Abs => {
                let sign = g.apply(Self::Sign, &[x])?;
                g.apply(Binary::Mul, &[dy, sign])?
            }
            Self::Sign | Self::Step => return Ok(None),
        }))
    }
}

impl<T: Real> CpuOp<T> for Unary {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (x, [y]) = (args.real(0), args.out());
        map(x, y, |x| self.of(x));
    }
}

impl Op for Unary {
    fn name(&self) -> &'static str {
        match self {
            Self::Neg => "neg",
            Self::Exp => "exp",
            Self::Log => "log",
            Self::Sqrt => "sqrt",
            Self::Square => "square",
            Self::Reciprocal => "reciprocal",
            Self::Abs => "abs",
            Self::Sign => "sign",
            Self::Step => "step",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        one_shape(self.name(), inputs, 1)
    }

    fn grad(&self, g: &mut Graph, x: &[Id], y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![self.gradient(g, [x[0], y[0], only(dy)])?])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let op_type = match self {
            Self::Neg => "Neg",
            Self::Exp => "Exp",
            Self::Log => "Log",
            Self::Sqrt => "Sqrt",
            Self::Square => return writer.map(|writer, x| writer.add("Mul", &[x, x], vec![])),
            Self::Reciprocal => "Reciprocal",
            Self::Abs => "Abs",
            Self::Sign => "Sign",
            Self::Step => {
                return writer.map(|writer, x| {
                    let zero = writer.number(0.0);
                    let above = writer.add("Greater", &[x, &zero], vec![]);
                    writer.add("Cast", &[&above], vec![("to", FLOAT.into())])
                });
            }
        };
        writer.follow(op_type, vec![])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let n = io.outputs[0].shape.len();
        vec![Dispatch::over(MODULE, "unary", io, Params::new().u32("n", n), n).constant("OPERATION", *self as u32)]
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, op) in Unary::ALL.into_iter().enumerate() {
        let flat = matches!(op, Unary::Sign | Unary::Step);
        // Where finite differences of step 1e-5 see no curve, and roots and logarithms have values.
        let positive = matches!(op, Unary::Log | Unary::Sqrt | Unary::Reciprocal);
        // exp is good to 3 + 2|x| ulps in WGSL.
        let ulps = if op == Unary::Exp { 8.0 } else { 4.0 };
        for n in [1, 2, 3, 255, 256, 257] {
            let x = random([n], 80 + i as u64);
            let x = if positive { changed(&x, |x| x.mul_add(0.75, 1.0)) } else { x };
            let case = Case::new(format!("({n},)"), op, vec![x]).ulps(ulps);
            cases.push(if flat { case } else { case.wrt(&[0]) });
        }
        let far: Vec<f32> = match op {
            Unary::Exp => vec![-1e30, -80.0, -0.0, 0.0, 1e-30, 80.0, 1e30],
            Unary::Log => vec![0.0, -0.0, 1e-30, 0.999, 1.0, 1.0001, 88.0, 1e30, f32::INFINITY],
            Unary::Sqrt => vec![0.0, -0.0, 1e-30, 4.0, 1e30],
            Unary::Reciprocal => vec![1e-30, -3.0, 1e30, -1e30],
            _ => vec![-1e30, -1e-30, -0.0, 0.0, 1e-30, 1e30],
        };
        let far = Tensor::new([far.len()], far).expect("one extent");
        cases.push(Case::new("zeros and far from zero", op, vec![far]).ulps(if op == Unary::Exp { 64.0 } else { 4.0 }));
    }
    cases
}
