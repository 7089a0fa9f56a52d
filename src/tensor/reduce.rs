//! Sums, extremes and products over axes, and one-hot rows.

use super::layout::axis_of;
use super::{DType, Element, Shape, Tensor, Values, per_dtype};
use crate::error::{Error, Result};

/// What a reduction goes over: one axis, which may count from the end, or all elements.
///
/// ```
/// use kiln::Tensor;
/// use kiln::tensor::Over;
/// let t = Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]);
/// assert_eq!(t.sum(0)?, Tensor::from([4.0f32, 6.0]));
/// assert_eq!(t.max(Over::axis(-1).keepdims())?, Tensor::from([[2.0f32], [4.0]]));
/// assert_eq!(t.mean(Over::all())?, Tensor::from(2.5f32));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    axis: Option<isize>,
    keepdims: bool,
}

impl Over {
    /// All elements.
    pub const fn all() -> Self {
        Self { axis: None, keepdims: false }
    }

    /// The elements along one axis.
    pub const fn axis(axis: isize) -> Self {
        Self { axis: Some(axis), keepdims: false }
    }

    /// The result keeps what was reduced as axes of extent 1, so that it broadcasts against the whole.
    #[must_use]
    pub const fn keepdims(self) -> Self {
        Self { keepdims: true, ..self }
    }
}

impl From<isize> for Over {
    fn from(axis: isize) -> Self {
        Self::axis(axis)
    }
}

/// Whether `a` is found before `b` in the search of a largest element: NaN comes first, as in NumPy.
pub(crate) fn is_above<T: PartialOrd>(a: T, b: T) -> bool {
    let is_nan = |x: &T| x.partial_cmp(x).is_none();
    a > b || is_nan(&a) && !is_nan(&b)
}

/// The place of the first element that no other beats.
pub(crate) fn first_of<T: Copy>(row: &[T], beats: impl Fn(T, T) -> bool) -> usize {
    (1..row.len()).fold(0, |best, k| if beats(row[k], row[best]) { k } else { best })
}

/// A tensor as rows of what is reduced, and the shape of one element a row.
struct Rows {
    tensor: Tensor,
    count: usize,
    len: usize,
    shape: Shape,
}

impl Rows {
    fn new(of: &Tensor, op: &str, over: Over) -> Result<Self> {
        let mut shape = of.shape.to_vec();
        let (tensor, len) = match over.axis {
            None if over.keepdims => {
                shape.fill(1);
                (of.clone(), of.values.len())
            }
            None => {
                shape.clear();
                (of.clone(), of.values.len())
            }
            Some(axis) => {
                let axis = axis_of(op, axis, &of.shape)?;
                let len = if over.keepdims { std::mem::replace(&mut shape[axis], 1) } else { shape.remove(axis) };
                (of.with_last(axis), len)
            }
        };
        let shape = Shape::from(shape);
        Ok(Self { tensor, count: shape.len(), len, shape })
    }

    /// Rows that have a largest element.
    fn filled(of: &Tensor, op: &str, over: Over) -> Result<Self> {
        let rows = Self::new(of, op, over)?;
        if rows.len == 0 && rows.count > 0 {
            return Err(Error::shape(op, format!("there is none of no elements: the shape is {}", of.shape)));
        }
        Ok(rows)
    }

    fn map<T: Element, U>(&self, f: impl Fn(&[T]) -> U) -> Vec<U> {
        let values = T::from_values(&self.tensor.values);
        (0..self.count).map(|row| f(&values[row * self.len..][..self.len])).collect()
    }

    /// The sums, in f64 and by halves: no float type of the elements loses digits on the way.
    fn sums(&self) -> Vec<f64> {
        self.map(|row: &[f64]| sum(row))
    }

    /// The place in its row of each row's first element that no other goes before.
    fn best<T: Element>(&self, beats: fn(T, T) -> bool) -> Vec<usize> {
        self.map(|row: &[T]| first_of(row, beats))
    }

