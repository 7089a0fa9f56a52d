//! Keras' `SwapEMAWeights`, <https://keras.io/api/callbacks/swap_ema_weights/>.

use super::Callback;
use crate::error::Result;
#[cfg(doc)]
use crate::nn::optimizer::Optimizer;
use crate::train::Run;

/// Has the model validated with the moving averages of its weights, which the optimizer keeps: see [`Optimizer::use_ema`].
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Input::new([1])).add(Dense::new(1)).device(Device::cpu());
/// model.compile(Sgd::default().use_ema(true).ema_momentum(0.5), Loss::MeanSquaredError, [])?;
/// let data = Dataset::new(Tensor::from([[1.0f32], [2.0]]), Tensor::from([[2.0f32], [4.0]]))?;
/// let fit = Fit::new().epochs(3).validation_data(&data).callback(SwapEmaWeights::new()).verbose(0);
/// let history = model.fit(&data, fit)?;
/// // The model has the averages after training, too.
/// assert_eq!(history.get("val_loss").last().copied(), model.evaluate(&data)?.get("loss"));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SwapEmaWeights {
    swap_on_epoch: bool,
}

impl SwapEmaWeights {
    /// Swaps for the time of validation alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the model has the averages from the end of each epoch to the begin of the next, for callbacks that come after this
    /// one, such as [`super::ModelCheckpoint`]; default false. A run goes on from such a checkpoint as if it had not been stopped.
    #[must_use]
    pub fn swap_on_epoch(mut self, swap_on_epoch: bool) -> Self {
        self.swap_on_epoch = swap_on_epoch;
        self
    }
}

impl Callback for SwapEmaWeights {
    fn on_train_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        run.check_averages()
    }

    fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.swap_on_epoch { run.use_averages(false) } else { Ok(()) }
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if self.swap_on_epoch { run.use_averages(true) } else { Ok(()) }
    }

    fn on_test_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        run.use_averages(true)
    }

    fn on_test_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        run.use_averages(false)
    }
}
