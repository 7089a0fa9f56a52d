//! Element-wise arithmetic with NumPy's broadcasting and NumPy's types.

use super::layout::View;
use super::{DType, Shape, Tensor, Values, is_above, per_dtype};
use crate::error::{Error, Result};

/// An element of a tensor: integers wrap, as NumPy's do.
pub trait Element: Copy + PartialOrd + Into<f64> {
    /// The elements in this type: exact where it is what [`DType::promote`] gave.
    fn from_values(values: &Values) -> Vec<Self>;
    fn into_values(values: Vec<Self>) -> Values;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// The sum of the products.
    fn dot(a: &[Self], b: &[Self]) -> Self;

    fn is_nan(self) -> bool {
        self.into().is_nan()
    }

    /// [`is_above`].
    fn above(self, other: Self) -> bool {
        is_above(self, other)
    }

    /// The same for a smallest element.
    fn below(self, other: Self) -> bool {
        !other.is_nan() && (self.is_nan() || self < other)
    }

    fn maximum(self, other: Self) -> Self {
        if other.above(self) { other } else { self }
    }
}

macro_rules! element {
    ($t:ident, $variant:ident, $from:expr, $add:expr, $sub:expr, $mul:expr, $dot:expr) => {
        impl Element for $t {
            fn from_values(values: &Values) -> Vec<Self> {
                $from(values)
            }

            fn into_values(values: Vec<Self>) -> Values {
                Values::$variant(values)
            }

            fn add(self, other: Self) -> Self {
                $add(self, other)
            }

            fn sub(self, other: Self) -> Self {
                $sub(self, other)
            }

            fn mul(self, other: Self) -> Self {
                $mul(self, other)
            }

            fn dot(a: &[Self], b: &[Self]) -> Self {
                $dot(a, b)
            }
        }
    };
}

macro_rules! float {
    ($t:ident, $variant:ident, $from:expr) => {
        element!(
            $t,
            $variant,
            $from,
            <$t as std::ops::Add>::add,
            <$t as std::ops::Sub>::sub,
            <$t as std::ops::Mul>::mul,
            // From 0: the empty sum of std is -0.
            |a: &[$t], b: &[$t]| a.iter().zip(b).fold(0.0, |sum, (&a, &b)| sum + f64::from(a) * f64::from(b)) as $t
        );
    };
}

macro_rules! integer {
    ($t:ident, $variant:ident) => {
        element!(
            $t,
            $variant,
            |values: &Values| values.to_f64().iter().map(|&x| x as $t).collect(),
            $t::wrapping_add,
            $t::wrapping_sub,
            $t::wrapping_mul,
            |a: &[$t], b: &[$t]| { a.iter().zip(b).fold(0, |sum: $t, (&a, &b)| sum.wrapping_add(a.wrapping_mul(b))) }
        );
    };
}

float!(f32, F32, Values::to_f32);
float!(f64, F64, Values::to_f64);
integer!(u32, U32);
integer!(u8, U8);

impl DType {
    /// Whether it is a float.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// The type of what is computed from two, as NumPy has it: the smallest that holds both, so that u8 and f32 give
    /// f32 while u32 and f32, of which neither holds the other, give f64.
    ///
    /// ```
    /// use kiln::DType;
    /// assert_eq!(DType::U8.promote(DType::F32), DType::F32);
    /// assert_eq!(DType::U32.promote(DType::F32), DType::F64);
    /// ```
    #[must_use]
    pub fn promote(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::U8, wider) | (wider, Self::U8) => wider,
            _ => Self::F64,
        }
    }
}

impl Shape {
    /// The shape that several have together under NumPy's rule: aligned at the last axis, an extent of 1 is repeated.
    pub(crate) fn broadcast(op: &str, shapes: &[&Self]) -> Result<Self> {
        let mut extents = vec![1; shapes.iter().map(|shape| shape.rank()).max().unwrap_or(0)];
        for shape in shapes {
            for (extent, &found) in extents.iter_mut().rev().zip(shape.iter().rev()).filter(|(_, found)| **found != 1) {
                if *extent != 1 && *extent != found {
                    let shapes: Vec<String> = shapes.iter().map(|shape| shape.to_string()).collect();
                    let message = format!(
                        "the shapes {}, aligned at the last axis, differ in an axis that neither repeats: {extent}, {found}",
                        shapes.join(" and ")
                    );
                    return Err(Error::shape(op, message));
                }
                *extent = found;
            }
        }
        Ok(extents.into())
    }
}

/// What is computed from two elements.
#[derive(Clone, Copy, Debug)]
enum Pair {
    Add,
    Sub,
    Mul,
    Maximum,
}

impl Pair {
    fn of<T: Element>(self) -> fn(T, T) -> T {
        match self {
            Self::Add => T::add,
            Self::Sub => T::sub,
            Self::Mul => T::mul,
            Self::Maximum => T::maximum,
        }
    }
}

/// `f` of the elements of two tensors that broadcast to `shape`.
fn zip<T: Element>(a: &Tensor, b: &Tensor, shape: &Shape, f: impl Fn(T, T) -> T) -> Values {
    let [a, b] = [a, b].map(|t| View::broadcast(&t.shape, shape).take(&T::from_values(&t.values)));
    T::into_values(a.into_iter().zip(b).map(|(a, b)| f(a, b)).collect())
}

