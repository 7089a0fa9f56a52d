//! What products and convolutions do to each element before they store it.

use std::any::Any;

use super::activation::{Activate, ActivateGrad, Function, Slope};
use super::binary::{Binary, changed};
use super::case::random;
use super::cpu::{CpuArgs, Real, for_each_rows, vectorised};
use super::scale_shift::ScaleShift;
use super::{Binding, Dispatch, Op};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{Shape, Tensor};

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
    /// Times a scale (N,), plus a shift (N,), the last two inputs, after the bias where there is one; then an activation where there
    /// is one.
    ScaleShift {
        /// Whether the third input is a bias (N,).
        bias: bool,
        /// The activation.
        activation: Option<Function>,
    },
    /// Times the gradient of an activation whose output h, of the product's shape, is the third input.
    ActivateGrad(Function),
}

impl Epilogue {
    /// How many inputs there are behind the product's own two.
    pub(super) fn extras(self) -> usize {
        match self {
            Self::None | Self::Activate { bias: false, .. } => 0,
            Self::Bias | Self::Activate { bias: true, .. } | Self::ActivateGrad(_) => 1,
            Self::ScaleShift { bias, .. } => 2 + usize::from(bias),
        }
    }

    pub(super) fn has_bias(self) -> bool {
        matches!(self, Self::Bias | Self::Activate { bias: true, .. } | Self::ScaleShift { bias: true, .. })
    }

    fn has_scale(self) -> bool {
        matches!(self, Self::ScaleShift { .. })
    }

    /// The one of these names, of an op without an epilogue, with a bias, an activation, a scale and a shift, or the gradient of an
    /// activation.
    pub(super) fn choose(
        self,
        [none, bias, activation, scale_shift, activation_grad]: [&'static str; 5],
    ) -> &'static str {
        match self {
            Self::None => none,
            Self::Bias => bias,
            Self::Activate { .. } => activation,
            Self::ScaleShift { .. } => scale_shift,
            Self::ActivateGrad(_) => activation_grad,
        }
    }

    /// The shapes of the inputs behind the product's own two, given that of its output.
    pub(super) fn shapes(self, output: &Shape) -> Vec<Shape> {
        match self {
            Self::ActivateGrad(_) => vec![output.clone()],
            _ => vec![[output.as_rows().1].into(); self.extras()],
        }
    }

    /// Random inputs of these shapes, for a case.
    pub(super) fn random(self, output: &Shape, seed: u64) -> Vec<Tensor> {
        let shapes = self.shapes(output).into_iter();
        shapes
            .zip(seed..)
            .map(|(shape, seed)| match self {
                Self::ActivateGrad(f) => changed(&random(shape, seed), |x| f.of(x)),
                _ => random(shape, seed),
            })
            .collect()
    }

    /// Checks these inputs of `op` against its output.
    pub(super) fn check(self, op: &str, extras: &[Type], output: &Type) -> Result<()> {
        let wanted = self.shapes(&output.shape);
        match extras.iter().zip(&wanted).find(|(extra, wanted)| extra.shape != **wanted) {
            Some((extra, wanted)) => {
                let message =
                    format!("{extra}, behind the product's own inputs, does not fit {output}, expected {wanted}");
                Err(Error::shape(op, message))
            }
            None => Ok(()),
        }
    }

    /// What it becomes where the product y goes into `next` as its input `operand`: [`Op::absorb`] of a product.
    pub(super) fn and(self, next: &dyn Op, operand: usize, y: &Type, others: &[Type]) -> Option<Self> {
        let next = next as &dyn Any;
        if let (Self::None, 1, Some(gradient)) = (self, operand, next.downcast_ref::<ActivateGrad>()) {
            return Some(Self::ActivateGrad(gradient.0));
        }
        if operand != 0 {
            return None;
        }
        // Rows of N numbers, nothing wider.
        let of_rows = || others.iter().all(|other| *other.shape == [y.shape.as_rows().1]);
        let bias = self.has_bias();
        if let Some(&Activate(activation)) = next.downcast_ref() {
            return match self {
                Self::None | Self::Bias => Some(Self::Activate { bias, activation }),
                Self::ScaleShift { activation: None, .. } => {
                    Some(Self::ScaleShift { bias, activation: Some(activation) })
                }
                _ => None,
            };
        }
        if next.is::<ScaleShift>() {
            let fits = matches!(self, Self::None | Self::Bias) && of_rows();
            return fits.then_some(Self::ScaleShift { bias, activation: None });
        }
        let adds = self == Self::None && next.downcast_ref() == Some(&Binary::Add) && of_rows();
        adds.then_some(Self::Bias)
    }

