//! From fields to numbers: what each column is, as the file that was trained on has it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::lines::{Input, Lines, Row};
use super::survey::{Found, Survey, check_classes, is_same, targets};
use super::{Csv, Missing, Table, Targets};
use crate::data::Dataset;
use crate::error::Result;
use crate::memory;
use crate::tensor::{Tensor, Values};

/// What each column of a table is: reads other files of the same columns, in any order, with the words and classes of the
/// file that was trained on. It is kept with a model, as [`crate::data::Scaler`] is.
///
/// ```
/// use kiln::{data::{Csv, Encoding}, nn::Sequential};
/// let table = Csv::new().label("kind").parse(b"legs,kind\n4,frog\n0,carp\n")?;
/// let mut model = Sequential::new();
/// model.set_note("columns", table.encoding().clone());
/// let encoding = model.note::<Encoding>("columns")?.expect("just kept");
/// assert_eq!((encoding.features(), encoding.classes()), (vec!["legs".to_string()], &["carp".into(), "frog".into()][..]));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Encoding {
    pub(super) csv: Csv,
    pub(super) features: Vec<Feature>,
    pub(super) classes: Vec<String>,
}

/// A column that samples are made of; one of words has them, sorted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Feature {
    pub name: String,
    pub words: Option<Vec<String>>,
}

impl Feature {
    /// Columns of a sample.
    pub fn width(&self) -> usize {
        self.words.as_ref().map_or(1, Vec::len)
    }

    /// Adds the row's field to a sample.
    pub fn encode(&self, row: &Row<'_>, column: usize, missing: Missing, sample: &mut Vec<f32>) -> Result<()> {
        let absent = || match missing {
            Missing::Fill(number) => Ok(number),
            Missing::Nan => Ok(f32::NAN),
            Missing::Error | Missing::DropRow => Err(row.missing(column)),
        };
        let Some(words) = &self.words else {
            sample.push(row.number(column)?.map_or_else(absent, Ok)?);
            return Ok(());
        };
        let at = match row.field(column) {
            Some(field) => Some(position(words, field).ok_or_else(|| row.refused(column, unknown(field, words)))?),
            None if missing == Missing::Nan => {
                sample.extend(words.iter().map(|_| f32::NAN));
                return Ok(());
            }
            None => absent().map(|_| None)?,
        };
        sample.extend((0..words.len()).map(|i| f32::from(u8::from(at == Some(i)))));
        Ok(())
    }
}

fn position(names: &[String], name: &str) -> Option<usize> {
    names.iter().position(|known| known == name)
}

fn unknown(name: &str, known: &[String]) -> String {
    crate::suggest::unknown(name, &known.iter().map(String::as_str).collect::<Vec<_>>())
}

