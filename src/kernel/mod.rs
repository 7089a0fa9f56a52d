//! What kernels share, on the CPU and on GPUs: their operands, launches as plain data, sums, products, random numbers. No op is
//! known here.

mod bounded;
pub mod convolution;
pub mod cpu;
pub mod dispatch;
mod exponential;
pub mod matmul;
pub mod philox;
pub mod pool;
pub mod product;
mod real;
pub mod reduction;
pub(crate) mod room;
pub mod strided;
pub mod sums;
pub mod tuning;
pub mod window;

use crate::tensor::Type;

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
