//! The coefficient of determination by outputs, as `keras.metrics.R2Score` has it.

use super::columns::{expect_values, values};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::ops::binary::Binary;
use crate::ops::unary::Unary;

/// What makes one number of the outputs' R^2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClassAggregation {
    /// Their mean.
    #[default]
    UniformAverage,
    /// Their mean by how far each output's targets scatter.
    VarianceWeightedAverage,
}

/// For each output, of each sample: the target, its square, the error's square; each (batch, outputs).
pub(super) fn columns(g: &mut Graph, predicted: Id, targets: Id) -> Result<Vec<Id>> {
    expect_values(g, "r2_score", targets, "accuracy")?;
    let shape = g.shape(predicted);
    if shape.rank() != 2 {
        return Err(Error::shape("r2_score", format!("takes predictions (batch, outputs), the model gives {shape}")));
    }
    let t = values(g, "r2_score", [predicted, targets])?;
    let error = g.apply(Binary::Sub, &[t, predicted])?;
    Ok(vec![t, g.apply(Unary::Square, &[t])?, g.apply(Unary::Square, &[error])?])
}

impl ClassAggregation {
    /// R^2 from the sums of [`columns`].
    pub(super) fn r2(self, sums: &[f64], samples: f64) -> f64 {
        let outputs = sums.len() / 3;
        let of = |o: usize| {
            let [sum, squares, errors] = [0, 1, 2].map(|column| sums[column * outputs + o]);
            let scatter = squares - sum * sum / samples;
            let score = 1.0 - errors / scatter;
            (if score.is_infinite() { 0.0 } else { score }, scatter)
        };
        let scores = (0..outputs).map(of);
        match self {
            Self::UniformAverage => scores.map(|(score, _)| score).sum::<f64>() / outputs as f64,
            Self::VarianceWeightedAverage => {
                let scatter: f64 = scores.clone().map(|(_, scatter)| scatter).sum();
                scores.map(|(score, scatter)| score * scatter).sum::<f64>() / scatter
            }
        }
    }
}
