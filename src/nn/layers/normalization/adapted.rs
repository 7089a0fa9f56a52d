//! Values brought to the mean and the spread that data had before,
//! <https://keras.io/api/layers/preprocessing_layers/numerical/normalization/>.

use super::{feature_axes, features, reshaped};
use crate::data::{Column, Dataset, Source};
use crate::error::{Error, Result};
use crate::graph::Id;
use crate::nn::layers::Numbers;
use crate::nn::loss::EPSILON;
use crate::nn::{Config, Initializer, KerasObject, Layer, Scope};
use crate::ops::binary::Binary;
use crate::ops::unary::Unary;
use crate::tensor::{DType, Shape, Tensor, axis_of};

/// y = (x - mean) / sqrt(variance), with a mean and a variance for each place along some axes, most often each feature. They are
/// given, or found by [`Normalization::adapt`] in the data, and are then the states `mean` and `variance`, which no training changes.
///
/// ```
/// use kiln::nn::layers::Normalization;
/// use kiln::prelude::*;
/// let x = Tensor::from([[0.0f32, 7.0], [2.0, 9.0]]);
/// let mut norm = Normalization::new();
/// norm.adapt(&x)?;
/// let mut model = Sequential::new().add(norm).device(Device::cpu());
/// assert_eq!(model.predict(&x)?, Tensor::from([[-1.0f32, -1.0], [1.0, 1.0]]));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Normalization {
    axes: Vec<isize>,
    /// Mean and variance.
    given: Option<[Numbers; 2]>,
    adapted: Option<[Tensor; 2]>,
    invert: bool,
}

impl Default for Normalization {
    fn default() -> Self {
        Self::new()
    }
}

/// Its name in errors of data.
const CLASS: &str = "Normalization";

/// Numbers of samples that are read at once.
const AT_ONCE: usize = 1 << 18;

impl Normalization {
    /// Of features along the last axis. Before it is adapted it leaves values as they are.
    pub fn new() -> Self {
        Self { axes: vec![-1], given: None, adapted: None, invert: false }
    }

    /// Sets the axes, the batch's counted, each of whose places has a mean and a variance of its own; default the last. Without any,
    /// `[]`, there is one for all.
    #[must_use]
    pub fn axes(mut self, axes: impl Into<Vec<isize>>) -> Self {
        self.axes = axes.into();
        self
    }

    /// Sets both instead of finding them in data: a number for all, or one for each place along the last of the axes. They are settings
    /// then, not states.
    #[must_use]
    pub fn mean_and_variance(mut self, mean: impl Into<Numbers>, variance: impl Into<Numbers>) -> Self {
        self.given = Some([mean.into(), variance.into()]);
        self
    }

    /// Whether it does the opposite, y = x sqrt(variance) + mean, which brings normalized values back; default false.
    #[must_use]
    pub fn invert(mut self, invert: bool) -> Self {
        self.invert = invert;
        self
    }

    /// Finds mean and variance (over n, not n - 1) in samples (n, ...), in f64. Bytes are divided by 255, as when they are batched.
    ///
    /// It is called before the layer is added to a model; a model's own layer gets others by
    /// `model.set_weight("normalization/mean", &mean)`.
    ///
    /// # Errors
    /// [`Error::Shape`] where there are no samples, or they lack one of the axes; [`Error::Argument`] where a value is not finite, or
    /// mean and variance were given.
    pub fn adapt(&mut self, x: &Tensor) -> Result<()> {
        let scale = if x.dtype() == DType::U8 { 1.0 / 255.0 } else { 1.0 };
        self.adapt_by(x.rows(), |rows| Ok((x.take(rows)?, scale)))
    }

    /// [`Normalization::adapt`] to the samples, or the first input, of a set, which may be larger than memory.
    ///
    /// # Errors
    /// As [`Normalization::adapt`], and what reading reports.
    pub fn adapt_to(&mut self, data: &(impl Source + ?Sized)) -> Result<()> {
        let first = |read: &Dataset| {
            let column: &Column = &read.inputs()[0];
            (column.tensor().clone(), column.scale())
        };
        self.adapt_by(data.len(), |rows| Ok(first(&data.read(rows)?)))
    }

