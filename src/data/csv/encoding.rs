//! From fields to numbers: what each column is, as the file that was trained on has it.

use std::path::Path;

use super::lines::{Lines, Row};
use super::{Csv, Missing, Targets};
use crate::data::Dataset;
use crate::error::Result;
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
    fn width(&self) -> usize {
        self.words.as_ref().map_or(1, Vec::len)
    }

    /// Adds the row's field to a sample.
    fn encode(&self, row: &Row<'_>, column: usize, missing: Missing, sample: &mut Vec<f32>) -> Result<()> {
        let absent = || match missing {
            Missing::Fill(number) => Ok(number),
            _ => Err(row.missing(column)),
        };
        let Some(words) = &self.words else {
            sample.push(row.number(column)?.map_or_else(absent, Ok)?);
            return Ok(());
        };
        let at = match row.field(column) {
            Some(field) => Some(position(words, field).ok_or_else(|| row.refused(column, unknown(field, words)))?),
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

/// More different words than this are names of rows, not of kinds.
const MOST_WORDS: usize = 1000;

/// Adds the word in a column, where it is not there yet.
fn note(words: &mut Vec<String>, word: &str, row: &Row<'_>, column: usize) -> Result<()> {
    if position(words, word).is_some() {
        return Ok(());
    }
    if words.len() == MOST_WORDS {
        let message = format!("{word:?} is one word more than the {MOST_WORDS} that a column may have");
        return Err(row.refused(column, format!("{message}; if it names rows, leave it out by Csv::without")));
    }
    words.push(word.into());
    Ok(())
}

/// By value where all are numbers, else by letters.
fn sort(names: &mut [String]) {
    let number = |name: &String| name.parse::<f64>();
    if names.iter().all(|name| number(name).is_ok()) {
        names.sort_by(|a, b| number(a).unwrap_or_default().total_cmp(&number(b).unwrap_or_default()));
    } else {
        names.sort_unstable();
    }
}

impl Encoding {
    /// Goes through a file to learn its columns.
    pub(super) fn of(mut lines: Lines<'_>, csv: &Csv) -> Result<Self> {
        let targets = targets(&lines, csv)?;
        let left_out = columns(&lines, "without", &csv.without)?;
        let words = columns(&lines, "words", &csv.words)?;
        let taken: Vec<usize> =
            (0..lines.columns.len()).filter(|c| !targets.contains(c) && !left_out.contains(c)).collect();
        if taken.is_empty() {
            return Err(lines.refused_whole("has no columns beside the targets, the weights and those left out"));
        }
        // What is not known yet is decided by the first field that is not missing.
        let mut kinds: Vec<Option<Option<Vec<String>>>> =
            taken.iter().map(|c| words.contains(c).then(|| Some(Vec::new()))).collect();
        let mut classes = csv.classes.clone();
        while let Some(row) = lines.next()? {
            if row.is_dropped(csv.missing, taken.iter().chain(&targets).copied()) {
                continue;
            }
            for (kind, &column) in kinds.iter_mut().zip(&taken) {
                let Some(field) = row.field(column) else { continue };
                let new = || if field.parse::<f64>().is_ok() { None } else { Some(Vec::new()) };
                if let Some(words) = kind.get_or_insert_with(new) {
                    note(words, field, &row, column)?;
                }
            }
            if let Targets::Label(_) = csv.targets {
                note_class(&row, targets[0], &csv.classes, &mut classes)?;
            }
        }
        if csv.classes.is_empty() {
            sort(&mut classes);
        }
        let features = taken.iter().zip(kinds).map(|(&column, kind)| {
            let words = kind.flatten().map(|mut words| {
                sort(&mut words);
                words
            });
            Feature { name: lines.columns[column].clone(), words }
        });
        Ok(Self { csv: csv.clone(), features: features.collect(), classes })
    }

    /// Reads a file: samples and targets.
    ///
    /// # Errors
    /// As [`Csv::read`]; [`crate::Error::Format`] for a word or a label that there was not, too.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Dataset> {
        self.dataset(Lines::open(path.as_ref(), &self.csv)?)
    }

    /// Reads a file: the samples alone, `(n, features)`. It need not have the label or the targets.
    ///
    /// # Errors
    /// As [`Encoding::read`].
    pub fn read_samples(&self, path: impl AsRef<Path>) -> Result<Tensor> {
        Ok(self.encode(Lines::open(path.as_ref(), &self.csv)?, &[])?.0)
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

    /// What the samples' columns are: a column's name, or `name=word`.
    pub fn features(&self) -> Vec<String> {
        let names = self.features.iter().flat_map(|feature| match &feature.words {
            Some(words) => words.iter().map(|word| format!("{}={word}", feature.name)).collect(),
            None => vec![feature.name.clone()],
        });
        names.collect()
    }

    /// The samples and targets of a file.
    pub(super) fn dataset(&self, lines: Lines<'_>) -> Result<Dataset> {
        let targets = targets(&lines, &self.csv)?;
        let (x, all) = self.encode(lines, &targets)?;
        let (mut y, mut weights) = (Vec::new(), Vec::new());
        for row in all.chunks(targets.len()) {
            let (own, weight) = row.split_at(self.csv.targets.columns().len());
            y.extend_from_slice(own);
            weights.extend_from_slice(weight);
        }
        let y = match self.csv.targets {
            Targets::Label(_) => Tensor::new([x.rows()], y.iter().map(|&class| class as u32).collect::<Vec<_>>()),
            Targets::Values(_) => Tensor::new([x.rows(), y.len() / x.rows()], y),
        };
        let data = Dataset::new(x, y?)?;
        if weights.is_empty() { Ok(data) } else { data.with_sample_weight(weights) }
    }

    /// The samples, and the numbers in the columns of targets and weights.
    fn encode(&self, mut lines: Lines<'_>, targets: &[usize]) -> Result<(Tensor, Vec<f32>)> {
        let find = |feature: &Feature| lines.find("columns", &feature.name);
        let places = self.features.iter().map(find).collect::<Result<Vec<_>>>()?;
        let (mut x, mut y, mut rows) = (Vec::new(), Vec::new(), 0);
        while let Some(row) = lines.next()? {
            if row.is_dropped(self.csv.missing, places.iter().chain(targets).copied()) {
                continue;
            }
            for (feature, &column) in self.features.iter().zip(&places) {
                feature.encode(&row, column, self.csv.missing, &mut x)?;
            }
            for (i, &column) in targets.iter().enumerate() {
                y.push(self.target(&row, i, column)?);
            }
            rows += 1;
        }
        if rows == 0 {
            return Err(lines.refused_whole("holds no rows"));
        }
        Ok((Tensor::new([rows, self.features.iter().map(Feature::width).sum()], Values::F32(x))?, y))
    }

    /// The number in the `i`th of the columns of targets and weights.
    fn target(&self, row: &Row<'_>, i: usize, column: usize) -> Result<f32> {
        let is_label = matches!(self.csv.targets, Targets::Label(_)) && i == 0;
        if !is_label {
            return row.number(column)?.ok_or_else(|| row.missing(column));
        }
        let label = row.field(column).ok_or_else(|| row.missing(column))?;
        let class = position(&self.classes, label);
        Ok(class.ok_or_else(|| row.refused(column, unknown(label, &self.classes)))? as f32)
    }
}

/// Adds the row's label to the classes, unless these are `given`: what is none of them is found when it is read.
fn note_class(row: &Row<'_>, column: usize, given: &[String], classes: &mut Vec<String>) -> Result<()> {
    let Some(label) = row.field(column).filter(|_| given.is_empty()) else { return Ok(()) };
    if label.parse::<f64>().is_ok_and(|number| number.fract() != 0.0) {
        let message =
            format!("{label} is no class: classes are words or whole numbers; values are named to Csv::targets");
        return Err(row.refused(column, message));
    }
    note(classes, label, row, column)
}

/// The columns of targets, then that of weights.
fn targets(lines: &Lines<'_>, csv: &Csv) -> Result<Vec<usize>> {
    let mut targets = columns(lines, csv.targets.option(), csv.targets.columns())?;
    targets.extend(columns(lines, "sample_weight", csv.sample_weight.as_slice())?);
    Ok(targets)
}

fn columns(lines: &Lines<'_>, option: &str, names: &[String]) -> Result<Vec<usize>> {
    names.iter().map(|name| lines.find(option, name)).collect()
}
