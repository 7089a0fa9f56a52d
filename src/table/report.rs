//! What a table holds, as it should be known before anything is trained on it.

use std::collections::HashMap;

use super::{Baseline, Preprocessor};
use crate::data::{Encoding, Rows, Split, class_counts};
use crate::error::Result;
use crate::tensor::{Tensor, Values};

/// What a table holds and what becomes of it.
///
/// ```
/// use kiln::data::Csv;
/// use kiln::table::TableOptions;
/// let table = TableOptions::new(Csv::new().label("type").without(["name"])).open(["examples/data/zoo.csv"])?;
/// let (preprocessor, split) = table.prepare(&table.split()?)?;
/// let report = table.report(&preprocessor, &split)?;
/// println!("{report:?}");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Rows of the files.
    pub rows_read: usize,
    /// Those of them that were left out.
    pub dropped: Vec<DroppedRows>,
    /// The columns that samples are made of, in the file's order.
    pub columns: Vec<Column>,
    /// Columns that were left out.
    pub left_out: Vec<String>,
    /// What is predicted.
    pub targets: Targets,
    /// Rows to train on, those to validate on among them.
    pub train: usize,
    /// Rows to measure on.
    pub test: usize,
    /// What the model has to beat on the rows to measure on, where there are any.
    pub baseline: Option<Baseline>,
    /// What should be said of the files in any case, a sentence each: rows that were left out, and why.
    pub remarks: Vec<String>,
    /// What looks like a mistake, or makes much of little: a sentence each, which names the column and what to do.
    pub warnings: Vec<String>,
}

/// Rows that were left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedRows {
    /// The first of a row's columns whose field is missing.
    pub column: String,
    /// What stands there; empty where nothing does.
    pub text: String,
    /// How many rows.
    pub rows: usize,
}

/// A column that samples are made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Of a column of words how many different ones there are.
    pub words: Option<usize>,
    /// Rows in which its field is missing.
    pub missing: usize,
    /// What is filled in there: a number or a word.
    pub fill: Option<String>,
}

/// The columns to predict.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// A column of labels.
    Classes {
        /// Its name.
        label: String,
        /// Each class and its rows.
        classes: Vec<(String, usize)>,
    },
    /// Columns of numbers.
    Values(Vec<TargetRange>),
}

/// A column of numbers to predict.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetRange {
    /// Its name.
    pub name: String,
    /// The smallest number.
    pub min: f32,
    /// The largest number.
    pub max: f32,
    /// The mean.
    pub mean: f64,
}

impl Report {
    /// That of a table's rows, of which these parts were made.
    pub(super) fn of(rows: &Rows, preprocessor: &Preprocessor, split: &Split) -> Result<Self> {
        let encoding = preprocessor.encoding();
        let dropped: Vec<DroppedRows> = rows
            .dropped
            .iter()
            .map(|(column, text, rows)| DroppedRows { column: column.clone(), text: text.clone(), rows: *rows })
            .collect();
        let targets = targets(encoding, rows.targets());
        let (mut columns, mut warnings) = (Vec::new(), Vec::new());
        let mut at = 0;
        for (name, words) in encoding.columns() {
            let width = words.map_or(1, <[String]>::len);
            let fields = Fields::of(&rows.x, (at, width), words.is_some());
            let missing = fields.0.iter().filter(|field| field.is_none()).count();
            let fill = preprocessor.fill.as_ref().map(|fill| &fill[at..at + width]).filter(|_| missing > 0);
            let fill = fill.and_then(|fill| stands(fill, words));
            columns.push(Column { name: name.into(), words: words.map(<[String]>::len), missing, fill });
            warnings
                .extend(fields.warning(words.is_some(), rows.targets()).map(|why| format!("column {name:?}: {why}")));
            at += width;
        }
        let baseline = (!split.test.is_empty()).then(|| Baseline::of(&split.train, &split.test)).transpose()?;
        Ok(Self {
            rows_read: rows.x.rows() + dropped.iter().map(|dropped| dropped.rows).sum::<usize>(),
            dropped,
            columns,
            left_out: encoding.csv().left_out().to_vec(),
            targets,
            train: split.train.len(),
            test: split.test.len(),
            baseline,
            remarks: rows.remarks.clone(),
            warnings,
        })
    }
}

/// What the numbers of a column's samples stand for; `None` for nothing.
fn stands(fill: &[f64], words: Option<&[String]>) -> Option<String> {
    match words {
        None => Some(fill[0]).filter(|number| !number.is_nan()).map(|number| (number as f32).to_string()),
        Some(words) => fill.iter().position(|&is| is == 1.0).map(|place| words[place].clone()),
    }
}