    fn adapt_by(&mut self, count: usize, read: impl Fn(&[usize]) -> Result<(Tensor, f32)>) -> Result<()> {
        if self.given.is_some() {
            return Err(Error::argument(
                CLASS,
                "has a mean and a variance that were given; it is adapted without them",
            ));
        }
        if count == 0 {
            return Err(Error::shape(CLASS, "there are no samples to adapt to"));
        }
        let shape = read(&[0])?.0.shape().clone();
        let kept = kept_axes(&self.axes, &shape)?;
        let groups = Groups::new(&shape, &kept);
        let at_once = (AT_ONCE / groups.of.len().max(1)).max(1);
        let mut moments: Option<Moments> = None;
        for first in (0..count).step_by(at_once) {
            let rows: Vec<usize> = (first..count.min(first + at_once)).collect();
            let (x, scale) = read(&rows)?;
            let batched = |x: f64| f64::from(x as f32 * scale);
            let x: Vec<f64> = x.values().to_f64().into_iter().map(batched).collect();
            if let Some(at) = x.iter().position(|x| !x.is_finite()) {
                let row = first + at / groups.of.len();
                return Err(Error::argument(CLASS, format!("sample {row} has {}; adapt it to finite values", x[at])));
            }
            let found = Moments::of(&x, &groups);
            moments = Some(match moments {
                None => found,
                Some(moments) => moments.with(&found),
            });
        }
        let moments = moments.expect("there are samples");
        let variance = moments.squares.iter().map(|squares| squares / moments.count);
        let tensor = |values: Vec<f32>| Tensor::new(groups.own.clone(), values);
        let mean = tensor(moments.mean.iter().map(|&mean| mean as f32).collect())?;
        self.adapted = Some([mean, tensor(variance.map(|variance| variance as f32).collect())?]);
        Ok(())
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        let (mean, variance): (Option<Numbers>, Option<Numbers>) =
            (config.take_or("mean", None)?, config.take_or("variance", None)?);
        if mean.is_some() != variance.is_some() {
            return Err(Error::argument(CLASS, "has one of mean and variance; give both, or none"));
        }
        Ok(Self {
            axes: config.take_or("axis", vec![-1])?,
            given: mean.zip(variance).map(|(mean, variance)| [mean, variance]),
            adapted: None,
            invert: config.take_or("invert", false)?,
        })
    }

    /// Mean and standard deviation as constants, where they were given.
    fn of_given(scope: &mut Scope<'_>, x: Id, kept: &[usize], given: &[Numbers; 2]) -> Result<[Id; 2]> {
        let shape = scope.graph.shape(x).clone();
        if given[0].shape() != given[1].shape() {
            let [mean, variance] = given.each_ref().map(Numbers::shape);
            return Err(scope.error(format!("its mean is of {mean}, its variance of {variance}; give both alike")));
        }
        let own = given[0].shape();
        if own.rank() > kept.len() {
            return Err(scope.error(format!("a mean of {own} has more axes than the {} that it is for", kept.len())));
        }
        if let Some(variance) = given[1].values().into_iter().find(|variance| *variance < 0.0) {
            return Err(scope.error(format!("{variance} is no variance; give 0 or more")));
        }
        let mut laid_out = vec![1; shape.rank()];
        own.iter().rev().zip(kept.iter().rev()).for_each(|(&extent, &axis)| laid_out[axis] = extent);
        let deviation = given[1].map(|variance| variance.sqrt().max(EPSILON));
        let mut laid = |name: &str, numbers: &Numbers| -> Result<Id> {
            let numbers = numbers.reshaped(&laid_out);
            numbers.check(scope, name, &shape)?;
            Ok(numbers.constant(scope.graph))
        };
        Ok([laid("mean", &given[0])?, laid("variance", &deviation)?])
    }

    /// Mean and standard deviation of the states.
    fn of_states(&self, scope: &mut Scope<'_>, x: Id, kept: &[usize]) -> Result<[Id; 2]> {
        let shape = scope.graph.shape(x).clone();
        let (own, laid_out) = features(&shape, kept);
        if let Some([mean, _]) = self.adapted.as_ref().filter(|[mean, _]| *mean.shape() != own) {
            let message = format!("was adapted to data with {} means, of {shape} it has {own}", mean.shape());
            return Err(scope.error(message));
        }
        let mean = scope.state("mean", own.clone(), Initializer::Zeros)?;
        let variance = scope.state("variance", own, Initializer::Ones)?;
        // Keras keeps it for files of older versions, and so do files for Keras.
        scope.state("count", [], Initializer::Zeros)?;
        let root = scope.graph.apply(Unary::Sqrt, &[variance])?;
        let least = scope.graph.fill(EPSILON, []);
        let deviation = scope.graph.apply(Binary::Max, &[root, least])?;
        Ok([reshaped(scope.graph, mean, &laid_out)?, reshaped(scope.graph, deviation, &laid_out)?])
    }
}