impl Encoding {
    /// Goes through a file to learn its columns; and what should be said of them.
    pub(super) fn of<'a>(lines: impl FnMut() -> Result<Lines<'a>>, csv: &Csv) -> Result<(Self, Vec<String>)> {
        let Found { columns, classes, remarks } = Survey::of(lines, csv)?;
        let features = columns.into_iter().map(|(name, words)| Feature { name, words }).collect();
        Ok((Self { csv: csv.clone(), features, classes }, remarks))
    }

    /// Reads a file: samples and targets.
    ///
    /// # Errors
    /// As [`Csv::read`]; [`crate::Error::Format`] for a word or a label that there was not, too.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Dataset> {
        Ok(self.table(path)?.data)
    }

    /// [`Encoding::read`] with what should be said of the file: [`Table::remarks`].
    ///
    /// # Errors
    /// As [`Encoding::read`].
    pub fn table(&self, path: impl AsRef<Path>) -> Result<Table> {
        Table::of(self.clone(), self.rows([path])?)
    }

    /// The rows of files with their targets.
    pub(crate) fn rows<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<Rows> {
        self.rows_of(Lines::open(&Input::files(paths)?, &self.csv)?)
    }

    /// [`Encoding::rows`] of lines.
    pub(super) fn rows_of(&self, lines: Lines<'_>) -> Result<Rows> {
        let targets = targets(&lines, &self.csv)?;
        self.encode(lines, &targets)
    }

    /// The rows of files, which need have no targets.
    pub(crate) fn rows_without_targets<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<Rows> {
        self.encode(Lines::open(&Input::files(paths)?, &self.csv)?, &[])
    }

    /// Reads a file: the samples alone, `(n, features)`. It need not have the label or the targets.
    ///
    /// # Errors
    /// As [`Encoding::read`].
    pub fn read_samples(&self, path: impl AsRef<Path>) -> Result<Tensor> {
        Ok(self.rows_without_targets([path])?.x)
    }

    /// What a row with a missing field comes to from now on, see [`Csv::missing`].
    #[must_use]
    pub fn missing(mut self, missing: Missing) -> Self {
        self.csv.missing = missing;
        self
    }

    /// To how many bytes a gzipped file may unpack from now on, see [`Csv::max_unpacked`].
    #[must_use]
    pub fn max_unpacked(mut self, bytes: u64) -> Self {
        self.csv.max_unpacked = Some(bytes);
        self
    }

    /// The labels by class index; none where the targets are values.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The names of the columns to predict: that of the label, or those of the values.
    pub fn targets(&self) -> &[String] {
        self.csv.targets.columns()
    }

    /// The columns that samples are made of, by their names in the file, and the words of those that have words. The others hold
    /// numbers.
    pub fn columns(&self) -> impl Iterator<Item = (&str, Option<&[String]>)> {
        self.features.iter().map(|feature| (feature.name.as_str(), feature.words.as_deref()))
    }

    /// How many columns a sample has.
    pub(crate) fn width(&self) -> usize {
        self.features.iter().map(Feature::width).sum()
    }

    /// That labels are not plainly numbers to predict.
    pub(crate) fn check_classes(&self, rows: usize) -> Result<()> {
        check_classes(&self.csv, &self.classes, rows)
    }

    /// How it was read.
    pub(crate) fn csv(&self) -> &Csv {
        &self.csv
    }

    /// The index of a label's class: numbers are compared as numbers, unless [`Csv::words`] names the column of labels.
    pub fn class_of(&self, label: &str) -> Option<usize> {
        let is_text = matches!(&self.csv.targets, Targets::Label(name) if self.csv.words.contains(name));
        let is_number = |class: &&String| !is_text && is_same(class, label);
        position(&self.classes, label).or_else(|| self.classes.iter().position(|class| is_number(&class)))
    }

    /// What the samples' columns are: a column's name, or `name=word`.
    pub fn features(&self) -> Vec<String> {
        let names = self.features.iter().flat_map(|feature| match &feature.words {
            Some(words) => words.iter().map(|word| format!("{}={word}", feature.name)).collect(),
            None => vec![feature.name.clone()],
        });
        names.collect()
    }

    fn encode(&self, mut lines: Lines<'_>, targets: &[usize]) -> Result<Rows> {
        let find = |feature: &Feature| lines.find("columns", &feature.name);
        let places = self.features.iter().map(find).collect::<Result<Vec<_>>>()?;
        let (mut x, mut y, mut weights, mut numbers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let width = self.width();
        let own = self.csv.targets.columns().len();
        // Of two of one name the first.
        let classes: HashMap<&str, usize> =
            self.classes.iter().enumerate().rev().map(|(i, c)| (c.as_str(), i)).collect();
        let mut dropped = Dropped::default();
        let mut number = 0..;
        while let Some(row) = lines.next()? {
            let number = number.next().expect("there is no end");
            if let Some(column) = row.dropped(&places, targets) {
                dropped.note(&row, column);
                continue;
            }
            memory::reserve(&mut x, width, "the samples of the table")?;
            for (feature, &column) in self.features.iter().zip(&places) {
                feature.encode(&row, column, self.csv.missing, &mut x)?;
            }
            for (i, &column) in targets.iter().enumerate() {
                let values = if i < own { &mut y } else { &mut weights };
                values.push(self.target(&row, i, column, &classes)?);
            }
            numbers.push(number);
        }
        let (rows, dropped) = (numbers.len(), dropped.named(&lines.columns));
        let remarks = Dropped::remark(&dropped, rows);
        if rows == 0 {
            let remark = remarks.map(|remark| format!(": {remark}")).unwrap_or_default();
            return Err(lines.refused_whole(&format!("holds no rows{remark}")));
        }
        let x = Tensor::new([rows, width], Values::F32(x))?;
        let y = match self.csv.targets {
            Targets::Label(_) => y.iter().map(|&class| class as u32).collect::<Vec<_>>().into(),
            Targets::Values(_) => Values::F32(y),
        };
        let shape = if matches!(y, Values::U32(_)) { vec![y.len()] } else { vec![rows, y.len() / rows] };
        let y = if targets.is_empty() { None } else { Some(Tensor::new(shape, y)?) };
        let weights = Some(weights).filter(|weights| !weights.is_empty());
        Ok(Rows { x, y, weights, numbers, dropped, remarks: remarks.into_iter().collect() })
    }

    /// The number in the `i`th of the columns of targets and weights.
    fn target(&self, row: &Row<'_>, i: usize, column: usize, classes: &HashMap<&str, usize>) -> Result<f32> {
        let is_label = matches!(self.csv.targets, Targets::Label(_)) && i == 0;
        if !is_label {
            let is_target = i < self.csv.targets.columns().len();
            return row
                .number_of(column, if is_target { "; predict its words by Csv::label" } else { "" })?
                .ok_or_else(|| row.missing(column));
        }
        let label = row.field(column).ok_or_else(|| row.missing(column))?;
        let class = classes.get(label).copied().or_else(|| self.class_of(label));
        Ok(class.ok_or_else(|| row.refused(column, unknown(label, &self.classes)))? as f32)
    }
}

