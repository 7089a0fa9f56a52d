//! Samples, their targets and, where they do not all count the same, their weights.

use super::columns::{Column, Columns};
use crate::error::{Error, Result};
use crate::tensor::{DType, Shape, Tensor, Values, of_same_type};

/// Samples and their targets, one of each a row of the first axis. A model of several inputs or outputs takes as many arrays of
/// either: in the order of its own, or by their names.
///
/// Samples rest as `f32` of any range, as `u8` pixels or as `u32` tokens, which a model has as whole floats; targets are `u32` class indices of shape `(n,)` or `f32`
/// values of any shape that starts with `n`. Class indices of shape `(n, 1)`, as CIFAR-10 has them, become `(n,)`.
///
/// ```
/// use kiln::{Tensor, data::Dataset};
/// let x = Tensor::new([2, 3], vec![0u8, 128, 255, 1, 2, 3])?;
/// let y = Tensor::new([2], vec![0u8, 1])?;
/// let set = Dataset::new(x, y)?;
/// assert_eq!((set.len(), set.sample_shape().to_string(), set.scale()), (2, "(3,)".into(), 1.0 / 255.0));
///
/// let [image, age] = [Tensor::new([2, 3], vec![0u8; 6])?, Tensor::from([[31.0f32], [42.0]])];
/// let set = Dataset::new([("image", image), ("age", age)], Tensor::from([0u32, 1]))?;
/// assert_eq!(set.inputs()[1].name(), Some("age"));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// One or more of either.
    inputs: Vec<Column>,
    targets: Vec<Column>,
    /// Of shape `(n,)`.
    sample_weight: Option<Tensor>,
}

impl Dataset {
    /// Pairs the samples `x`, of shape `(n, ...)`, with the targets `y`, of shape `(n,)` for class indices and
    /// `(n, ...)` for values; or several arrays of either, with names or without.
    ///
    /// `x` is `f32`, `f64` (rounded to `f32`), `u8` or `u32`; `y` is `u32` or `u8` (widened to `u32`) class indices, or
    /// `f32` or `f64` (rounded to `f32`) values. [`scale`](Self::scale) starts as 1/255 for `u8` samples, else 1.
    ///
    /// # Errors
    /// [`Error::Shape`] where the first axes differ, a set is empty or class indices are not of shape `(n,)`;
    /// [`Error::Argument`] where a value of either is NaN, infinite or beyond `f32`.
    pub fn new(x: impl Into<Columns>, y: impl Into<Columns>) -> Result<Self> {
        let refuse = |message: String| Err(Error::shape("Dataset::new", message));
        let (Columns(x), Columns(y)) = (x.into(), y.into());
        for (what, columns) in [("x", &x), ("y", &y)] {
            if columns.is_empty() {
                return refuse(format!("{what} has no arrays; give one or more"));
            }
            for (name, tensor) in columns {
                let name = name.as_deref().unwrap_or(what);
                if tensor.shape().is_empty() {
                    return refuse(format!("{name} has shape {}: it holds nothing", tensor.shape()));
                }
                if (**tensor.shape()).is_empty() {
                    return refuse(format!("{name} is a scalar, its first axis must count the samples"));
                }
            }
        }
        let first = &x[0].1;
        let mut others = x.iter().map(|column| ("x", column)).chain(y.iter().map(|column| ("y", column)));
        if let Some((what, (name, tensor))) = others.find(|(_, (_, tensor))| tensor.rows() != first.rows()) {
            let kind = if what == "x" { "samples" } else { "targets" };
            let [own, name] = [(&x[0].0, "x"), (name, what)].map(|(name, what)| name.as_deref().unwrap_or(what));
            let [rows, others] = [first.rows(), tensor.rows()];
            let [shape, other] = [first.shape(), tensor.shape()];
            return refuse(format!(
                "{own} of shape {shape} holds {rows} samples, {name} of shape {other} holds {others} {kind}"
            ));
        }
        let input = |(name, x): (Option<String>, Tensor)| {
            let scale = if x.dtype() == DType::U8 { 1.0 / 255.0 } else { 1.0 };
            let tensor = samples(name.as_deref().unwrap_or("x"), x)?;
            Ok(Column { name, tensor, scale })
        };
        let target = |(name, y): (Option<String>, Tensor)| {
            let tensor = targets(name.as_deref().unwrap_or("y"), y)?;
            Ok(Column { name, tensor, scale: 1.0 })
        };
        let inputs = x.into_iter().map(input).collect::<Result<_>>()?;
        Ok(Self { inputs, targets: y.into_iter().map(target).collect::<Result<_>>()?, sample_weight: None })
    }

