//! Graphs of ONNX operators as plain data, <https://onnx.ai/onnx/repo-docs/IR.html>, and the [`Writer`] by which ops say what they are there.

mod follow;
mod writer;

use crate::tensor::Tensor;
pub(crate) use writer::BATCHES;
pub use writer::Writer;

/// The version of ONNX' operators that is written.
pub const OPSET: i64 = 18;

/// ONNX' number of floats of 32 bits.
pub const FLOAT: i64 = 1;
/// ONNX' number of whole numbers of 64 bits.
pub const INT64: i64 = 7;
/// ONNX' number of yes and no.
pub const BOOL: i64 = 9;

/// The order in which ONNX' operators over images have the axes of (batch, height, width, channels).
pub const CHANNELS_FIRST: [usize; 4] = [0, 3, 1, 2];

/// The place of an axis among those of an order.
pub(crate) fn place(order: &[usize], axis: usize) -> usize {
    order.iter().position(|&own| own == axis).unwrap_or(axis)
}

/// An ONNX graph: what a file of ONNX holds of a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnnxGraph {
    /// The version of ONNX' own operators that the nodes are of.
    pub opset: i64,
    /// The name.
    pub name: String,
    /// The nodes, each behind those that make what it reads.
    pub nodes: Vec<OnnxNode>,
    /// The constants by name: weights, shapes, axes.
    pub constants: Vec<(String, Constant)>,
    /// What a caller gives.
    pub inputs: Vec<Port>,
    /// What a caller gets.
    pub outputs: Vec<Port>,
}

/// An operator applied to tensors by their names.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxNode {
    /// The operator: `Conv`.
    pub op_type: String,
    /// The node's own name; empty where it has none.
    pub name: String,
    /// The tensors that it reads; an empty name is an input left out.
    pub inputs: Vec<String>,
    /// The tensors that it makes.
    pub outputs: Vec<String>,
    /// Settings by name.
    pub attributes: Vec<(String, Attribute)>,
}

/// A setting of a [`OnnxNode`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Attribute {
    /// A whole number; 1 and 0 stand for yes and no.
    Int(i64),
    /// A number.
    Float(f32),
    /// Words.
    Text(String),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f32>),
    /// Several words.
    Texts(Vec<String>),
    /// A constant.
    Constant(Constant),
    /// What is not read: a graph within the graph, a sparse tensor.
    Other,
}

/// A tensor that never changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// Floats of 32 bits.
    Floats(Tensor),
    /// Whole numbers of 64 bits and their shape.
    Ints(Vec<usize>, Vec<i64>),
}

impl Constant {
    /// How many elements it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Floats(tensor) => tensor.values().len(),
            Self::Ints(_, numbers) => numbers.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An input or an output of a [`OnnxGraph`].
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// The name.
    pub name: String,
    /// Whether its elements are whole numbers of 64 bits, as tokens are; else they are floats of 32 bits.
    pub is_whole: bool,
    /// The extent of each axis.
    pub extents: Vec<Extent>,
}

/// The extent of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// So many elements.
    Fixed(usize),
    /// So many for each sample of the batch, whose size is left open.
    Batch(usize),
}

impl From<i64> for Attribute {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<usize> for Attribute {
    fn from(value: usize) -> Self {
        Self::Int(value as i64)
    }
}

impl From<f64> for Attribute {
    fn from(value: f64) -> Self {
        Self::Float(value as f32)
    }
}

impl From<&str> for Attribute {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl From<Vec<i64>> for Attribute {
    fn from(values: Vec<i64>) -> Self {
        Self::Ints(values)
    }
}

impl From<&[usize]> for Attribute {
    fn from(values: &[usize]) -> Self {
        Self::Ints(values.iter().map(|&value| value as i64).collect())
    }
}

impl From<Vec<f64>> for Attribute {
    fn from(values: Vec<f64>) -> Self {
        Self::Floats(values.into_iter().map(|value| value as f32).collect())
    }
}

impl From<Vec<&str>> for Attribute {
    fn from(values: Vec<&str>) -> Self {
        Self::Texts(values.into_iter().map(str::to_string).collect())
    }
}
