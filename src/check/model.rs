//! A model of the user's on a device against the reference: what it predicts, and the gradient of each weight.

use std::fmt;
use std::time::Duration;

use super::ops::relative_error;
use super::{Finding, Part, Row};
use crate::clock::Instant;
use crate::data::Dataset;
use crate::device::Device;
use crate::error::Result;
use crate::nn::Model;
use crate::ops::Case;
use crate::ops::case::{integers, positive, random};
use crate::ops::copy::Copy;
use crate::tensor::{DType, Shape, Tensor};

/// Samples of a batch; no kernel's tile is of so many.
const ROWS: usize = 5;
/// What each layer with weights adds to the error that is allowed, in ulps of a tensor's root mean square, and what there is before any:
/// a net of two layers may be off by what `training` allows its own.
const ALLOWED: f64 = 64.0;
/// A number that rounding brings to the other side of zero changes a gradient at once, where a rectifier or a maximum reads it. So a
/// tensor fails where it is off for each of so many batches.
const BATCHES: u64 = 3;
/// Below this share of the largest gradient one is zero, but for rounding: that of a bias in front of a normalization.
const ZERO: f64 = 1e-12;

/// One line of the check of a model.
#[derive(Clone, Debug)]
pub struct ModelRow {
    /// [`Part::Forward`] of an output, [`Part::Gradient`] of a weight.
    pub part: Part,
    /// The output's name, or the weight's path.
    pub name: String,
    /// What it came to.
    pub row: Row,
}

/// Rows as a table, whose columns are as wide as the longest name needs.
#[derive(Clone, Copy, Debug)]
pub struct ModelTable<'r>(pub &'r [ModelRow]);

impl fmt::Display for ModelTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|row| row.name.chars().count()).fold(super::NAMES, usize::max);
        writeln!(f, "{}", super::heading_of("output or weight", width))?;
        self.0
            .iter()
            .try_for_each(|ModelRow { part, name, row }| writeln!(f, "{}", super::line(*part, name, width, row)))
    }
}

/// Compares what a model computes on a device with the same in f64: its outputs for random samples and, for the mean squared error from
/// random targets, the gradient of each weight. `make` makes the model anew each time that it is called.
///
/// ```
/// use kiln::check::check_model;
/// use kiln::prelude::*;
/// let rows = check_model(|| Sequential::from_text("input 4, dense 3 tanh, dense 2").map(Sequential::into_model), &Device::cpu())?;
/// assert_eq!(rows.len(), 1 + 4);
/// assert!(rows.iter().all(|row| row.row.failures.is_empty()));
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// Those of `make`; where the model is not built, and what the device reports. A wrong result is in [`Row::failures`].
pub fn check_model(make: impl Fn() -> Result<Model>, device: &Device) -> Result<Vec<ModelRow>> {
    let mut rows: Vec<ModelRow> = Vec::new();
    for batch in 0..BATCHES {
        let start = Instant::now();
        let found = values(make()?.device(device.clone()), batch)?;
        // What the device took; the reference does the same.
        let duration = start.elapsed() / found.len().max(1) as u32;
        let wanted = values(make()?.device(Device::reference()), batch)?;
        let checked = compared(&found, &wanted, allowed(&make()?)?, duration);
        if rows.is_empty() {
            rows = checked;
        } else {
            let open = rows.iter_mut().zip(checked).filter(|(row, _)| !row.row.failures.is_empty());
            open.for_each(|(row, again)| *row = again);
        }
        if rows.iter().all(|row| row.row.failures.is_empty()) {
            break;
        }
    }
    Ok(rows)
}

/// How much a model may be off, by its layers that have weights.
fn allowed(model: &Model) -> Result<f64> {
    let layers = model.parameters()?.chunk_by(|a, b| a.layer == b.layer).count();
    Ok(ALLOWED * (2 + layers) as f64)
}

/// A value of a model: the part of the check, its name, its numbers.
type Value = (Part, String, Vec<f64>);

/// What a model gives for a batch, and its gradients.
fn values(mut model: Model, batch: u64) -> Result<Vec<Value>> {
    let sample = |(i, (shape, table)): (usize, (Shape, Option<usize>))| {
        let (shape, seed) = (Shape::from([&[ROWS], &shape[..]].concat()), 16 * batch + i as u64);
        match table {
            Some(rows) => integers(shape, rows.min(u32::MAX as usize) as u32, DType::U32, seed),
            None => positive(shape, seed),
        }
    };
    let x: Vec<Tensor> = model.samples()?.into_iter().enumerate().map(sample).collect();
    let predicted = model.predict_all(&x.iter().collect::<Vec<_>>())?;
    let names = model.output_names();
    let forward = names.into_iter().zip(&predicted).map(|(name, y)| (Part::Forward, name, y.values().to_f64()));
    let mut all: Vec<Value> = forward.collect();
    model.compile("sgd", "mse", [])?;
    let y =
        predicted.iter().zip(100..).map(|(y, seed)| random(y.shape().clone(), 16 * batch + seed)).collect::<Vec<_>>();
    let gradients = model.gradients_on_batch(&Dataset::new(x, y)?)?;
    // A state has none.
    let gradients = gradients.into_iter().zip(model.parameters()?).filter(|(_, parameter)| !parameter.is_state);
    all.extend(gradients.map(|((path, tensor), _)| (Part::Gradient, path, tensor.values().to_f64())));
    Ok(all)
}

fn mean_square(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>() / values.len().max(1) as f64
}

/// The rows of values that were found, beside those wanted.
fn compared(found: &[Value], wanted: &[Value], allowed: f64, duration: Duration) -> Vec<ModelRow> {
    let gradients = wanted.iter().filter(|(part, ..)| *part == Part::Gradient);
    let largest = gradients.map(|(.., values)| mean_square(values).sqrt()).fold(0.0, f64::max);
    let row = |((part, name, found), (.., wanted)): (&Value, &Value)| {
        let ruler = Case::new(name.as_str(), Copy, Vec::new()).ulps(allowed - 2.0).sums(1);
        let is_zero = *part == Part::Gradient && mean_square(wanted).sqrt() <= ZERO * largest;
        let result = match is_zero {
            true => zeros(found, largest, allowed),
            false => ruler.compare(wanted, found),
        };
        let relative = if result.is_ok() && !is_zero { relative_error(wanted, found) } else { 0.0 };
        let finding = Finding::of("model", name.as_str(), result);
        let finding = Finding { allowed, relative, elements: found.len(), ..finding };
        ModelRow { part: *part, name: name.clone(), row: Row::new(vec![finding], duration) }
    };
    found.iter().zip(wanted).map(row).collect()
}

/// That a gradient is zero beside the largest one; the worst in ulps of that.
fn zeros(found: &[f64], largest: f64, allowed: f64) -> Result<f64, String> {
    let ulp = largest * 2f64.powi(-23);
    let error = |x: f64| if x == 0.0 { 0.0 } else { x.abs() / ulp };
    let mut worst = 0.0f64;
    for (i, &x) in found.iter().enumerate() {
        // NaN fails every comparison, so it is asked for by name.
        if error(x).is_nan() || error(x) > allowed {
            return Err(format!(
                "element {i} is {x:e}, expected 0: {:.1} ulps of the largest gradient, allowed {allowed:.1}",
                error(x)
            ));
        }
        worst = worst.max(error(x));
    }
    Ok(worst)
}
