//! [`Fit::class_weight`](super::Fit::class_weight): a weight for each sample, by the class that its target tells.

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::memory;
use crate::nn::Loss;
use crate::ops::cpu::first_largest;
use crate::tensor::{Shape, Tensor, Values};

/// The weight of each class.
#[derive(Clone, Debug)]
pub(crate) struct ClassWeight(Vec<f32>);

fn refused(message: String) -> Error {
    Error::argument("class_weight", message)
}

impl ClassWeight {
    /// Weights of the classes named, 1 for each other, for a model of these outputs: each one's name, loss and shape for a
    /// sample; `None` where none is named.
    pub fn new(named: &[(u32, f32)], outputs: &[(String, Loss, Shape)]) -> Result<Option<Self>> {
        if named.is_empty() {
            return Ok(None);
        }
        let [(_, _, output)] = outputs else {
            let message =
                "classes have weights where the model has one output; give each sample's by with_sample_weight";
            return Err(refused(message.into()));
        };
        let &[outputs] = &output[..] else {
            let message =
                format!("a sample has a class where the output is a row; the model's is of {} axes", output.len());
            return Err(refused(message));
        };
        // One output tells two classes apart.
        let mut weights = vec![None; outputs.max(2)];
        for &(class, weight) in named {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(refused(format!("class {class} has {weight:?}; give a finite number of 0 or more")));
            }
            let classes = weights.len();
            let Some(place) = weights.get_mut(class as usize) else {
                let message =
                    format!("there is no class {class}; the model tells {classes} apart, 0 to {}", classes - 1);
                return Err(refused(message));
            };
            if place.replace(weight).is_some() {
                return Err(refused(format!("class {class} has two weights; give one")));
            }
        }
        Ok(Some(Self(weights.into_iter().map(|weight| weight.unwrap_or(1.0)).collect())))
    }

    /// The weight of each sample. As Keras has it, the class of a row of values is where the largest stands, that of a single
    /// value what it rounds to.
    pub fn of(&self, data: &Dataset) -> Result<Tensor> {
        let what = "the weights of the samples";
        let classes: Vec<i64> = match data.y().values() {
            Values::U32(labels) => memory::list(labels.iter().map(|&label| i64::from(label)), what)?,
            values => {
                let (values, width) = (values.to_f32(), data.y().shape()[1..].iter().product::<usize>());
                let class = |row: &[f32]| match *row {
                    [value] => value.round_ties_even() as i64,
                    _ => first_largest(row) as i64,
                };
                memory::list(values.chunks(width.max(1)).map(class), what)?
            }
        };
        let weight = |(row, &class): (usize, &i64)| {
            let weight = usize::try_from(class).ok().and_then(|class| self.0.get(class)).copied();
            let known = self.0.len() - 1;
            weight
                .ok_or_else(|| refused(format!("row {row} has the target {class}, which is no class of 0 to {known}")))
        };
        let weights = classes.iter().enumerate().map(weight).collect::<Result<Vec<_>>>()?;
        Tensor::new([weights.len()], weights)
    }
}
