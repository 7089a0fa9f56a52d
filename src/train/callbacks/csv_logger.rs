//! Keras' `CSVLogger`, <https://keras.io/api/callbacks/csv_logger/>.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use super::Callback;
use crate::error::{Error, Result};
use crate::io::whole;
use crate::train::Run;
use crate::train::history::{csv_header, csv_values};

/// Writes each epoch's values to a file as it ends, a line an epoch below a line of names: `epoch`, which counts from 1
/// (Keras' counts from 0), then the values in the order in which they are printed. What a later epoch lacks is `NA`.
///
/// ```
/// use kiln::prelude::*;
/// let fit = Fit::new().epochs(10).callback(CsvLogger::new("run.csv").append(true));
/// # let _ = fit;
/// ```
#[derive(Debug)]
pub struct CsvLogger {
    path: PathBuf,
    separator: char,
    append: bool,
    resume: bool,
    file: Option<File>,
    /// The columns, once the first epoch has told them.
    names: Option<Vec<String>>,
}

impl CsvLogger {
    /// Writes a new file, or over one that is there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), separator: ',', append: false, resume: false, file: None, names: None }
    }

    /// What stands between two values; default a comma.
    #[must_use]
    pub fn separator(mut self, separator: char) -> Self {
        self.separator = separator;
        self
    }

    /// Whether a file that is there gets more lines, whatever epochs it has; default false.
    #[must_use]
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    /// Whether a file that is there gets the lines of a run that was resumed; default false. Lines at its end are taken
    /// away that this run writes again: of its first epoch and later ones, which a killed run had made since its last
    /// checkpoint, and one that was cut.
    #[must_use]
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// The columns of a run whose first epoch ends, with the line of names that the file has or gets.
    fn begin(&self, run: &Run<'_>) -> Result<(Vec<String>, String)> {
        let names: Vec<&str> = run.logs().iter().map(|(name, _)| name).collect();
        let header = csv_header(&names, self.separator);
        let file = self.file.as_ref().expect("opened when the run began");
        // A pipe or a device has nothing to go on from.
        let is_file = file.metadata().map_err(Error::io(&self.path, "read"))?.is_file();
        let there = match is_file && (self.append || self.resume) {
            true => fs::read_to_string(&self.path).map_err(Error::io(&self.path, "read"))?,
            false => String::new(),
        };
        let kept = if self.resume { before(&there, run.epoch(), self.separator) } else { &there };
        let first = kept.lines().next();
        if let Some(first) = first.filter(|first| *first != header.trim_end()) {
            let message = format!("has the columns {first}, the run has {}; give another file", header.trim_end());
            return Err(Error::format(&self.path, message));
        }
        if kept.len() < there.len() {
            file.set_len(kept.len() as u64).map_err(Error::io(&self.path, "write"))?;
        }
        let header = if first.is_none() { header } else { String::new() };
        Ok((names.into_iter().map(String::from).collect(), header))
    }
}

/// A table up to its last line of an epoch before `epoch`, or its line of names.
fn before(table: &str, epoch: usize, separator: char) -> &str {
    let is_before = |line: &str| {
        line.split(separator).next().and_then(|field| field.parse().ok()).is_some_and(|of: usize| of < epoch)
    };
    let mut kept = table;
    while let Some(last) = kept.split_inclusive('\n').next_back() {
        let is_first = last.len() == kept.len();
        if last.ends_with('\n') && (is_first || is_before(last)) {
            break;
        }
        kept = &kept[..kept.len() - last.len()];
    }
    kept
}

impl Callback for CsvLogger {
    fn on_train_begin(&mut self, _run: &mut Run<'_>) -> Result<()> {
        // Before the first epoch: a wrong path need not wait for its end.
        whole::check_log(&self.path)?;
        let mut options = OpenOptions::new();
        let goes_on = self.append || self.resume;
        let options = options.create(true).write(true).append(goes_on).truncate(!goes_on);
        self.file = Some(options.open(&self.path).map_err(Error::io(&self.path, "write"))?);
        self.names = None;
        Ok(())
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>) -> Result<()> {
        let mut text = String::new();
        if self.names.is_none() {
            let (names, header) = self.begin(run)?;
            (self.names, text) = (Some(names), header);
        }
        let names: Vec<&str> = self.names.iter().flatten().map(String::as_str).collect();
        text += &csv_values(run.epoch(), run.logs(), &names, self.separator);
        let file = self.file.as_mut().expect("opened when the run began");
        file.write_all(text.as_bytes()).map_err(Error::io(&self.path, "write"))
    }

    fn on_train_end(&mut self, _run: &mut Run<'_>) -> Result<()> {
        self.file = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_resumed_ends_before_the_epoch() {
        let table = "epoch,loss\n1,0.5\n2,0.4\n3,0.3\n";
        let lines = |count: usize| table.split_inclusive('\n').take(count).collect::<String>();
        for (there, epoch, kept) in [
            (table.to_string(), 4, 4),
            (table.to_string(), 3, 3),
            (table.to_string(), 2, 2),
            (table.to_string(), 1, 1),
            (table.to_string() + "4,0.", 5, 4),
            (table.to_string() + "4,0.2", 4, 4),
            ("epoch,lo".into(), 2, 0),
            (String::new(), 2, 0),
        ] {
            assert_eq!(before(&there, epoch, ','), lines(kept), "{there:?} before {epoch}");
        }
        // Of two runs in one file the last is gone on with.
        let twice = "epoch;loss\n1;5\n2;4\n1;3\n2;2\n";
        assert_eq!(before(twice, 2, ';'), "epoch;loss\n1;5\n2;4\n1;3\n");
    }
}
