//! Keras' `EarlyStopping`, <https://keras.io/api/callbacks/early_stopping/>.

use super::Callback;
use super::monitor::{Monitor, monitored};
use crate::error::Result;
use crate::train::{Run, Snapshot};

/// Ends the run when a value has not become better for some epochs.
///
/// ```
/// use kiln::prelude::*;
/// let mut early = EarlyStopping::new().patience(3).restore_best_weights(true);
/// let fit = Fit::new().epochs(100).validation_split(0.1).callback(&mut early);
/// // After the run:
/// drop(fit);
/// assert_eq!(early.stopped_epoch(), None);
/// ```
#[derive(Debug)]
pub struct EarlyStopping {
    monitor: Monitor,
    patience: usize,
    baseline: Option<f64>,
    start_from_epoch: usize,
    restore_best_weights: bool,
    verbose: bool,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    wait: usize,
    best: Option<f64>,
    best_epoch: Option<usize>,
    best_weights: Option<Snapshot>,
    stopped_epoch: Option<usize>,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self {
            monitor: Monitor::new("val_loss", 0.0),
            patience: 0,
            baseline: None,
            start_from_epoch: 0,
            restore_best_weights: false,
            verbose: false,
            state: State::default(),
        }
    }
}

impl EarlyStopping {
    monitored!();

    /// Stops at the first epoch, but never at the very first, whose validation loss is not the lowest so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many epochs without an improvement end the run; default 0, which is as 1.
    #[must_use]
    pub fn patience(mut self, epochs: usize) -> Self {
        self.patience = epochs;
        self
    }

    /// By how much more than this a value must be better to be an improvement; default 0.
    #[must_use]
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.monitor.min_delta = min_delta;
        self
    }

    /// A value that an improvement must be better than, too, to put off the end; default none.
    #[must_use]
    pub fn baseline(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self
    }

    /// How many epochs go by before any is looked at; default 0.
    #[must_use]
    pub fn start_from_epoch(mut self, epochs: usize) -> Self {
        self.start_from_epoch = epochs;
        self
    }

    /// Whether the run ends with the weights of the best epoch, stopped or not; default false. They are kept on the device.
    #[must_use]
    pub fn restore_best_weights(mut self, restore: bool) -> Self {
        self.restore_best_weights = restore;
        self
    }

    /// Whether it says what it does; default false.
    #[must_use]
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }

    /// The epoch, from 1, that the last run was stopped after; `None` where it had all its epochs.
    pub fn stopped_epoch(&self) -> Option<usize> {
        self.state.stopped_epoch
    }

    /// The best epoch of the last run, from 1; `None` where none was looked at.
    pub fn best_epoch(&self) -> Option<usize> {
        self.state.best_epoch
    }

    /// The best value of the last run; `None` where none was looked at.
    pub fn best(&self) -> Option<f64> {
        self.state.best
    }

    fn keep(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.state.best_epoch = Some(run.epoch());
        if self.restore_best_weights {
            self.state.best_weights = Some(run.snapshot(self.state.best_weights.take())?);
        }
        Ok(())
    }
}

impl Callback for EarlyStopping {
    fn on_train_begin(&mut self, _run: &mut Run<'_>) -> Result<()> {
        self.state = State::default();
        self.monitor.check(&[("baseline", self.baseline.unwrap_or(0.0))])
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        let (seen, epoch) = (self.monitor.look(run)?, run.epoch());
        if epoch <= self.start_from_epoch {
            return Ok(());
        }
        self.state.wait += 1;
        if seen.improves(self.state.best) {
            self.state.best = Some(seen.value);
            self.keep(run)?;
            if self.baseline.is_none() || seen.improves(self.baseline) {
                self.state.wait = 0;
            }
            return Ok(());
        }
        // A run of NaN has weights to go back to as well: those of its first epoch.
        if self.state.best_epoch.is_none() {
            self.keep(run)?;
        }
        if self.state.wait >= self.patience && epoch > 1 {
            self.state.stopped_epoch = Some(epoch);
            run.stop_training();
        }
        Ok(())
    }

    fn on_train_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        if let (Some(epoch), true) = (self.state.stopped_epoch, self.verbose) {
            run.say(&format!("Epoch {epoch}: early stopping"));
        }
        if let (Some(weights), Some(epoch)) = (&self.state.best_weights, self.state.best_epoch) {
            if self.verbose {
                run.say(&format!("Restoring model weights from the end of the best epoch: {epoch}"));
            }
            run.restore(weights)?;
        }
        Ok(())
    }
}