    fn extreme(&self, largest: bool) -> Vec<usize> {
        per_dtype!(self.tensor.dtype(), T => self.best(if largest { T::above } else { T::below }))
    }

    fn take<T: Element>(&self, places: &[usize]) -> Values {
        let values = T::from_values(&self.tensor.values);
        T::into_values(places.iter().enumerate().map(|(row, place)| values[row * self.len + place]).collect())
    }
}

impl Tensor {
    /// The sum over an axis or all elements. Floats keep their type and are added in f64; integers give u32.
    ///
    /// # Errors
    /// [`Error::Shape`] where there is no such axis; [`Error::Argument`] where a sum of integers is beyond u32.
    pub fn sum(&self, over: impl Into<Over>) -> Result<Self> {
        const OP: &str = "Tensor::sum";
        let rows = Rows::new(self, OP, over.into())?;
        let sums = rows.sums();
        if self.dtype().is_float() {
            return self.floats(rows.shape, sums);
        }
        if let Some(sum) = sums.iter().find(|&&sum| sum > f64::from(u32::MAX)) {
            let message = format!("{sum} is more than the {} that u32 holds: sum astype(DType::F64) instead", u32::MAX);
            return Err(Error::argument(OP, message));
        }
        Self::new(rows.shape, sums.iter().map(|&sum| sum as u32).collect::<Vec<_>>())
    }

    /// The mean over an axis or all elements: in f32 of f32, in f64 of everything else. Of no elements it is NaN.
    ///
    /// # Errors
    /// [`Error::Shape`] where there is no such axis.
    pub fn mean(&self, over: impl Into<Over>) -> Result<Self> {
        let rows = Rows::new(self, "Tensor::mean", over.into())?;
        let means = rows.sums().iter().map(|sum| sum / rows.len as f64).collect();
        self.floats(rows.shape, means)
    }

    /// A tensor of f32 beside f32, of f64 beside everything else.
    fn floats(&self, shape: Shape, values: Vec<f64>) -> Result<Self> {
        let values = Values::F64(values);
        Self::new(shape, if self.dtype() == DType::F32 { Values::F32(values.to_f32()) } else { values })
    }

    fn extreme(&self, op: &str, over: Over, largest: bool) -> Result<Self> {
        let rows = Rows::filled(self, op, over)?;
        let places = rows.extreme(largest);
        let values = per_dtype!(self.dtype(), T => rows.take::<T>(&places));
        Self::new(rows.shape, values)
    }

    fn place(&self, op: &str, over: Over, largest: bool) -> Result<Self> {
        let rows = Rows::filled(self, op, over)?;
        let places: Vec<u32> = rows.extreme(largest).into_iter().map(|place| place as u32).collect();
        Self::new(rows.shape, places)
    }

    /// The largest element along an axis or of all; NaN where there is one.
    ///
    /// # Errors
    /// [`Error::Shape`] where there is no such axis, or nothing along it.
    pub fn max(&self, over: impl Into<Over>) -> Result<Self> {
        self.extreme("Tensor::max", over.into(), true)
    }

    /// The smallest element along an axis or of all; NaN where there is one.
    ///
    /// # Errors
    /// [`Error::Shape`] where there is no such axis, or nothing along it.
    pub fn min(&self, over: impl Into<Over>) -> Result<Self> {
        self.extreme("Tensor::min", over.into(), false)
    }

    /// The place of the first largest element along an axis, or in row-major order of all: u32.
    ///
    /// ```
    /// let scores = kiln::Tensor::from([[0.1f32, 0.7, 0.2], [0.5, 0.5, 0.0]]);
    /// assert_eq!(scores.argmax(-1)?, kiln::Tensor::from([1u32, 0]));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] where there is no such axis, or nothing along it.
    pub fn argmax(&self, over: impl Into<Over>) -> Result<Self> {
        self.place("Tensor::argmax", over.into(), true)
    }

