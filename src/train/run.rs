//! What a callback may see and do.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::position::Position;
use super::progress::say;
use super::{CheckFinite, Fit, Logs};
use crate::data::Source;
use crate::device::blocking::block_on;
use crate::error::{Error, Result};
use crate::nn::{ConfusionMatrix, Model, Summary};
use crate::tensor::Tensor;

/// A run of `fit` as its callbacks have it: where it stands, what was measured, and the model in training.
///
/// What waits for the device, such as [`Run::weights`], blocks, in [`Model::fit_async`] too; its twin, [`Run::weights_async`], does not: see
/// [`super::callbacks::Callback::after`].
///
/// ```
/// use kiln::prelude::*;
/// let data = Dataset::new(Tensor::from([[1.0f32]]), Tensor::from([[2.0f32]]))?;
/// let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
/// model.compile("sgd", "mse", [])?;
/// let halve = LambdaCallback::new().on_epoch_end(|run| run.set_learning_rate(run.learning_rate() / 2.0));
/// model.fit(&data, Fit::new().epochs(3).verbose(0).callback(halve))?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Debug)]
pub struct Run<'r> {
    pub(super) model: &'r mut Model,
    pub(super) check_finite: CheckFinite,
    /// How often within an epoch the model is backed up.
    pub(super) backup: Option<Duration>,
    pub(super) validation: Option<Validation<'r>>,
    number: u64,
    verbose: u8,
    epochs: usize,
    steps: usize,
    epoch: usize,
    step: usize,
    logs: Logs,
    stops: bool,
    /// Whether the learning rate was set since the schedule was last written.
    rate_changed: bool,
    /// Whether an epoch's steps are under way: its clock, order and log must stay.
    within_epoch: bool,
}

/// What is validated on after each epoch.
pub(super) struct Validation<'r> {
    pub source: &'r dyn Source,
    pub rows: Range<usize>,
}

impl fmt::Debug for Validation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Validation({:?})", self.rows)
    }
}

/// All weights at one moment, kept on the device: see [`Run::snapshot`].
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Of which run.
    run: u64,
    index: usize,
}

/// Runs so far, whose numbers tell their copies apart.
static RUNS: AtomicU64 = AtomicU64::new(0);

impl<'r> Run<'r> {
    pub(super) fn new(model: &'r mut Model, options: &Fit<'_>, steps: usize) -> Self {
        model.parts().0.forget_snapshots();
        let on_gpu = model.is_on_gpu();
        Self {
            model,
            check_finite: options.check_finite,
            // The CPU is not lost.
            backup: options.backup.filter(|_| on_gpu),
            validation: None,
            number: RUNS.fetch_add(1, Ordering::Relaxed),
            verbose: options.verbose,
            epochs: options.epochs,
            steps,
            epoch: 0,
            step: 0,
            logs: Logs::default(),
            stops: false,
            rate_changed: false,
            within_epoch: false,
        }
    }

    /// `done`: the steps that an earlier run made of it.
    pub(super) fn begin_epoch(&mut self, epoch: usize, done: usize) {
        (self.epoch, self.step, self.logs) = (epoch, done, Logs::default());
    }

    pub(super) fn begin_step(&mut self, step: usize) {
        (self.step, self.within_epoch) = (step, true);
    }

    pub(super) fn end_step(&mut self, logs: Logs, position: Position) {
        self.logs = logs;
        self.model.reached.iteration += 1;
        self.model.reached.position = Some(position);
    }

    /// After `steps` steps from the iteration `start` on.
    pub(super) fn end_epoch(&mut self, start: u64, steps: usize, logs: Logs) {
        (self.step, self.logs, self.within_epoch) = (steps, logs, false);
        self.model.reached.iteration = start + steps as u64;
        self.model.reached.epoch += 1;
        self.model.reached.position = None;
    }

    /// Within an epoch that began at the iteration `start`: backs the model up.
    pub(super) async fn back_up_at(&mut self, start: u64, position: Position) -> Result<()> {
        self.model.reached.iteration = start + position.step as u64;
        self.model.reached.position = Some(position);
        self.model.back_up().await
    }

    /// Whether the learning rate was set since the last call.
    pub(super) fn rate_changed(&mut self) -> bool {
        std::mem::take(&mut self.rate_changed)
    }

    /// The epoch, from 1; 0 before the first.
    pub fn epoch(&self) -> usize {
        self.epoch
    }

