//! Columns brought to one range or spread, as the data that are trained on have them.

use std::fmt;
use std::str::FromStr;

use super::{Column, Dataset};
use crate::config::{Config, Configured};
use crate::error::{Error, Result};
use crate::tensor::{DType, Shape, Tensor};

/// Its name in errors and in saved models.
const CLASS: &str = "Scaler";

/// `(x - center) / scale` for each column of the samples, with what was fitted to the data that are trained on: the same
/// for those that are measured on, and for what a model is asked later.
///
/// A column is an element of a sample, of whatever shape. Bytes are scaled before, as they are when they are batched.
///
/// ```
/// use kiln::{Tensor, data::{Dataset, Scaler}};
/// let x = Tensor::from([[1.0f32, 5.0], [3.0, 5.0]]);
/// let train = Dataset::new(x, Tensor::from([0u32, 1]))?;
/// let scaler = Scaler::standardize(&train);
/// assert_eq!(*scaler.apply(&train)?.x(), Tensor::from([[-1.0f32, 0.0], [1.0, 0.0]]));
/// // It is kept with the model, in its file, or as text.
/// let mut model = kiln::nn::Sequential::new();
/// model.set_note("scaler", scaler.clone());
/// assert_eq!(model.note::<Scaler>("scaler")?, Some(scaler.clone()));
/// assert_eq!(scaler.to_string().parse::<Scaler>()?, scaler);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    /// What is subtracted from each column.
    pub center: Vec<f64>,
    /// What each column is divided by then.
    pub scale: Vec<f64>,
}

impl Scaler {
    /// Mean 0 and standard deviation 1 (over n, not n - 1), as scikit-learn's StandardScaler has it: a column that does not
    /// vary, or by rounding alone, is only centred.
    pub fn standardize(train: &Dataset) -> Self {
        Self::standardized(&train.inputs()[0])
    }

    fn standardized(train: &Column) -> Self {
        let n = train.tensor().rows() as f64;
        let mean: Vec<f64> = over_rows(train, 0.0, |sum, _, x| sum + x).into_iter().map(|sum| sum / n).collect();
        // About the mean, and less what rounding left of it, so that no digits cancel.
        let rest = over_rows(train, 0.0, |sum, column, x| sum + (x - mean[column]));
        let squares = over_rows(train, 0.0, |sum, column, x| sum + (x - mean[column]).powi(2));
        let variance = rest.iter().zip(&squares).map(|(rest, squares)| (squares - rest * rest / n) / n);
        let scale = variance.zip(&mean).map(|(variance, mean)| {
            let rounding = n * f64::EPSILON * variance + (n * mean * f64::EPSILON).powi(2);
            if variance <= rounding { 1.0 } else { variance.sqrt() }
        });
        Self { scale: scale.collect(), center: mean }
    }

    /// From 0, the smallest value, to 1, the largest, as scikit-learn's MinMaxScaler has it: a column that does not vary
    /// becomes 0. Values that are not among those to train on may lie outside.
    pub fn min_max(train: &Dataset) -> Self {
        Self::between_0_and_1(&train.inputs()[0])
    }

    fn between_0_and_1(train: &Column) -> Self {
        let center = over_rows(train, f64::INFINITY, |least, _, x| least.min(x));
        let largest = over_rows(train, f64::NEG_INFINITY, |most, _, x| most.max(x));
        let spread = |(most, least): (&f64, &f64)| if most - least < 10.0 * f64::EPSILON { 1.0 } else { most - least };
        Self { scale: largest.iter().zip(&center).map(spread).collect(), center }
    }

    /// [`Scaler::standardize`] of the targets, for [`Model::set_target_scaler`](crate::nn::Model::set_target_scaler). Of several
    /// outputs it is of the first one's: see [`Scaler::standardize_column`].
    ///
    /// # Errors
    /// [`Error::Argument`] where the targets are class indices.
    pub fn standardize_targets(train: &Dataset) -> Result<Self> {
        Self::standardize_column(&train.targets()[0])
    }

    /// [`Scaler::min_max`] of the targets, as [`Scaler::standardize_targets`] is.
    ///
    /// # Errors
    /// [`Error::Argument`] where the targets are class indices.
    pub fn min_max_targets(train: &Dataset) -> Result<Self> {
        values(&train.targets()[0]).map(Self::between_0_and_1)
    }

    /// [`Scaler::standardize`] of one of a set's arrays: `&train.targets()[1]`.
    ///
    /// # Errors
    /// [`Error::Argument`] where it is of class indices.
    pub fn standardize_column(train: &Column) -> Result<Self> {
        values(train).map(Self::standardized)
    }