    /// The place of the first smallest element; otherwise as [`Tensor::argmax`].
    ///
    /// # Errors
    /// [`Error::Shape`] where there is no such axis, or nothing along it.
    pub fn argmin(&self, over: impl Into<Over>) -> Result<Self> {
        self.place("Tensor::argmin", over.into(), false)
    }

    /// `numpy.dot`: the product of vectors or matrices; in general the sum over this tensor's last axis and the other's
    /// last but one, so that (a, b, c, d) and (d, e) give (a, b, c, e). A scalar multiplies every element. Floats are
    /// added in f64, integers wrap.
    ///
    /// ```
    /// use kiln::Tensor;
    /// let x = Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]);
    /// assert_eq!(x.dot(&Tensor::from([1.0f32, 10.0]))?, Tensor::from([21.0f32, 43.0]));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] where the axes that are summed over differ in extent.
    pub fn dot(&self, other: &Self) -> Result<Self> {
        let (Some((&len, rows)), Some(_)) = (self.shape.split_last(), other.shape.last()) else {
            return self.try_mul(other);
        };
        let summed = other.rank().saturating_sub(2);
        if len != other.shape[summed] {
            let message = format!(
                "the last axis of {} and axis {summed} of {} are summed over: {len} is not {}",
                self.shape, other.shape, other.shape[summed]
            );
            return Err(Error::shape("Tensor::dot", message));
        }
        let columns = other.shape.iter().enumerate().filter(|(axis, _)| *axis != summed).map(|(_, &extent)| extent);
        let shape = Shape::from(rows.iter().copied().chain(columns).collect::<Vec<_>>());
        let (other, dtype) = (other.with_last(summed), self.dtype().promote(other.dtype()));
        let values = per_dtype!(dtype, T => products::<T>(self, &other, len, shape.len()));
        Self::new(shape, values)
    }

    /// One-hot rows of integer labels, in f32: the labels' shape with an axis of `classes` behind, but for a last axis
    /// of 1, which is dropped first, as Keras does.
    ///
    /// ```
    /// use kiln::Tensor;
    /// let rows = Tensor::to_categorical(&Tensor::from([2u8, 0]), 3)?;
    /// assert_eq!(rows, Tensor::from([[0.0f32, 0.0, 1.0], [1.0, 0.0, 0.0]]));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] where labels are floats, or one is not below `classes`.
    pub fn to_categorical(labels: &Self, classes: usize) -> Result<Self> {
        let refused = |message: String| Error::argument("Tensor::to_categorical", message);
        if labels.dtype().is_float() {
            return Err(refused(format!("labels are u8 or u32, these are {}", labels.dtype())));
        }
        let labels_at = u32::from_values(&labels.values);
        if let Some((place, label)) = labels_at.iter().enumerate().find(|(_, label)| **label as usize >= classes) {
            return Err(refused(format!("label {label} at {place} is not below the {classes} classes")));
        }
        let mut shape = labels.shape.to_vec();
        if shape.len() > 1 && shape.last() == Some(&1) {
            shape.pop();
        }
        shape.push(classes);
        let mut values = vec![0.0f32; labels_at.len() * classes];
        labels_at.iter().enumerate().for_each(|(row, &label)| values[row * classes + label as usize] = 1.0);
        Self::new(shape, values)
    }
}

/// Each row of `len` elements of `a` with each of `b`, `count` in all.
fn products<T: Element>(a: &Tensor, b: &Tensor, len: usize, count: usize) -> Values {
    let [a, b] = [a, b].map(|t| T::from_values(&t.values));
    let columns = b.len().checked_div(len).unwrap_or(0);
    let product = |k: usize| match columns {
        0 => T::dot(&[], &[]),
        _ => T::dot(&a[k / columns * len..][..len], &b[k % columns * len..][..len]),
    };
    T::into_values((0..count).map(product).collect())
}

fn sum(x: &[f64]) -> f64 {
    if x.len() <= 64 {
        return x.iter().sum();
    }
    let (a, b) = x.split_at(x.len() / 2);
    sum(a) + sum(b)
}
