//! What trials are compared by.

use super::task::{Kind, Task};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::nn::metric::AucCurve;
use crate::nn::{Metric, Model};
use crate::tensor::{Tensor, Values};
use crate::train::{Logs, Run};

/// A metric of the rows that a network did not see.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    pub metric: Metric,
    /// Whether more is better.
    pub rises: bool,
    /// Whether the host measures it: the mean area under the curve of each class against the rest. Kiln's own metric takes one-hot
    /// targets, and counts the outputs of all classes together.
    by_host: bool,
}

impl Measure {
    /// # Errors
    /// [`Error::Argument`] where nobody knows which way it is better, or it is no measure of what the data have.
    pub fn new(metric: Metric, task: &Task) -> Result<Self> {
        metric.check()?;
        let refused = |message: String| Err(Error::argument("metric", message));
        let name = metric.name();
        let Some(rises) = metric.rises() else {
            return refused(format!(
                "{name} is one's own: nobody knows whether more of it is better; give one of Kiln's"
            ));
        };
        let of_values = matches!(task.kind, Kind::Values(_));
        if of_values && metric == Metric::Accuracy {
            return refused("accuracy is of classes, the targets are values; give r2_score, rmse or mae".into());
        }
        let by_host = !of_values && matches!(metric, Metric::Auc { curve: AucCurve::Roc, .. });
        Ok(Self { metric, rises, by_host })
    }

    /// One that the network measures itself.
    #[cfg(test)]
    pub fn plain(metric: Metric) -> Self {
        Self { metric, rises: metric.rises() == Some(true), by_host: false }
    }

    /// What the network measures itself.
    pub fn compiled(&self) -> Vec<Metric> {
        if self.by_host { Vec::new() } else { vec![self.metric] }
    }

    /// Of what a run validates on.
    pub fn of_run(&self, run: &mut Run<'_>, test: &Dataset) -> Result<f64> {
        if self.by_host {
            return Ok(mean_area(&run.predict(test.x())?, test.y()));
        }
        Ok(self.among(run.logs(), "val_"))
    }

    /// Of a model on some data.
    pub fn of_model(&self, model: &mut Model, test: &Dataset) -> Result<f64> {
        if self.by_host {
            return Ok(mean_area(&model.predict(test.x())?, test.y()));
        }
        Ok(self.among(&model.evaluate(test)?, ""))
    }

    fn among(&self, logs: &Logs, prefix: &str) -> f64 {
        logs.get(&format!("{prefix}{}", self.metric.name())).unwrap_or(f64::NAN)
    }

    /// Which of two is the better one: it is the lesser. What is no number is worse than any.
    pub fn better(&self, a: f64, b: f64) -> std::cmp::Ordering {
        let cost = |score: f64| match score {
            score if score.is_nan() => f64::INFINITY,
            score if self.rises => -score,
            score => score,
        };
        cost(a).total_cmp(&cost(b))
    }
}

/// The mean area under the ROC curve of the classes' probabilities, (rows, classes), each class against the rest; of two classes the
/// second's. A class that none or all of the rows are of has none.
fn mean_area(probabilities: &Tensor, labels: &Tensor) -> f64 {
    let Values::U32(labels) = labels.values() else { return f64::NAN };
    let (p, classes) = (probabilities.values().to_f64(), probabilities.shape().last().copied().unwrap_or(1));
    let first = if classes == 2 { 1 } else { 0 };
    let area = |class: usize| area(labels.iter().zip(p.chunks(classes)).map(|(&l, p)| (p[class], l as usize == class)));
    let areas: Vec<f64> = (first..classes).filter_map(area).collect();
    areas.iter().sum::<f64>() / areas.len() as f64
}

/// How likely a positive one has a higher score than a negative one, equal ones counting half; `None` where there are not both.
fn area(scores: impl Iterator<Item = (f64, bool)>) -> Option<f64> {
    let mut all: Vec<(f64, bool)> = scores.collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut won) = (0.0, 0.0);
    for equal in all.chunk_by(|a, b| a.0 == b.0) {
        let positives = equal.iter().filter(|(_, positive)| *positive).count() as f64;
        let negatives = equal.len() as f64 - positives;
        won += positives * (below + negatives / 2.0);
        below += negatives;
    }
    let positives = all.len() as f64 - below;
    (positives > 0.0 && below > 0.0).then(|| won / (positives * below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_is_the_share_of_pairs_that_are_in_order() {
        let of = |scores: &[f64], positive: &[u8]| area(scores.iter().copied().zip(positive.iter().map(|&p| p == 1)));
        assert_eq!(of(&[0.1, 0.2, 0.8, 0.9], &[0, 0, 1, 1]), Some(1.0));
        assert_eq!(of(&[0.1, 0.4, 0.35, 0.8], &[0, 0, 1, 1]), Some(0.75));
        assert_eq!(of(&[0.5; 4], &[0, 1, 1, 1]), Some(0.5));
        assert_eq!(of(&[0.9, 0.1], &[0, 1]), Some(0.0));
        assert_eq!((of(&[0.5], &[1]), of(&[], &[])), (None, None));
        let p = Tensor::from([[0.7f32, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2]]);
        assert_eq!(mean_area(&p, &Tensor::from([0u32, 1, 1])), 1.0);
    }
}
