//! Files that other programs read.

mod protobuf;
pub mod tensorboard;
