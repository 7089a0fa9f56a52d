//! How a run trains, and what looks at it meanwhile.

use kiln::train::Fit;
use kiln::train::callbacks::{CsvLogger, EarlyStopping, ModelCheckpoint, SaveFreq, TensorBoard};

use super::Args;
use crate::model::Task;
use crate::outputs::{Beside, Faults};
use crate::rate::on_plateau;
use crate::saved::Course;

/// What is looked at in the course of a run.
pub(super) struct Watch<'a> {
    pub class_names: &'a [String],
    pub is_validated: bool,
    pub task: Task,
    pub early: Option<&'a mut EarlyStopping>,
}

impl Args {
    /// How it trains, with the callbacks of the options.
    pub(super) fn settings<'a>(
        &self,
        (done, epochs): (usize, usize),
        course: &Course,
        watch: Watch<'a>,
        faults: &'a Faults,
    ) -> Fit<'a> {
        let Watch { class_names, is_validated, task, early } = watch;
        let mut fit = Fit::new()
            .initial_epoch(done)
            .epochs(epochs)
            .batch_size(course.batch_size)
            .validation_split(course.validation_split)
            .shuffle(course.shuffle)
            .check_finite(self.check_finite)
            .backup(self.save.is_some())
            .verbose(if self.json || self.quiet || self.tui { 0 } else { self.verbose });
        if let Some(early) = early {
            fit = fit.callback(early);
        }
        if course.plateau {
            fit = fit.callback(on_plateau(is_validated));
        }
        if let (Some(path), Some(every)) = (&self.save, self.checkpoint_every) {
            let checkpoint = ModelCheckpoint::to_file(path).save_freq(SaveFreq::Epochs(every));
            fit = fit.callback(Beside::each(checkpoint, faults));
        }
        if let Some(path) = &self.csv {
            fit = fit.callback(Beside::once(CsvLogger::new(path).resume(self.resume.is_some()), faults));
        }
        if let Some(logdir) = &self.logdir {
            let mut board =
                TensorBoard::new(logdir).histogram_freq(1).write_gradients(true).resume(self.resume.is_some());
            if is_validated && matches!(task, Task::Classes(_)) {
                board = board.confusion_matrix_freq(1);
            }
            if !class_names.is_empty() {
                board = board.class_names(class_names.to_vec());
            }
            fit = fit.callback(Beside::once(board, faults));
        }
        fit
    }
}