/// What the rows of a file became.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    /// The samples; by [`Missing::Nan`] with NaN among them.
    pub x: Tensor,
    /// Class indices or values, where they were asked for.
    pub y: Option<Tensor>,
    pub weights: Option<Vec<f32>>,
    /// Which of the file's rows each is, from 0.
    pub numbers: Vec<usize>,
    /// Rows that were left out: the first column of each whose field is missing, what stood there, and how many they are.
    pub dropped: Vec<(String, String, usize)>,
    /// What should be said of the file.
    pub remarks: Vec<String>,
}

impl Rows {
    /// The targets of rows that were read with them.
    pub fn targets(&self) -> &Tensor {
        self.y.as_ref().expect("they were asked for")
    }

    /// Those at these places.
    pub fn take(&self, places: &[usize]) -> Result<Self> {
        let weights = self.weights.as_ref();
        Ok(Self {
            x: self.x.take(places)?,
            y: self.y.as_ref().map(|y| y.take(places)).transpose()?,
            weights: weights.map(|weights| places.iter().map(|&place| weights[place]).collect()),
            numbers: places.iter().map(|&place| self.numbers[place]).collect(),
            dropped: Vec::new(),
            remarks: Vec::new(),
        })
    }

    /// As a set, which must have nothing missing.
    pub fn dataset(self) -> Result<Dataset> {
        let data = Dataset::new(self.x, self.y.expect("they were asked for"))?;
        match self.weights {
            Some(weights) => data.with_sample_weight(weights),
            None => Ok(data),
        }
    }
}

/// Rows that were left out, by the first column of each whose field is missing, and what stood there.
#[derive(Default)]
struct Dropped(BTreeMap<(usize, String), usize>);

impl Dropped {
    fn note(&mut self, row: &Row<'_>, column: usize) {
        *self.0.entry((column, row.text(column).into())).or_default() += 1;
    }

    fn named(self, columns: &[String]) -> Vec<(String, String, usize)> {
        self.0.into_iter().map(|((column, text), rows)| (columns[column].clone(), text, rows)).collect()
    }

    fn remark(dropped: &[(String, String, usize)], kept: usize) -> Option<String> {
        let rows: usize = dropped.iter().map(|(.., rows)| rows).sum();
        let each = |(column, text, rows): &(String, String, usize)| format!("column {column:?} has {text:?} in {rows}");
        let mut all: Vec<String> = dropped.iter().take(MOST_SAID).map(each).collect();
        all.extend((dropped.len() > MOST_SAID).then(|| "and so on".to_string()));
        let read = rows + kept;
        (rows > 0).then(|| format!("{rows} of {read} rows are left out, since a field is missing: {}", all.join(", ")))
    }
}

/// Of columns and texts.
const MOST_SAID: usize = 20;
