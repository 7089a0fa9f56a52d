//! How a run goes where options leave it open: of a new run on a table, as a first try should.

use anyhow::{Context as _, Result, ensure};
use kiln::data::Source;
use kiln::nn::{Config, Model};
use kiln::train::callbacks::EarlyStopping;
use serde_json::{Value, json};

use super::Args;
use crate::model::{BATCH_SIZE, Task};
use crate::outputs::Faults;
use crate::rate::{LrSchedule, Rate};
use crate::saved::Course;
use crate::set::Set;

/// Of a new run on a table.
const TABLE_BATCH_SIZE: usize = 32;
const TABLE_EPOCHS: usize = 100;
const TABLE_VALIDATION: f64 = 0.2;
const TABLE_PATIENCE: usize = 10;
/// Fewer rows leave too few to validate on.
const FEW_ROWS: usize = 40;
/// Of any other run.
const EPOCHS: usize = 5;

/// What decides how long a run goes.
pub struct Length {
    /// Epochs in all.
    pub epochs: usize,
    /// Epochs without a lower validation loss after which it stops.
    pub patience: Option<usize>,
}

impl Length {
    /// What ends a run that has a patience, and goes back to the best epoch's weights.
    pub fn early_stopping(&self) -> Option<EarlyStopping> {
        self.patience.map(|patience| EarlyStopping::new().patience(patience).restore_best_weights(true))
    }
}

impl Args {
    /// How a new run goes.
    pub fn course(&self, set: &Set) -> Course {
        let rows = set.training_rows().map(|rows| self.limit.unwrap_or(rows).min(rows));
        let validation = if rows.is_some_and(|rows| rows >= FEW_ROWS) { TABLE_VALIDATION } else { 0.0 };
        let validation_split = self.validation_split.unwrap_or(validation);
        let waits = rows.is_some() && validation_split > 0.0 && !self.no_early_stopping;
        Course {
            set: set.name().into(),
            batch_size: self.model.batch_size.unwrap_or(if rows.is_some() { TABLE_BATCH_SIZE } else { BATCH_SIZE }),
            validation_split,
            shuffle: !self.no_shuffle,
            limit: self.limit,
            patience: self.early_stopping.or(waits.then_some(TABLE_PATIENCE)),
            plateau: self.lr_schedule == Some(LrSchedule::Plateau),
        }
    }

    /// How long a run goes, a new one or one that goes on.
    pub fn length(&self, set: &Set, course: &Course) -> Length {
        let usual = if set.training_rows().is_some() { TABLE_EPOCHS } else { EPOCHS };
        let kept = course.patience.filter(|_| !self.no_early_stopping);
        Length { epochs: self.epochs.unwrap_or(usual), patience: self.early_stopping.or(kept) }
    }

    /// The model for these samples, of which so many are an epoch: with a learning rate that changes as the options say, unless it goes on.
    pub fn built(
        &self,
        mut model: Model,
        task: Task,
        (train, epoch): (&dyn Source, usize),
        (course, length): (&Course, &Length),
        faults: &Faults,
    ) -> Result<Model> {
        if self.resume.is_none() {
            let steps = epoch.div_ceil(course.batch_size.max(1)) * length.epochs;
            let schedule = self.lr_schedule.map(|schedule| (schedule, steps as u64));
            let rate = Rate { learning_rate: self.learning_rate, schedule, grows: self.lr_find };
            model = self.model.compiled_for(task, model, rate)?;
        }
        model.build(train.read(&[0])?.sample_shape())?;
        self.begin(&mut model, faults)?;
        Ok(model)
    }

    /// Whether there is something to validate on, which early stopping needs.
    pub fn check_length(&self, length: &Length, course: &Course, set: &Set) -> Result<bool> {
        ensure!(
            course.validation_split == 0.0 || !set.is_validated(),
            "validation_split: {} has a folder of its own to validate on; leave --validation-split out",
            self.model.set
        );
        let is_validated = set.is_validated() || course.validation_split > 0.0;
        ensure!(
            length.patience.is_none() || is_validated,
            "early_stopping: watches the validation loss; give --validation-split, such as 0.1"
        );
        Ok(is_validated)
    }
}

/// Which epoch's weights a run with early stopping left.
pub struct Kept {
    epoch: usize,
    /// The validation loss.
    loss: f64,
    /// The epoch after which the run was stopped; `None` where it had all.
    stopped: Option<usize>,
    epochs: usize,
}

/// The note in the file.
const NOTE: &str = "early_stopping";

impl Kept {
    /// Of a run that has ended.
    pub fn of(early: &EarlyStopping, epochs: usize) -> Option<Self> {
        let (epoch, loss) = (early.best_epoch()?, early.best().unwrap_or(f64::NAN));
        Some(Self { epoch, loss, stopped: early.stopped_epoch(), epochs })
    }

    /// The epoch, counted from 1.
    pub fn epoch(&self) -> usize {
        self.epoch
    }

    pub fn print(&self) -> String {
        let Self { epoch, loss, stopped, epochs } = self;
        let end = match stopped {
            Some(stopped) => format!("stopped early, after epoch {stopped} of {epochs}"),
            None => format!("had all {epochs} epochs"),
        };
        format!("{end}; the weights are those of epoch {epoch}, whose validation loss was the lowest, {loss:.4}")
    }

    pub fn as_json(&self) -> Value {
        json!({ "stopped_epoch": self.stopped, "best_epoch": self.epoch, "best_val_loss": self.loss, "epochs": self.epochs })
    }

    /// Keeps it with the model, or takes out what an earlier run left there.
    pub fn keep(kept: Option<&Self>, model: &mut Model) -> Result<()> {
        if let Some(Self { epoch, loss, stopped, epochs }) = kept {
            let config = Config::new(NOTE).with("epoch", *epoch).with("loss", *loss).with("epochs", *epochs);
            model.set_note(NOTE, config.with("stopped", *stopped));
        } else if model.note::<Option<Config>>(NOTE)?.is_some() {
            model.set_note(NOTE, None::<Config>);
        }
        Ok(())
    }

    /// That of the run that left a model.
    pub fn find(model: &Model) -> Result<Option<Self>> {
        let Some(mut config) = model.note::<Option<Config>>(NOTE)?.flatten() else { return Ok(None) };
        let mut read = || -> kiln::Result<Self> {
            Ok(Self {
                epoch: config.take("epoch")?,
                loss: config.take("loss")?,
                stopped: config.take("stopped")?,
                epochs: config.take("epochs")?,
            })
        };
        read().map(Some).context("the note of early stopping")
    }
}
