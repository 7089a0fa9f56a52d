//! Tables of one's own, and what a saved model keeps of one.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use flate2::Crc;
use kiln::data::{Csv, Dataset, Encoding, Missing, Scaler, Split, Table};
use kiln::io::printable;
use kiln::nn::{Config, Model};
use kiln::tensor::Tensor;

use crate::outputs;

/// How a table is read.
#[derive(Args)]
pub struct TableArgs {
    /// Of a table: the column of labels
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,

    /// Of a table: columns that are left out, such as names
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    without: Vec<String>,

    /// Of a table: columns whose numbers are names, such as codes: a column of samples for each
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    words: Vec<String>,

    /// Of a table: columns of numbers; a field in them that is no number is missing
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    numbers: Vec<String>,

    /// Of a table: texts that mean that a field is missing, in place of ?, NA, N/A, NaN and null; an empty one always is
    #[arg(long, value_name = "TEXTS", value_delimiter = ',', allow_hyphen_values = true)]
    missing: Vec<String>,

    /// Of a table: the column of what each row counts for in the loss, in training and in the test
    #[arg(long, value_name = "COLUMN")]
    sample_weight: Option<String>,

    /// Of a table: what the rows of a label count for in the loss in training, such as yes=5,no=0.5; others have 1
    #[arg(long, value_name = "LABEL=WEIGHT", value_delimiter = ',', value_parser = class_weight)]
    class_weight: Vec<(String, f32)>,

    /// Of a table: leave rows with missing fields out
    #[arg(long)]
    drop_missing: bool,

    /// Of a table or a folder: share of the samples to measure on, the same of each class [default: 0.2]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub test_split: Option<f64>,

    /// Of a table: bring each column to mean 0 and standard deviation 1
    #[arg(long)]
    standardize: bool,
}

impl TableArgs {
    /// That no option is given which `name`, no table, would not heed.
    pub fn refuse(&self, name: &str) -> Result<()> {
        if self.test_split.is_some() {
            bail!("test_split: {name} has samples of its own to measure on");
        }
        self.refuse_columns(name)
    }

    /// That no option is given which is of columns.
    pub fn refuse_columns(&self, name: &str) -> Result<()> {
        let given = [
            ("label", self.label.is_some()),
            ("without", !self.without.is_empty()),
            ("words", !self.words.is_empty()),
            ("numbers", !self.numbers.is_empty()),
            ("missing", !self.missing.is_empty()),
            ("sample_weight", self.sample_weight.is_some()),
            ("class_weight", !self.class_weight.is_empty()),
            ("drop_missing", self.drop_missing),
            ("standardize", self.standardize),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => bail!("{option}: {name} is no table; give a file whose name ends in .csv or .tsv"),
            None => Ok(()),
        }
    }
}

/// The library's names of options, and the command's.
const OPTIONS: [(&str, &str); 6] = [
    ("drop such rows or fill them in, by Csv::missing", "drop such rows by --drop-missing"),
    ("Csv::missing_values", "--missing"),
    ("Csv::words", "--words"),
    ("Csv::numbers", "--numbers"),
    ("Csv::without", "--without"),
    ("; values are named to Csv::targets", ""),
];

fn in_options(text: &str) -> String {
    OPTIONS.iter().fold(text.to_string(), |text, (ours, theirs)| text.replace(ours, theirs))
}

/// Of a table that a model reads as it did that which it was trained on: there is nothing to choose.
fn without_options(e: kiln::Error) -> anyhow::Error {
    match e {
        kiln::Error::Io { .. } => e.into(),
        _ => {
            let text = e.to_string();
            anyhow::Error::msg(match text.split_once(OPTIONS[0].0) {
                Some((before, _)) => format!("{before}mend it, or leave the row out"),
                None => text,
            })
        }
    }
}

/// Says of a table what must not go unsaid.
fn say(path: &Path, table: &Table) {
    for remark in &table.remarks {
        outputs::say(printable(&format!("{}: {}", path.display(), in_options(remark))));
    }
}

fn class_weight(text: &str) -> Result<(String, f32)> {
    let (label, weight) = text.rsplit_once('=').context("expected LABEL=WEIGHT, such as yes=5")?;
    Ok((label.into(), weight.parse().with_context(|| format!("{weight:?} is no number"))?))
}

