//! What a run says before it trains and once it is over.

use std::io::{self, Write as _};

use kiln::data::Source as _;
use kiln::io::printable;

use super::Args;
use super::settings::Length;
use crate::interrupt::quoted;
use crate::outputs::Faults;
use crate::report;
use crate::samples::{MOST_HELD, Samples};
use crate::saved::Course;
use crate::set::Set;

impl Args {
    /// What the table holds, where it is one.
    pub fn say_report(&self, set: &Set, faults: &Faults) {
        match set.report() {
            Some(report) if self.json => faults.hear(report::print_json(report)),
            Some(report) if !self.quiet => faults.hear(report::print(&self.model.set, report)),
            _ => {}
        }
    }

    /// That pictures are not held in memory.
    pub fn say_source(&self, train: &Samples, faults: &Faults) {
        if train.resident().is_none() && !self.json && !self.quiet {
            let most = MOST_HELD >> 30;
            faults.hear(writeln!(
                io::stdout(),
                "The pictures take more than {most} GB of memory: each epoch reads them from their files"
            ));
        }
    }

    /// Where model, plot and logs are, and what may be done next.
    pub fn say_next(&self, set: &str, is_table: bool, faults: &Faults) -> io::Result<()> {
        let written =
            [("model", &self.save), ("plot", &self.plot), ("log", &self.csv), ("events for TensorBoard", &self.logdir)];
        let written =
            written.iter().filter_map(|(what, path)| Some((what, path.as_ref().filter(|path| !faults.tell_of(path))?)));
        let each: Vec<String> =
            written.map(|(what, path)| format!("{what} in {}", printable(&path.display().to_string()))).collect();
        let mut out = io::stdout().lock();
        if !each.is_empty() {
            writeln!(out, "Written: {}", each.join(", "))?;
        }
        let input = if is_table { "MORE.csv" } else { "INPUT" };
        let next = match (&self.save, &self.logdir) {
            (Some(path), _) => format!("kiln predict {} {input}", quoted(path.as_os_str())),
            (None, Some(logdir)) => format!("tensorboard --logdir {}", quoted(logdir.as_os_str())),
            (None, None) => {
                let name = quoted(format!("{set}.safetensors").as_ref());
                return writeln!(out, "The model was not saved: give --save {} to keep it", printable(&name));
            }
        };
        writeln!(out, "Next: {}", printable(&next))
    }

    /// Says how a new run on a table goes, and which options change that.
    pub fn say_settings(&self, course: &Course, length: &Length) -> io::Result<()> {
        let scaled =
            if self.table.takes_numbers_as_they_are() { "columns as they are" } else { "columns standardized" };
        let validation = match course.validation_split {
            0.0 => "no validation".into(),
            share => format!("validation on the last {share} of the training rows"),
        };
        let end = match length.patience {
            Some(1) => "early stopping after 1 epoch without a lower validation loss".into(),
            Some(patience) => format!("early stopping after {patience} epochs without a lower validation loss"),
            None => "no early stopping".into(),
        };
        let batch = course.batch_size;
        let epochs = if length.epochs == 1 { "1 epoch".into() } else { format!("{} epochs", length.epochs) };
        let mut out = io::stdout().lock();
        writeln!(out, "Settings: {scaled}, batches of {batch}, at most {epochs}, {validation}, {end}")?;
        writeln!(
            out,
            "  changed by --no-standardize, --batch-size, --epochs, --validation-split, --early-stopping, --no-early-stopping"
        )
    }
}