impl Tensor {
    /// The elements in another type: to integers floats lose their fraction, and what is beyond the type becomes its
    /// nearest end, NaN 0.
    ///
    /// ```
    /// use kiln::{DType, Tensor};
    /// assert_eq!(Tensor::from([2.75f32, -1.0, 300.0]).astype(DType::U8), Tensor::from([2u8, 0, 255]));
    /// ```
    #[must_use]
    pub fn astype(&self, dtype: DType) -> Self {
        let values = per_dtype!(dtype, T => T::into_values(T::from_values(&self.values)));
        Self { shape: self.shape.clone(), values }
    }

    fn pair(&self, other: &Self, op: &str, pair: Pair) -> Result<Self> {
        let shape = Shape::broadcast(op, &[&self.shape, &other.shape])?;
        let values =
            per_dtype!(self.dtype().promote(other.dtype()), T => zip::<T>(self, other, &shape, pair.of::<T>()));
        Ok(Self { shape, values })
    }

    /// The sum of each pair of elements. The shapes broadcast as in NumPy, and the type is [`DType::promote`]'s;
    /// integers wrap at their largest. `&a + &b` is the same for shapes that are known to fit.
    ///
    /// ```
    /// use kiln::Tensor;
    /// let rows = Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]);
    /// assert_eq!(rows.try_add(&Tensor::from([10u8, 20]))?, Tensor::from([[11.0f32, 22.0], [13.0, 24.0]]));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] where the shapes do not broadcast.
    pub fn try_add(&self, other: &Self) -> Result<Self> {
        self.pair(other, "Tensor::try_add", Pair::Add)
    }

    /// The difference of each pair of elements; otherwise as [`Tensor::try_add`].
    ///
    /// # Errors
    /// [`Error::Shape`] where the shapes do not broadcast.
    pub fn try_sub(&self, other: &Self) -> Result<Self> {
        self.pair(other, "Tensor::try_sub", Pair::Sub)
    }

    /// The product of each pair of elements; otherwise as [`Tensor::try_add`]. [`Tensor::dot`] is the matrix product.
    ///
    /// # Errors
    /// [`Error::Shape`] where the shapes do not broadcast.
    pub fn try_mul(&self, other: &Self) -> Result<Self> {
        self.pair(other, "Tensor::try_mul", Pair::Mul)
    }

    /// The larger of each pair of elements, NaN where one is; otherwise as [`Tensor::try_add`].
    ///
    /// ```
    /// use kiln::Tensor;
    /// let relu = Tensor::from([-1.0f32, 0.5]).maximum(&Tensor::from(0.0f32))?;
    /// assert_eq!(relu, Tensor::from([0.0f32, 0.5]));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] where the shapes do not broadcast.
    pub fn maximum(&self, other: &Self) -> Result<Self> {
        self.pair(other, "Tensor::maximum", Pair::Maximum)
    }

    /// The quotient of each pair of elements, always a float: of integers in f64, as NumPy's `/`. Division by zero gives
    /// infinity or NaN.
    ///
    /// # Errors
    /// [`Error::Shape`] where the shapes do not broadcast.
    pub fn try_div(&self, other: &Self) -> Result<Self> {
        let shape = Shape::broadcast("Tensor::try_div", &[&self.shape, &other.shape])?;
        let values = match self.dtype().promote(other.dtype()) {
            DType::F32 => zip::<f32>(self, other, &shape, |a, b| a / b),
            _ => zip::<f64>(self, other, &shape, |a, b| a / b),
        };
        Ok(Self { shape, values })
    }

    fn each<T: Element>(&self, f: impl Fn(T) -> T) -> Self {
        let values = T::from_values(&self.values).into_iter().map(f).collect();
        Self { shape: self.shape.clone(), values: T::into_values(values) }
    }

    /// A function of each element, in f32 where that holds the elements and in f64 otherwise.
    fn each_float(&self, f: fn(f32) -> f32, g: fn(f64) -> f64) -> Self {
        match self.dtype() {
            DType::F32 | DType::U8 => self.each(f),
            DType::F64 | DType::U32 => self.each(g),
        }
    }

    /// Each element with the other sign; integers wrap, as NumPy's unsigned do.
    #[must_use]
    pub fn neg(&self) -> Self {
        match self.dtype() {
            DType::F32 => self.each(|x: f32| -x),
            DType::F64 => self.each(|x: f64| -x),
            DType::U32 => self.each(u32::wrapping_neg),
            DType::U8 => self.each(u8::wrapping_neg),
        }
    }

    /// e to the power of each element. Of bytes it is taken in f32, where NumPy takes f16; of u32 in f64.
    #[must_use]
    pub fn exp(&self) -> Self {
        self.each_float(f32::exp, f64::exp)
    }

    /// The natural logarithm of each element, in the types of [`Tensor::exp`]; NaN below zero.
    #[must_use]
    pub fn log(&self) -> Self {
        self.each_float(f32::ln, f64::ln)
    }

    /// The square root of each element, in the types of [`Tensor::exp`]; NaN below zero.
    #[must_use]
    pub fn sqrt(&self) -> Self {
        self.each_float(f32::sqrt, f64::sqrt)
    }
}

macro_rules! renamed {
    ($($old:ident $new:ident),*) => {
        /// The names of before there were operators.
        impl Tensor {$(
            #[doc = concat!("[`Tensor::", stringify!($new), "`].")]
            ///
            /// # Errors
            #[doc = concat!("As [`Tensor::", stringify!($new), "`].")]
            #[deprecated(note = "use the operator, or the method whose name begins with try_")]
            pub fn $old(&self, other: &Self) -> Result<Self> {
                self.$new(other)
            }
        )*}
    };
}
renamed!(add try_add, sub try_sub, mul try_mul, div try_div);
