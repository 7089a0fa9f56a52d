//! The host tensor: a shape, an element type and the elements in row-major order, with the small part of NumPy that
//! preparing data and looking at results takes: arithmetic with broadcasting, [`Tensor::dot`], [`Tensor::reshape`],
//! [`Tensor::slice`], sums and extremes. Whatever can fail returns an error, but for the operators and `t[[i, j]]`, which panic.

mod display;
mod element;
mod layout;
mod operators;
mod reduce;
mod slice;
mod ty;

use std::fmt;

use crate::error::{Error, Result};
use element::Element;
pub(crate) use layout::{axis_of, reshaped};
pub use reduce::Over;
pub(crate) use reduce::{first_of, is_above};
pub use ty::Type;

/// `$body` with `$T` the Rust type of the elements of a [`DType`].
macro_rules! per_dtype {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::tensor::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::tensor::DType::F64 => {
                type $T = f64;
                $body
            }
            $crate::tensor::DType::U32 => {
                type $T = u32;
                $body
            }
            $crate::tensor::DType::U8 => {
                type $T = u8;
                $body
            }
        }
    };
}
use per_dtype;

/// Values of the same type made of values: `$body` with `$v` the vector.
macro_rules! of_same_type {
    ($values:expr, $v:ident => $body:expr) => {
        match $values {
            $crate::tensor::Values::F32($v) => $crate::tensor::Values::F32($body),
            $crate::tensor::Values::F64($v) => $crate::tensor::Values::F64($body),
            $crate::tensor::Values::U32($v) => $crate::tensor::Values::U32($body),
            $crate::tensor::Values::U8($v) => $crate::tensor::Values::U8($body),
        }
    };
}
pub(crate) use of_same_type;

/// The type of a tensor's elements.
///
/// ```
/// use kiln::{DType, Tensor};
/// let x = Tensor::from([1.0f32, 2.0]);
/// assert_eq!((x.dtype(), x.astype(DType::U8).dtype()), (DType::F32, DType::U8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float. In a graph it stands for the executor's float: f32 on GPU and CPU, f64 on the reference.
    F32,
    /// 64-bit float; on the host and in the reference only.
    F64,
    /// Unsigned 32-bit integer: labels and indices.
    U32,
    /// Unsigned byte: pixels at rest.
    U8,
}

impl DType {
    /// Bytes an element.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F64 => 8,
            Self::U8 => 1,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::U32 => "u32",
            Self::U8 => "u8",
        })
    }
}

/// The extent of a tensor along each axis; `[]` is a scalar's.
///
/// ```
/// use kiln::{Shape, Tensor};
/// let x = Tensor::from([[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]]);
/// assert_eq!(*x.shape(), Shape::from([3, 2]));
/// assert_eq!((x.shape().rank(), x.shape().len(), x.shape()[0]), (2, 6, 3));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The number of elements: the product of the extents, 1 for a scalar; `usize::MAX` where that is beyond it.
    pub fn len(&self) -> usize {
        if self.is_empty() { 0 } else { self.0.iter().fold(1, |product, &extent| product.saturating_mul(extent)) }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.0.contains(&0)
    }

    /// Whether kernels can count the elements: they do so in 32 bits.
    pub(crate) fn is_countable(&self) -> bool {
        u32::try_from(self.len()).is_ok()
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no axes.
    pub fn is_scalar(&self) -> bool {
        self.0.is_empty()
    }

    /// Rows and columns where everything before the last axis counts as rows: (a, b, c) is a*b rows of c.
    pub fn as_rows(&self) -> (usize, usize) {
        match self.0.split_last() {
            Some((&columns, rest)) => (rest.iter().product(), columns),
            None => (1, 1),
        }
    }

    /// The indices of an element, in words: `[3, 0]`.
    pub(crate) fn position(&self, mut at: usize) -> String {
        let mut indices = self.0.clone();
        for index in indices.iter_mut().rev() {
            (*index, at) = (at % *index, at / *index);
        }
        format!("{indices:?}")
    }
}

impl std::ops::Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<T: Into<Vec<usize>>> From<T> for Shape {
    fn from(extents: T) -> Self {
        Self(extents.into())
    }
}

/// As Python writes a tuple: `(128, 784)`, `(10,)`, `()`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "({one},)"),
            all => write!(f, "({})", all.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// The elements of a [`Tensor`], in the type they rest in.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// Unsigned 32-bit integers.
    U32(Vec<u32>),
    /// Unsigned bytes.
    U8(Vec<u8>),
}

impl Values {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::U32(v) => v.len(),
            Self::U8(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements' type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F64(_) => DType::F64,
            Self::U32(_) => DType::U32,
            Self::U8(_) => DType::U8,
        }
    }

    /// The elements as doubles: exact for every type here.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Self::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Self::F64(v) => v.clone(),
            Self::U32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Self::U8(v) => v.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// The elements as 32-bit floats, rounded to nearest.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::F32(v) => v.clone(),
            Self::F64(v) => v.iter().map(|&x| x as f32).collect(),
            Self::U32(v) => v.iter().map(|&x| x as f32).collect(),
            Self::U8(v) => v.iter().map(|&x| f32::from(x)).collect(),
        }
    }
}

macro_rules! from_vec {
    ($($t:ty => $variant:ident),*) => {$(
        impl From<Vec<$t>> for Values {
            fn from(values: Vec<$t>) -> Self {
                Self::$variant(values)
            }
        }
    )*};
}
from_vec!(f32 => F32, f64 => F64, u32 => U32, u8 => U8);

