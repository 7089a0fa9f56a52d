//! Keras' `TensorBoard`, <https://keras.io/api/callbacks/tensorboard/>.

use std::path::{Path, PathBuf};

use super::{Callback, Hook, Waiting};
use crate::error::{Error, Result};
use crate::io::tensorboard::{self, EventWriter};
use crate::tensor::Tensor;
use crate::train::Run;

/// The model's table.
const SUMMARY: &str = "model_summary";
/// Tags of values whose step is the optimizer's begin or end so; that of all others is an epoch.
const BATCH: &str = "batch_";
const BY_ITERATION: &str = "_vs_iterations";

/// When the values of the epoch so far are written, beside those of whole epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateFreq {
    /// Not before its end.
    #[default]
    Epoch,
    /// After every step.
    Batch,
    /// After every so many steps.
    Batches(usize),
}

/// Writes what [TensorBoard](https://www.tensorflow.org/tensorboard) shows, under Keras' tags and steps, so that runs of
/// both lie over each other: `epoch_loss`, `epoch_learning_rate` and the like in the folder `train`; the validation's
/// values as `epoch_loss`, and over the optimizer's steps as `evaluation_loss_vs_iterations`, in the folder `validation`.
/// The step of an epoch is its number from 0.
///
/// In place of Keras' graph it writes the model's table, as a text. Files are complete up to each epoch's end. Runs in one
/// folder are shown as one: give each its own.
///
/// ```
/// use kiln::prelude::*;
/// let fit = Fit::new().epochs(20).callback(TensorBoard::new("runs/first").histogram_freq(1));
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    logdir: PathBuf,
    histogram_freq: usize,
    write_gradients: bool,
    update_freq: UpdateFreq,
    #[cfg(feature = "plot")]
    confusion: Confusion,
    resume: bool,
    /// Whether what the run writes again is still in the folder.
    twice: bool,
    train: Option<EventWriter>,
    validation: Option<EventWriter>,
}

/// When confusion matrices are drawn, and how.
#[cfg(feature = "plot")]
#[derive(Debug, Default)]
struct Confusion {
    epochs: usize,
    class_names: Option<Vec<String>>,
}

impl TensorBoard {
    /// Writes into a folder, which is made where there is none, and beside what lies there.
    pub fn new(logdir: impl Into<PathBuf>) -> Self {
        Self {
            logdir: logdir.into(),
            histogram_freq: 0,
            write_gradients: false,
            update_freq: UpdateFreq::Epoch,
            #[cfg(feature = "plot")]
            confusion: Confusion::default(),
            resume: false,
            twice: false,
            train: None,
            validation: None,
        }
    }

    /// Whether the run goes on with one that wrote into the folder; default false. What is there of its first epoch and step,
    /// and of later ones, is taken away: a run that was killed had made them since its last checkpoint.
    #[must_use]
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Writes a histogram of each weight after the first epoch and every so many after it, as `dense/kernel/histogram`
    /// (Keras puts the model's name before it); default 0, never.
    #[must_use]
    pub fn histogram_freq(mut self, epochs: usize) -> Self {
        self.histogram_freq = epochs;
        self
    }

    /// Whether it writes a histogram of each gradient of the epoch's last step, too, as `dense/kernel/gradient/histogram`;
    /// default false.
    #[must_use]
    pub fn write_gradients(mut self, write: bool) -> Self {
        self.write_gradients = write;
        self
    }

    /// Whether it writes the means of the epoch so far, too, as `batch_loss` and the like by the optimizer's step; default
    /// [`UpdateFreq::Epoch`], not. Else it looks at every step, for what [`Callback::wants_batches`] costs.
    #[must_use]
    pub fn update_freq(mut self, freq: UpdateFreq) -> Self {
        self.update_freq = freq;
        self
    }

    /// How many steps lie between two that are written.
    fn batches(&self) -> Option<usize> {
        match self.update_freq {
            UpdateFreq::Epoch => None,
            UpdateFreq::Batch => Some(1),
            UpdateFreq::Batches(batches) => Some(batches),
        }
    }

    /// That the settings fit together.
    fn check(&self) -> Result<()> {
        if self.batches() == Some(0) {
            return Err(Error::argument("update_freq", "every 0 steps is no interval; give 1 or more, or Epoch"));
        }
        if self.write_gradients && self.histogram_freq == 0 {
            let message =
                "gradients are written together with weights, which are not; give a histogram_freq, such as 1";
            return Err(Error::argument("write_gradients", message));
        }
        Ok(())
    }

    fn write_values(&mut self, run: &Run<'_>, step: u64) -> Result<()> {
        let train = opened(&mut self.train, &self.logdir, "train")?;
        for (name, value) in run.logs().iter() {
            let Some(name) = name.strip_prefix("val_") else {
                // Written below, as it is now.
                if name != "learning_rate" {
                    train.scalar(&format!("epoch_{name}"), step, value)?;
                }
                continue;
            };
            let validation = opened(&mut self.validation, &self.logdir, "validation")?;
            validation.scalar(&format!("epoch_{name}"), step, value)?;
            validation.scalar(&format!("evaluation_{name}{BY_ITERATION}"), run.iteration(), value)?;
        }
        train.scalar("epoch_learning_rate", step, run.learning_rate())
    }

