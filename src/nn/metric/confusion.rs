//! Which classes samples are taken for, and what follows for each class.

use std::fmt;

use super::share;
use crate::data::{self, Dataset};
use crate::error::{Error, Result};
use crate::io::printable;
use crate::nn::Model;
use crate::tensor::{DType, Tensor};

/// How many samples of each class were taken for each. `Display` is a table, a line a class, by the classes' numbers or by
/// their [names](Self::with_class_names).
///
/// ```
/// use kiln::prelude::*;
/// let scores = Tensor::from([[0.9f32, 0.1], [0.4, 0.6], [0.2, 0.8]]);
/// let confusion = ConfusionMatrix::new(&scores, &Tensor::from([0u32, 0, 1]))?;
/// assert_eq!(confusion.counts(), Tensor::from([[1u32, 1], [0, 1]]));
/// assert_eq!(confusion.report().classes[1].precision, 0.5);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// Of the classes, in their order.
    names: Vec<String>,
    /// (classes, classes), row by row: true, taken for.
    counts: Vec<u32>,
}

/// What was measured of one class, or of all of them together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScores {
    /// Of the samples taken for the class, the share that is of it; 0 where there are none.
    pub precision: f64,
    /// Of the samples of the class, the share taken for it, which is the class' accuracy; 0 where there are none.
    pub recall: f64,
    /// 2 precision recall / (precision + recall); 0 where both are.
    pub f1: f64,
    /// How many samples are of it.
    pub samples: usize,
}

/// Precision, recall and F1 of each class. `Display` is a table.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassReport {
    /// The classes' names: their numbers, unless [`ConfusionMatrix::with_class_names`] gave others.
    pub names: Vec<String>,
    /// The classes, in their order.
    pub classes: Vec<ClassScores>,
    /// The mean of the classes, each as much as any other.
    pub macro_average: ClassScores,
    /// The mean of the classes by how many samples each has.
    pub weighted_average: ClassScores,
    /// The share of samples that were taken for their class.
    pub accuracy: f64,
}

impl ConfusionMatrix {
    /// Counts predictions (samples, classes), whose class is that of [`classes_of`], against labels, u32 or whole numbers
    /// held as floats, (samples,) or (samples, 1), or one-hot targets of the predictions' shape.
    ///
    /// # Errors
    /// [`Error::Shape`] where the shapes do not fit, [`Error::Argument`] that names the row of a label that is no class.
    pub fn new(predictions: &Tensor, targets: &Tensor) -> Result<Self> {
        let (p, t) = (predictions.shape(), targets.shape());
        let samples = predictions.rows();
        let is_column = matches!(**t, [_] | [_, 1]);
        let labels = matches!(targets.dtype(), DType::U32 | DType::U8) || is_column && p.len() != t.len();
        let fits = targets.rows() == samples && if labels { is_column } else { p.len() == t.len() };
        if p.rank() != 2 || p.is_empty() || !fits {
            let message = format!(
                "takes predictions (samples, classes) with integer labels (samples,) or with one-hot targets of their \
                 shape, was given {p} and {} {t}",
                targets.dtype()
            );
            return Err(Error::shape("confusion_matrix", message));
        }
        let taken = classes_of(predictions)?;
        let own = if labels {
            labels_of(targets)?
        } else {
            classes_of(&targets.reshape(&[samples as isize, p[1] as isize])?)?
        };
        let classes = p[1].max(2);
        if let Some(row) = own.iter().position(|&class| class >= classes) {
            let message = format!("row {row} has label {}, the model has {classes} classes", own[row]);
            return Err(Error::argument("y", message));
        }
        let mut counts = Vec::new();
        if classes.checked_mul(classes).is_none_or(|len| counts.try_reserve_exact(len).is_err()) {
            let message = format!("no memory for the counts of {classes} classes by {classes}");
            return Err(Error::shape("confusion_matrix", message));
        }
        counts.resize(classes * classes, 0);
        own.iter().zip(taken).for_each(|(own, taken)| counts[own * classes + taken] += 1);
        Ok(Self { names: (0..classes).map(|class| class.to_string()).collect(), counts })
    }

    /// The same counts, of classes with names: in tables and pictures they stand in place of numbers.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is not a name for each class.
    pub fn with_class_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.len() != self.names.len() {
            let message = format!("{} names for {} classes; give one each", names.len(), self.names.len());
            return Err(Error::argument("class_names", message));
        }
        self.names = names;
        Ok(self)
    }

    fn classes(&self) -> usize {
        self.names.len()
    }

    /// Adds the counts of other samples of the same classes.
    pub(crate) fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
    }

    /// How many samples of each class (a row) were taken for each (a column): u32 (classes, classes).
    pub fn counts(&self) -> Tensor {
        Tensor::new([self.classes(), self.classes()], self.counts.clone()).expect("a count for each pair of classes")
    }

    /// Precision, recall and F1 of each class.
    pub fn report(&self) -> ClassReport {
        let n = self.classes();
        let at = |own: usize, taken: usize| f64::from(self.counts[own * n + taken]);
        let sum = |count: &dyn Fn(usize) -> f64| (0..n).map(count).sum::<f64>();
        let class = |c: usize| {
            let samples = sum(&|taken| at(c, taken));
            let (precision, recall) = (share(at(c, c), sum(&|own| at(own, c))), share(at(c, c), samples));
            let f1 = share(2.0 * precision * recall, precision + recall);
            ClassScores { precision, recall, f1, samples: samples as usize }
        };
        let classes: Vec<ClassScores> = (0..n).map(class).collect();
        let samples: usize = classes.iter().map(|class| class.samples).sum();
        let average = |weight: &dyn Fn(&ClassScores) -> f64| {
            let all: f64 = classes.iter().map(weight).sum();
            let mean = |of: fn(&ClassScores) -> f64| classes.iter().map(|c| weight(c) * of(c)).sum::<f64>() / all;
            ClassScores { precision: mean(|c| c.precision), recall: mean(|c| c.recall), f1: mean(|c| c.f1), samples }
        };
        ClassReport {
            names: self.names.clone(),
            macro_average: average(&|_| 1.0),
            weighted_average: average(&|class| class.samples as f64),
            accuracy: sum(&|c| at(c, c)) / samples as f64,
            classes,
        }
    }

    /// Draws the counts as a square, each line shaded by its class' shares: PNG or SVG, as the name ends.
    ///
    /// # Errors
    /// Those of [`crate::plot::check_path`]; [`Error::Argument`] for more than 1,000 classes.
    #[cfg(feature = "plot")]
    pub fn plot(&self, path: impl AsRef<std::path::Path>) -> Result<()> {
        self.picture()?.save(path.as_ref())
    }

    /// What [`ConfusionMatrix::plot`] draws.
    #[cfg(feature = "plot")]
    pub(crate) fn picture(&self) -> Result<crate::plot::HeatMap<'_>> {
        crate::plot::HeatMap::new(&self.counts, &self.names)
    }
}

