//! All integration tests in one binary: linking wgpu once is quicker than ten times.

mod activations;
mod bad_input;
#[cfg(feature = "cli")]
mod cli;
mod common;
mod data;
mod fusion;
mod golden;
mod ops;
mod optimizers;
mod shaders;
mod tidy;
mod training;
