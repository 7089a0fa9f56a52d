//! What a model has to beat: an answer that looks at no column.

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::tensor::Values;

/// The same answer for every sample, learned of the targets to train on, measured on those to measure on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Baseline {
    /// The class that most samples to train on are of.
    MostFrequent {
        /// Its index.
        class: u32,
        /// The share of the samples to measure on that are of it.
        accuracy: f64,
    },
    /// The mean of each target over the samples to train on.
    Mean {
        /// The means.
        means: Vec<f64>,
        /// The mean absolute error, over samples and targets.
        mae: f64,
        /// The square root of the mean squared error, over samples and targets.
        rmse: f64,
        /// The coefficient of determination, the mean over targets.
        r2: f64,
    },
}

impl Baseline {
    /// That of a set to train on, measured on another.
    ///
    /// ```
    /// use kiln::{Tensor, data::Dataset, table::Baseline};
    /// let set = |labels: Vec<u32>| Dataset::new(Tensor::new([labels.len(), 1], vec![0.0f32; labels.len()])?, Tensor::from(labels));
    /// let baseline = Baseline::of(&set(vec![0, 1, 1])?, &set(vec![0, 1, 1, 1])?)?;
    /// assert_eq!(baseline, Baseline::MostFrequent { class: 1, accuracy: 0.75 });
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] where a set is empty, or one has class indices and the other values.
    pub fn of(train: &Dataset, test: &Dataset) -> Result<Self> {
        let refused = |message: &str| Err(Error::argument("baseline", message));
        if train.is_empty() || test.is_empty() {
            return refused("a set has no samples; give one or more");
        }
        match (train.y().values(), test.y().values()) {
            (Values::U32(train), Values::U32(test)) => Ok(Self::most_frequent(train, test)),
            (Values::F32(train), Values::F32(of_test)) => {
                let width = of_test.len() / test.len();
                if !train.len().is_multiple_of(width) {
                    return refused("the sets are of different numbers of targets");
                }
                Ok(Self::mean(train, of_test, width))
            }
            _ => refused("one set has class indices, the other values"),
        }
    }

    fn most_frequent(train: &[u32], test: &[u32]) -> Self {
        let mut labels = train.to_vec();
        labels.sort_unstable();
        let runs = labels.chunk_by(|a, b| a == b);
        // Of as many the first.
        let class = runs.rev().max_by_key(|run| run.len()).map_or(0, |run| run[0]);
        let hits = test.iter().filter(|&&label| label == class).count();
        Self::MostFrequent { class, accuracy: hits as f64 / test.len() as f64 }
    }

    fn mean(train: &[f32], test: &[f32], width: usize) -> Self {
        let column = |values: &[f32], at: usize| -> Vec<f64> {
            values.iter().skip(at).step_by(width).map(|&value| f64::from(value)).collect()
        };
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let means: Vec<f64> = (0..width).map(|at| mean(&column(train, at))).collect();
        let (mut absolute, mut squares, mut r2) = (0.0, 0.0, 0.0);
        for (at, guess) in means.iter().enumerate() {
            let values = column(test, at);
            let own = mean(&values);
            let about = |center: f64| values.iter().map(|value| (value - center).powi(2)).sum::<f64>();
            absolute += values.iter().map(|value| (value - guess).abs()).sum::<f64>();
            squares += about(*guess);
            r2 += (1.0 - about(*guess) / about(own)) / width as f64;
        }
        let count = test.len() as f64;
        Self::Mean { means, mae: absolute / count, rmse: (squares / count).sqrt(), r2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

    fn set(y: Tensor) -> Dataset {
        Dataset::new(Tensor::new([y.rows(), 1], vec![0.0f32; y.rows()]).unwrap(), y).unwrap()
    }

    #[test]
    fn the_mean_is_measured_on_other_rows() {
        let train = set(Tensor::from([[1.0f32, 10.0], [3.0, 10.0]]));
        let test = set(Tensor::from([[2.0f32, 9.0], [4.0, 13.0]]));
        let Baseline::Mean { means, mae, rmse, r2 } = Baseline::of(&train, &test).unwrap() else { panic!("values") };
        assert_eq!((means, mae), (vec![2.0, 10.0], (2.0 + 1.0 + 3.0) / 4.0));
        assert_eq!(rmse, (14.0f64 / 4.0).sqrt());
        // 1 - 4/2 and 1 - 10/8.
        assert_eq!(r2, (-1.0 - 0.25) / 2.0);
    }

    #[test]
    fn of_two_classes_as_frequent_it_is_the_first() {
        let labels = |labels: &[u32]| set(labels.to_vec().into());
        let found = Baseline::of(&labels(&[2, 1, 2, 1, 0]), &labels(&[1, 2, 1])).unwrap();
        assert_eq!(found, Baseline::MostFrequent { class: 1, accuracy: 2.0 / 3.0 });
        assert!(Baseline::of(&labels(&[1]), &set(Tensor::from([[1.0f32]]))).is_err());
    }
}