    /// The same set, of which each sample's loss is multiplied by its weight: in training, and where the set is evaluated
    /// or validated on. As Keras has it, the sum is still divided by the number of samples, and metrics take no notice.
    ///
    /// # Errors
    /// [`Error::Shape`] where there is not one weight a sample; [`Error::Argument`] for one that is NaN or infinite.
    pub fn with_sample_weight(mut self, weights: Vec<f32>) -> Result<Self> {
        if weights.len() != self.len() {
            let message = format!("{} weights for {} samples; give one each", weights.len(), self.len());
            return Err(Error::shape("with_sample_weight", message));
        }
        if let Some(row) = weights.iter().position(|weight| !weight.is_finite()) {
            let message = format!("row {row}: {:?} is no weight; give a finite number", weights[row]);
            return Err(Error::argument("sample_weight", message));
        }
        self.sample_weight = Some(Tensor::new([weights.len()], weights)?);
        Ok(self)
    }

    /// The same set whose samples are multiplied by `scale` when they are batched: a finite number, or training,
    /// evaluation and prediction refuse it. Of several inputs it is the first one's: see [`Dataset::with_scale_of`].
    #[must_use]
    pub fn with_scale(mut self, scale: f32) -> Self {
        self.inputs[0].scale = scale;
        self
    }

    /// [`Dataset::with_scale`] of the input of this name.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names, where there is none of this one.
    pub fn with_scale_of(mut self, input: &str, scale: f32) -> Result<Self> {
        let Some(column) = self.inputs.iter_mut().find(|column| column.name() == Some(input)) else {
            let names: Vec<&str> = self.inputs.iter().filter_map(Column::name).collect();
            return Err(Error::argument("input", crate::suggest::unknown(input, &names)));
        };
        column.scale = scale;
        Ok(self)
    }

    /// The samples at rest, an array for each input.
    pub fn inputs(&self) -> &[Column] {
        &self.inputs
    }

    /// The targets, an array for each output.
    pub fn targets(&self) -> &[Column] {
        &self.targets
    }

    /// The samples at rest, not yet scaled: shape `(n, ...)`, `f32`, `u8` or `u32`. Of several inputs the first one's.
    pub fn x(&self) -> &Tensor {
        &self.inputs[0].tensor
    }

    /// The targets: `u32` class indices of shape `(n,)`, or `f32` values of shape `(n, ...)`. Of several outputs the first
    /// one's.
    pub fn y(&self) -> &Tensor {
        &self.targets[0].tensor
    }

    /// The same set with other samples for the first input, to be batched as they are.
    pub(crate) fn with_x(&self, x: Tensor) -> Result<Self> {
        let tensor = samples("x", x)?;
        let first = Column { name: self.inputs[0].name.clone(), tensor, scale: 1.0 };
        let inputs = [&[first], &self.inputs[1..]].concat();
        Ok(Self { inputs, targets: self.targets.clone(), sample_weight: self.sample_weight.clone() })
    }

    /// What each sample's loss is multiplied by, `f32` of shape `(n,)`, where [`Dataset::with_sample_weight`] says so.
    pub fn sample_weight(&self) -> Option<&Tensor> {
        self.sample_weight.as_ref()
    }

    /// What an element of [`x`](Self::x) is multiplied by when it is batched.
    pub fn scale(&self) -> f32 {
        self.inputs[0].scale
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.x().rows()
    }

    /// Whether there are no samples: only [`head`](Self::head), [`split_at`](Self::split_at) and
    /// [`subset`](Self::subset) make such a set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of one sample: that of `x` without its first axis.
    pub fn sample_shape(&self) -> Shape {
        self.x().shape()[1..].to_vec().into()
    }

    /// The first `n` samples, all of them where there are fewer.
    #[must_use]
    pub fn head(&self, n: usize) -> Self {
        self.cut(|column| column.head(n))
    }

    /// The first `n` samples and the others; where there are no more than `n`, the second set is empty.
    pub fn split_at(&self, n: usize) -> (Self, Self) {
        (self.head(n), self.cut(|column| tail(column, n)))
    }

    /// The same rows of each column.
    fn cut(&self, rows: impl Fn(&Tensor) -> Tensor) -> Self {
        self.rows(|column| Ok(rows(column))).expect("nothing fails")
    }

    /// The rows of each column that `rows` gives.
    fn rows(&self, rows: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let of = |columns: &[Column]| columns.iter().map(|column| Ok(column.with(rows(&column.tensor)?))).collect();
        let (inputs, targets): (Result<_>, Result<_>) = (of(&self.inputs), of(&self.targets));
        let sample_weight = self.sample_weight.as_ref().map(&rows).transpose()?;
        Ok(Self { inputs: inputs?, targets: targets?, sample_weight })
    }

    /// The samples of these numbers, in this order, each as often as it is named.
    ///
    /// # Errors
    /// [`Error::Shape`] for a number beyond the samples.
    pub fn subset(&self, rows: &[usize]) -> Result<Self> {
        self.rows(|column| column.take(rows))
    }

