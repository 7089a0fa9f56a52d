//! The ops: one a file, with its shape rule, gradient rule, CPU loop, GPU dispatch and test cases.
//!
//! An op of one's own implements [`Op`] and [`CpuOp`] and is applied with [`Graph::apply`](crate::graph::Graph::apply): `examples/custom_op.rs`.

mod broadcast;
pub mod case;
mod epilogue;
mod launches;
#[cfg(feature = "onnx")]
mod onnx;
pub mod optimizer;
mod reductions;

pub use case::Case;
pub use epilogue::Epilogue;

use crate::error::{Error, Result};
pub use crate::graph::Op;
use crate::graph::{Id, Type};
pub use crate::kernel::Io;
pub use crate::kernel::cpu::{CpuArgs, CpuOp, Real};
pub use crate::kernel::dispatch::{AdapterKind, Binding, Dispatch, Module, Params, Target};
use crate::kernel::reduction;
pub(crate) use crate::kernel::sums;
#[doc(hidden)]
pub use crate::kernel::tuning::Tuning;
#[doc(hidden)]
pub use crate::kernel::{convolution, pool, product, strided, tuning, window};
pub use crate::kernel::{cpu, dispatch, philox};
use crate::tensor::DType;

/// The modules of each folder, and the test cases of all of them.
macro_rules! ops {
    ($($folder:ident: $($name:ident),* $(,)?;)*) => {
        $(
            mod $folder {
                use super::*;

                $(pub mod $name;)*
            }
            pub use $folder::{$($name),*};
        )*

        /// The test cases of every op.
        #[doc(hidden)]
        pub fn all_cases() -> Vec<Case> {
            let mut cases = Vec::new();
            $($(cases.extend($name::cases());)*)*
            cases
        }
    };
}

ops! {
    // What networks compute.
    math:
        accuracy, activation, affine, argreduce, attention, average_pool, binary, cast, concat, conv, curve,
        dropout, expand, flip, gaussian_noise, log_softmax, matmul, max_pool, normalize, one_hot,
        pad, peak, random_map, recurrence, reduce, reshape, resize, reverse, scale_shift, select, slice, softmax,
        softmax_cross_entropy, sum, take, thresholds, translate, transpose, unary;
    // How optimizers update weights.
    optim: adadelta, adagrad, adam, adamax, lion, moving_average, nadam, rmsprop, sgd;
    // What a training step does beside: its batch, its clock, its log.
    step: accumulate, clock, copy, gather, predictions, record;
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