    /// The launch of a kernel that ends with it.
    pub(super) fn specialise(self, launch: Dispatch) -> Dispatch {
        let launch = launch.constant("BIAS", self.has_bias()).constant("SCALE_SHIFT", self.has_scale());
        match self {
            Self::None | Self::Bias | Self::ScaleShift { activation: None, .. } => launch,
            Self::ScaleShift { activation: Some(activation), .. } => activation.specialise(launch, "ACTIVATION"),
            Self::Activate { activation, .. } => activation.specialise(launch, "ACTIVATION"),
            Self::ActivateGrad(activation) => activation.specialise(launch, "ACTIVATION_GRAD"),
        }
    }

    /// What kernels bind for its inputs: bias or h, scale, shift. Each must be something: without one, b once more.
    pub(super) fn bindings(self) -> [Binding; 3] {
        let first_of_rows = 2 + usize::from(self.has_bias());
        let third = self.has_bias() || matches!(self, Self::ActivateGrad(_));
        let inputs = [(third, 2), (self.has_scale(), first_of_rows), (self.has_scale(), first_of_rows + 1)];
        inputs.map(|(is_there, input)| Binding::Input(if is_there { input } else { 1 }))
    }

    /// Applies it on the CPU to y, rows of so many columns.
    pub(super) fn finish<T: Real>(self, args: &CpuArgs<'_, T>, y: &mut [T], columns: usize) {
        if self != Self::None {
            let columns = columns.max(1);
            for_each_rows(y, columns, |first, y| self.of_rows(args, first * columns, y, columns));
        }
    }

    /// Applies it to some rows, the first of whose elements has this index.
    pub(super) fn of_rows<T: Real>(self, args: &CpuArgs<'_, T>, start: usize, y: &mut [T], columns: usize) {
        let bias = || self.has_bias().then(|| args.real(2));
        match self {
            Self::None => {}
            Self::Bias => vectorised!(activate(y, columns, bias(), |x| x)),
            // Relu, which most products end with, is named apart: with the bias it is one pass.
            Self::Activate { activation: Function::Relu, .. } => {
                vectorised!(activate(y, columns, bias(), |x| Function::Relu.of(x)));
            }
            Self::Activate { activation, .. } => vectorised!(for y in y.chunks_mut(at_once(columns)) {
                activate(y, columns, bias(), |x| x);
                activation.apply(y);
            }),
            Self::ScaleShift { activation, .. } => {
                let first = 2 + usize::from(self.has_bias());
                let rows = (bias(), args.real(first), args.real(first + 1));
                vectorised!(for y in y.chunks_mut(at_once(columns)) {
                    scale_and_shift(y, columns, rows);
                    if let Some(activation) = activation {
                        activation.apply(y);
                    }
                });
            }
            Self::ActivateGrad(activation) => {
                let h = &args.real(2)[start..];
                vectorised!(Slope(Some(activation)).apply(y, h));
            }
        }
    }
}

/// As many numbers of whole rows as the innermost cache keeps for the activation.
fn at_once(columns: usize) -> usize {
    (1024 / columns).max(1) * columns
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

/// y = (y + bias) scale + shift, row by row
#[inline(always)]
fn scale_and_shift<T: Real>(y: &mut [T], columns: usize, (bias, scale, shift): (Option<&[T]>, &[T], &[T])) {
    for y in y.chunks_mut(columns) {
        if let Some(bias) = bias {
            y.iter_mut().zip(bias).for_each(|(y, &b)| *y += b);
        }
        y.iter_mut().zip(scale).zip(shift).for_each(|((y, &scale), &shift)| *y = *y * scale + shift);
    }
}
