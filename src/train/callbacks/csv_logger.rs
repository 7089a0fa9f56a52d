//! Keras' `CSVLogger`, <https://keras.io/api/callbacks/csv_logger/>.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use super::Callback;
use crate::error::{Error, Result};
use crate::train::Run;
use crate::train::history::{csv_header, csv_values};

/// Writes each epoch's values to a file as it ends, a line an epoch below a line of names: `epoch`, which counts from 1
/// (Keras' counts from 0), then the values in the order in which they are printed. What a later epoch lacks is `NA`.
#[derive(Debug)]
pub struct CsvLogger {
    path: PathBuf,
    separator: char,
    append: bool,
    file: Option<File>,
    /// The columns, once the first epoch has told them.
    names: Option<Vec<String>>,
}

impl CsvLogger {
    /// Writes a new file, or over one that is there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), separator: ',', append: false, file: None, names: None }
    }

    /// What stands between two values; default a comma.
    #[must_use]
    pub fn separator(mut self, separator: char) -> Self {
        self.separator = separator;
        self
    }

    /// Whether a file that is there gets more lines, as for a run that goes on; default false.
    #[must_use]
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    /// The columns of a run whose first epoch ends, with the line of names that the file has or gets.
    fn begin(&self, run: &Run<'_>) -> Result<(Vec<String>, String)> {
        let names: Vec<&str> = run.logs().iter().map(|(name, _)| name).collect();
        let header = csv_header(&names, self.separator);
        let there = match self.append {
            true => fs::read_to_string(&self.path).map_err(Error::io(&self.path, "read"))?,
            false => String::new(),
        };
        let first = there.lines().next();
        if let Some(first) = first.filter(|first| *first != header.trim_end()) {
            let message = format!("has the columns {first}, the run has {}; give another file", header.trim_end());
            return Err(Error::format(&self.path, message));
        }
        let header = if first.is_none() { header } else { String::new() };
        Ok((names.into_iter().map(String::from).collect(), header))
    }
}

impl Callback for CsvLogger {
    fn on_train_begin(&mut self, _run: &mut Run<'_>) -> Result<()> {
        // Before the first epoch: a wrong path need not wait for its end.
        let mut options = OpenOptions::new();
        let options = options.create(true).write(true).append(self.append).truncate(!self.append);
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
