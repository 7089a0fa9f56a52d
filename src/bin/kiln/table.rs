//! Tables of one's own: the options, and what is said of a table in their words.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use kiln::data::{Csv, Dataset, Missing, Split};
use kiln::io::printable;
use kiln::nn::Model;
use kiln::table::{ClassWeight, Preprocessor, TableOptions};
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
fn say(path: &Path, remarks: &[String]) {
    for remark in remarks {
        outputs::say(printable(&format!("{}: {}", path.display(), in_options(remark))));
    }
}

fn class_weight(text: &str) -> Result<(String, f32)> {
    let (label, weight) = text.rsplit_once('=').context("expected LABEL=WEIGHT, such as yes=5")?;
    Ok((label.into(), weight.parse().with_context(|| format!("{weight:?} is no number"))?))
}

impl TableArgs {
    /// How the table at `path` is opened.
    fn options(&self, path: &Path, seed: u64, max_unpacked: Option<u64>) -> Result<TableOptions> {
        let Some(label) = &self.label else {
            bail!("label: name the column of {name} that holds the labels, by --label", name = path.display());
        };
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let separator = if ["tsv", "tab"].contains(&ending.as_str()) { b'\t' } else { b',' };
        let missing = if self.drop_missing { Missing::DropRow } else { Missing::Error };
        let mut csv = Csv::new().separator(separator).label(label).without(&self.without).missing(missing);
        csv = csv.words(&self.words).numbers(&self.numbers);
        if !self.missing.is_empty() {
            csv = csv.missing_values(&self.missing);
        }
        if let Some(column) = &self.sample_weight {
            csv = csv.sample_weight(column);
        }
        if let Some(most) = max_unpacked {
            csv = csv.max_unpacked(most);
        }
        let options = TableOptions::new(csv).standardize(self.standardize).split_seed(seed);
        let options = options.class_weight(ClassWeight::Given(self.class_weight.clone()));
        Ok(self.test_split.map_or(options.clone(), |share| options.test_split(share)))
    }

    /// The parts of the table at `path`, and what a model keeps of it.
    pub fn open(&self, path: &Path, seed: u64, max_unpacked: Option<u64>) -> Result<(Preprocessor, Split)> {
        let options = self.options(path, seed, max_unpacked)?;
        let table = options.open([path]).map_err(|e| match e {
            kiln::Error::Io { .. } => e.into(),
            _ => anyhow::Error::msg(in_options(&e.to_string())),
        })?;
        say(path, table.remarks());
        Ok(table.prepare(&table.split()?)?)
    }
}

/// What the model in the file at `path` keeps of a table, where it was trained on one, whose files may unpack to so many bytes.
pub fn find(model: &Model, path: &Path, max_unpacked: Option<u64>) -> Result<Option<Preprocessor>> {
    let found = Preprocessor::of(model).with_context(|| path.display().to_string())?;
    Ok(found.map(|found| max_unpacked.into_iter().fold(found, Preprocessor::max_unpacked)))
}

/// [`find`] of a model that must have it.
pub fn of(model: &Model, path: &Path, max_unpacked: Option<u64>) -> Result<Preprocessor> {
    let none = || format!("{}: knows no table; `kiln train TABLE.csv --save` writes one that does", path.display());
    find(model, path, max_unpacked)?.with_context(none)
}

/// The parts of the table that was trained on, as they were then.
pub fn again(preprocessor: &Preprocessor, path: &Path) -> Result<Split> {
    let (split, remarks) = preprocessor.again(path).map_err(without_options)?;
    say(path, &remarks);
    Ok(split)
}

/// The rows of a table, as the model takes them.
pub fn dataset(preprocessor: &Preprocessor, path: &Path) -> Result<Dataset> {
    let rows = preprocessor.read(path).map_err(without_options)?;
    say(path, &rows.remarks);
    Ok(rows.data)
}

/// The samples of a table, which need have no labels.
pub fn samples(preprocessor: &Preprocessor, path: &Path) -> Result<Tensor> {
    preprocessor.read_samples(path).map_err(without_options)
}

/// What a file must have, and what comes of it.
pub fn print(preprocessor: &Preprocessor) -> String {
    let scaled = if preprocessor.scaler().is_some() { ", standardized" } else { "" };
    let (features, classes) = (preprocessor.encoding().features().join(", "), preprocessor.classes().join(", "));
    format!("columns {features}{scaled}; classes {classes}")
}
