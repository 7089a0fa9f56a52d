//! Keras' `TerminateOnNaN`, <https://keras.io/api/callbacks/terminate_on_nan/>.

use super::Callback;
use crate::error::Result;
use crate::train::{CheckFinite, Run};

/// Ends the run after a step whose loss is NaN or infinite, without an error, and says so. It looks at every step, for what
/// [`Callback::wants_batches`] costs, and stands in for [`CheckFinite::Epoch`], which ends such a run with an error.
///
/// ```
/// use kiln::prelude::*;
/// let fit = Fit::new().epochs(10).callback(TerminateOnNan);
/// # let _ = fit;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TerminateOnNan;

impl Callback for TerminateOnNan {
    fn wants_batches(&self) -> bool {
        true
    }

    fn on_train_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        if run.check_finite == CheckFinite::Epoch {
            run.check_finite = CheckFinite::Off;
        }
        Ok(())
    }

    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        // The mean over the epoch so far is lost where a batch's loss is.
        let loss = run.logs().get("loss").filter(|loss| !loss.is_finite());
        if let Some(loss) = loss {
            run.say(&format!("Epoch {}, step {}: the loss is {loss}; terminating training", run.epoch(), run.step()));
            run.stop_training();
        }
        Ok(())
    }
}
