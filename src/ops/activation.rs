//! Element-wise activations: `y = f(x)`, and their gradient `dx = dy * f'(y)`, taken from the output y.
//!
//! All of them are one op with a switch, because products apply them too, in their epilogue: an activation is named
//! here and in `shaders/lib/activation.wgsl`, nowhere else.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_piece};
use super::dispatch::{Dispatch, LIB_ACTIVATION, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Tensor};

const MODULE: Module = Module {
    stem: "activation",
    source: include_str!("../../shaders/activation.wgsl"),
    libs: &[LIB_GRID, LIB_ACTIVATION],
};

/// An element-wise activation whose gradient follows from its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// max(x, 0)
    Relu = 1,
    /// 1 / (1 + exp(-x))
    Sigmoid = 2,
    /// (exp(x) - exp(-x)) / (exp(x) + exp(-x))
    Tanh = 3,
}

impl Function {
    /// Every function.
    pub const ALL: [Self; 3] = [Self::Relu, Self::Sigmoid, Self::Tanh];

    /// Keras' name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
        }
    }

    /// f(x)
    #[inline]
    pub fn of<T: Real>(self, x: T) -> T {
        match self {
            // Written so that NaN passes through, as it does in Keras.
            Self::Relu if x < T::zero() => T::zero(),
            Self::Relu => x,
            Self::Sigmoid => T::one() / (T::one() + (-x).exp()),
            Self::Tanh => x.tanh(),
        }
    }

    /// f'(x), from y = f(x)
    #[inline]
    pub fn gradient<T: Real>(self, y: T) -> T {
        match self {
            Self::Relu if y > T::zero() => T::one(),
            Self::Relu => T::zero(),
            Self::Sigmoid => y * (T::one() - y),
            // Not 1 - y * y, which loses its digits as y nears 1.
            Self::Tanh => (T::one() - y) * (T::one() + y),
        }
    }
}

/// y = f(x)
#[derive(Clone, Copy, Debug)]
pub struct Activate(pub Function);

/// dx = dy * f'(y); inputs y and dy
#[derive(Clone, Copy, Debug)]
pub struct ActivateGrad(pub Function);

impl<T: Real> CpuOp<T> for Activate {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (x, [y]) = (args.real(0), args.out());
        for_each_piece(y, |start, y| {
            for (y, &x) in y.iter_mut().zip(&x[start..]) {
                *y = self.0.of(x);
            }
        });
    }
}

impl Op for Activate {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32])?;
        Ok(vec![inputs[0].clone()])
    }

    fn grad(&self, g: &mut Graph, _x: &[Id], y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(g.apply(ActivateGrad(self.0), &[y[0], only(dy)])?)])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        launch("forward", self.0, io)
    }
}

impl<T: Real> CpuOp<T> for ActivateGrad {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (y, dy, [dx]) = (args.real(0), args.real(1), args.out());
        for_each_piece(dx, |start, dx| {
            for ((dx, &y), &dy) in dx.iter_mut().zip(&y[start..]).zip(&dy[start..]) {
                *dx = dy * self.0.gradient(y);
            }
        });
    }
}

impl Op for ActivateGrad {
    fn name(&self) -> &'static str {
        match self.0 {
            Function::Relu => "relu_grad",
            Function::Sigmoid => "sigmoid_grad",
            Function::Tanh => "tanh_grad",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32; 2])?;
        if inputs[0].shape != inputs[1].shape {
            let message = format!("y {} and dy {} differ in shape", inputs[0], inputs[1]);
            return Err(Error::shape(self.name(), message));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        launch("gradient", self.0, io)
    }
}

fn launch(entry: &'static str, f: Function, io: &Io) -> Vec<Dispatch> {
    let n = io.outputs[0].shape.len();
    vec![Dispatch::over(MODULE, entry, io, Params::new().u32("n", n), n).constant("ACTIVATION", f as u32)]
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for f in Function::ALL {
        for n in [1, 2, 3, 255, 256, 257] {
            let x = random([n], 10 + n as u64);
            // exp is good to 3 + 2|x| ulps in WGSL, tanh to what its exponentials are: absolute error 2^-11 allowed
            // there, some 8 ulps seen on every adapter tried.
            cases.push(Case::new(format!("({n},)"), Activate(f), vec![x]).wrt(&[0]).ulps(16.0));
        }
        let y = Tensor::new([7, 37], random([259], 20).values().to_f32().iter().map(|&x| f.of(x)).collect::<Vec<_>>());
        let inputs = vec![y.expect("one value an element"), random([7, 37], 21)];
        cases.push(Case::new("(7, 37)", ActivateGrad(f), inputs).ulps(4.0).sums(1));
    }
    let wide = Tensor::new([8], vec![-1e30f32, -100.0, -20.0, -0.0, 0.0, 20.0, 100.0, 1e30]).expect("eight");
    cases.extend(Function::ALL.map(|f| Case::new("far from zero", Activate(f), vec![wide.clone()]).ulps(64.0)));
    cases
}
