//! What the commands about saved models share.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use kiln::data::NamedSet;
use kiln::nn::{Config, Model};

/// Those of a named set, in words of their own.
pub fn class_names(set: &NamedSet) -> Vec<String> {
    set.class_names.iter().map(ToString::to_string).collect()
}

/// What a run was told beside its model: kept in the file, so that the run can go on.
pub struct Course {
    /// The name of the data set.
    pub set: String,
    pub batch_size: usize,
    pub validation_split: f64,
    pub shuffle: bool,
    /// Train on so many samples only.
    pub limit: Option<usize>,
    /// Stop after so many epochs without a lower validation loss.
    pub patience: Option<usize>,
    /// Lower the learning rate where the loss has not become lower for some epochs.
    pub plateau: bool,
}

/// The note in the file.
const NOTE: &str = "course";

impl Course {
    pub fn keep(&self, model: &mut Model) {
        let config = Config::new(&self.set)
            .with("batch_size", self.batch_size)
            .with("validation_split", self.validation_split)
            .with("shuffle", self.shuffle)
            .with("plateau", self.plateau);
        let config = self.limit.into_iter().fold(config, |config, limit| config.with("limit", limit));
        let config = self.patience.into_iter().fold(config, |config, epochs| config.with("early_stopping", epochs));
        model.set_note(NOTE, config);
    }

    /// That of the model in the file at `path`.
    pub fn of(model: &Model, path: &Path) -> Result<Self> {
        let absent = || "says of no run, which `kiln train --save` keeps; name the data set";
        Self::find(model, path)?.with_context(absent).with_context(|| path.display().to_string())
    }

    /// That of the model in the file at `path`, where the file says of a run; one that Keras wrote does not.
    pub fn find(model: &Model, path: &Path) -> Result<Option<Self>> {
        let read = || -> Result<Option<Self>> {
            let Some(mut config) = model.note::<Config>(NOTE)? else { return Ok(None) };
            let course = Self {
                set: config.class().into(),
                batch_size: config.take("batch_size")?,
                validation_split: config.take("validation_split")?,
                shuffle: config.take("shuffle")?,
                limit: config.take_or("limit", None)?,
                patience: config.take_or("early_stopping", None)?,
                plateau: config.take_or("plateau", false)?,
            };
            let split = course.validation_split;
            ensure!(course.batch_size > 0, "batch_size: a step of no samples is none");
            ensure!((0.0..1.0).contains(&split), "validation_split: {split} is no share; it is 0 or more, below 1");
            ensure!(course.limit != Some(0), "limit: 0 leaves no sample to train on");
            Ok(Some(course))
        };
        read().with_context(|| path.display().to_string())
    }

    /// How many of so many samples are trained on: none that are validated on.
    pub fn training_samples(&self, samples: usize) -> usize {
        let samples = self.limit.map_or(samples, |limit| limit.min(samples));
        (samples as f64 * (1.0 - self.validation_split)).floor() as usize
    }

    /// Option by option, as `kiln train` has them.
    pub fn print(&self) -> String {
        let limit = self.limit.map(|n| format!(", limit {n}")).unwrap_or_default();
        let order = if self.shuffle { "" } else { ", not shuffled" };
        let (set, batch, split) = (&self.set, self.batch_size, self.validation_split);
        format!("{set}, batch size {batch}, validation split {split}{limit}{order}")
    }
}
