//! Keras' `ModelCheckpoint`, <https://keras.io/api/callbacks/model_checkpoint/>.

use std::fs;
use std::path::{Path, PathBuf};

use super::monitor::{Monitor, monitored};
use super::path_pattern::PathPattern;
use super::{Callback, Hook, Waiting};
use crate::error::{Error, Result};
use crate::train::Run;

/// How often a [`ModelCheckpoint`] saves.
///
/// ```
/// use kiln::train::callbacks::{ModelCheckpoint, SaveFreq};
/// let each_fifth = ModelCheckpoint::new("run-{epoch}.safetensors").save_freq(SaveFreq::Epochs(5));
/// # let _ = each_fifth;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveFreq {
    /// At the end of every so many epochs, after their validation.
    Epochs(usize),
    /// After every so many steps, for what [`Callback::wants_batches`] costs. A run that is resumed from such a file goes on
    /// after that step: see [`Fit::initial_epoch`](crate::train::Fit::initial_epoch).
    Steps(usize),
}

/// Saves the model as it trains: to one file, over and over, or to one each, by numbers in its name.
///
/// ```
/// use kiln::train::callbacks::ModelCheckpoint;
/// let best = ModelCheckpoint::new("best.safetensors").save_best_only(true);
/// let each = ModelCheckpoint::new("runs/{epoch:02}-{val_loss:.4f}.safetensors");
/// ```
#[derive(Debug)]
pub struct ModelCheckpoint {
    place: Place,
    monitor: Monitor,
    save_best_only: bool,
    save_weights_only: bool,
    save_freq: SaveFreq,
    verbose: bool,
    best: Option<f64>,
    /// Steps since the last that was saved after.
    steps: usize,
    saved: Option<PathBuf>,
    /// [`Run::save_async`], but for tests.
    save: Save,
}

type Save = for<'a> fn(&'a mut Run<'_>, &'a Path, bool) -> Waiting<'a>;

/// Where it saves.
#[derive(Debug)]
enum Place {
    /// At a name with places for numbers.
    Pattern(String),
    /// At a path as it stands.
    Path(PathBuf),
}

impl ModelCheckpoint {
    monitored!();

    /// Saves at each epoch's end. In the file's name `{epoch}` (from 1), the names of the epoch's values such as
    /// `{val_loss}`, and after a step `{batch}` (from 1), stand for their numbers, with a format where one is given:
    /// `{epoch:02}`, `{val_loss:.4f}`. Folders that are not there are made.
    pub fn new(path: impl Into<String>) -> Self {
        Self::at(Place::Pattern(path.into()))
    }

    /// Saves at each epoch's end to one file, over and over, whose name is taken as it is: braces stand for themselves, and
    /// it need be no UTF-8.
    pub fn to_file(path: impl Into<PathBuf>) -> Self {
        Self::at(Place::Path(path.into()))
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            monitor: Monitor::new("val_loss", 0.0),
            save_best_only: false,
            save_weights_only: false,
            save_freq: SaveFreq::Epochs(1),
            verbose: false,
            best: None,
            steps: 0,
            saved: None,
            save: |run, path, weights_only| Box::pin(run.save_async(path, weights_only)),
        }
    }

    /// Whether it saves only where the value watched is better than at each time before; default false.
    #[must_use]
    pub fn save_best_only(mut self, best_only: bool) -> Self {
        self.save_best_only = best_only;
        self
    }

    /// Whether it saves the weights alone, not what the run would need to go on; default false.
    #[must_use]
    pub fn save_weights_only(mut self, weights_only: bool) -> Self {
        self.save_weights_only = weights_only;
        self
    }

    /// How often it saves; default [`SaveFreq::Epochs`] of 1.
    #[must_use]
    pub fn save_freq(mut self, save_freq: SaveFreq) -> Self {
        self.save_freq = save_freq;
        self
    }

    /// What the first value must be better than to be the best; default none.
    #[must_use]
    pub fn initial_value_threshold(mut self, threshold: f64) -> Self {
        self.best = Some(threshold);
        self
    }

    /// Whether it says what it does; default false.
    #[must_use]
    pub fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }

    /// The file that was saved last.
    pub fn saved(&self) -> Option<&Path> {
        self.saved.as_deref()
    }

    /// The best value so far, of all runs; `None` where it is not asked to save the best only.
    pub fn best(&self) -> Option<f64> {
        self.best
    }

    /// Saves after an epoch, or the step of this number, unless a better one was seen.
    async fn save(&mut self, run: &mut Run<'_>, batch: Option<usize>) -> Result<()> {
        if self.save_best_only {
            let seen = self.monitor.look(run)?;
            if !seen.improves(self.best) {
                return Ok(());
            }
            self.best = Some(seen.value);
        }
        let path = self.place.path(run, batch)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::io(folder, "make the folder"))?;
        }
        (self.save)(run, &path, self.save_weights_only).await?;
        if self.verbose {
            run.say(&format!("Epoch {}: saved {}", run.epoch(), path.display()));
        }
        self.saved = Some(path);
        Ok(())
    }
}

