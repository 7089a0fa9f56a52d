//! Arithmetic as it is written: `&a + &b`, `-a`, `2.0 * a`, `a[[0, 1]]`.

use std::ops::{Add, Div, Index, IndexMut, Mul, Neg, Sub};

use super::{DType, Number, Tensor, Values, of_same_type};
use crate::error::{Error, Result};

/// A number beside a tensor takes the tensor's type where that is a float, as NumPy's do.
fn beside(tensor: &Tensor, number: f64) -> Tensor {
    if tensor.dtype() == DType::F32 { Tensor::from(number as f32) } else { Tensor::from(number) }
}

/// The operator of these operands, each brought to a `&Tensor`.
macro_rules! operator {
    ($trait:ident $method:ident $call:ident: $(($left:ty, $right:ty): |$a:ident, $b:ident| [$x:expr, $y:expr]),*) => {$(
        #[doc = concat!("[`Tensor::", stringify!($call), "`], for operands that are known to fit. A number takes the tensor's type where that is a float.")]
        impl $trait<$right> for $left {
            type Output = Tensor;

            /// # Panics
            /// Where the shapes do not broadcast, with both.
            #[track_caller]
            fn $method(self, other: $right) -> Tensor {
                let ($a, $b) = (&self, &other);
                let (x, y): (&Tensor, &Tensor) = ($x, $y);
                x.$call(y).unwrap_or_else(|e| panic!("{e}"))
            }
        }
    )*};
}

macro_rules! operators {
    ($($trait:ident $method:ident $call:ident),*) => {$(
        operator!($trait $method $call:
            (Tensor, Tensor): |a, b| [a, b],
            (Tensor, &Tensor): |a, b| [a, b],
            (&Tensor, Tensor): |a, b| [a, b],
            (&Tensor, &Tensor): |a, b| [a, b],
            (Tensor, f64): |a, b| [a, &beside(a, *b)],
            (&Tensor, f64): |a, b| [a, &beside(a, *b)],
            (f64, Tensor): |a, b| [&beside(b, *a), b],
            (f64, &Tensor): |a, b| [&beside(b, *a), b]
        );
    )*};
}
operators!(Add add try_add, Sub sub try_sub, Mul mul try_mul, Div div try_div);

impl Neg for Tensor {
    type Output = Self;

    fn neg(self) -> Self {
        Self::neg(&self)
    }
}

impl Neg for &Tensor {
    type Output = Tensor;

    fn neg(self) -> Tensor {
        Tensor::neg(self)
    }
}

impl Tensor {
    /// Where an element lies.
    fn place_at(&self, index: &[usize]) -> Result<usize> {
        let inside = index.len() == self.rank() && index.iter().zip(self.shape.iter()).all(|(i, extent)| i < extent);
        if !inside {
            let message = format!("there is no element {index:?} in shape {}", self.shape);
            return Err(Error::shape("Tensor::at", message));
        }
        Ok(index.iter().zip(self.shape.iter()).fold(0, |place, (i, extent)| place * extent + i))
    }

    /// An element, by a place an axis, in a type of the caller's, as [`Tensor::astype`] brings it there.
    ///
    /// ```
    /// use kiln::Tensor;
    /// let scores = Tensor::from([[0.1f32, 0.7, 0.2], [0.6, 0.3, 0.1]]);
    /// let class: usize = scores.argmax(-1)?.at::<u32>(&[0])? as usize;
    /// assert_eq!((class, scores.at::<f32>(&[0, class])?, scores[[0, class]]), (1, 0.7, 0.7));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] with the shape, where there is no such element.
    pub fn at<T: Number>(&self, index: &[usize]) -> Result<T> {
        let place = self.place_at(index)?;
        Ok(T::from_values(&of_same_type!(&self.values, v => vec![v[place]]))[0])
    }
}

/// An element of a tensor of `f32`, which samples, weights and predictions are: see [`Tensor::at`] for the others.
impl<const N: usize> Index<[usize; N]> for Tensor {
    type Output = f32;

    /// # Panics
    /// Where the shape has no such element, or the elements are not `f32`.
    #[track_caller]
    fn index(&self, index: [usize; N]) -> &f32 {
        let place = self.place_at(&index).unwrap_or_else(|e| panic!("{e}"));
        match &self.values {
            Values::F32(values) => &values[place],
            other => panic!("the elements are {}; take one by at, or cast them by astype", other.dtype()),
        }
    }
}

impl<const N: usize> IndexMut<[usize; N]> for Tensor {
    /// # Panics
    /// Where the shape has no such element, or the elements are not `f32`.
    #[track_caller]
    fn index_mut(&mut self, index: [usize; N]) -> &mut f32 {
        let place = self.place_at(&index).unwrap_or_else(|e| panic!("{e}"));
        match &mut self.values {
            Values::F32(values) => &mut values[place],
            other => panic!("the elements are {}; cast them by astype", other.dtype()),
        }
    }
}
