//! Tables of comma-separated values: numbers as they are, words as one-hot columns, a label or values as targets.

mod config;
mod encoding;
mod line_ends;
mod lines;
mod records;
mod survey;

use std::path::Path;

use super::Dataset;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
pub use encoding::Encoding;
pub(crate) use encoding::Rows;
use lines::{Input, Lines};

/// What a row with a missing field comes to. Missing are empty fields and those of [`Csv::missing_values`]. A missing label, target or weight is an error unless its row is dropped.
///
/// ```
/// use kiln::data::{Csv, Missing};
/// let table = Csv::new().label("kind").missing(Missing::DropRow).parse(b"legs,kind
/// 4,cat
/// ?,dog
/// 2,bird
/// ")?;
/// assert_eq!(table.data.len(), 2);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Missing {
    /// An error that names line and column.
    #[default]
    Error,
    /// The row is left out.
    DropRow,
    /// In a column of numbers this number stands in its place; in a column of words, none of the words: zeros.
    Fill(f32),
    /// NaN stands in every column of samples that the field becomes, to be filled in later: of [`Encoding::read_samples`] alone,
    /// since no [`Dataset`] holds NaN. [`crate::table`] fills in what it learned of the rows to train on.
    Nan,
}

/// How a file of comma-separated values becomes samples and targets.
///
/// Fields may stand in double quotes, and hold separators and line ends then; blanks around a field are no part of it. The
/// first line names the columns. A column of which all fields are numbers is one of numbers. One of which at most half are
/// is one of words, and becomes as many columns as there are different words, 1 where the word is that and 0 elsewhere. In
/// between it is an error, until [`Csv::words`], [`Csv::numbers`] or [`Csv::missing_values`] answers. Files may be gzipped.
///
/// ```
/// use kiln::{Tensor, data::Csv};
/// let text = "name,legs,skin,kind\nfrog,4,bare,amphibian\n\"carp, common\",0,scales,fish\nbass,0,scales,fish\n";
/// let table = Csv::new().label("kind").without(["name"]).parse(text.as_bytes())?;
/// assert_eq!(table.features, ["legs", "skin=bare", "skin=scales"]);
/// assert_eq!(*table.data.x(), Tensor::from([[4.0f32, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]));
/// assert_eq!(table.classes, ["amphibian", "fish"]);
/// assert_eq!(*table.data.y(), Tensor::from([0u32, 1, 1]));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Csv {
    separator: u8,
    header: bool,
    targets: Targets,
    classes: Vec<String>,
    sample_weight: Option<String>,
    without: Vec<String>,
    words: Vec<String>,
    numbers: Vec<String>,
    missing: Missing,
    /// What a gzipped file may unpack to, where that was told.
    max_unpacked: Option<u64>,
    missing_values: Vec<String>,
    /// The word that a missing field of a column of words is to become.
    missing_word: Option<String>,
    /// Whether rows whose target or weight is missing are left out, whatever becomes of other fields.
    drops_unlabelled: bool,
}

/// What means that a field is missing, beside an empty one.
const MISSING_VALUES: [&str; 5] = ["?", "NA", "N/A", "NaN", "null"];

/// The columns that are no samples'.
#[derive(Clone, Debug, PartialEq)]
enum Targets {
    Label(String),
    Values(Vec<String>),
}

impl Targets {
    /// What names them.
    fn option(&self) -> &'static str {
        match self {
            Self::Label(_) => "label",
            Self::Values(_) => "targets",
        }
    }

    fn columns(&self) -> &[String] {
        match self {
            Self::Label(name) => std::slice::from_ref(name),
            Self::Values(names) => names,
        }
    }
}

impl Default for Csv {
    fn default() -> Self {
        Self {
            separator: b',',
            header: true,
            targets: Targets::Values(Vec::new()),
            classes: Vec::new(),
            sample_weight: None,
            without: Vec::new(),
            words: Vec::new(),
            numbers: Vec::new(),
            missing: Missing::default(),
            max_unpacked: None,
            missing_values: strings(MISSING_VALUES),
            missing_word: None,
            drops_unlabelled: false,
        }
    }
}

fn strings<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

impl Csv {
    /// Fields with commas between them under a line of names; [`Csv::label`] or [`Csv::targets`] is still to be called.
    pub fn new() -> Self {
        Self::default()
    }

    /// The byte between fields; default `b','`.
    #[must_use]
    pub fn separator(mut self, separator: u8) -> Self {
        self.separator = separator;
        self
    }

    /// Whether the first line names the columns; default true. Where it does not they are named `1`, `2` and so on.
    #[must_use]
    pub fn header(mut self, header: bool) -> Self {
        self.header = header;
        self
    }