fn targets(encoding: &Encoding, y: &Tensor) -> Targets {
    let names = encoding.targets();
    match y.values() {
        Values::U32(labels) => {
            let counts = class_counts(labels, encoding.classes().len());
            let classes = encoding.classes().iter().cloned().zip(counts).collect();
            Targets::Classes { label: names[0].clone(), classes }
        }
        values => {
            let values = values.to_f32();
            let range = |(at, name): (usize, &String)| {
                let column = || values.iter().skip(at).step_by(names.len()).copied();
                TargetRange {
                    name: name.clone(),
                    min: column().fold(f32::INFINITY, f32::min),
                    max: column().fold(f32::NEG_INFINITY, f32::max),
                    mean: column().map(f64::from).sum::<f64>() / y.rows() as f64,
                }
            };
            Targets::Values(names.iter().enumerate().map(range).collect())
        }
    }
}

/// The fields of a column, row by row: a number, or the place of a word.
struct Fields(Vec<Option<f32>>);

/// Rows for each value below which a column that tells the class may do so by chance.
const ROWS_A_VALUE: usize = 5;
/// Values above which a column's tell too little of the rows.
const FEW_VALUES: usize = 20;
/// Fewer rows than this say nothing of numbers.
const FEW_ROWS: usize = 10;

impl Fields {
    fn of(x: &Tensor, (at, width): (usize, usize), is_words: bool) -> Self {
        let Values::F32(numbers) = x.values() else { unreachable!("a table's samples are f32") };
        let field = |cells: &[f32]| match is_words {
            true => cells.iter().position(|&is| is == 1.0).map(|place| place as f32),
            false => Some(cells[0]).filter(|number| !number.is_nan()),
        };
        let samples = numbers.chunks(numbers.len() / x.rows());
        Self(samples.map(|sample| field(&sample[at..at + width])).collect())
    }

    /// What is odd about the column, and what to do.
    fn warning(&self, is_words: bool, targets: &Tensor) -> Option<String> {
        let rows = self.0.len();
        if rows > 1 && self.0[0].is_some() && self.0.iter().all(|field| *field == self.0[0]) {
            return Some("has one value in all rows, which tells nothing; leave it out by Csv::without".into());
        }
        let is_next =
            |pair: &[Option<f32>]| pair[0].zip(pair[1]).is_some_and(|(a, b)| b == a + 1.0 && a.fract() == 0.0);
        if !is_words && rows >= FEW_ROWS && self.0.windows(2).all(is_next) {
            return Some("counts the rows; leave it out by Csv::without".into());
        }
        let what = match targets.values() {
            Values::U32(labels) => {
                let values = self.values_that_tell(labels)?;
                format!("each of its {values} values is always with the same class, so that it gives the label away")
            }
            values => {
                let (values, width) = (values.to_f64(), values.len() / rows);
                let follows = |at: usize| self.follows(values.iter().skip(at).step_by(width).copied());
                (!is_words && (0..width).any(follows)).then_some(())?;
                "is a target on another scale, so that it gives the target away".to_string()
            }
        };
        Some(format!("{what}; if it is not known before that is, leave it out by Csv::without"))
    }

    /// How many different values there are, where they are few and the class follows from each.
    fn values_that_tell(&self, labels: &[u32]) -> Option<usize> {
        if labels.iter().all(|label| *label == labels[0]) {
            return None;
        }
        let mut classes = HashMap::new();
        for (field, label) in self.0.iter().zip(labels) {
            // Zeros of both signs are one value.
            let value = field.map(|number| (number + 0.0).to_bits());
            if classes.insert(value, label).is_some_and(|known| known != label) || classes.len() > FEW_VALUES {
                return None;
            }
        }
        (self.0.len() >= ROWS_A_VALUE * classes.len()).then_some(classes.len())
    }

    /// Whether the target lies on a line over the column's numbers.
    fn follows(&self, target: impl Iterator<Item = f64> + Clone) -> bool {
        let n = self.0.len() as f64;
        let Some(own) = self.0.iter().map(|field| field.map(f64::from)).collect::<Option<Vec<f64>>>() else {
            return false;
        };
        let mean = own.iter().sum::<f64>() / n;
        let other = target.clone().sum::<f64>() / n;
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for (x, y) in own.iter().zip(target) {
            let (x, y) = (x - mean, y - other);
            (xx, xy, yy) = (xx + x * x, xy + x * y, yy + y * y);
        }
        self.0.len() >= FEW_ROWS && xx > 0.0 && yy > 0.0 && xy * xy >= (1.0 - 1e-9) * xx * yy
    }
}