/// One whole number a row.
fn labels_of(targets: &Tensor) -> Result<Vec<usize>> {
    let label = |(row, value): (usize, f64)| match value as usize {
        label if label as f64 == value => Ok(label),
        _ => Err(Error::argument("y", format!("row {row}: {value} is no label, which is a whole number from 0 on"))),
    };
    targets.values().to_f64().into_iter().enumerate().map(label).collect()
}

/// The class that each row of predictions (samples, classes) names: where the first largest stands or, as NumPy has it, the
/// first NaN. Of one number a row, whether it is above 0.5. Accuracy, [`ConfusionMatrix`] and `kiln predict` count by it.
///
/// ```
/// use kiln::{Tensor, nn::metric::classes_of};
/// assert_eq!(classes_of(&Tensor::from([[0.5f32, 0.5], [0.1, 0.9]]))?, [0, 1]);
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] where the predictions are no matrix, or one without columns.
pub fn classes_of(predictions: &Tensor) -> Result<Vec<usize>> {
    match **predictions.shape() {
        [_, 1] => Ok(predictions.values().to_f64().into_iter().map(|score| usize::from(score > 0.5)).collect()),
        [_, _] => Ok(predictions.argmax(-1)?.values().to_f64().into_iter().map(|class| class as usize).collect()),
        _ => Err(Error::shape("classes_of", format!("takes (samples, classes), was given {}", predictions.shape()))),
    }
}

impl Model {
    /// Which classes the samples of each class are taken for. The model need not be compiled; it may be of one output, for
    /// two classes.
    ///
    /// # Errors
    /// As [`Model::predict`] and [`ConfusionMatrix::new`].
    pub fn confusion_matrix(&mut self, data: &Dataset) -> Result<ConfusionMatrix> {
        crate::device::blocking::block_on(self.confusion_matrix_async(data))
    }

    /// [`Model::confusion_matrix`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::confusion_matrix`].
    pub async fn confusion_matrix_async(&mut self, data: &Dataset) -> Result<ConfusionMatrix> {
        self.one_output()?;
        let inputs = data::ordered("inputs", data.inputs(), &self.input_names())?;
        let scaled: Vec<_> = inputs.iter().map(|x| (x.tensor(), x.scale())).collect();
        let predictions = self.predict_scaled(&scaled).await?;
        ConfusionMatrix::new(&predictions[0], data.y())
    }
}

/// The width of the widest of some words.
fn width<'w>(words: impl IntoIterator<Item = &'w str>) -> usize {
    words.into_iter().map(|word| word.chars().count()).max().unwrap_or(0)
}

/// Names as a terminal may have them.
fn shown(names: &[String]) -> Vec<String> {
    names.iter().map(|name| printable(name).into_owned()).collect()
}

fn strs(words: &[String]) -> impl Iterator<Item = &str> {
    words.iter().map(String::as_str)
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> = self.counts.iter().map(u32::to_string).collect();
        let names = shown(&self.names);
        let (head, cell) = (width(strs(&names).chain(["true"])), width(strs(&counts)));
        let line = |name: &str, cells: &[String]| {
            let pairs = names.iter().zip(cells);
            let cells = pairs.map(|(name, count)| format!("  {count:>0$}", cell.max(width([name.as_str()]))));
            format!("{name:>head$}{}", cells.collect::<String>())
        };
        writeln!(f, "{}  <- taken for", line("true", &names))?;
        let mut lines = names.iter().zip(counts.chunks(self.classes()));
        lines.try_for_each(|(name, counts)| writeln!(f, "{}", line(name, counts)))
    }
}

impl fmt::Display for ClassReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = shown(&self.names);
        let head = width(strs(&names).chain(["weighted"]));
        writeln!(f, "{:>head$}  {:>9}  {:>6}  {:>6}  {:>7}", "class", "precision", "recall", "f1", "samples")?;
        let averages = [("macro", &self.macro_average), ("weighted", &self.weighted_average)];
        for (name, ClassScores { precision, recall, f1, samples }) in strs(&names).zip(&self.classes).chain(averages) {
            writeln!(f, "{name:>head$}  {precision:>9.4}  {recall:>6.4}  {f1:>6.4}  {samples:>7}")?;
        }
        writeln!(f, "{:>head$}  {:.4}", "accuracy", self.accuracy)
    }
}