impl Place {
    /// The path after an epoch, or the step of this number.
    fn path(&self, run: &Run<'_>, batch: Option<usize>) -> Result<PathBuf> {
        let pattern = match self {
            Self::Path(path) => return Ok(path.clone()),
            Self::Pattern(pattern) => PathPattern::parse(pattern)?,
        };
        let place = [("epoch", Some(run.epoch())), ("batch", batch)];
        let place = place.into_iter().filter_map(|(name, number)| Some((name, number? as f64)));
        let numbers: Vec<(&str, f64)> = place.chain(run.logs().iter()).collect();
        pattern.fill(&numbers).map(PathBuf::from)
    }
}

impl Callback for ModelCheckpoint {
    fn wants_batches(&self) -> bool {
        matches!(self.save_freq, SaveFreq::Steps(_))
    }

    fn on_train_begin(&mut self, _run: &mut Run<'_>) -> Result<()> {
        if let SaveFreq::Epochs(0) | SaveFreq::Steps(0) = self.save_freq {
            return Err(Error::argument("save_freq", "every 0 is never; give 1 or more"));
        }
        // Before the first epoch: a wrong name need not wait for its end.
        match &self.place {
            Place::Pattern(pattern) => PathPattern::parse(pattern).map(|_| ()),
            Place::Path(_) => Ok(()),
        }
    }

    fn on_batch_end(&mut self, _run: &mut Run<'_>) -> Result<()> {
        self.steps += 1;
        Ok(())
    }