/// One weight of each class: 1 where none is given. None at all where no class has one.
fn class_weights(given: &[(String, f32)], encoding: &Encoding) -> Result<Vec<f64>> {
    let classes = encoding.classes();
    let mut weights = vec![1.0; if given.is_empty() { 0 } else { classes.len() }];
    for (i, (label, weight)) in given.iter().enumerate() {
        let unknown =
            || format!("class_weight: no row has the label {label:?}; there are {}", printable(&classes.join(", ")));
        let class = encoding.class_of(label).with_context(unknown)?;
        weights[class] = f64::from(*weight);
        let is_again = given[..i].iter().any(|(other, _)| encoding.class_of(other) == Some(class));
        ensure!(!is_again, "class_weight: {label:?} is named twice");
    }
    Ok(weights)
}

/// The note in the file.
const NOTE: &str = "table";

/// What the columns of a table are, and which of its rows are measured on.
pub struct Columns {
    pub encoding: Encoding,
    scaler: Option<Scaler>,
    /// One of each class, or none.
    pub class_weight: Vec<f64>,
    test_split: f64,
    seed: u64,
    /// What tells another table: how many rows it had, and what [`checksum`] made of them.
    rows: usize,
    crc: usize,
}

/// Of the numbers that were made of a table.
fn checksum(data: &Dataset) -> usize {
    let mut crc = Crc::new();
    for tensor in [Some(data.x()), Some(data.y()), data.sample_weight()].into_iter().flatten() {
        tensor.values().to_f32().iter().for_each(|value| crc.update(&value.to_le_bytes()));
    }
    crc.sum() as usize
}

impl Columns {
    /// Those of a table as the options have them, and its parts.
    pub fn new(path: &Path, args: &TableArgs, seed: u64, max_unpacked: Option<u64>) -> Result<(Self, Split)> {
        let Some(label) = &args.label else {
            bail!("label: name the column of {name} that holds the labels, by --label", name = path.display());
        };
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let separator = if ["tsv", "tab"].contains(&ending.as_str()) { b'\t' } else { b',' };
        let missing = if args.drop_missing { Missing::DropRow } else { Missing::Error };
        let mut csv = Csv::new().separator(separator).label(label).without(&args.without).missing(missing);
        csv = csv.words(&args.words).numbers(&args.numbers);
        if !args.missing.is_empty() {
            csv = csv.missing_values(&args.missing);
        }
        if let Some(column) = &args.sample_weight {
            csv = csv.sample_weight(column);
        }
        if let Some(most) = max_unpacked {
            csv = csv.max_unpacked(most);
        }
        let table = csv.read(path).map_err(|e| match e {
            kiln::Error::Io { .. } => e.into(),
            _ => anyhow::Error::msg(in_options(&e.to_string())),
        })?;
        say(path, &table);
        let class_weight = class_weights(&args.class_weight, table.encoding())?;
        let (encoding, test_split) = (table.encoding().clone(), args.test_split.unwrap_or(0.2));
        let (rows, crc) = (table.data.len(), checksum(&table.data));
        let columns = Columns { encoding, scaler: None, class_weight, test_split, seed, rows, crc };
        let mut columns = columns.checked()?;
        let split = columns.split(&table.data)?;
        columns.scaler = args.standardize.then(|| Scaler::standardize(&split.train));
        let split = columns.scaled_parts(&split)?;
        Ok((columns, split))
    }

    /// Those of the model in the file at `path`, where it was trained on a table.
    pub fn find(model: &Model, path: &Path) -> Result<Option<Self>> {
        let Some(mut config) = model.note::<Config>(NOTE)? else { return Ok(None) };
        let mut read = || -> Result<Self> {
            Self {
                encoding: config.take("encoding")?,
                scaler: config.take("scaler")?,
                class_weight: config.take("class_weight")?,
                test_split: config.take("test_split")?,
                seed: config.take("seed")?,
                rows: config.take("rows")?,
                crc: config.take("crc")?,
            }
            .checked()
        };
        read().map(Some).with_context(|| path.display().to_string())
    }

