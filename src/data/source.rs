//! Samples that are read when they are needed.

use super::Dataset;
use crate::error::Result;

/// Samples and targets in whatever place they lie, for [`Model::fit`](crate::nn::Model::fit) and
/// [`Model::evaluate`](crate::nn::Model::evaluate). A [`Dataset`] is one.
///
/// A set that is not [`resident`](Self::resident), or is larger than a buffer of the device, streams: chunks of some
/// megabytes are read in the order of the batches, by a thread of their own while the device works on the chunk before.
/// The result is the same to the bit.
///
/// ```
/// use kiln::data::{Dataset, Source};
/// use kiln::prelude::*;
/// /// The numbers below 1000, and their squares.
/// struct Squares;
/// impl Source for Squares {
///     fn len(&self) -> usize {
///         1000
///     }
///     fn read(&self, rows: &[usize]) -> Result<Dataset> {
///         let x: Vec<f32> = rows.iter().map(|&row| row as f32 / 1000.0).collect();
///         let y = x.iter().map(|x| x * x).collect::<Vec<_>>();
///         Dataset::new(Tensor::new([rows.len(), 1], x)?, Tensor::new([rows.len(), 1], y)?)
///     }
/// }
/// let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
/// model.compile(Sgd::default(), Loss::MeanSquaredError, [])?;
/// model.fit(&Squares, Fit::new().verbose(0))?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[expect(clippy::len_without_is_empty, reason = "a source without samples is refused where it is used")]
pub trait Source: Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// The samples of these numbers, in this order, each as often as it is named. Shapes, types,
    /// [`scale`](Dataset::scale) and whether there are [weights](Dataset::with_sample_weight) are the same at every call.
    ///
    /// # Errors
    /// Whatever hinders: it ends the training and is passed on.
    fn read(&self, rows: &[usize]) -> Result<Dataset>;

    /// The whole set, where it is in memory: it rests on the device then, if there is room.
    fn resident(&self) -> Option<&Dataset> {
        None
    }
}

impl Source for Dataset {
    fn len(&self) -> usize {
        Self::len(self)
    }

    fn read(&self, rows: &[usize]) -> Result<Dataset> {
        self.subset(rows)
    }

    fn resident(&self) -> Option<&Dataset> {
        Some(self)
    }
}
