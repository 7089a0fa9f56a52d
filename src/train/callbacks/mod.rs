//! What may take part in a run of `fit`, by Keras' names: <https://keras.io/api/callbacks/>.

mod csv_logger;
mod early_stopping;
mod lambda_callback;
mod learning_rate_scheduler;
mod model_checkpoint;
mod monitor;
mod path_pattern;
mod reduce_lr_on_plateau;
mod swap_ema_weights;
mod tensor_board;
mod terminate_on_nan;

pub use csv_logger::CsvLogger;
pub use early_stopping::EarlyStopping;
pub use lambda_callback::LambdaCallback;
pub use learning_rate_scheduler::LearningRateScheduler;
pub use model_checkpoint::{ModelCheckpoint, SaveFreq};
pub use monitor::Mode;
pub use reduce_lr_on_plateau::ReduceLrOnPlateau;
pub use swap_ema_weights::SwapEmaWeights;
pub use tensor_board::{TensorBoard, UpdateFreq};
pub use terminate_on_nan::TerminateOnNan;

use std::pin::Pin;

use super::{Logs, Run};
use crate::error::Result;

/// A point of a run at which callbacks are called; each has a hook of its name in [`Callback`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// [`Callback::on_train_begin`]
    TrainBegin,
    /// [`Callback::on_train_end`]
    TrainEnd,
    /// [`Callback::on_epoch_begin`]
    EpochBegin,
    /// [`Callback::on_epoch_end`]
    EpochEnd,
    /// [`Callback::on_test_begin`]
    TestBegin,
    /// [`Callback::on_test_end`]
    TestEnd,
    /// [`Callback::on_batch_begin`]
    BatchBegin,
    /// [`Callback::on_batch_end`]
    BatchEnd,
}

/// What a callback does that waits for the device: see [`Callback::after`].
pub type Waiting<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// Something that is called in a run of [`Model::fit`](crate::nn::Model::fit), at points of Keras' names. Given
/// to it by [`Fit::callback`](super::Fit::callback).
///
/// Each call gets the [`Run`]: where it stands, what was measured, and the model. An error ends the run and is what `fit`
/// returns.
///
/// ```
/// use kiln::prelude::*;
///
/// /// Stops as soon as the loss is below a limit.
/// struct Enough(f64);
///
/// impl Callback for Enough {
///     fn on_epoch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
///         if run.logs().get("loss").is_some_and(|loss| loss < self.0) {
///             run.stop_training();
///         }
///         Ok(())
///     }
/// }
///
/// let data = Dataset::new(Tensor::from([[1.0f32]]), Tensor::from([[2.0f32]]))?;
/// let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
/// model.compile(Sgd::new(0.1), "mse", [])?;
/// let history = model.fit(&data, Fit::new().epochs(100).verbose(0).callback(Enough(0.01)))?;
/// assert!(history.epochs().len() < 100);
/// # Ok::<(), kiln::Error>(())
/// ```
pub trait Callback {
    /// Whether [`Callback::on_batch_begin`] and [`Callback::on_batch_end`] are called, asked again in each epoch. They
    /// cost: while anybody wants them the device waits for the host at each step, and no step goes with others to one
    /// submit. The run's numbers are the same to the bit.
    fn wants_batches(&self) -> bool {
        false
    }