    /// Keeps what a model needs of the table with it.
    pub fn keep(&self, model: &mut Model) {
        let config = Config::new(NOTE)
            .with("encoding", self.encoding.clone())
            .with("scaler", self.scaler.clone())
            .with("class_weight", self.class_weight.clone())
            .with("test_split", self.test_split)
            .with("seed", self.seed)
            .with("rows", self.rows)
            .with("crc", self.crc);
        model.set_note(NOTE, config);
    }

    /// [`Columns::find`] of a model that must have them.
    pub fn of(model: &Model, path: &Path) -> Result<Self> {
        let none = || format!("{}: knows no table; `kiln train TABLE.csv --save` writes one that does", path.display());
        Self::find(model, path)?.with_context(none)
    }

    /// The same, whose tables may unpack to so many bytes where that is told.
    pub fn within(mut self, max_unpacked: Option<u64>) -> Self {
        if let Some(most) = max_unpacked {
            self.encoding = self.encoding.max_unpacked(most);
        }
        self
    }

    /// That the parts fit each other, whether the options gave them or a file did.
    fn checked(self) -> Result<Self> {
        let (classes, weights) = (self.encoding.classes(), &self.class_weight);
        let (count, given) = (classes.len(), weights.len());
        ensure!(given == 0 || given == count, "class_weight: {given} weights for {count} classes; there is one each");
        for (label, weight) in classes.iter().zip(weights) {
            ensure!(*weight >= 0.0 && weight.is_finite(), "class_weight: {label:?} has {weight}; give 0 or more");
        }
        if let Some(scaler) = &self.scaler {
            let (columns, features) = (scaler.center.len(), self.encoding.features().len());
            ensure!(columns == features, "scaler: is of {columns} columns, samples have {features}");
        }
        let share = self.test_split;
        ensure!(share > 0.0 && share < 1.0, "test_split: {share} is no share; give more than 0, less than 1");
        Ok(self)
    }

    fn read(&self, path: &Path) -> Result<Dataset> {
        let table = self.encoding.table(path).map_err(without_options)?;
        say(path, &table);
        Ok(table.data)
    }

    /// All samples of the table that was trained on, as they stand there.
    fn whole(&self, path: &Path) -> Result<Dataset> {
        let (data, rows) = (self.read(path)?, self.rows);
        let (name, found) = (path.display(), data.len());
        ensure!(found == rows, "{name}: has {found} rows, the run had {rows}; give the table that it was trained on");
        ensure!(
            checksum(&data) == self.crc,
            "{name}: has changed since the run; give the table that it was trained on"
        );
        Ok(data)
    }

    /// The same parts each time.
    fn split(&self, data: &Dataset) -> Result<Split> {
        Ok(data.stratified_split(self.test_split, self.seed)?)
    }

    fn scaled_parts(&self, split: &Split) -> Result<Split> {
        Ok(Split { train: self.scaled(&split.train)?, test: self.scaled(&split.test)? })
    }

    /// The parts of the table that was trained on, as they were then.
    pub fn again(&self, path: &Path) -> Result<Split> {
        self.scaled_parts(&self.split(&self.whole(path)?)?)
    }

    fn scaled(&self, data: &Dataset) -> Result<Dataset> {
        Ok(self.scaler.as_ref().map_or_else(|| Ok(data.clone()), |scaler| scaler.apply(data))?)
    }

    /// The rows of a table, as the model takes them.
    pub fn dataset(&self, path: &Path) -> Result<Dataset> {
        self.scaled(&self.read(path)?)
    }

    /// Those of the table that was trained on which were held back from the training.
    pub fn held_out(&self, path: &Path) -> Result<Dataset> {
        self.scaled(&self.split(&self.whole(path)?)?.test)
    }

    /// The samples of a table, which need have no labels. No row is left out, so that they can be counted.
    pub fn samples(&self, path: &Path) -> Result<Tensor> {
        let x = self.encoding.clone().missing(Missing::Error).read_samples(path).map_err(without_options)?;
        Ok(self.scaler.as_ref().map_or_else(|| Ok(x.clone()), |scaler| scaler.apply_to(&x))?)
    }

    /// What a file must have, and what comes of it.
    pub fn print(&self) -> String {
        let scaled = if self.scaler.is_some() { ", standardized" } else { "" };
        let (features, classes) = (self.encoding.features().join(", "), self.encoding.classes().join(", "));
        format!("columns {features}{scaled}; classes {classes}")
    }
}
