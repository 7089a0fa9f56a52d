//! Element-wise operations on two operands, broadcast as NumPy does: `y = a OP b`.

use super::broadcast::{self, Run, for_each_run};
use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, vectorised};
use super::dispatch::{Dispatch, LIB_BROADCAST, LIB_GRID, LIB_NAN, Module, Target};
use super::select::Select;
use super::unary::Unary;
use super::{Case, Io, Op, only};
use crate::error::Result;
#[cfg(feature = "onnx")]
use crate::graph::onnx::{FLOAT, Writer};
use crate::graph::{Graph, Id, Type};
use crate::tensor::Tensor;

const MODULE: Module = Module {
    stem: "binary",
    source: include_str!("../../../shaders/binary.wgsl"),
    libs: &[LIB_GRID, LIB_BROADCAST, LIB_NAN],
};

/// An operation on two floats. Comparisons give 1 or 0, and have no gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// a + b
    Add = 0,
    /// a - b
    Sub = 1,
    /// a * b
    Mul = 2,
    /// a / b
    Div = 3,
    /// a to the power of b: of a negative a where b is whole, NaN where it is not.
    Pow = 4,
    /// The larger one; where both are the same, each takes half of the gradient, as with JAX.
    Max = 5,
    /// The smaller one; where both are the same, each takes half of the gradient, as with JAX.
    Min = 6,
    /// a = b
    Equal = 7,
    /// a != b
    NotEqual = 8,
    /// a < b
    Less = 9,
    /// a <= b
    LessEqual = 10,
    /// a > b
    Greater = 11,
    /// a >= b
    GreaterEqual = 12,
}

impl Binary {
    /// Every operation.
    pub const ALL: [Self; 13] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Pow,
        Self::Max,
        Self::Min,
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessEqual,
        Self::Greater,
        Self::GreaterEqual,
    ];

    #[inline(always)]
    fn of<T: Real>(self, a: T, b: T) -> T {
        let holds = |condition| if condition { T::one() } else { T::zero() };
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Pow => a.powf(b),
            // Written so that a NaN on either side passes through, as it does in NumPy.
            Self::Max if a >= b || a.is_nan() => a,
            Self::Min if a <= b || a.is_nan() => a,
            Self::Max | Self::Min => b,
            Self::Equal => holds(a == b),
            Self::NotEqual => holds(a != b),
            Self::Less => holds(a < b),
            Self::LessEqual => holds(a <= b),
            Self::Greater => holds(a > b),
            Self::GreaterEqual => holds(a >= b),
        }
    }

    /// The gradients with respect to a and b in the output's shape; `None` for a comparison.
    fn gradients(self, g: &mut Graph, [a, b, y, dy]: [Id; 4]) -> Result<Option<[Id; 2]>> {
        let mut f = |op: Self, a: Id, b: Id| g.apply(op, &[a, b]);
        Ok(Some(match self {
            Self::Add => [dy, dy],
            Self::Sub => [dy, g.apply(Unary::Neg, &[dy])?],
            Self::Mul => [f(Self::Mul, dy, b)?, f(Self::Mul, dy, a)?],
            Self::Div => {
                // d(a/b)/db = -y/b
                let da = f(Self::Div, dy, b)?;
                let da_y = f(Self::Mul, da, y)?;
                [da, g.apply(Unary::Neg, &[da_y])?]
            }
            Self::Pow => power_gradients(g, [a, b, y, dy])?,
            Self::Max => shared(g, [Self::Greater, Self::GreaterEqual], [a, b, dy])?,
            Self::Min => shared(g, [Self::Less, Self::LessEqual], [a, b, dy])?,
            Self::Equal | Self::NotEqual | Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual => {
                return Ok(None);
            }
        }))
    }
}

/// da = dy * b * a^(b-1) and db = dy * y * log a. Where b is 0 so is da, where a is 0 so is db: both would be NaN.
fn power_gradients(g: &mut Graph, [a, b, y, dy]: [Id; 4]) -> Result<[Id; 2]> {
    let one = g.fill(1.0, []);
    let less = g.apply(Binary::Sub, &[b, one])?;
    let exponent = g.apply(Select, &[b, less, one])?;
    let power = g.apply(Binary::Pow, &[a, exponent])?;
    let slope = g.apply(Binary::Mul, &[b, power])?;
    let base = g.apply(Select, &[a, a, one])?;
    let log = g.apply(Unary::Log, &[base])?;
    let rise = g.apply(Binary::Mul, &[y, log])?;
    Ok([g.apply(Binary::Mul, &[dy, slope])?, g.apply(Binary::Mul, &[dy, rise])?])
}

