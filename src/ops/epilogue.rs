//! What products and convolutions do to each element before they store it.

use std::any::Any;

use super::activation::{Activate, ActivateGrad, Function};
use super::binary::Binary;
use super::cpu::{CpuArgs, Real, for_each_rows};
use super::{Binding, Dispatch, Op};
use crate::error::{Error, Result};
use crate::graph::Type;

/// What happens to each element of a product before it is stored.
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
    /// Times the gradient of an activation whose output h, of the product's shape, is the third input.
    ActivateGrad(Function),
}

impl Epilogue {
    /// Whether there is a third input.
    pub(super) fn has_extra(self) -> bool {
        self.has_bias() || matches!(self, Self::ActivateGrad(_))
    }

    pub(super) fn has_bias(self) -> bool {
        matches!(self, Self::Bias | Self::Activate { bias: true, .. })
    }

    /// The one of these names, of an op without an epilogue, with a bias, an activation, or the gradient of one.
    pub(super) fn choose(self, [none, bias, activation, activation_grad]: [&'static str; 4]) -> &'static str {
        match self {
            Self::None => none,
            Self::Bias => bias,
            Self::Activate { .. } => activation,
            Self::ActivateGrad(_) => activation_grad,
        }
    }

    /// Checks the third input of `op`, if it has one, against an output of so many columns.
    pub(super) fn check(self, op: &str, extra: Option<&Type>, output: &Type, columns: usize) -> Result<()> {
        let fits = |extra: &Type| match self.has_bias() {
            true => *extra.shape == [columns],
            false => extra.shape == output.shape,
        };
        match extra {
            Some(extra) if !fits(extra) => {
                Err(Error::shape(op, format!("the third input {extra} does not fit {output}")))
            }
            _ => Ok(()),
        }
    }

    /// What it becomes where the product goes into `next` as its input `operand`: [`Op::absorb`] for a product of `columns`.
    pub(super) fn and(self, next: &dyn Op, operand: usize, columns: usize, others: &[Type]) -> Option<Self> {
        let next = next as &dyn Any;
        let activate = next.downcast_ref().map(|&Activate(activation)| activation);
        match (self, operand, activate) {
            (Self::None | Self::Bias, 0, Some(activation)) => {
                Some(Self::Activate { bias: self == Self::Bias, activation })
            }
            (Self::None, 1, _) => Some(Self::ActivateGrad(next.downcast_ref::<ActivateGrad>()?.0)),
            // It adds a row of N numbers, nothing wider.
            (Self::None, 0, _) if next.downcast_ref() == Some(&Binary::Add) && *others[0].shape == [columns] => {
                Some(Self::Bias)
            }
            _ => None,
        }
    }

    /// The launch of a kernel that ends with it.
    pub(super) fn specialise(self, launch: Dispatch) -> Dispatch {
        let launch = launch.constant("BIAS", self.has_bias());
        match self {
            Self::None | Self::Bias => launch,
            Self::Activate { activation, .. } => activation.specialise(launch, "ACTIVATION"),
            Self::ActivateGrad(activation) => activation.specialise(launch, "ACTIVATION_GRAD"),
        }
    }

    /// What kernels bind as the third input, which must be something: without one, b a second time.
    pub(super) fn extra(self) -> Binding {
        Binding::Input(if self.has_extra() { 2 } else { 1 })
    }

    /// Applies it on the CPU to y, rows of so many columns.
    pub(super) fn finish<T: Real>(self, args: &CpuArgs<'_, T>, y: &mut [T], columns: usize) {
        if self != Self::None {
            let columns = columns.max(1);
            for_each_rows(y, columns, |first, y| self.of_rows(args, first * columns, y, columns));
        }
    }

    /// Applies it to some rows, the first of whose elements has this index.
    #[inline(always)]
    pub(super) fn of_rows<T: Real>(self, args: &CpuArgs<'_, T>, start: usize, y: &mut [T], columns: usize) {
        let bias = || self.has_bias().then(|| args.real(2));
        match self {
            Self::None => {}
            Self::Bias => activate(y, columns, bias(), |x| x),
            // Relu, which most products end with, is named apart: known to the compiler it is one instruction of a
            // vector, while a choice of function made for each element is made alone.
            Self::Activate { activation: Function::Relu, .. } => {
                activate(y, columns, bias(), |x| Function::Relu.of(x));
            }
            Self::Activate { activation, .. } => activate(y, columns, bias(), |x| activation.of(x)),
            Self::ActivateGrad(Function::Relu) => weigh(y, &args.real(2)[start..], |h| Function::Relu.gradient(h)),
            Self::ActivateGrad(activation) => weigh(y, &args.real(2)[start..], |h| activation.gradient(h)),
        }
    }
}

/// y = f(y + bias), row by row
#[inline(always)]
fn activate<T: Real>(y: &mut [T], columns: usize, bias: Option<&[T]>, f: impl Fn(T) -> T) {
    match bias {
        Some(bias) => {
            y.chunks_mut(columns).for_each(|y| y.iter_mut().zip(bias).for_each(|(y, &b)| *y = f(*y + b)));
        }
        None => y.iter_mut().for_each(|y| *y = f(*y)),
    }
}

/// y = y * f(h)
#[inline(always)]
fn weigh<T: Real>(y: &mut [T], h: &[T], f: impl Fn(T) -> T) {
    y.iter_mut().zip(h).for_each(|(y, &h)| *y *= f(h));
}