    /// The set with its samples scaled: `f32`, to be batched as they are. Of several inputs it scales the first.
    ///
    /// # Errors
    /// [`Error::Shape`] for samples of another number of columns; [`Error::Argument`] for a value that is beyond `f32`
    /// then.
    pub fn apply(&self, data: &Dataset) -> Result<Dataset> {
        data.with_x(self.scaled(data.x(), data.scale())?)
    }

    /// Samples `(n, ...)` scaled, for [`Model::predict`](crate::nn::Model::predict).
    ///
    /// # Errors
    /// [`Error::Shape`] for samples of another number of columns.
    pub fn apply_to(&self, x: &Tensor) -> Result<Tensor> {
        self.scaled(x, if x.dtype() == DType::U8 { 1.0 / 255.0 } else { 1.0 })
    }

    fn scaled(&self, x: &Tensor, factor: f32) -> Result<Tensor> {
        let width = x.shape().iter().skip(1).product::<usize>();
        if width != self.center.len() || x.shape().is_scalar() {
            let sample: Shape = x.shape().iter().skip(1).copied().collect::<Vec<_>>().into();
            let message = format!("was fitted to {} columns, these samples are {sample}", self.center.len());
            return Err(Error::shape(CLASS, message));
        }
        let columns = self.center.iter().zip(&self.scale).cycle();
        let values = x.values().to_f64().into_iter().zip(columns);
        let scaled = values.map(|(x, (center, scale))| ((batched(x, factor) - center) / scale) as f32);
        Tensor::new(x.shape().clone(), scaled.collect::<Vec<_>>())
    }

    /// One that was kept, if nothing in it is damaged.
    pub(crate) fn checked(self) -> Result<Self> {
        let refused = |message: String| Err(Error::argument(CLASS, message));
        if self.center.len() != self.scale.len() {
            let (center, scale) = (self.center.len(), self.scale.len());
            return refused(format!("center has {center} columns, scale {scale}: a part is missing"));
        }
        for (name, numbers) in [("center", &self.center), ("scale", &self.scale)] {
            if let Some(number) = numbers.iter().find(|number| !number.is_finite()) {
                return refused(format!("{name}: {number} is no finite number"));
            }
        }
        if self.scale.contains(&0.0) { refused("a column's scale is 0".into()) } else { Ok(self) }
    }
}

/// That a column is of values.
fn values(column: &Column) -> Result<&Column> {
    if column.tensor().dtype() != DType::U32 {
        return Ok(column);
    }
    Err(Error::argument(column.name().unwrap_or("y"), "class indices are no values to scale"))
}

/// A value as a batch has it.
fn batched(x: f64, factor: f32) -> f64 {
    f64::from(x as f32 * factor)
}

/// A fold over the rows, for each column its own, by a function of what there is, the column and the value.
fn over_rows(data: &Column, start: f64, fold: impl Fn(f64, usize, f64) -> f64) -> Vec<f64> {
    let width = data.tensor().shape()[1..].iter().product::<usize>();
    let mut all = vec![start; width];
    for (i, x) in data.tensor().values().to_f64().into_iter().enumerate() {
        all[i % width] = fold(all[i % width], i % width, batched(x, data.scale()));
    }
    all
}

/// Two lines, `center` and `scale`, each with a number a column, which are read again as they were.
impl fmt::Display for Scaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, numbers) in [("center", &self.center), ("scale", &self.scale)] {
            let numbers = numbers.iter().map(|number| format!(" {number:?}")).collect::<String>();
            writeln!(f, "{name}{numbers}")?;
        }
        Ok(())
    }
}

impl FromStr for Scaler {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = |message: String| Error::argument(CLASS, message);
        let mut lines = text.lines();
        let mut numbers = |name: &str| {
            let mut words = lines.next().unwrap_or_default().split_whitespace();
            if words.next() != Some(name) {
                return Err(refused(format!("expected a line that begins with {name:?}, then a number a column")));
            }
            let number =
                |word: &str| word.parse::<f64>().map_err(|_| refused(format!("{name}: {word:?} is no number")));
            words.map(number).collect::<Result<Vec<_>>>()
        };
        Self { center: numbers("center")?, scale: numbers("scale")? }.checked()
    }
}

impl Configured for Scaler {
    fn config(&self) -> Config {
        Config::new(CLASS).with("center", self.center.clone()).with("scale", self.scale.clone())
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        if config.class() != CLASS {
            return Err(Error::argument(config.class(), format!("is no {CLASS}")));
        }
        Self { center: config.take("center")?, scale: config.take("scale")? }.checked()
    }
}