    fn after<'a>(&'a mut self, hook: Hook, run: &'a mut Run<'_>) -> Option<Waiting<'a>> {
        let batch = match (hook, self.save_freq) {
            (Hook::EpochEnd, SaveFreq::Epochs(every)) if run.epoch().is_multiple_of(every) => None,
            (Hook::BatchEnd, SaveFreq::Steps(every)) if self.steps >= every => {
                self.steps = 0;
                Some(run.step())
            }
            _ => return None,
        };
        Some(Box::pin(self.save(run, batch)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    /// Three steps an epoch; `course` is the loss that the checkpoint is told.
    fn saved(checkpoint: ModelCheckpoint, course: &[f64]) -> Result<(Vec<String>, ModelCheckpoint)> {
        let folder = tempfile::TempDir::new().unwrap();
        let mut checkpoint = checkpoint;
        checkpoint.place = match checkpoint.place {
            Place::Pattern(pattern) => Place::Pattern(format!("{}/deep/{pattern}", folder.path().display())),
            Place::Path(path) => Place::Path(folder.path().join("deep").join(path)),
        };
        checkpoint.save = |run, path, weights_only| {
            let text = format!("{}.{}{}", run.epoch(), run.step(), if weights_only { " weights" } else { "" });
            Box::pin(async move { fs::write(path, text).map_err(Error::io(path, "write")) })
        };
        let x = Tensor::new([6, 1], vec![0.5f32; 6]).unwrap();
        let data = Dataset::new(x.clone(), x).unwrap();
        let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
        model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
        let told = LambdaCallback::new().on_epoch_end(|run| {
            run.log("val_loss", course[run.epoch() - 1]);
            Ok(())
        });
        let fit = Fit::new().epochs(course.len()).batch_size(2).verbose(0).callback(told).callback(&mut checkpoint);
        model.fit(&data, fit)?;
        let files = fs::read_dir(folder.path().join("deep")).into_iter().flatten();
        let mut files: Vec<String> = files
            .map(|file| file.unwrap().path())
            .map(|p| format!("{}: {}", p.file_name().unwrap().display(), fs::read_to_string(&p).unwrap()))
            .collect();
        files.sort();
        Ok((files, checkpoint))
    }

    #[test]
    fn a_file_an_epoch_or_one_for_all() {
        let course = [0.5, 0.25, 0.125];
        let each = ["m01-0.50: 1.3", "m02-0.25: 2.3", "m03-0.12: 3.3"];
        assert_eq!(saved(ModelCheckpoint::new("m{epoch:02}-{val_loss:.2f}"), &course).unwrap().0, each);
        let (files, checkpoint) = saved(ModelCheckpoint::new("m").save_weights_only(true), &course).unwrap();
        assert_eq!(files, ["m: 3.3 weights"]);
        assert!(checkpoint.saved().is_some_and(|path| path.ends_with("deep/m")) && checkpoint.best().is_none());
        let literal = ModelCheckpoint::to_file("m{epoch}{2").save_freq(SaveFreq::Epochs(2));
        assert_eq!(saved(literal, &course).unwrap().0, ["m{epoch}{2: 2.3"]);
        let second = ModelCheckpoint::new("{epoch}").save_freq(SaveFreq::Epochs(2));
        assert_eq!(saved(second, &course).unwrap().0, ["2: 2.3"]);
    }

    #[test]
    fn only_what_is_better_than_all_before_is_saved() {
        let course = [0.5, 0.5, 0.25, f64::NAN, 0.3, 0.125];
        let best = || ModelCheckpoint::new("{epoch}").save_best_only(true);
        let (files, checkpoint) = saved(best(), &course).unwrap();
        assert_eq!((files, checkpoint.best()), (vec!["1: 1.3".into(), "3: 3.3".into(), "6: 6.3".into()], Some(0.125)));
        assert_eq!(saved(best().initial_value_threshold(0.25), &course).unwrap().0, ["6: 6.3"]);
        let highest = best().mode(super::super::Mode::Max);
        assert_eq!(saved(highest, &course).unwrap().0, ["1: 1.3"]);
        let text = saved(best().monitor("val_accuracy"), &course).unwrap_err().to_string();
        assert!(text.contains("monitor: \"val_accuracy\" is unknown") && text.contains("loss, val_loss"), "{text}");
    }

    #[test]
    fn steps_are_counted_over_epochs() {
        let steps = |n| ModelCheckpoint::new("{epoch}-{batch}").save_freq(SaveFreq::Steps(n));
        assert_eq!(saved(steps(2), &[1.0; 3]).unwrap().0, ["1-2: 1.2", "2-1: 2.1", "2-3: 2.3", "3-2: 3.2"]);
        assert_eq!(saved(steps(4), &[1.0; 3]).unwrap().0, ["2-1: 2.1", "3-2: 3.2"]);
    }

    #[test]
    fn what_it_cannot_do_is_named() {
        for (checkpoint, part) in [
            (ModelCheckpoint::new("m").save_freq(SaveFreq::Epochs(0)), "save_freq: every 0 is never"),
            (ModelCheckpoint::new("m").save_freq(SaveFreq::Steps(0)), "save_freq: every 0 is never"),
            (ModelCheckpoint::new("{epoch"), "has a { without }"),
            (ModelCheckpoint::new("{batch}"), "path: \"batch\" is unknown"),
        ] {
            let text = saved(checkpoint, &[1.0]).unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
        }
    }
}
