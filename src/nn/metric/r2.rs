//! The coefficient of determination by outputs, as `keras.metrics.R2Score` has it.

use super::columns::{expect_values, values};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::ops::binary::Binary;
use crate::ops::slice::{Cut, Slice};
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

/// For each output, of each sample: how far the target is from the batch's first, the square of that, the error's square;
/// each (batch, outputs). And that first target and the number of samples, each (1, outputs). About a first value targets
/// such as 10,000 and 10,001 keep their digits; their squares have none left for it in f32.
pub(super) fn columns(g: &mut Graph, predicted: Id, targets: Id) -> Result<Vec<Id>> {
    expect_values(g, "r2_score", targets, "accuracy")?;
    let shape = g.shape(predicted);
    if shape.rank() != 2 {
        return Err(Error::shape("r2_score", format!("takes predictions (batch, outputs), the model gives {shape}")));
    }
    let t = values(g, "r2_score", [predicted, targets])?;
    let error = g.apply(Binary::Sub, &[t, predicted])?;
    let [samples, outputs] = [0, 1].map(|axis| g.shape(t)[axis]);
    let first = g.apply(Slice(vec![Cut::new(0, 1), Cut::new(0, outputs)]), &[t])?;
    let from_first = g.apply(Binary::Sub, &[t, first])?;
    let [square, error] = [from_first, error].map(|x| g.apply(Unary::Square, &[x]));
    let samples = g.fill(samples as f64, [1, outputs]);
    Ok(vec![from_first, square?, error?, first, samples])
}

/// Adds the columns of a step to those of the steps before, where there are any: about the first target of the first.
pub(super) fn add(totals: &mut [f64], step: &[f64]) {
    let outputs = totals.len() / COLUMNS;
    for o in 0..outputs {
        let [sum, square, error, first, samples] = std::array::from_fn(|column| step[column * outputs + o]);
        totals[2 * outputs + o] += error;
        totals[4 * outputs + o] += samples;
        if totals[4 * outputs + o] == samples {
            totals[3 * outputs + o] = first;
        }
        let away = first - totals[3 * outputs + o];
        totals[o] += sum + samples * away;
        totals[outputs + o] += square + 2.0 * away * sum + samples * away * away;
    }
}

/// Columns of an output.
pub(super) const COLUMNS: usize = 5;

impl ClassAggregation {
    /// R^2 from the sums of [`columns`].
    pub(super) fn r2(self, sums: &[f64], samples: f64) -> f64 {
        let outputs = sums.len() / COLUMNS;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_far_from_zero_keep_their_digits() {
        // Batches of three, about their first: 10,000 and so on, predictions half a unit off.
        let targets = [[10_001.0, 9_999.0, 10_000.0], [9_999.5, 10_000.5, 10_000.0]];
        let mut totals = vec![0.0; COLUMNS];
        for batch in targets {
            let from = batch.map(|t| t - batch[0]);
            let step = [from.iter().sum(), from.iter().map(|x| x * x).sum(), 0.75, batch[0], 3.0];
            add(&mut totals, &step);
        }
        let r2 = ClassAggregation::UniformAverage.r2(&totals, 6.0);
        assert!((r2 - (1.0 - 1.5 / 2.5)).abs() < 1e-12, "{r2}");
    }
}