    /// The same set whose targets are class indices, where they are whole numbers held as floats, one a sample.
    ///
    /// ```
    /// use kiln::{Tensor, data::Dataset};
    /// let x = Tensor::from([[0.5f32], [1.5]]);
    /// let set = Dataset::new(x, Tensor::from([[1.0f32], [0.0]]))?.with_labels()?;
    /// assert_eq!(*set.y(), Tensor::from([1u32, 0]));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] that names the first row whose target is none; [`Error::Shape`] where there are several a sample.
    pub fn with_labels(mut self) -> Result<Self> {
        if self.y().values().len() != self.len() {
            let message = format!("y has shape {}; class indices are one a sample", self.y().shape());
            return Err(Error::shape("with_labels", message));
        }
        let Values::F32(values) = self.y().values() else { return Ok(self) };
        // From 2^24 on not every whole number is a float's.
        let label = |&value: &f32| Some(value as u32).filter(|&label| label < 1 << 24 && label as f32 == value);
        let labels: Option<Vec<u32>> = values.iter().map(label).collect();
        let Some(labels) = labels else {
            let row = values.iter().position(|value| label(value).is_none()).expect("one is none");
            let message = format!("row {row}: {} is no class index, which is a whole number from 0 on", values[row]);
            return Err(Error::argument("y", message));
        };
        self.targets[0].tensor = Tensor::new([labels.len()], labels)?;
        Ok(self)
    }

    /// Checks that every target is a class index below `classes`.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the first row whose label is not, or where the targets are values.
    pub fn check_labels(&self, classes: usize) -> Result<()> {
        check_labels("y", self.y(), classes, None)
    }
}

/// [`Dataset::check_labels`] of targets of this name, where one label may stand for no class.
pub(crate) fn check_labels(name: &str, y: &Tensor, classes: usize, ignored: Option<u32>) -> Result<()> {
    let Values::U32(labels) = y.values() else {
        let message = format!("the targets are {} values, {classes} classes need u32 indices", y.dtype());
        return Err(Error::argument(name, message));
    };
    match labels.iter().position(|&label| label as usize >= classes && Some(label) != ignored) {
        Some(at) => {
            let row = at / (labels.len() / y.rows().max(1)).max(1);
            let label = labels[at];
            let message = format!("row {row} has label {label}, the labels of {classes} classes are below {classes}");
            Err(Error::argument(name, message))
        }
        None => Ok(()),
    }
}

/// That samples can be multiplied by a number, which is called `name`.
pub(crate) fn check_scale(name: &str, scale: f32) -> Result<()> {
    if scale.is_finite() {
        return Ok(());
    }
    Err(Error::argument(
        name,
        format!("{scale} makes every sample NaN or infinite; give a finite number, such as 1/255"),
    ))
}

fn samples(name: &str, x: Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::U8 | DType::U32 => Ok(x),
        DType::F32 | DType::F64 => finite(name, x),
    }
}

fn targets(name: &str, y: Tensor) -> Result<Tensor> {
    if matches!(y.dtype(), DType::F32 | DType::F64) {
        return finite(name, y);
    }
    if y.shape().is_scalar() {
        let message = format!("{name} has shape (), class indices are one a sample or more");
        return Err(Error::shape("Dataset::new", message));
    }
    let shape = if let [n, 1] = **y.shape() { Shape::from([n]) } else { y.shape().clone() };
    match y.into_values() {
        Values::U8(labels) => Tensor::new(shape, labels.into_iter().map(u32::from).collect::<Vec<_>>()),
        labels => Tensor::new(shape, labels),
    }
}

/// As `f32`, checked after the rounding: a double beyond `f32` would become infinite unseen.
fn finite(name: &str, tensor: Tensor) -> Result<Tensor> {
    let shape = tensor.shape().clone();
    let row_len = shape[1..].iter().product::<usize>();
    let bad = |at: usize, value: f64| {
        let what = if value.is_finite() { "is beyond f32's range" } else { "is not finite" };
        Error::argument(name, format!("row {}, column {}: {value:?} {what}", at / row_len, at % row_len))
    };
    let values = match tensor.into_values() {
        Values::F64(wide) => {
            let narrow: Vec<f32> = wide.iter().map(|&v| v as f32).collect();
            if let Some(at) = narrow.iter().position(|v| !v.is_finite()) {
                return Err(bad(at, wide[at]));
            }
            Values::F32(narrow)
        }
        Values::F32(values) => {
            if let Some(at) = values.iter().position(|v| !v.is_finite()) {
                return Err(bad(at, f64::from(values[at])));
            }
            Values::F32(values)
        }
        exact => exact,
    };
    Tensor::new(shape, values)
}

/// The rows from `n` on.
fn tail(tensor: &Tensor, n: usize) -> Tensor {
    let n = n.min(tensor.rows());
    let mut shape = tensor.shape().to_vec();
    shape[0] -= n;
    let start = n * shape[1..].iter().product::<usize>();
    let values = of_same_type!(tensor.values(), v => v[start..].to_vec());
    Tensor::new(shape, values).expect("the shape was reduced by as many rows as were left out")
}
