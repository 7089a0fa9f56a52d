//! Where elements lie: walks in any order, and what is made by moving elements alone.

use super::{Element, Shape, Tensor, Values, of_same_type};
use crate::error::{Error, Result};
use crate::memory;

/// Elements of a tensor in the order in which another tensor holds them: one step in memory an axis, which may be zero
/// or backwards.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub first: usize,
    pub extents: Vec<usize>,
    pub strides: Vec<isize>,
}

impl View {
    /// All elements, in order.
    pub fn of(shape: &Shape) -> Self {
        let mut strides = vec![1; shape.rank()];
        for axis in (1..shape.rank()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis].max(1) as isize;
        }
        Self { first: 0, extents: shape.to_vec(), strides }
    }

    /// The elements of `shape` repeated until there are those of `wider`, which it fits.
    pub fn broadcast(shape: &Shape, wider: &Shape) -> Self {
        let mut strides = vec![0; wider.rank()];
        let own = Self::of(shape).strides;
        for ((stride, own), _) in
            strides.iter_mut().rev().zip(own.iter().rev()).zip(shape.iter().rev()).filter(|(_, n)| **n != 1)
        {
            *stride = *own;
        }
        Self { first: 0, extents: wider.to_vec(), strides }
    }

    /// The place of each element, in order.
    fn places(&self) -> Vec<usize> {
        let mut places = if self.extents.contains(&0) { Vec::new() } else { vec![self.first] };
        for (&extent, &stride) in self.extents.iter().zip(&self.strides) {
            let steps = move |place: usize| (0..extent).map(move |k| place.wrapping_add_signed(k as isize * stride));
            places = places.into_iter().flat_map(steps).collect();
        }
        places
    }

    /// The elements.
    pub fn take<T: Copy>(&self, values: &[T]) -> Vec<T> {
        self.places().into_iter().map(|place| values[place]).collect()
    }

    /// The elements as a tensor.
    pub fn tensor(self, of: &Tensor) -> Tensor {
        let values = of_same_type!(&of.values, v => self.take(v));
        Tensor { shape: self.extents.into(), values }
    }
}

/// The axis of a number that may count from the end.
pub(crate) fn axis_of(op: &str, axis: isize, shape: &Shape) -> Result<usize> {
    let rank = shape.rank();
    let index = if axis < 0 { axis.checked_add_unsigned(rank) } else { Some(axis) };
    index.and_then(|i| usize::try_from(i).ok()).filter(|&i| i < rank).ok_or_else(|| {
        let range =
            if rank == 0 { "it has none".into() } else { format!("its axes are 0 to {}, or -{rank} to -1", rank - 1) };
        Error::shape(op, format!("axis {axis} is out of range for shape {shape}: {range}"))
    })
}

/// The shape that a tensor of another takes, where one extent may be -1; or why it does not.
pub(crate) fn reshaped(from: &Shape, extents: &[isize]) -> Result<Shape, String> {
    let refused = |why: String| Err(format!("{from} cannot become {extents:?}: {why}"));
    if let Some(extent) = extents.iter().find(|&&extent| extent < -1) {
        return refused(format!("{extent} is no extent, only -1 stands for what is left"));
    }
    let (len, known) = (from.len(), extents.iter().filter(|&&extent| extent != -1));
    let product = known.clone().try_fold(1usize, |product, &extent| product.checked_mul(extent as usize));
    let open = match (extents.len() - known.count(), product) {
        (0, Some(product)) if product == len => 1,
        (1, Some(product)) if product > 0 && len % product == 0 => len / product,
        (0 | 1, _) => return refused(format!("there are {len} elements")),
        _ => return refused("only one extent can be -1".into()),
    };
    Ok(extents.iter().map(|&extent| usize::try_from(extent).unwrap_or(open)).collect::<Vec<_>>().into())
}

