//! All integration tests in one binary: linking wgpu once is quicker than ten times.

mod common;
mod data;
mod fusion;
mod golden;
mod ops;
mod training;
