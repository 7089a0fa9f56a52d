//! What a model keeps of a table.

use std::path::{Path, PathBuf};

use flate2::Crc;

use super::files::all_files;
use super::options::split;
use super::{Prediction, Report, Value, fill, prediction, record};
use crate::data::{Dataset, Encoding, Rows, Scaler, Split};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// How rows become samples, and outputs answers: what a model keeps of the table that it was trained on. Training, measuring, predicting
/// and going on with a run all use it, so that a row becomes the same sample everywhere.
///
/// ```
/// use kiln::data::Csv;
/// use kiln::table::{Prediction, TableOptions};
/// use kiln::prelude::*;
/// let table = TableOptions::new(Csv::new().label("result")).test_split(0.3).open(["examples/data/exam.csv"])?;
/// let (preprocessor, split) = table.prepare(&table.split()?)?;
/// let x = preprocessor.samples([[("hours", 9.0)]])?;
/// assert_eq!((x.shape().to_string(), preprocessor.classes()), ("(1, 1)".into(), &["fail".into(), "pass".into()][..]));
/// // What a model gives, in the table's words.
/// let said = preprocessor.predictions(&Tensor::from([[0.1f32, 0.9]]))?;
/// assert!(matches!(&said[0], Prediction::Class { name, .. } if name == "pass"));
/// # let _ = split;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessor {
    pub(super) encoding: Encoding,
    /// What stands in missing fields, of each column of samples: NaN where nothing does.
    pub(super) fill: Option<Vec<f64>>,
    pub(super) scaler: Option<Scaler>,
    /// One of each class, or none.
    pub(super) class_weight: Vec<f64>,
    pub(super) test_split: f64,
    pub(super) split_seed: u64,
    /// What tells another table: how many rows it had, and what [`checksum`] made of them.
    pub(super) rows: usize,
    pub(super) crc: usize,
}

/// The rows of a further file.
#[derive(Clone, Debug)]
pub struct TableRows {
    /// The samples and targets, as the model takes them.
    pub data: Dataset,
    /// What should be said of the file, a sentence each.
    pub remarks: Vec<String>,
}

/// The samples of a further file.
#[derive(Clone, Debug)]
pub struct TableSamples {
    /// `(n, features)`, as the model takes them.
    pub x: Tensor,
    /// Which of the file's rows each is, from 0: not all are there where rows with missing fields are left out.
    pub rows: Vec<usize>,
    /// What should be said of the file, a sentence each.
    pub remarks: Vec<String>,
}

/// Of the numbers that were made of a table.
pub(super) fn checksum(rows: &Rows) -> usize {
    let mut crc = Crc::new();
    let weights = rows.weights.iter().flatten().copied();
    let numbers = [Some(&rows.x), rows.y.as_ref()].into_iter().flatten().flat_map(|part| part.values().to_f32());
    numbers.chain(weights).for_each(|value| crc.update(&value.to_le_bytes()));
    crc.sum() as usize
}

impl Preprocessor {
    /// What the columns are.
    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// The names of the classes by their indices; none where the targets are values.
    pub fn classes(&self) -> &[String] {
        self.encoding.classes()
    }

    /// The names of the columns to predict: that of the label, or those of the values.
    pub fn targets(&self) -> &[String] {
        self.encoding.targets()
    }

    /// What the samples are scaled by, where they are.
    pub fn scaler(&self) -> Option<&Scaler> {
        self.scaler.as_ref()
    }

    /// Whether missing fields are filled in.
    pub fn fills_missing(&self) -> bool {
        self.fill.is_some()
    }

    /// What the rows of each class count for in training, by their indices; none where all count the same.
    pub fn class_weight(&self) -> Vec<(u32, f32)> {
        (0..).zip(self.class_weight.iter().map(|&weight| weight as f32)).collect()
    }

    /// The same, whose files may unpack to so many bytes: see [`crate::data::Csv::max_unpacked`].
    #[must_use]
    pub fn max_unpacked(mut self, bytes: u64) -> Self {
        self.encoding = self.encoding.max_unpacked(bytes);
        self
    }

    /// That the parts fit each other, whether options gave them or a file did.
    pub(super) fn checked(self) -> Result<Self> {
        let refused = |name: &str, message: String| Err(Error::argument(name, message));
        let (classes, weights) = (self.encoding.classes(), &self.class_weight);
        let (count, given) = (classes.len(), weights.len());
        if given > 0 && given != count {
            return refused("class_weight", format!("{given} weights for {count} classes; there is one each"));
        }
        let wrong = |(_, weight): &(&String, &f64)| !(**weight >= 0.0 && weight.is_finite());
        if let Some((label, weight)) = classes.iter().zip(weights).find(wrong) {
            return refused("class_weight", format!("{label:?} has {weight}; give 0 or more"));
        }
        let features = self.encoding.width();
        if let Some(columns) = self.scaler.as_ref().map(|scaler| scaler.center.len()).filter(|&n| n != features) {
            return refused("scaler", format!("is of {columns} columns, samples have {features}"));
        }
        if let Some(columns) = self.fill.as_ref().map(Vec::len).filter(|&n| n != features) {
            return refused("fill", format!("is of {columns} columns, samples have {features}"));
        }
        let share = self.test_split;
        if !(0.0..1.0).contains(&share) {
            return refused("test_split", format!("{share} is no share; give 0 or more, less than 1"));
        }
        Ok(self)
    }

