//! What a model keeps of a table.

use std::path::Path;

use flate2::Crc;

use super::options::split;
use super::{Prediction, Value, prediction, record};
use crate::data::{Dataset, Encoding, Missing, Rows, Scaler, Split};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// How rows become samples, and outputs answers: what a model keeps of the table that it was trained on. Training, measuring, predicting
/// and going on with a run all use it, so that a row becomes the same sample everywhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessor {
    pub(super) encoding: Encoding,
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

/// Of the numbers that were made of a table.
pub(super) fn checksum(rows: &Rows) -> usize {
    let mut crc = Crc::new();
    let weights = rows.weights.iter().flatten().copied();
    let numbers = [Some(&rows.x), rows.y.as_ref()].into_iter().flatten().flat_map(|part| part.values().to_f32());
    numbers.chain(weights).for_each(|value| crc.update(&value.to_le_bytes()));
    crc.sum() as usize
}

/// Rows as a set, of which nothing is missing.
pub(super) fn set(rows: Rows) -> Result<Dataset> {
    rows.dataset()
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
        let share = self.test_split;
        if !(share > 0.0 && share < 1.0) {
            return refused("test_split", format!("{share} is no share; give more than 0, less than 1"));
        }
        Ok(self)
    }

    pub(super) fn scaled(&self, data: &Dataset) -> Result<Dataset> {
        self.scaler.as_ref().map_or_else(|| Ok(data.clone()), |scaler| scaler.apply(data))
    }

    /// Rows as the model takes them.
    pub(super) fn prepared(&self, rows: Rows) -> Result<Dataset> {
        self.scaled(&set(rows)?)
    }

    /// The rows of a table that has the same columns, in any order.
    ///
    /// # Errors
    /// Those of [`crate::data::Csv::read`]; [`Error::Format`] for a word or a label that the table did not have, too.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<TableRows> {
        let mut rows = self.encoding.rows(path.as_ref())?;
        let remarks = std::mem::take(&mut rows.remarks);
        Ok(TableRows { data: self.prepared(rows)?, remarks })
    }

    /// The samples of a table, which need have no targets. No row is left out, so that they can be counted.
    ///
    /// # Errors
    /// As [`Preprocessor::read`], and for a field that is missing where rows with such were left out.
    pub fn read_samples(&self, path: impl AsRef<Path>) -> Result<Tensor> {
        let encoding = self.encoding.clone().missing(Missing::Error);
        self.finished(encoding.read_samples(path)?)
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

    /// Samples as they were encoded, scaled.
    fn finished(&self, x: Tensor) -> Result<Tensor> {
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
    fn whole(&self, path: &Path) -> Result<Rows> {
        let (rows, wanted) = (self.encoding.rows(path)?, self.rows);
        let (found, give) = (rows.x.rows(), "give the table that it was trained on");
        if found != wanted {
            return Err(Error::format(path, format!("has {found} rows, the run had {wanted}; {give}")));
        }
        if checksum(&rows) != self.crc {
            return Err(Error::format(path, format!("has changed since the run; {give}")));
        }
        Ok(rows)
    }

    /// The parts of the table that was trained on, as they were then, and what should be said of it.
    ///
    /// # Errors
    /// As [`Preprocessor::read`]; [`Error::Format`] where it is another table, or has changed.
    pub fn again(&self, path: impl AsRef<Path>) -> Result<(Split, Vec<String>)> {
        let mut rows = self.whole(path.as_ref())?;
        let remarks = std::mem::take(&mut rows.remarks);
        let fold = split(rows.targets(), self.test_split, self.split_seed)?;
        let part = |places: &[usize]| self.prepared(rows.take(places)?);
        Ok((Split { train: part(&fold.train)?, test: part(&fold.test)? }, remarks))
    }
}