    /// How many epochs the run is to have.
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// The step of the epoch, from 1; at its begin 0, or how many an earlier run made of it; at its end, how many were made.
    pub fn step(&self) -> usize {
        self.step
    }

    /// How many steps an epoch has.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The steps since the model was compiled; where gradients are accumulated, not all of them updated.
    pub fn iteration(&self) -> u64 {
        self.model.reached.iteration
    }

    /// The values of the epoch: with the validation's at its end; over its samples so far after a step; none at its
    /// begin. At the end of training, those of the last epoch.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Sets a value of the epoch, which callbacks after this one and [`super::History`] then have, too.
    pub fn log(&mut self, name: &str, value: f64) {
        self.logs.set(name, value);
    }

    /// Ends the run: after this step in a hook of batches, else after this epoch, or before the first one. An epoch that
    /// is cut short is validated and recorded as any.
    pub fn stop_training(&mut self) {
        self.stops = true;
    }

    /// Whether the run is to end.
    pub fn stops(&self) -> bool {
        self.stops
    }

    /// The learning rate of the next step.
    pub fn learning_rate(&self) -> f64 {
        self.model.training_optimizer().learning_rate_at(self.model.reached.iteration)
    }

    /// Sets the learning rate, from the next step on.
    ///
    /// # Errors
    /// [`Error::Argument`] where it is negative or not finite, or a schedule sets it.
    pub fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        if !(0.0..f64::INFINITY).contains(&learning_rate) {
            let message = format!("{learning_rate} trains nothing; give 0 or more");
            return Err(Error::argument("learning_rate", message));
        }
        self.check_unscheduled()?;
        self.model.optimizer_mut().set_learning_rate(learning_rate);
        self.rate_changed = true;
        Ok(())
    }

    /// That no schedule sets the learning rate.
    pub(super) fn check_unscheduled(&self) -> Result<()> {
        if !self.model.training_optimizer().is_scheduled() {
            return Ok(());
        }
        let message = "the optimizer's schedule sets it; compile with an optimizer that has none";
        Err(Error::argument("learning_rate", message))
    }

    /// Whether a value of this name is the better the larger it is; `None` where nobody knows.
    pub(super) fn rises(&self, name: &str) -> Option<bool> {
        match name.strip_prefix("val_").unwrap_or(name) {
            "loss" => Some(false),
            name => {
                let logged = self.model.logged().into_iter().find(|logged| logged.name == name)?;
                logged.metric.map_or(Some(false), crate::nn::Metric::rises)
            }
        }
    }

    /// Prints a line, unless `fit` was told to print none.
    pub fn say(&self, line: &str) {
        if self.verbose > 0 {
            say(line);
        }
    }

    /// All weights: see [`Model::weights`].
    ///
    /// # Errors
    /// What the device reports.
    pub fn weights(&mut self) -> Result<Vec<Tensor>> {
        block_on(self.weights_async())
    }

    /// [`Run::weights`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Run::weights`].
    pub async fn weights_async(&mut self) -> Result<Vec<Tensor>> {
        self.model.weights_async().await
    }

    /// The gradients of the last training step with respect to each weight: see [`Model::gradients`].
    ///
    /// # Errors
    /// What the device reports.
    pub fn gradients(&mut self) -> Result<Vec<Tensor>> {
        block_on(self.gradients_async())
    }

    /// [`Run::gradients`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Run::gradients`].
    pub async fn gradients_async(&mut self) -> Result<Vec<Tensor>> {
        self.model.gradients_async().await
    }

    /// The weights' names, in the order of [`Run::weights`]: see [`Model::parameter_paths`].
    ///
    /// # Errors
    /// None while the model trains.
    pub fn parameter_paths(&self) -> Result<Vec<String>> {
        self.model.parameter_paths()
    }

    /// Replaces all weights: see [`Model::set_weights`].
    ///
    /// # Errors
    /// [`Error::Shape`] that lists both shapes where they do not fit.
    pub fn set_weights(&mut self, weights: &[Tensor]) -> Result<()> {
        block_on(self.set_weights_async(weights))
    }

    /// [`Run::set_weights`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Run::set_weights`].
    pub async fn set_weights_async(&mut self, weights: &[Tensor]) -> Result<()> {
        self.model.set_weights_async(weights).await
    }

    /// Has the model the moving averages of its trained weights for weights, or the weights themselves again; on the device. An epoch is
    /// trained from the weights themselves, whatever a callback left: see [`crate::nn::optimizer::Optimizer::use_ema`].
    ///
    /// # Errors
    /// [`Error::Argument`] where the optimizer keeps no averages; [`Error::Model`] in a hook of batches.
    pub fn use_averages(&mut self, averages: bool) -> Result<()> {
        self.between_epochs("use_averages")?;
        self.check_averages()?;
        self.model.use_averages(averages)
    }

    /// That the optimizer keeps averages of the weights.
    pub(super) fn check_averages(&self) -> Result<()> {
        self.model.average().map(drop)
    }

    /// Keeps a copy of all weights on the device, which costs a copy there and nothing else. The copy takes the place of
    /// one that is given. Copies last to the end of the run.
    ///
    /// # Errors
    /// [`Error::Limit`] or [`Error::Device`] where the device has no room for it.
    pub fn snapshot(&mut self, replaced: Option<Snapshot>) -> Result<Snapshot> {
        let replaced = replaced.filter(|snapshot| snapshot.run == self.number).map(|snapshot| snapshot.index);
        let index = self.model.parts().0.snapshot(replaced)?;
        Ok(Snapshot { run: self.number, index })
    }

    /// Sets all weights to those of a copy.
    ///
    /// # Errors
    /// [`Error::Argument`] where the copy is another run's, and what the device reports.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        if snapshot.run != self.number {
            return Err(Error::argument("snapshot", "is of a run that has ended; take one in this run"));
        }
        self.model.use_averages(false)?;
        self.model.parts().0.restore(snapshot.index)
    }

    /// Loss and metrics of a set: see [`Model::evaluate`].
    ///
    /// # Errors
    /// As [`Model::evaluate`]; [`Error::Model`] in a hook of batches.
    pub fn evaluate(&mut self, data: &dyn Source) -> Result<Logs> {
        block_on(self.evaluate_async(data))
    }

    /// [`Run::evaluate`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Run::evaluate`].
    pub async fn evaluate_async(&mut self, data: &dyn Source) -> Result<Logs> {
        self.between_epochs("evaluate")?;
        self.model.evaluate_async(data).await
    }

    /// The model's output for each sample: see [`Model::predict`].
    ///
    /// # Errors
    /// As [`Model::predict`]; [`Error::Model`] in a hook of batches.
    pub fn predict(&mut self, x: &Tensor) -> Result<Tensor> {
        block_on(self.predict_async(x))
    }

    /// [`Run::predict`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Run::predict`].
    pub async fn predict_async(&mut self, x: &Tensor) -> Result<Tensor> {
        self.between_epochs("predict")?;
        self.model.predict_async(x).await
    }

    /// Which classes the samples that are validated on are taken for: see [`Model::confusion_matrix`]. They are read
    /// again, a batch at a time. `None` where nothing is validated on.
    ///
    /// # Errors
    /// As [`Model::confusion_matrix`], and what the source returns; [`Error::Model`] in a hook of batches.
    pub fn confusion_matrix(&mut self) -> Result<Option<ConfusionMatrix>> {
        block_on(self.confusion_matrix_async())
    }

    /// [`Run::confusion_matrix`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Run::confusion_matrix`].
    pub async fn confusion_matrix_async(&mut self) -> Result<Option<ConfusionMatrix>> {
        self.between_epochs("confusion_matrix")?;
        let Some(Validation { source, rows }) = &self.validation else { return Ok(None) };
        self.model.confused(*source, rows.clone()).await.map(Some)
    }

    fn between_epochs(&self, what: &str) -> Result<()> {
        if !self.within_epoch {
            return Ok(());
        }
        let message = format!("{what} would end the epoch under way; call it in on_epoch_begin or on_epoch_end");
        Err(self.model.error(message))
    }

    /// The model's table.
    ///
    /// # Errors
    /// None while the model trains.
    pub fn summary(&self) -> Result<Summary> {
        self.model.summary()
    }

    /// Writes the model to a file, or its weights alone: see [`Model::save`] and [`Model::save_weights`].
    ///
    /// # Errors
    /// As there.
    pub fn save(&mut self, path: &Path, weights_only: bool) -> Result<()> {
        block_on(self.save_async(path, weights_only))
    }

    /// [`Run::save`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Run::save`].
    pub async fn save_async(&mut self, path: &Path, weights_only: bool) -> Result<()> {
        if weights_only { self.model.save_weights_async(path).await } else { self.model.save_async(path).await }
    }
}
