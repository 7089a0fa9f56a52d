//! F1 by classes, as `keras.metrics.F1Score` has it.

use super::columns::{compared, expect_classes, values};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::nn::loss::EPSILON;
use crate::ops::binary::Binary;
use crate::ops::reduce::{Reduce, Reduction};
use crate::ops::reshape::Reshape;
use crate::ops::unary::Unary;

/// What makes one number of the classes' F1.
///
/// ```
/// use kiln::prelude::*;
/// let metric = Metric::F1Score { average: Average::Weighted, threshold: None };
/// # let _ = metric;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Average {
    /// That of all classes' counts together.
    Micro,
    /// The mean of the classes', each as much as any other.
    #[default]
    Macro,
    /// The mean of the classes' by how many samples each has.
    Weighted,
}

/// Smaller scores than this are no largest: Keras' own bound, so that a row of zeros says nothing.
const SMALLEST: f64 = 1e-9;

/// For each class, of each sample: what is a yes and true, what is a yes, what is true; each (batch, classes).
pub(super) fn columns(g: &mut Graph, threshold: Option<f64>, predicted: Id, targets: Id) -> Result<Vec<Id>> {
    let shape = g.shape(predicted).clone();
    if shape.rank() != 2 {
        return Err(Error::shape("f1_score", format!("takes predictions (batch, classes), the model gives {shape}")));
    }
    let t = values(g, "f1_score", [predicted, targets])?;
    let said = if let Some(threshold) = threshold {
        compared(g, Binary::Greater, predicted, threshold)?
    } else {
        expect_classes(g, "f1_score", predicted, "give a threshold, such as 0.5")?;
        let largest = g.apply(Reduce { reduction: Reduction::Max, axes: 1..2 }, &[predicted])?;
        let largest = g.apply(Reshape([shape[0], 1].into()), &[largest])?;
        let equal = g.apply(Binary::GreaterEqual, &[predicted, largest])?;
        let size = g.apply(Unary::Abs, &[predicted])?;
        let some = compared(g, Binary::Greater, size, SMALLEST)?;
        g.apply(Binary::Mul, &[equal, some])?
    };
    Ok(vec![g.apply(Binary::Mul, &[said, t])?, said, t])
}

impl Average {
    /// F1 from the sums of [`columns`].
    pub(super) fn f1(self, sums: &[f64]) -> f64 {
        let (hits, rest) = sums.split_at(sums.len() / 3);
        let (said, positives) = rest.split_at(hits.len());
        let total = |x: &[f64]| x.iter().sum::<f64>();
        if self == Self::Micro {
            return f1([total(hits), total(said), total(positives)]);
        }
        let weighted = |c: usize| {
            let weight = if self == Self::Macro { 1.0 } else { positives[c] };
            weight * f1([hits[c], said[c], positives[c]])
        };
        let all: f64 = (0..hits.len()).map(weighted).sum();
        all / if self == Self::Macro { hits.len() as f64 } else { total(positives) + EPSILON }
    }
}

/// With Keras' epsilon in each denominator.
fn f1([hits, said, positives]: [f64; 3]) -> f64 {
    let (precision, recall) = (hits / (said + EPSILON), hits / (positives + EPSILON));
    2.0 * precision * recall / (precision + recall + EPSILON)
}