    pub(super) fn scaled(&self, data: &Dataset) -> Result<Dataset> {
        self.scaler.as_ref().map_or_else(|| Ok(data.clone()), |scaler| scaler.apply(data))
    }

    /// Rows with nothing missing any more.
    pub(super) fn filled(&self, mut rows: Rows) -> Result<Rows> {
        if let Some(values) = &self.fill {
            rows.x = fill::fill(&self.encoding, values, rows.x)?;
        }
        Ok(rows)
    }

    /// Rows as the model takes them.
    pub(super) fn prepared(&self, rows: Rows) -> Result<Dataset> {
        self.scaled(&self.filled(rows)?.dataset()?)
    }

    /// The rows of tables that have the same columns, in any order.
    ///
    /// # Errors
    /// Those of [`crate::data::Csv::read`]; [`Error::Format`] for a word or a label that the table did not have, too.
    pub fn read<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<TableRows> {
        let mut rows = self.encoding.rows(all_files(paths)?)?;
        let remarks = std::mem::take(&mut rows.remarks);
        Ok(TableRows { data: self.prepared(rows)?, remarks })
    }

    /// The samples of tables, which need have no targets.
    ///
    /// # Errors
    /// As [`Preprocessor::read`].
    pub fn read_samples<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<TableSamples> {
        let mut rows = self.encoding.rows_without_targets(all_files(paths)?)?;
        let (remarks, numbers) = (std::mem::take(&mut rows.remarks), std::mem::take(&mut rows.numbers));
        Ok(TableSamples { x: self.finished(rows.x)?, rows: numbers, remarks })
    }

    /// The samples of records, `(n, features)`: each has a value by name for every column that samples are made of, in any order.
    /// Columns of targets, and those that were left out in training, may be there.
    ///
    /// # Errors
    /// [`Error::Argument`] that counts the records from 1, for a name that no column has, a column that is not there, and a value that
    /// the column cannot have.
    ///
    /// ```
    /// use kiln::data::Csv;
    /// use kiln::table::TableOptions;
    /// let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/exam.csv");
    /// let table = TableOptions::new(Csv::new().label("result")).test_split(0.3).open([path])?;
    /// let (preprocessor, _) = table.prepare(&table.split()?)?;
    /// assert_eq!(preprocessor.samples([[("hours", 3.5)], [("hours", 7.0)]])?, kiln::Tensor::from([[3.5f32], [7.0]]));
    /// let error = preprocessor.samples([[("hour", 3.5)]]).unwrap_err().to_string();
    /// assert_eq!(error, "record 1: column \"hour\" is unknown; did you mean \"hours\"? There are: hours");
    /// # Ok::<(), kiln::Error>(())
    /// ```
    pub fn samples<R, N, V>(&self, records: impl IntoIterator<Item = R>) -> Result<Tensor>
    where
        R: IntoIterator<Item = (N, V)>,
        N: Into<String>,
        V: Into<Value>,
    {
        let records: Vec<_> = records.into_iter().map(record::fields).collect();
        self.finished(self.encoding.records(&records)?)
    }

    /// Samples as they were encoded, filled in and scaled.
    fn finished(&self, x: Tensor) -> Result<Tensor> {
        let x = match &self.fill {
            Some(values) => fill::fill(&self.encoding, values, x)?,
            None => x,
        };
        self.scaler.as_ref().map_or_else(|| Ok(x.clone()), |scaler| scaler.apply_to(&x))
    }

    /// What a model's outputs `(n, ...)` say of each sample, in the table's own names and units.
    ///
    /// # Errors
    /// [`Error::Shape`] where the outputs are not of as many classes or targets as the table has.
    pub fn predictions(&self, outputs: &Tensor) -> Result<Vec<Prediction>> {
        prediction::of(self, outputs)
    }

    /// All rows of the table that was trained on, as they stand there.
    fn whole(&self, paths: &[PathBuf]) -> Result<Rows> {
        let (rows, wanted) = (self.encoding.rows(paths)?, self.rows);
        let name = || paths.first().cloned().unwrap_or_default();
        let (found, give) = (rows.x.rows(), "give the table that it was trained on");
        if found != wanted {
            return Err(Error::format(name(), format!("has {found} rows, the run had {wanted}; {give}")));
        }
        if checksum(&rows) != self.crc {
            return Err(Error::format(name(), format!("has changed since the run; {give}")));
        }
        Ok(rows)
    }

    /// The parts of the table that was trained on, as they were then, and what should be said of it.
    ///
    /// # Errors
    /// As [`Preprocessor::read`]; [`Error::Format`] where it is another table, or has changed.
    pub fn again<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<(Split, Report)> {
        let rows = self.whole(&all_files(paths)?)?;
        let fold = split(rows.targets(), self.test_split, self.split_seed)?;
        let train = self.prepared(rows.take(&fold.train)?)?;
        let test = match &fold.test[..] {
            [] => train.head(0),
            places => self.prepared(rows.take(places)?)?,
        };
        let split = Split { train, test };
        let report = Report::of(&rows, self, &split)?;
        Ok((split, report))
    }
}