    /// Before the first epoch.
    ///
    /// # Errors
    /// Whatever is to end the run.
    fn on_train_begin(&mut self, _run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// After the last epoch; not after an error.
    ///
    /// # Errors
    /// Whatever `fit` is to return.
    fn on_train_end(&mut self, _run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// Before an epoch's first step.
    ///
    /// # Errors
    /// Whatever is to end the run.
    fn on_epoch_begin(&mut self, _run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// After an epoch and its validation.
    ///
    /// # Errors
    /// Whatever is to end the run.
    fn on_epoch_end(&mut self, _run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// Before an epoch's validation.
    ///
    /// # Errors
    /// Whatever is to end the run.
    fn on_test_begin(&mut self, _run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// After an epoch's validation, whose values [`Run::logs`] has then; [`Callback::on_epoch_end`] comes next.
    ///
    /// # Errors
    /// Whatever is to end the run.
    fn on_test_end(&mut self, _run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// Before a training step, where [`Callback::wants_batches`].
    ///
    /// # Errors
    /// Whatever is to end the run.
    fn on_batch_begin(&mut self, _run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// After a training step, where [`Callback::wants_batches`].
    ///
    /// # Errors
    /// Whatever is to end the run.
    fn on_batch_end(&mut self, _run: &mut Run<'_>) -> Result<()> {
        Ok(())
    }

    /// What it does at a hook that waits for the device, such as reading weights; called right after the hook itself, and as often.
    /// [`Model::fit_async`](crate::nn::Model::fit_async) waits for it without blocking, where a hook that calls [`Run::weights`] blocks.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// use kiln::train::{Run, callbacks::{Hook, Waiting}};
    /// struct Largest(Vec<f64>);
    /// impl Callback for Largest {
    ///     fn after<'a>(&'a mut self, hook: Hook, run: &'a mut Run<'_>) -> Option<Waiting<'a>> {
    ///         let read = async move {
    ///             let weights = run.weights_async().await?;
    ///             self.0.push(weights[0].values().to_f64().into_iter().fold(f64::MIN, f64::max));
    ///             Ok(())
    ///         };
    ///         (hook == Hook::EpochEnd).then(|| Box::pin(read) as Waiting<'a>)
    ///     }
    /// }
    /// let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
    /// model.compile("sgd", "mse", [])?;
    /// let data = Dataset::new(Tensor::new([8, 2], vec![0.5f32; 16])?, Tensor::new([8, 1], vec![1.0f32; 8])?)?;
    /// let mut largest = Largest(Vec::new());
    /// model.fit(&data, Fit::new().epochs(3).verbose(0).callback(&mut largest))?;
    /// assert_eq!(largest.0.len(), 3);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    fn after<'a>(&'a mut self, _hook: Hook, _run: &'a mut Run<'_>) -> Option<Waiting<'a>> {
        None
    }

    /// Whether [`Callback::on_progress`] is called, asked again in each epoch.
    fn wants_progress(&self) -> bool {
        false
    }

    /// Some five times a second while an epoch's steps are under way, where [`Callback::wants_progress`]: how many of them
    /// were given to the device, and the values over those that are known to be done. No step waits for it, other than
    /// for [`Callback::on_batch_end`]; so there is no [`Run`] to stop or to change.
    ///
    /// # Errors
    /// Whatever is to end the run.
    fn on_progress(&mut self, _step: usize, _logs: &Logs) -> Result<()> {
        Ok(())
    }
}

/// Hands each call on to what a pointer points to.
macro_rules! callback_behind {
    ($pointer:ty) => {
        impl<C: Callback + ?Sized> Callback for $pointer {
            fn wants_batches(&self) -> bool {
                (**self).wants_batches()
            }

            fn on_train_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
                (**self).on_train_begin(run)
            }

            fn on_train_end(&mut self, run: &mut Run<'_>) -> Result<()> {
                (**self).on_train_end(run)
            }

            fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
                (**self).on_epoch_begin(run)
            }

            fn on_epoch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
                (**self).on_epoch_end(run)
            }

            fn on_test_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
                (**self).on_test_begin(run)
            }

            fn on_test_end(&mut self, run: &mut Run<'_>) -> Result<()> {
                (**self).on_test_end(run)
            }

            fn on_batch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
                (**self).on_batch_begin(run)
            }

            fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
                (**self).on_batch_end(run)
            }

            fn after<'a>(&'a mut self, hook: Hook, run: &'a mut Run<'_>) -> Option<Waiting<'a>> {
                (**self).after(hook, run)
            }

            fn wants_progress(&self) -> bool {
                (**self).wants_progress()
            }

            fn on_progress(&mut self, step: usize, logs: &Logs) -> Result<()> {
                (**self).on_progress(step, logs)
            }
        }
    };
}

// So that a program can ask a callback something after the run, and choose between several.
callback_behind!(&mut C);
callback_behind!(Box<C>);
