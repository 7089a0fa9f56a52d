//! Keras' `ReduceLROnPlateau`, <https://keras.io/api/callbacks/reduce_lr_on_plateau/>.

use super::Callback;
use super::monitor::{Monitor, monitored};
use crate::error::{Error, Result};
use crate::train::Run;

/// Lowers the learning rate when a value has not become better for some epochs. `learning_rate` is a value of each epoch.
///
/// ```
/// use kiln::prelude::*;
/// let reduce = ReduceLrOnPlateau::new().monitor("val_loss").factor(0.5).patience(3).min_lr(1e-5);
/// let fit = Fit::new().epochs(50).validation_split(0.1).callback(reduce);
/// # let _ = fit;
/// ```
#[derive(Debug)]
pub struct ReduceLrOnPlateau {
    monitor: Monitor,
    factor: f64,
    patience: usize,
    cooldown: usize,
    min_lr: f64,
    verbose: bool,
    best: Option<f64>,
    wait: usize,
    /// Epochs to go before any is counted again.
    cooling: usize,
}

impl Default for ReduceLrOnPlateau {
    fn default() -> Self {
        Self {
            monitor: Monitor::new("val_loss", 1e-4),
            factor: 0.1,
            patience: 10,
            cooldown: 0,
            min_lr: 0.0,
            verbose: false,
            best: None,
            wait: 0,
            cooling: 0,
        }
    }
}

impl ReduceLrOnPlateau {
    monitored!();

    /// A tenth of the rate after ten epochs without a lower validation loss.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the rate is multiplied by, 0 to below 1; default 0.1.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// How many epochs without an improvement lower the rate; default 10.
    #[must_use]
    pub fn patience(mut self, epochs: usize) -> Self {
        self.patience = epochs;
        self
    }

    /// By how much more than this a value must be better to be an improvement; default 0.0001.
    #[must_use]
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.monitor.min_delta = min_delta;
        self
    }

    /// How many epochs are not counted after the rate was lowered; default 0.
    #[must_use]
    pub fn cooldown(mut self, epochs: usize) -> Self {
        self.cooldown = epochs;
        self
    }

    /// What the rate never goes below; default 0.
    #[must_use]
    pub fn min_lr(mut self, min_lr: f64) -> Self {
        self.min_lr = min_lr;
        self
    }

    /// Whether it says what it does; default false.
    #[must_use]
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }
}

impl Callback for ReduceLrOnPlateau {
    fn on_train_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        if !(0.0..1.0).contains(&self.factor) {
            let message = format!("{} lowers no rate; give 0 or more and less than 1, such as 0.1", self.factor);
            return Err(Error::argument("factor", message));
        }
        self.monitor.check(&[("min_lr", self.min_lr)])?;
        (self.best, self.wait, self.cooling) = (None, 0, 0);
        run.check_unscheduled()
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        let rate = run.learning_rate();
        run.log("learning_rate", rate);
        let seen = self.monitor.look(run)?;
        if self.cooling > 0 {
            (self.cooling, self.wait) = (self.cooling - 1, 0);
        }
        if seen.improves(self.best) {
            (self.best, self.wait) = (Some(seen.value), 0);
        } else if self.cooling == 0 {
            self.wait += 1;
            if self.wait >= self.patience && rate > self.min_lr {
                let lower = (rate * self.factor).max(self.min_lr);
                run.set_learning_rate(lower)?;
                (self.cooling, self.wait) = (self.cooldown, 0);
                if self.verbose {
                    run.say(&format!("Epoch {}: reducing the learning rate to {lower:?}", run.epoch()));
                }
            }
        }
        Ok(())
    }
}