    async fn write_epoch(&mut self, run: &mut Run<'_>) -> Result<()> {
        let step = run.epoch() as u64 - 1;
        self.write_values(run, step)?;
        if self.histogram_freq > 0 && step.is_multiple_of(self.histogram_freq as u64) {
            self.write_histograms(run, step).await?;
        }
        #[cfg(feature = "plot")]
        self.write_confusion(run, step).await?;
        self.flush()
    }

    async fn write_histograms(&mut self, run: &mut Run<'_>, step: u64) -> Result<()> {
        let (paths, weights) = (run.parameter_paths()?, run.weights_async().await?);
        let gradients = if self.write_gradients { run.gradients_async().await? } else { Vec::new() };
        let train = opened(&mut self.train, &self.logdir, "train")?;
        let mut write = |tensors: &[Tensor], what: &str| {
            let mut each = paths.iter().zip(tensors);
            each.try_for_each(|(path, tensor)| train.histogram(&format!("{path}{what}/histogram"), step, tensor))
        };
        write(&weights, "")?;
        write(&gradients, "/gradient")
    }

    /// Takes away what is there of steps behind the run's, and of its epoch and later ones.
    fn take_back(&self, run: &Run<'_>) -> Result<()> {
        let (epoch, iteration) = (run.epoch() as u64 - 1, run.iteration());
        // It was written as the run began.
        let keep = |tag: &str, step: u64| match tag {
            SUMMARY => true,
            _ if tag.starts_with(BATCH) || tag.ends_with(BY_ITERATION) => step <= iteration,
            _ => step < epoch,
        };
        for writer in self.train.iter().chain(&self.validation) {
            let folder = writer.path().parent().expect("a file in a folder");
            tensorboard::keep(folder, writer.path(), keep)?.iter().for_each(|line| run.say(line));
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.train.iter_mut().chain(&mut self.validation).try_for_each(EventWriter::flush)
    }
}

#[cfg(feature = "plot")]
impl TensorBoard {
    /// Draws which classes the samples that are validated on are taken for, after the first epoch and every so many after
    /// it, as the picture `confusion_matrix` in the folder `validation`: see [`Run::confusion_matrix`]. Default 0, never.
    /// Keras leaves it to a callback of one's own.
    #[must_use]
    pub fn confusion_matrix_freq(mut self, epochs: usize) -> Self {
        self.confusion.epochs = epochs;
        self
    }

    /// The classes' names in the confusion matrix, in their order; default their numbers.
    #[must_use]
    pub fn class_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.confusion.class_names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    fn check_confusion(&self, run: &Run<'_>) -> Result<()> {
        if self.confusion.epochs == 0 || run.validation.is_some() {
            return Ok(());
        }
        let message = "counts samples that are validated on, of which there are none; give Fit a validation_split or \
                       validation_data";
        Err(Error::argument("confusion_matrix_freq", message))
    }

    async fn write_confusion(&mut self, run: &mut Run<'_>, step: u64) -> Result<()> {
        let Confusion { epochs, class_names } = &self.confusion;
        if *epochs == 0 || !step.is_multiple_of(*epochs as u64) {
            return Ok(());
        }
        let Some(mut confusion) = run.confusion_matrix_async().await? else { return Ok(()) };
        if let Some(names) = class_names {
            confusion = confusion.with_class_names(names)?;
        }
        let validation = opened(&mut self.validation, &self.logdir, "validation")?;
        validation.image("confusion_matrix", step, &confusion.picture()?.png()?)
    }
}

/// The writer of a run's folder, made at the first call.
fn opened<'w>(writer: &'w mut Option<EventWriter>, logdir: &Path, run: &str) -> Result<&'w mut EventWriter> {
    if writer.is_none() {
        *writer = Some(EventWriter::create(logdir.join(run))?);
    }
    Ok(writer.as_mut().expect("just made"))
}

impl Callback for TensorBoard {
    fn wants_batches(&self) -> bool {
        self.batches().is_some()
    }

    fn on_train_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        self.check()?;
        #[cfg(feature = "plot")]
        self.check_confusion(run)?;
        (self.train, self.validation, self.twice) = (None, None, self.resume);
        // Its lines are as wide as the widest: Markdown would fold them.
        let table = format!("```\n{}```\n", run.summary()?);
        opened(&mut self.train, &self.logdir, "train")?.text(SUMMARY, 0, &table)?;
        // Before the first epoch: a folder that cannot be made need not wait for its end.
        if run.validation.is_some() {
            opened(&mut self.validation, &self.logdir, "validation")?;
        }
        self.flush()
    }

    fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> Result<()> {
        if std::mem::take(&mut self.twice) { self.take_back(run) } else { Ok(()) }
    }

    fn on_batch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        let step = run.iteration();
        if self.batches().is_none_or(|batches| !step.is_multiple_of(batches as u64)) {
            return Ok(());
        }
        let train = opened(&mut self.train, &self.logdir, "train")?;
        run.logs().iter().try_for_each(|(name, value)| train.scalar(&format!("{BATCH}{name}"), step, value))
    }

    fn after<'a>(&'a mut self, hook: Hook, run: &'a mut Run<'_>) -> Option<Waiting<'a>> {
        (hook == Hook::EpochEnd).then(|| Box::pin(self.write_epoch(run)) as Waiting<'a>)
    }

    fn on_train_end(&mut self, _run: &mut Run<'_>) -> Result<()> {
        let flushed = self.flush();
        (self.train, self.validation) = (None, None);
        flushed
    }
}
