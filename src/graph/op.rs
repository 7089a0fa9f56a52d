//! What a node computes.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use super::{Graph, Id};
use crate::error::{Error, Result};
use crate::kernel::Io;
use crate::kernel::cpu::CpuOp;
use crate::kernel::dispatch::{Dispatch, Target};
use crate::tensor::Type;

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

    /// The op that also does what the only reader of its output does, in the same pass: `next` has the output as its input
    /// `operand`, and what else it reads comes behind the op's own inputs. `None` where there is no such op. `y` and `others` are
    /// the types of the output and of what else `next` reads.
    fn absorb(&self, _next: &dyn Op, _operand: usize, _y: &Type, _others: &[Type]) -> Option<Arc<dyn Op>> {
        None
    }

    /// The kernel launches that compute it, in order. Plain data: see [`Dispatch`].
    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch>;

    /// Floating-point operations, a multiply-add counting as two.
    fn flops(&self, io: &Io) -> u64 {
        io.outputs.iter().map(|t| t.shape.len() as u64).sum()
    }

    /// Writes what the op computes as ONNX operators: takes the tensors of its inputs from the writer, adds nodes, and gives its outputs.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the layer, where ONNX has nothing like it.
    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut super::onnx::Writer<'_>) -> Result<()> {
        Err(writer.refused("has no ONNX operator"))
    }

    /// Whether the output is the first input under another shape, and nothing is to be computed.
    fn is_view(&self) -> bool {
        false
    }
}
