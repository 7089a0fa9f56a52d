//! Where plans run: the CPU, the f64 reference, or a GPU through wgpu.

pub(crate) mod blocking;
mod choose;
mod cpu;
mod executor;
mod function;
#[cfg(feature = "gpu")]
pub mod gpu;
#[cfg(test)]
mod random_graphs;
mod timing;
mod tuned;

pub use choose::{Choice, Device};
pub use executor::{Executor, Span};
pub use function::Function;
pub use timing::{Peaks, Timing};