/// The gradients of a maximum or minimum: the operand chosen takes all of dy, and half of it where both are the same.
fn shared(g: &mut Graph, [beats, holds]: [Binary; 2], [a, b, dy]: [Id; 3]) -> Result<[Id; 2]> {
    let (beats, holds) = (g.apply(beats, &[a, b])?, g.apply(holds, &[a, b])?);
    let twice = g.apply(Binary::Add, &[beats, holds])?;
    let (half, one) = (g.fill(0.5, []), g.fill(1.0, []));
    let of_a = g.apply(Binary::Mul, &[twice, half])?;
    let of_b = g.apply(Binary::Sub, &[one, of_a])?;
    Ok([g.apply(Binary::Mul, &[dy, of_a])?, g.apply(Binary::Mul, &[dy, of_b])?])
}

impl<T: Real> CpuOp<T> for Binary {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (inputs, [y]) = ([args.real(0), args.real(1)], args.out());
        for_each_run(args.io, inputs, y, |operands, y| match *self {
            // Known to the compiler: it makes no choice for each element.
            Self::Add => vectorised!(of_run(operands, y, |a, b| Self::Add.of(a, b))),
            Self::Sub => vectorised!(of_run(operands, y, |a, b| Self::Sub.of(a, b))),
            Self::Mul => vectorised!(of_run(operands, y, |a, b| Self::Mul.of(a, b))),
            Self::Div => vectorised!(of_run(operands, y, |a, b| Self::Div.of(a, b))),
            op => of_run(operands, y, |a, b| op.of(a, b)),
        });
    }
}

/// y = f(a, b)
#[inline(always)]
fn of_run<T: Real>(operands: [Run<'_, T>; 2], y: &mut [T], f: impl Fn(T, T) -> T) {
    match operands {
        [Run::Each(a), Run::Each(b)] => y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (&a, &b))| *y = f(a, b)),
        [Run::Each(a), Run::Same(b)] => y.iter_mut().zip(a).for_each(|(y, &a)| *y = f(a, b)),
        [Run::Same(a), Run::Each(b)] => y.iter_mut().zip(b).for_each(|(y, &b)| *y = f(a, b)),
        [Run::Same(a), Run::Same(b)] => y.fill(f(a, b)),
    }
}

impl Op for Binary {
    fn name(&self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Div => "div",
            Self::Pow => "pow",
            Self::Max => "max",
            Self::Min => "min",
            Self::Equal => "equal",
            Self::NotEqual => "not_equal",
            Self::Less => "less",
            Self::LessEqual => "less_equal",
            Self::Greater => "greater",
            Self::GreaterEqual => "greater_equal",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        broadcast::output(self.name(), inputs, 2)
    }