    /// The column of class labels, words or whole numbers: the targets are class indices `(n,)`. Numbers are one class if
    /// they are equal, such as 1 and 1.0. The classes are sorted, by value where all are numbers, else by letters, unless
    /// [`Csv::classes`] gives them.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>) -> Self {
        self.targets = Targets::Label(name.into());
        self
    }

    /// The labels that there are, in the order of the class indices; any other is an error.
    #[must_use]
    pub fn classes<S: Into<String>>(mut self, classes: impl IntoIterator<Item = S>) -> Self {
        self.classes = strings(classes);
        self
    }

    /// The columns of numbers to predict: the targets are values `(n, columns)`.
    #[must_use]
    pub fn targets<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.targets = Targets::Values(strings(names));
        self
    }

    /// The column of each sample's weight: see [`Dataset::with_sample_weight`].
    #[must_use]
    pub fn sample_weight(mut self, name: impl Into<String>) -> Self {
        self.sample_weight = Some(name.into());
        self
    }

    /// Columns that are left out, such as names and numbers of rows.
    #[must_use]
    pub fn without<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.without = strings(names);
        self
    }

    /// Columns whose numbers are names, such as codes of countries: they are taken for words. Of labels that are named
    /// here, 1 and 1.0 are two classes.
    #[must_use]
    pub fn words<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.words = strings(names);
        self
    }

    /// Columns of numbers, in which a field that is no number is taken for missing.
    #[must_use]
    pub fn numbers<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.numbers = strings(names);
        self
    }

    /// The texts that mean that a field is missing, in any case, in place of `?`, `NA`, `N/A`, `NaN` and `null`. An empty
    /// field is always missing.
    #[must_use]
    pub fn missing_values<S: Into<String>>(mut self, texts: impl IntoIterator<Item = S>) -> Self {
        self.missing_values = strings(texts);
        self
    }

    /// What a row with a missing field comes to; default [`Missing::Error`].
    #[must_use]
    pub fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    /// Leaves samples' missing fields to be filled in later: in columns of words by this word, where there is one. Rows without a target
    /// are left out, or are an error.
    #[must_use]
    pub(crate) fn filled_later(mut self, word: Option<&str>) -> Self {
        self.drops_unlabelled = self.missing == Missing::DropRow;
        (self.missing, self.missing_word) = (Missing::Nan, word.map(String::from));
        self
    }

    /// To how many bytes a gzipped file may unpack; default 64 MiB, and a hundred times its own size.
    #[must_use]
    pub fn max_unpacked(mut self, bytes: u64) -> Self {
        self.max_unpacked = Some(bytes);
        self
    }

    /// The names of the columns of files, in the order of the first one.
    ///
    /// # Errors
    /// As [`Csv::read`].
    pub fn columns<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<Vec<String>> {
        Ok(Lines::open(&Input::files(paths)?, self)?.columns)
    }

    /// Columns of samples that were left out.
    pub(crate) fn left_out(&self) -> &[String] {
        &self.without
    }

    /// Reads a file. It is gone through twice, so that no more than the samples has to fit in memory; three times where a
    /// column of words has numbers among them. A pipe, which can be read once, has to fit as well.
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses. [`Error::Format`] with line and column where a field is not what its column
    /// holds, one is missing, or a line has more or fewer fields than the first. [`Error::Argument`] for a column that is
    /// not there, or where neither label nor targets were named.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Table> {
        let (encoding, rows) = self.rows([path])?;
        Table::of(encoding, rows)
    }

    /// As [`Csv::read`], of bytes in memory.
    ///
    /// # Errors
    /// As [`Csv::read`].
    pub fn parse(&self, bytes: &[u8]) -> Result<Table> {
        let (encoding, rows) = self.rows_of(&Input::text(bytes))?;
        Table::of(encoding, rows)
    }

    /// That it can be read by, whether a program or a saved model says so.
    fn check(&self) -> Result<()> {
        if self.targets.columns().is_empty() {
            let message = "name the column of labels by Csv::label, or those of values by Csv::targets";
            return Err(Error::argument("label", message));
        }
        if let Missing::Fill(number) = self.missing
            && !number.is_finite()
        {
            let message = format!("{number} stands in no field; give a finite number to fill in");
            return Err(Error::argument("missing", message));
        }
        if b"\n\r\"".contains(&self.separator) {
            let message = format!("{:?} ends a line or quotes a field", char::from(self.separator));
            return Err(Error::argument("separator", message));
        }
        Ok(())
    }

    /// What the columns of files are, and the rows of them all.
    pub(crate) fn rows<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<(Encoding, Rows)> {
        self.rows_of(&Input::files(paths)?)
    }

    fn rows_of(&self, inputs: &[Input]) -> Result<(Encoding, Rows)> {
        self.check()?;
        let (encoding, mut remarks) = Encoding::of(|| Lines::open(inputs, self), self)?;
        let mut rows = encoding.rows_of(Lines::open(inputs, self)?)?;
        remarks.append(&mut rows.remarks);
        rows.remarks = remarks;
        Ok((encoding, rows))
    }
}

/// What a file of comma-separated values held.
#[derive(Clone, Debug)]
pub struct Table {
    /// Samples `(n, features)`, targets and, where their column is named, weights.
    pub data: Dataset,
    /// What the samples' columns are: a column's name, or `name=word`.
    pub features: Vec<String>,
    /// The labels by class index; none where the targets are values.
    pub classes: Vec<String>,
    /// What should be said of the file, a sentence each: rows that were left out, and why; columns in which nearly every row
    /// has a word of its own.
    pub remarks: Vec<String>,
    encoding: Encoding,
}

impl Table {
    fn of(encoding: Encoding, mut rows: Rows) -> Result<Self> {
        let remarks = std::mem::take(&mut rows.remarks);
        Ok(Self::new(rows.dataset()?, encoding, remarks))
    }

    fn new(data: Dataset, encoding: Encoding, remarks: Vec<String>) -> Self {
        Self { data, features: encoding.features(), classes: encoding.classes().to_vec(), remarks, encoding }
    }

    /// What the columns are, to read other files without this table.
    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// Reads another file of the same columns, in any order, with this table's words and classes: the samples to
    /// measure on.
    ///
    /// # Errors
    /// As [`Csv::read`]; [`Error::Format`] for a word or a label that this table does not have.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Dataset> {
        self.encoding.read(path)
    }

    /// As [`Table::read`], the samples alone, `(n, features)`: the file need not have the label or the targets.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn read_samples(&self, path: impl AsRef<Path>) -> Result<Tensor> {
        self.encoding.read_samples(path)
    }
}