impl Tensor {
    /// The same elements in another shape. One extent may be -1: what is left for it.
    ///
    /// ```
    /// let t = kiln::Tensor::from([1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    /// assert_eq!(t.reshape(&[2, -1])?.shape().to_string(), "(2, 3)");
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] where the elements do not fill the shape, or more than one extent is left open.
    pub fn reshape(&self, extents: &[isize]) -> Result<Self> {
        let shape = reshaped(&self.shape, extents).map_err(|why| Error::shape("Tensor::reshape", why))?;
        Tensor::new(shape, self.values.clone())
    }

    /// The axes in reverse order, as NumPy's `t.T`: rows become columns.
    #[must_use]
    pub fn transpose(&self) -> Self {
        let mut view = View::of(&self.shape);
        view.extents.reverse();
        view.strides.reverse();
        view.tensor(self)
    }

    /// The axes in the order of `axes`: axis `k` of the result is axis `axes[k]` of this tensor.
    ///
    /// ```
    /// let t = kiln::Tensor::new([2, 3, 4], vec![0u8; 24])?;
    /// assert_eq!(t.permute(&[1, 0, -1])?.shape().to_string(), "(3, 2, 4)");
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless each axis is named once.
    pub fn permute(&self, axes: &[isize]) -> Result<Self> {
        const OP: &str = "Tensor::permute";
        let order = axes.iter().map(|&axis| axis_of(OP, axis, &self.shape)).collect::<Result<Vec<_>>>()?;
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..self.rank()) {
            let message = format!("the axes {axes:?} do not name each axis of {} once", self.shape);
            return Err(Error::shape(OP, message));
        }
        Ok(self.in_order(&order))
    }

    /// The axes in an order that names each once.
    pub(super) fn in_order(&self, order: &[usize]) -> Self {
        let view = View::of(&self.shape);
        let extents = order.iter().map(|&axis| view.extents[axis]).collect();
        let strides = order.iter().map(|&axis| view.strides[axis]).collect();
        View { first: 0, extents, strides }.tensor(self)
    }

    /// The same with one axis moved behind the others.
    pub(super) fn with_last(&self, axis: usize) -> Self {
        let order: Vec<usize> = (0..self.rank()).filter(|&a| a != axis).chain([axis]).collect();
        self.in_order(&order)
    }

    /// Rows of the first axis by their numbers, in this order, each as often as it is named: NumPy's `take` along axis 0.
    ///
    /// # Errors
    /// [`Error::Shape`] for a number beyond the rows, or of a scalar, which has none; [`Error::Memory`].
    pub fn take(&self, rows: &[usize]) -> Result<Self> {
        let count = self.shape.first().copied().unwrap_or(0);
        if let Some(row) = rows.iter().find(|&&row| row >= count) {
            return Err(Error::shape("Tensor::take", format!("there is no row {row} in shape {}", self.shape)));
        }
        let mut shape = self.shape.to_vec();
        shape.first_mut().into_iter().for_each(|first| *first = rows.len());
        let width = self.shape.iter().skip(1).product::<usize>();
        let row = |&row: &usize| row * width..(row + 1) * width;
        let values = of_same_type!(&self.values, v => {
            let mut taken = memory::room(rows.len().saturating_mul(width), "the rows of a tensor")?;
            rows.iter().for_each(|r| taken.extend_from_slice(&v[row(r)]));
            taken
        });
        Self::new(shape, values)
    }

    /// Tensors one after the other along an axis; elements of several types become the type that holds them all, as in
    /// [`Tensor::add`].
    ///
    /// ```
    /// use kiln::Tensor;
    /// let joined = Tensor::concatenate(&[&Tensor::from([[1u8, 2]]), &Tensor::from([[3u8, 4], [5, 6]])], 0)?;
    /// assert_eq!(joined, Tensor::from([[1u8, 2], [3, 4], [5, 6]]));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] where there are none, or the shapes differ in another axis.
    pub fn concatenate(tensors: &[&Self], axis: isize) -> Result<Self> {
        const OP: &str = "Tensor::concatenate";
        let Some((first, rest)) = tensors.split_first() else {
            return Err(Error::shape(OP, "needs one tensor or more, was given none"));
        };
        let axis = axis_of(OP, axis, &first.shape)?;
        let mut shape = first.shape.to_vec();
        for tensor in rest {
            let fits = |(k, (a, b)): (usize, (&usize, &usize))| k == axis || a == b;
            if tensor.rank() != first.rank() || !tensor.shape.iter().zip(first.shape.iter()).enumerate().all(fits) {
                let message = format!("the shapes {} and {} differ beside axis {axis}", first.shape, tensor.shape);
                return Err(Error::shape(OP, message));
            }
            shape[axis] += tensor.shape[axis];
        }
        let dtype = rest.iter().fold(first.dtype(), |dtype, tensor| dtype.promote(tensor.dtype()));
        let outer: usize = shape[..axis].iter().product();
        Tensor::new(shape, super::per_dtype!(dtype, T => join::<T>(tensors, outer)))
    }
}

/// The tensors' elements in turn, each with its share of every one of `outer` rows.
fn join<T: Element>(tensors: &[&Tensor], outer: usize) -> Values {
    let parts: Vec<Vec<T>> = tensors.iter().map(|tensor| T::from_values(&tensor.values)).collect();
    let row = |part: &Vec<T>, k: usize| part[k * part.len() / outer..(k + 1) * part.len() / outer].to_vec();
    T::into_values((0..outer).flat_map(|k| parts.iter().flat_map(move |part| row(part, k))).collect())
}
