//! Files of ONNX, <https://onnx.ai/onnx/repo-docs/IR.html>: a graph of operators with its weights, as messages of protobuf.

mod proto;
mod read;
mod write;

pub(crate) use read::parse;
pub(crate) use write::to_bytes;
