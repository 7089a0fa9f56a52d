//! What is known of a value before it has elements.

use std::fmt;

use super::{DType, Shape, Tensor};

/// A value's shape and element type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// Extent along each axis.
    pub shape: Shape,
    /// Element type; `F32` stands for the executor's float.
    pub dtype: DType,
}

impl Type {
    /// A float value of `shape`.
    pub fn float(shape: impl Into<Shape>) -> Self {
        Self { shape: shape.into(), dtype: DType::F32 }
    }

    /// A tensor's.
    pub fn of(tensor: &Tensor) -> Self {
        Self { shape: tensor.shape().clone(), dtype: tensor.dtype() }
    }

    /// An unsigned integer value of `shape`.
    pub fn u32(shape: impl Into<Shape>) -> Self {
        Self { shape: shape.into(), dtype: DType::U32 }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.dtype, self.shape)
    }
}
