//! What walks every op's numbers or interprets its shaders. A program of its own, because `scripts/rustc-of-tests` has it optimised a
//! little: the loops of shaders are counted in less than half the time. The suite would take the optimiser longer than its tests gain.

#[cfg(feature = "gpu")]
mod common;
#[cfg(feature = "gpu")]
mod nets;
mod numerics;
mod ops;
mod shaders;
mod threads;
