//! The ops: one a file, with its shape rule, gradient rule, CPU loop, GPU dispatch and test cases.
//!
//! An op of one's own implements [`Op`] and [`CpuOp`] and is applied with [`Graph::apply`]: `examples/custom_op.rs`.

mod broadcast;
pub mod case;
pub mod cpu;
pub mod dispatch;
pub mod optimizer;
pub mod philox;
pub mod product;
mod reduction;
pub mod strided;
pub(crate) mod sums;
pub mod tuning;

use std::any::Any;
use std::fmt::Debug;

pub use case::Case;
pub use cpu::{CpuArgs, CpuOp, Real};
pub use dispatch::{AdapterKind, Binding, Dispatch, Module, Params, Target};
pub use tuning::Tuning;

use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::DType;

macro_rules! ops {
    ($($name:ident),* $(,)?) => {
        $(pub mod $name;)*

        /// The test cases of every op.
        pub fn all_cases() -> Vec<Case> {
            let mut cases = Vec::new();
            $(cases.extend($name::cases());)*
            cases
        }
    };
}

ops! {
    accumulate, accuracy, activation, adadelta, adagrad, adam, adamax, argreduce, binary, clock, concat, copy, curve, dropout, expand,
    flip, gather, gaussian_noise, lion, log_softmax, matmul, nadam, normalize, one_hot, pad, peak, predictions, record, reduce,
    reshape, rmsprop, select, sgd, slice, softmax, softmax_cross_entropy, sum, take, thresholds, translate, transpose,
    unary,
}

/// The types of a node's inputs and outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Io {
    /// The inputs' types.
    pub inputs: Vec<Type>,
    /// The outputs' types.
    pub outputs: Vec<Type>,
}

impl Io {
    /// The elements of all inputs and outputs together, for counting bytes.
    pub fn elements(&self) -> usize {
        self.inputs.iter().chain(&self.outputs).map(|t| t.shape.len()).sum()
    }
}

/// A computation with a shape rule, a gradient and a kernel. [`CpuOp`] in f32 and f64 is its reference.
pub trait Op: CpuOp<f32> + CpuOp<f64> + Debug + Any + Send + Sync {
    /// The op's name: its file's stem, or the stem with the variant.
    fn name(&self) -> &'static str;

    /// The types of the outputs for inputs of these types. An effect has none.
    ///
    /// # Errors
    /// [`Error::Shape`] that names the op, what it was given and what it takes.
    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>>;

    /// For an effect: whether `targets` may be changed in place, given inputs of these types.
    ///
    /// # Errors
    /// [`Error::Shape`] that names the op, what it was given and what it takes.
    fn check_targets(&self, _inputs: &[Type], _targets: &[Type]) -> Result<()> {
        Err(Error::shape(self.name(), "changes nothing in place"))
    }

    /// Appends the gradients with respect to the inputs `x`, given the outputs `y` and the gradients `dy` of the loss
    /// with respect to them (`None`: the loss does not depend on that output). `None` in the answer: no gradient.
    ///
    /// # Errors
    /// [`Error::Shape`] where the op has no gradient.
    fn grad(&self, _graph: &mut Graph, _x: &[Id], _y: &[Id], _dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Err(Error::shape(self.name(), "has no gradient"))
    }

    /// The kernel launches that compute it, in order. Plain data: see [`Dispatch`].
    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch>;

    /// Floating-point operations, a multiply-add counting as two.
    fn flops(&self, io: &Io) -> u64 {
        io.outputs.iter().map(|t| t.shape.len() as u64).sum()
    }

    /// Whether the output is the first input under another shape, and nothing is to be computed.
    fn is_view(&self) -> bool {
        false
    }
}

/// Checks that there are as many inputs as types of elements, and that they have those.
///
/// # Errors
/// [`Error::Shape`] of `op` that says which input is of another type, or how many there are.
pub fn expect_inputs(op: &str, inputs: &[Type], dtypes: &[DType]) -> Result<()> {
    if inputs.len() != dtypes.len() {
        return Err(Error::shape(op, format!("takes {} inputs, was given {}", dtypes.len(), inputs.len())));
    }
    for (i, (found, wanted)) in inputs.iter().zip(dtypes).enumerate() {
        if found.dtype != *wanted {
            return Err(Error::shape(op, format!("input {i} is {found}, expected elements of {wanted}")));
        }
    }
    Ok(())
}

/// Checks that there are `count` inputs, all floats of one shape; the output has that type too.
///
/// # Errors
/// [`Error::Shape`] of `op` that says what else was given.
pub fn one_shape(op: &str, inputs: &[Type], count: usize) -> Result<Vec<Type>> {
    expect_inputs(op, inputs, &vec![DType::F32; count])?;
    match inputs.iter().find(|t| t.shape != inputs[0].shape) {
        Some(other) => Err(Error::shape(op, format!("the inputs {} and {other} differ in shape", inputs[0]))),
        None => Ok(vec![inputs[0].clone()]),
    }
}

/// The gradient of the loss with respect to the output, for the [`Op::grad`] of an op that has one.
///
/// # Panics
/// Where there is none: autodiff does not call [`Op::grad`] then.
pub fn only(dy: &[Option<Id>]) -> Id {
    dy[0].expect("autodiff calls grad only where a dy exists")
}