impl Layer for Normalization {
    fn kind(&self) -> &'static str {
        "Normalization"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let kept = if self.axes.is_empty() { Vec::new() } else { feature_axes(scope, x, &self.axes)? };
        let [mean, deviation] = match &self.given {
            Some(given) => Self::of_given(scope, x, &kept, given)?,
            None => self.of_states(scope, x, &kept)?,
        };
        let steps = if self.invert {
            [(Binary::Mul, deviation), (Binary::Add, mean)]
        } else {
            [(Binary::Sub, mean), (Binary::Div, deviation)]
        };
        let y = steps.into_iter().try_fold(x, |y, (op, by)| scope.graph.apply(op, &[y, by]))?;
        Ok(vec![y])
    }

    fn carried(&self) -> Vec<(String, Tensor)> {
        let carried = self.adapted.iter().flat_map(|adapted| ["mean", "variance"].into_iter().zip(adapted));
        carried.map(|(name, tensor)| (name.into(), tensor.clone())).collect()
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        let [mean, variance] = self.settings();
        let config = Config::new(self.kind()).with("axis", self.axes.clone()).with("invert", self.invert);
        config.with("mean", mean).with("variance", variance)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let [mean, variance] = self.settings();
        let layer = KerasObject::layer(self.kind(), name).with("axis", self.axes.clone()).with("invert", self.invert);
        Ok(layer.with("mean", mean).with("variance", variance))
    }
}

impl Normalization {
    /// Mean and variance, where they were given.
    fn settings(&self) -> [Option<Numbers>; 2] {
        self.given.clone().map_or([None, None], |given| given.map(Some))
    }
}

/// The axes of samples of this shape, in order, each once; the batch's is none.
fn kept_axes(axes: &[isize], shape: &Shape) -> Result<Vec<usize>> {
    let mut kept = axes.iter().map(|&axis| axis_of(CLASS, axis, shape)).collect::<Result<Vec<_>>>()?;
    kept.sort_unstable();
    if kept.first() == Some(&0) || kept.windows(2).any(|pair| pair[0] == pair[1]) {
        let message = format!("the axes {axes:?} of samples {shape} name the samples' own, or one twice");
        return Err(Error::shape(CLASS, message));
    }
    Ok(kept)
}

/// Which mean each number of a sample belongs to.
struct Groups {
    of: Vec<usize>,
    /// The shape of the means.
    own: Shape,
}

impl Groups {
    fn new(shape: &Shape, kept: &[usize]) -> Self {
        let own: Shape = kept.iter().map(|&axis| shape[axis]).collect::<Vec<_>>().into();
        let after = |axis: usize| shape[axis + 1..].iter().product::<usize>();
        let group = |i: usize| kept.iter().fold(0, |group, &axis| group * shape[axis] + i / after(axis) % shape[axis]);
        Self { of: (0..shape[1..].iter().product()).map(group).collect(), own }
    }
}

/// How many numbers each mean is of, the means, and the sums of squares about them.
struct Moments {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    fn of(x: &[f64], groups: &Groups) -> Self {
        let count = (x.len() / groups.own.len()) as f64;
        let sums = |of: &dyn Fn(f64, usize) -> f64| {
            let mut sums = vec![0.0; groups.own.len()];
            for sample in x.chunks_exact(groups.of.len()) {
                sample.iter().zip(&groups.of).for_each(|(&x, &group)| sums[group] += of(x, group));
            }
            sums
        };
        let mean: Vec<f64> = sums(&|x, _| x).into_iter().map(|sum| sum / count).collect();
        // About the mean, and less what rounding left of it, so that no digits cancel.
        let rest = sums(&|x, group| x - mean[group]);
        let squares = sums(&|x, group| (x - mean[group]).powi(2));
        let squares = squares.iter().zip(rest).map(|(squares, rest)| squares - rest * rest / count).collect();
        Self { count, mean, squares }
    }

    /// Those of both together, by Chan's formula.
    fn with(self, other: &Self) -> Self {
        let count = self.count + other.count;
        let share = other.count / count;
        let apart: Vec<f64> = other.mean.iter().zip(&self.mean).map(|(other, own)| other - own).collect();
        let mean = self.mean.iter().zip(&apart).map(|(mean, apart)| mean + apart * share).collect();
        let both = self.squares.iter().zip(&other.squares).map(|(own, other)| own + other);
        let squares = both.zip(&apart).map(|(both, apart)| both + apart * apart * self.count * share).collect();
        Self { count, mean, squares }
    }
}