/// What a tensor's elements are in Rust: `f32`, `f64`, `u32` and `u8`.
pub trait Number: Element {}

/// From a number, a row, rows, and rows of rows, as they are written.
macro_rules! from_nested {
    ($($t:ty),*) => {$(
        impl From<$t> for Tensor {
            fn from(value: $t) -> Self {
                Self { shape: Shape::default(), values: vec![value].into() }
            }
        }

        impl Number for $t {}

        /// A row.
        impl From<Vec<$t>> for Tensor {
            fn from(values: Vec<$t>) -> Self {
                Self { shape: [values.len()].into(), values: values.into() }
            }
        }

        /// A row.
        impl From<&[$t]> for Tensor {
            fn from(values: &[$t]) -> Self {
                values.to_vec().into()
            }
        }

        /// Rows, which are as long as each other, or it is an error.
        impl TryFrom<Vec<Vec<$t>>> for Tensor {
            type Error = Error;

            fn try_from(rows: Vec<Vec<$t>>) -> Result<Self> {
                let width = rows.first().map_or(0, Vec::len);
                if let Some(row) = rows.iter().position(|row| row.len() != width) {
                    let message = format!("row 0 has {width} elements, row {row} has {}", rows[row].len());
                    return Err(Error::shape("Tensor::try_from", message));
                }
                Self::new([rows.len(), width], rows.concat())
            }
        }

        impl<const A: usize> From<[$t; A]> for Tensor {
            fn from(values: [$t; A]) -> Self {
                Self { shape: [A].into(), values: values.to_vec().into() }
            }
        }

        impl<const A: usize, const B: usize> From<[[$t; B]; A]> for Tensor {
            fn from(values: [[$t; B]; A]) -> Self {
                Self { shape: [A, B].into(), values: values.concat().into() }
            }
        }

        impl<const A: usize, const B: usize, const C: usize> From<[[[$t; C]; B]; A]> for Tensor {
            fn from(values: [[[$t; C]; B]; A]) -> Self {
                Self { shape: [A, B, C].into(), values: values.concat().concat().into() }
            }
        }
    )*};
}
from_nested!(f32, f64, u32, u8);

/// A tensor in host memory. It prints as NumPy prints arrays.
///
/// ```
/// use kiln::Tensor;
/// let t = Tensor::new([2, 3], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// assert_eq!(t.shape().to_string(), "(2, 3)");
/// assert_eq!(t, Tensor::from([[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]));
/// assert_eq!(t.to_string(), "[[1. 2. 3.]\n [4. 5. 6.]]");
/// let scaled = (&t - &t.mean(0)?) / 1.5;
/// assert_eq!(scaled[[1, 2]], 1.0);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Shape,
    values: Values,
}

impl Tensor {
    /// A tensor of `shape` whose elements, in row-major order, are `values`.
    ///
    /// # Errors
    /// [`Error::Shape`] where the number of values is not the shape's.
    pub fn new(shape: impl Into<Shape>, values: impl Into<Values>) -> Result<Self> {
        let (shape, values) = (shape.into(), values.into());
        if shape.len() != values.len() {
            let message = format!("shape {shape} holds {} elements, {} were given", shape.len(), values.len());
            return Err(Error::shape("Tensor::new", message));
        }
        Ok(Self { shape, values })
    }

    /// The extent along each axis.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }

    /// The elements' type.
    pub fn dtype(&self) -> DType {
        self.values.dtype()
    }

    /// The elements, in row-major order.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The elements, in row-major order, in a type of the caller's, as [`Tensor::astype`] brings them there.
    ///
    /// ```
    /// use kiln::Tensor;
    /// let row = Tensor::from(vec![1.0f32, 2.5]);
    /// let doubled: Vec<f64> = (&row * 2.0).to_vec();
    /// assert_eq!((doubled, row.to_vec::<u8>()), (vec![2.0, 5.0], vec![1, 2]));
    /// ```
    pub fn to_vec<T: Number>(&self) -> Vec<T> {
        T::from_values(&self.values)
    }

    /// The elements, in row-major order.
    pub fn into_values(self) -> Values {
        self.values
    }

    /// The extent of the first axis: the number of samples of a batch. A scalar has one.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The first `n` rows, all of them where there are fewer.
    #[must_use]
    pub fn head(&self, n: usize) -> Self {
        let n = n.min(self.rows());
        let row_len = self.shape.iter().skip(1).product::<usize>();
        let mut shape = self.shape.to_vec();
        if let Some(first) = shape.first_mut() {
            *first = n;
        }
        let end = n * row_len;
        Self { shape: shape.into(), values: of_same_type!(&self.values, v => v[..end].to_vec()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_print_as_tuples() {
        let show = |s: &[usize]| Shape::from(s).to_string();
        assert_eq!((show(&[]), show(&[10]), show(&[2, 3])), ("()".into(), "(10,)".into(), "(2, 3)".into()));
        assert_eq!(Shape::from([2, 3, 4]).as_rows(), (6, 4));
        assert_eq!(Shape::default().len(), 1);
    }

    #[test]
    fn a_wrong_count_names_both_numbers() {
        let e = Tensor::new([2, 3], vec![0f32; 5]).unwrap_err().to_string();
        assert!(e.contains("(2, 3)") && e.contains('6') && e.contains('5'), "{e}");
    }

    #[test]
    fn head_takes_rows() {
        let t = Tensor::new([3, 2], vec![1u8, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(t.head(2), Tensor::new([2, 2], vec![1u8, 2, 3, 4]).unwrap());
        assert_eq!(t.head(9), t);
    }
}
