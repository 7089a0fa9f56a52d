//! One network trained on the training part of a fold and measured on the rest, epoch by epoch.

use super::Settings;
use super::measure::Measure;
use super::task::Task;
use crate::data::{Dataset, Fold, Split};
use crate::device::Device;
use crate::error::Result;
use crate::random::stream;
use crate::train::callbacks::Callback;
use crate::train::{CheckFinite, Fit, Run};
use rand::Rng as _;

/// What was measured after each epoch, up to the last whose loss was a number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Course {
    /// The loss of the rows that are measured on.
    pub losses: Vec<f64>,
    /// The metric of the same rows.
    pub scores: Vec<f64>,
}

/// How many epochs a network is trained for at most, and after how many without a lower loss it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epochs {
    pub most: usize,
    pub patience: usize,
}

/// Samples that are gone through in a training at most, as far as the epochs are more than [`LEAST_EPOCHS`].
const SAMPLES: usize = 400_000;
const LEAST_EPOCHS: usize = 8;
const MOST_EPOCHS: usize = 500;
const MOST_PATIENCE: usize = 30;

impl Epochs {
    /// For folds that are trained on so many rows.
    pub fn of(rows: usize) -> Self {
        let most = (SAMPLES / rows.max(1)).clamp(LEAST_EPOCHS, MOST_EPOCHS);
        Self { most, patience: (most / 8).clamp(3, MOST_PATIENCE) }
    }
}

/// What makes samples of a fold.
pub(super) type Parts<'a> = dyn Fn(&Fold) -> Result<Split> + Sync + 'a;

/// What every training of a search shares.
pub(super) struct Training<'a> {
    pub task: &'a Task,
    pub parts: &'a Parts<'a>,
    pub measure: &'a Measure,
    pub epochs: Epochs,
    pub seed: u64,
    /// Whether the search is to end at once.
    pub stops: &'a (dyn Fn() -> bool + Sync),
}

impl Training<'_> {
    /// The seed of the initial weights and the order of samples of a trial: the same in each fold, another for each trial.
    pub fn seed_of(&self, trial: usize) -> u64 {
        stream(self.seed, "auto trial", trial as u64).next_u64()
    }

    /// Trains a trial on a fold, on a device.
    ///
    /// # Errors
    /// What the device reports.
    pub fn run(&self, (trial, settings): (usize, &Settings), fold: &Fold, device: Device) -> Result<Course> {
        let Split { train, test } = (self.parts)(fold)?;
        let mut model = self.task.network(settings, &train, self.measure.compiled())?;
        model = model.device(device).seed(self.seed_of(trial));
        let mut watch = Watch { training: self, test: &test, course: Course::default(), best: None };
        let fit = self.fit(settings, &train, self.epochs.most).validation_data(&test).callback(&mut watch);
        model.fit(&train, fit)?;
        Ok(watch.course)
    }

    /// How the network of some settings is trained on data.
    pub fn fit<'f>(&self, settings: &Settings, train: &Dataset, epochs: usize) -> Fit<'f> {
        let weights = if settings.balanced { self.task.class_weight(train) } else { Vec::new() };
        let fit = Fit::new().epochs(epochs).batch_size(settings.batch_size).class_weight(weights);
        fit.verbose(0).check_finite(CheckFinite::Off)
    }
}

/// Keeps what is measured, and ends a run that becomes no better.
struct Watch<'a> {
    training: &'a Training<'a>,
    test: &'a Dataset,
    course: Course,
    /// The lowest loss, and the epoch that had it.
    best: Option<(f64, usize)>,
}

impl Callback for Watch<'_> {
    fn on_epoch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        let loss = run.logs().get("val_loss").unwrap_or(f64::NAN);
        let score = self.training.measure.of_run(run, self.test)?;
        if !loss.is_finite() || (self.training.stops)() {
            run.stop_training();
            return Ok(());
        }
        self.course.losses.push(loss);
        self.course.scores.push(score);
        let epoch = run.epoch();
        match self.best {
            Some((least, found)) if loss >= least => {
                if epoch - found >= self.training.epochs.patience {
                    run.stop_training();
                }
            }
            _ => self.best = Some((loss, epoch)),
        }
        Ok(())
    }
}
