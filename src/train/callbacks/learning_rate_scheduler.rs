//! Keras' `LearningRateScheduler`, <https://keras.io/api/callbacks/learning_rate_scheduler/>.

use std::fmt;

use super::Callback;
use crate::error::Result;
use crate::train::Run;

/// Sets the learning rate of each epoch. `learning_rate` is a value of each epoch.
///
/// ```
/// use kiln::prelude::*;
/// // From the eleventh epoch on each has a tenth less.
/// let slower = LearningRateScheduler::new(|epoch, rate| if epoch > 10 { 0.9 * rate } else { rate });
/// let fit = Fit::new().epochs(20).callback(slower);
/// ```
pub struct LearningRateScheduler<F> {
    schedule: F,
}

impl<F: FnMut(usize, f64) -> f64> LearningRateScheduler<F> {
    /// The rate from the epoch, which counts from 1 (Keras' counts from 0), and the rate of the epoch before.
    pub fn new(schedule: F) -> Self {
        Self { schedule }
    }
}

impl<F> fmt::Debug for LearningRateScheduler<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LearningRateScheduler").finish_non_exhaustive()
    }
}

impl<F: FnMut(usize, f64) -> f64> Callback for LearningRateScheduler<F> {
    fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        let rate = (self.schedule)(run.epoch(), run.learning_rate());
        run.set_learning_rate(rate)
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        run.log("learning_rate", run.learning_rate());
        Ok(())
    }
}