    fn grad(&self, g: &mut Graph, x: &[Id], y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let Some(gradients) = self.gradients(g, [x[0], x[1], y[0], only(dy)])? else { return Ok(vec![None, None]) };
        let mut reduced = Vec::new();
        for (x, dx) in x.iter().zip(gradients) {
            let shape = g.shape(*x).clone();
            reduced.push(Some(broadcast::reduce(g, dx, &shape)?));
        }
        Ok(reduced)
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (op_type, compares) = match self {
            Self::Add => ("Add", false),
            Self::Sub => ("Sub", false),
            Self::Mul => ("Mul", false),
            Self::Div => ("Div", false),
            Self::Pow => ("Pow", false),
            Self::Max => ("Max", false),
            Self::Min => ("Min", false),
            Self::Equal | Self::NotEqual => ("Equal", true),
            Self::Less => ("Less", true),
            Self::LessEqual => ("LessOrEqual", true),
            Self::Greater => ("Greater", true),
            Self::GreaterEqual => ("GreaterOrEqual", true),
        };
        if !compares {
            return writer.elementwise(op_type);
        }
        let (inputs, y) = (writer.inputs(), writer.outputs()[0]);
        let (names, order) = writer.broadcast(inputs, y)?;
        let mut name = writer.add(op_type, &[&names[0], &names[1]], vec![]);
        if *self == Self::NotEqual {
            name = writer.add("Not", &[&name], vec![]);
        }
        let name = writer.add("Cast", &[&name], vec![("to", FLOAT.into())]);
        writer.give(y, name, order);
        Ok(())
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        vec![broadcast::launch(MODULE, "binary", io).constant("OPERATION", *self as u32)]
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, op) in Binary::ALL.into_iter().enumerate() {
        let ulps = match op {
            // exp2(b * log2 a), as WGSL has it.
            Binary::Pow => 32.0,
            // A quotient is good to 2.5 ulps in WGSL; the gradient of a scalar sums quotients that cancel (27 seen).
            Binary::Div => 8.0,
            _ => 3.0,
        };
        let compares = i >= Binary::Equal as usize;
        for (label, a, b) in [
            ("(1,)", vec![1], vec![1]),
            ("(2,) and (2,)", vec![2], vec![2]),
            ("(255,) and (255,)", vec![255], vec![255]),
            ("(257,) and (257,)", vec![257], vec![257]),
            ("a row on (5, 3)", vec![5, 3], vec![3]),
            ("a plane on (2, 3, 85)", vec![2, 3, 85], vec![3, 85]),
            ("a scalar on (7, 11)", vec![7, 11], vec![]),
            ("(7,) on a scalar", vec![], vec![7]),
            ("a column on (2, 3)", vec![2, 3], vec![2, 1]),
            ("(5, 1, 3) and (4, 1)", vec![5, 1, 3], vec![4, 1]),
            ("(1,) and (256,)", vec![1], vec![256]),
            ("alternating axes", vec![2, 1, 3, 1, 2, 1], vec![1, 2, 1, 3, 1, 2]),
        ] {
            let (a, b) = (random(a, 30 + i as u64), random(b, 60 + i as u64));
            let inputs = match op {
                Binary::Pow => vec![changed(&a, |x| x.mul_add(0.9, 1.1)), changed(&b, |x| 3.0 * x)],
                // Finite differences need a denominator that is not small.
                Binary::Div => vec![a, changed(&b, |x| x + 0.5f32.copysign(x))],
                // So few numbers that some are the same.
                _ if compares => [a, b].map(|t| changed(&t, |x| (2.0 * x).round())).into(),
                _ => vec![a, b],
            };
            let case = Case::new(label, op, inputs).ulps(ulps);
            cases.push(if compares { case } else { case.wrt(&[0, 1]) });
        }
    }
    cases.extend(Binary::ALL.map(|op| {
        let [a, b]: [Vec<f32>; 2] = match op {
            Binary::Pow => {
                let a = vec![-2.0, -2.0, -1.5, 0.0, 0.0, 0.0, 0.0, -0.0, 0.1, 1e30, 1e30, 1e-30];
                [a, vec![2.0, 3.0, -3.0, 2.0, 0.1, -3.0, 0.0, 1.0, 3.0, 1.0, -1.0, 2.0]]
            }
            _ => [
                vec![0.0, -0.0, -0.0, 1e30, -1e30, 1e30, 1e30, -7.0],
                vec![1.0, 2.0, -3.0, 1e8, 1.0, 1e30, -1e30, 1e30],
            ],
        };
        let [a, b] = [a, b].map(|x| Tensor::new([x.len()], x).expect("one extent"));
        Case::new("zeros and far from zero", op, vec![a, b]).ulps(64.0)
    }));
    let inf = f32::INFINITY;
    let a = Tensor::from([-1.0, 1.0, inf, inf, -inf, -inf, 0.5, 2.0, -2.0, 0.0, -0.0]);
    let b = Tensor::from([inf, -inf, -1.0, 0.5, 3.0, -1.0, inf, -inf, inf, -2.0, -3.0]);
    cases.push(Case::new("infinities", Binary::Pow, vec![a, b]).ulps(0.0));
    cases
}

/// Each element by way of `f`.
pub(crate) fn changed(x: &Tensor, f: impl Fn(f32) -> f32) -> Tensor {
    let values: Vec<f32> = x.values().to_f32().into_iter().map(f).collect();
    Tensor::new(x.shape().clone(), values).expect("as many as before")
}
