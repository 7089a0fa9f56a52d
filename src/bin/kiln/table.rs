//! Tables of one's own: the options, and what is said of a table in their words.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use kiln::data::{Csv, Dataset, Fold, Missing, Split};
use kiln::io::printable;
use kiln::nn::Model;
use kiln::table::{Baseline, ClassWeight, FillMissing, Preprocessor, Report, TableData, TableOptions};
use kiln::tensor::Tensor;

use crate::arrays::archive;
use crate::interrupt::quoted;
use crate::outputs;

/// How a table is read.
#[derive(Args)]
pub struct TableArgs {
    /// Of a table: the column of labels, whose classes are predicted
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,

    /// Of a table: the column of numbers to predict, or several of them; of arrays: y
    #[arg(long, value_name = "COLUMNS", conflicts_with = "label")]
    target: Vec<Names>,

    /// Of a table: columns that are left out, such as names; a name with a comma in it stands in quotes: 'age,"last, first"'
    #[arg(long, value_name = "COLUMNS")]
    without: Vec<Names>,

    /// Of a table: columns whose numbers are names, such as codes: a column of samples for each
    #[arg(long, value_name = "COLUMNS")]
    words: Vec<Names>,

    /// Of a table: columns of numbers; a field in them that is no number is missing
    #[arg(long, value_name = "COLUMNS")]
    numbers: Vec<Names>,

    /// Of a table: texts that mean that a field is missing, in place of ?, NA, N/A, NaN and null; an empty one always is
    #[arg(long, value_name = "TEXTS", allow_hyphen_values = true)]
    missing: Vec<Names>,

    /// Of a table: fill missing fields in: by the mean, median or most-frequent of the column's training rows, words always by the most frequent one; or by this VALUE
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    fill_missing: Option<String>,

    /// Of a table: leave rows with missing fields out; with --fill-missing those without a label alone
    #[arg(long)]
    drop_missing: bool,

    /// Of a table: the character between fields, such as ';', or tab [default: tab for .tsv, else a comma]
    #[arg(long, value_name = "CHARACTER", value_parser = separator)]
    separator: Option<u8>,

    /// Of a table: its first line is a row already; columns are named 1, 2, 3
    #[arg(long)]
    no_header: bool,

    /// Of a table: the column of what each row counts for in the loss, in training and in the test
    #[arg(long, value_name = "COLUMN")]
    sample_weight: Option<String>,

    /// Of a table: what the rows of a label count for in the loss in training, such as yes=5,no=0.5; others have 1. Or balanced: each class as much as any other
    #[arg(long, value_name = "LABEL=WEIGHT", value_parser = class_weight)]
    class_weight: Vec<ClassWeight>,

    /// Of a table: measure on the rows of this file, with the same columns, and train on all of the table
    #[arg(long, value_name = "FILE", conflicts_with = "test_split")]
    pub test: Option<PathBuf>,

    /// Of a table or a folder: share of the samples to measure on, the same of each class [default: 0.2]; with 0 a table's rows are all trained on
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub test_split: Option<f64>,

    /// Of a table or a folder: what decides which samples are measured on [default: 0]
    #[arg(long, value_name = "N")]
    pub split_seed: Option<u64>,

    /// Of a table: bring each column to mean 0 and standard deviation 1, which is so unless --no-standardize is given
    #[arg(long)]
    standardize: bool,

    /// Of a table: take its numbers as they stand there
    #[arg(long, conflicts_with = "standardize")]
    no_standardize: bool,
}

/// Names with commas between them, in quotes where they have commas themselves.
#[derive(Clone, Debug)]
struct Names(Vec<String>);

impl FromStr for Names {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(text.as_bytes());
        match reader.records().next() {
            Some(Ok(names)) => Ok(Self(names.iter().map(String::from).collect())),
            _ => Ok(Self(vec![text.into()])),
        }
    }
}

/// The names of all times that an option is given.
fn all(names: &[Names]) -> impl Iterator<Item = &String> {
    names.iter().flat_map(|names| &names.0)
}

fn separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        &[byte] if byte.is_ascii() => Ok(byte),
        _ => Err("give one character, such as ';', or tab".into()),
    }
}

fn class_weight(text: &str) -> Result<ClassWeight, String> {
    if text == "balanced" {
        return Ok(ClassWeight::Balanced);
    }
    let Names(each) = text.parse()?;
    let one = |text: &String| {
        let (label, weight) = text.rsplit_once('=').ok_or("expected LABEL=WEIGHT, such as yes=5, or balanced")?;
        Ok((label.into(), weight.parse().map_err(|e| format!("{weight:?} is no number: {e}"))?))
    };
    each.iter().map(one).collect::<Result<_, String>>().map(ClassWeight::Given)
}

impl TableArgs {
    /// Whether numbers are to be predicted.
    pub fn predicts_values(&self) -> bool {
        !self.target.is_empty()
    }

    /// Whether columns stay as they are.
    pub fn takes_numbers_as_they_are(&self) -> bool {
        self.no_standardize
    }

    /// That no option is given which `name`, no table, would not heed.
    pub fn refuse(&self, name: &str) -> Result<()> {
        for (option, given) in [("test_split", self.test_split.is_some()), ("split_seed", self.split_seed.is_some())] {
            ensure!(!given, "{option}: {name} has samples of its own to measure on");
        }
        let targets: Vec<&String> = all(&self.target).collect();
        if archive(name).is_some() && self.predicts_values() {
            ensure!(
                targets == ["y"] || targets == ["y_train"],
                "target: the numbers to predict of {name} are its arrays y_train and y_test; give --target y"
            );
            return self.refuse_others(name);
        }
        self.refuse_columns(name)
    }

    /// That no option is given which is of columns.
    pub fn refuse_columns(&self, name: &str) -> Result<()> {
        let no_table = "is no table; give a file whose name ends in .csv or .tsv";
        ensure!(!self.predicts_values(), "target: {name} {no_table}, or in .npz");
        self.refuse_others(name)
    }

    fn refuse_others(&self, name: &str) -> Result<()> {
        let given = [
            ("label", self.label.is_some()),
            ("without", !self.without.is_empty()),
            ("words", !self.words.is_empty()),
            ("numbers", !self.numbers.is_empty()),
            ("missing", !self.missing.is_empty()),
            ("fill_missing", self.fill_missing.is_some()),
            ("drop_missing", self.drop_missing),
            ("separator", self.separator.is_some()),
            ("no_header", self.no_header),
            ("sample_weight", self.sample_weight.is_some()),
            ("class_weight", !self.class_weight.is_empty()),
            ("test", self.test.is_some()),
            ("standardize", self.standardize),
            ("no_standardize", self.no_standardize),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => bail!("{option}: {name} is no table; give a file whose name ends in .csv or .tsv"),
            None => Ok(()),
        }
    }
}

/// An option that a search decides itself: its name, whether it is given, and why it is refused.
type Searched = (&'static str, fn(&TableArgs) -> bool, &'static str);

pub const SEARCHED: [Searched; 3] = [
    ("standardize", |options| options.standardize, SCALED),
    ("no_standardize", |options| options.no_standardize, SCALED),
    (
        "class_weight",
        |options| !options.class_weight.is_empty(),
        "a search tries whether classes are better balanced itself",
    ),
];
const SCALED: &str = "the networks of a search standardize their columns themselves";

impl TableArgs {
    /// That none of [`SEARCHED`] is given.
    pub fn refuse_searched(&self) -> Result<()> {
        for (option, is_given, why) in SEARCHED {
            ensure!(!is_given(self), "{option}: {why}; leave --{} out", option.replace('_', "-"));
        }
        Ok(())
    }
}

/// The library's names of options, and the command's.
const OPTIONS: [(&str, &str); 6] = [
    (
        "drop such rows or fill them in, by Csv::missing",
        "fill such fields in by --fill-missing median, drop such rows by --drop-missing, or leave a column out by --without",
    ),
    (
        "targets and weights are not filled in; drop such rows, by Csv::missing",
        "labels, targets and weights are not filled in; drop such rows by --drop-missing",
    ),
    ("Csv::missing_values", "--missing"),
    ("Csv::words", "--words"),
    ("Csv::numbers", "--numbers"),
    ("Csv::without", "--without"),
];

/// What the library says where labels are numbers, and where targets are none.
const AS_NUMBERS: &str = "predict it by Csv::targets, or take each number for a class by Csv::words";
const AS_CLASSES: &str = "predict its words by Csv::label";

/// What the library says, in the command's options.
pub fn in_options(text: &str) -> String {
    // What is said with command lines is left to who knows these.
    if text.contains(AS_NUMBERS) {
        return text.into();
    }
    OPTIONS.iter().fold(text.to_string(), |text, (ours, theirs)| text.replace(ours, theirs))
}

/// Of a table that a model reads as it did that which it was trained on: there is nothing to choose.
fn without_options(e: kiln::Error) -> anyhow::Error {
    match e {
        kiln::Error::Io { .. } => e.into(),
        _ => {
            let text = e.to_string();
            let advice = OPTIONS[..2].iter().find_map(|(advice, _)| text.split_once(advice));
            anyhow::Error::msg(match advice {
                Some((before, _)) => format!("{before}mend it, or leave the row out"),
                None => text,
            })
        }
    }
}

/// Says of a table what must not go unsaid.
fn say(paths: &[PathBuf], remarks: &[String]) {
    let name = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
    for remark in remarks {
        outputs::say(printable(&format!("{name}: {}", in_options(remark))));
    }
}

/// An error in the command's words.
fn told(e: kiln::Error) -> anyhow::Error {
    match e {
        kiln::Error::Io { .. } => e.into(),
        _ => anyhow::Error::msg(in_options(&e.to_string())),
    }
}

/// What the rows of a table are for.
#[derive(Clone, Copy, PartialEq)]
enum Purpose {
    /// A run: a share is measured on.
    Run,
    /// Runs by folds of all rows.
    Folds,
    /// A search by folds of all rows, whose networks scale their samples themselves.
    Search,
}

/// A table that is trained on.
pub struct Opened {
    pub split: Split,
    pub preprocessor: Preprocessor,
    pub report: Report,
}

impl TableArgs {
    /// How the table at `paths` is opened; a share of it is measured on unless an option says otherwise.
    fn options(&self, paths: &[PathBuf], share: f64, max_unpacked: Option<u64>) -> Result<TableOptions> {
        let path = &paths[0];
        let missing = if self.drop_missing { Missing::DropRow } else { Missing::Error };
        let csv = Csv::new().without(all(&self.without)).missing(missing).header(!self.no_header);
        let csv = csv.separator(self.separator.unwrap_or_else(|| usual_separator(path)));
        let mut csv = match &self.label {
            Some(label) => csv.label(label),
            None if self.predicts_values() => csv.targets(all(&self.target)),
            None => {
                let columns = max_unpacked.into_iter().fold(csv, Csv::max_unpacked).columns(paths).map_err(told)?;
                bail!(
                    "label: name the column of {} to predict, by --label where it holds classes, by --target where it holds \
                     numbers; there are: {}",
                    path.display(),
                    columns.join(", ")
                );
            }
        };
        csv = csv.words(all(&self.words)).numbers(all(&self.numbers));
        if !self.missing.is_empty() {
            csv = csv.missing_values(all(&self.missing));
        }
        if let Some(column) = &self.sample_weight {
            csv = csv.sample_weight(column);
        }
        if let Some(most) = max_unpacked {
            csv = csv.max_unpacked(most);
        }
        let mut options = TableOptions::new(csv).standardize(!self.no_standardize).class_weight(self.weights()?);
        if let Some(value) = &self.fill_missing {
            options = options.fill_missing(FillMissing::by_name(value));
        }
        let share = self.test_split.unwrap_or(if self.test.is_some() { 0.0 } else { share });
        Ok(options.split_seed(self.split_seed.unwrap_or(0)).test_split(share))
    }

    /// Those of all times that the option is given.
    fn weights(&self) -> Result<ClassWeight> {
        let mut given = Vec::new();
        for weight in &self.class_weight {
            match weight {
                ClassWeight::Given(more) => given.extend_from_slice(more),
                other if self.class_weight.len() == 1 => return Ok(other.clone()),
                _ => bail!("class_weight: balanced stands beside weights of labels; give one or the other"),
            }
        }
        Ok(if given.is_empty() { ClassWeight::Equal } else { ClassWeight::Given(given) })
    }

    /// The table at `paths` in its parts, with what a model keeps of it.
    pub fn open(&self, paths: &[PathBuf], max_unpacked: Option<u64>) -> Result<Opened> {
        Ok(self.parted(paths, Purpose::Run, max_unpacked)?.1)
    }

    /// The table at `paths` with `k` folds of all its rows.
    pub fn folds(
        &self,
        paths: &[PathBuf],
        k: usize,
        max_unpacked: Option<u64>,
    ) -> Result<(TableData, Opened, Vec<Fold>)> {
        let (table, opened) = self.parted(paths, Purpose::Folds, max_unpacked)?;
        let rows: Vec<usize> = (0..table.len()).collect();
        let folds = table.folds(&rows, k, self.split_seed.unwrap_or(0))?;
        Ok((table, opened, folds))
    }

    /// The table at `paths` for a search, with the rows that this may train on: all, unless an option says otherwise.
    pub fn search(&self, paths: &[PathBuf], max_unpacked: Option<u64>) -> Result<(TableData, Opened, Fold)> {
        let (table, opened) = self.parted(paths, Purpose::Search, max_unpacked)?;
        let fold = table.split()?;
        Ok((table, opened, fold))
    }

    /// The table in its parts.
    fn parted(&self, paths: &[PathBuf], purpose: Purpose, max_unpacked: Option<u64>) -> Result<(TableData, Opened)> {
        let options = self.options(paths, if purpose == Purpose::Run { 0.2 } else { 0.0 }, max_unpacked)?;
        let (options, command) = match purpose {
            Purpose::Search => (options.standardize(false), "auto"),
            Purpose::Run | Purpose::Folds => (options, "train"),
        };
        let table = options.open(paths).map_err(|e| self.other_kind(told(e), command, paths))?;
        let (preprocessor, mut split) = table.prepare(&table.split()?).map_err(told)?;
        if let Some(path) = &self.test {
            split.test = dataset(&preprocessor, path)?;
        }
        let report = table.report(&preprocessor, &split)?;
        Ok((table, Opened { split, preprocessor, report }.said(paths)))
    }

    /// An error of labels that are numbers, or of targets that are none, with the command lines for either.
    fn other_kind(&self, e: anyhow::Error, command: &str, paths: &[PathBuf]) -> anyhow::Error {
        let text = e.to_string();
        let names: Vec<String> = paths.iter().map(|path| quoted(path.as_os_str())).collect();
        let train = format!("kiln {command} {}", names.join(" "));
        let column = |name: &str| {
            let is_plain = !name.contains([',', '"']);
            quoted(OsStr::new(&if is_plain { name.into() } else { format!("\"{}\"", name.replace('"', "\"\"")) }))
        };
        let with = |advice: &str, lines: String| text.replace(advice, &lines);
        match &self.label {
            Some(label) if text.contains(AS_NUMBERS) => {
                let (plain, name) = (quoted(OsStr::new(label)), column(label));
                anyhow::Error::msg(with(
                    AS_NUMBERS,
                    format!(
                        "to predict the number:\n  {train} --target {name}\nto take each number for a class:\n  {train} \
                         --label {plain} --words {name}"
                    ),
                ))
            }
            None if text.contains(AS_CLASSES) => match &all(&self.target).collect::<Vec<_>>()[..] {
                [name] => {
                    let label = format!("to predict its classes:\n  {train} --label {}", quoted(OsStr::new(name)));
                    anyhow::Error::msg(with(AS_CLASSES, label))
                }
                _ => anyhow::Error::msg(with(AS_CLASSES, "predict its classes by --label".into())),
            },
            _ => e,
        }
    }

    /// The table at `paths` that was trained on, in its parts as they were then.
    pub fn again(&self, preprocessor: Preprocessor, paths: &[PathBuf]) -> Result<Opened> {
        let (mut split, mut report) = preprocessor.again(paths).map_err(without_options)?;
        if let Some(path) = &self.test {
            split.test = dataset(&preprocessor, path)?;
            (report.test, report.baseline) = (split.test.len(), Some(Baseline::of(&split.train, &split.test)?));
        }
        Ok(Opened { split, preprocessor, report }.said(paths))
    }
}

impl Opened {
    fn said(self, paths: &[PathBuf]) -> Self {
        say(paths, &self.report.remarks);
        say(paths, &self.report.warnings);
        self
    }
}

/// What stands between the fields of a file of this name.
fn usual_separator(path: &Path) -> u8 {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if [".tsv", ".tab"].iter().any(|ending| name.ends_with(ending)) { b'\t' } else { b',' }
}

fn is_gzipped(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"))
}

/// What a table of this name is called.
pub fn called(path: &Path) -> String {
    let path = path.canonicalize().ok().filter(|path| path.is_dir()).unwrap_or_else(|| path.into());
    let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
    let stem = Path::new(stem.unwrap_or_default());
    let stem = if is_gzipped(&path) { stem.file_stem().unwrap_or_default() } else { stem.as_os_str() };
    stem.to_string_lossy().into_owned()
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

/// The rows of the table that was trained on which were held back from the training.
pub fn held_out(preprocessor: &Preprocessor, path: &Path) -> Result<Dataset> {
    let (split, report) = preprocessor.again([path]).map_err(without_options)?;
    say(&[path.into()], &report.remarks);
    ensure!(!split.test.is_empty(), "held_out: the run trained on all rows of {}", path.display());
    Ok(split.test)
}

/// The rows of a table, as the model takes them.
pub fn dataset(preprocessor: &Preprocessor, path: &Path) -> Result<Dataset> {
    let rows = preprocessor.read([path]).map_err(without_options)?;
    say(&[path.into()], &rows.remarks);
    Ok(rows.data)
}

/// The samples of a table, which need have no labels, with the numbers of their rows.
pub fn samples(preprocessor: &Preprocessor, path: &Path) -> Result<(Tensor, Vec<usize>)> {
    let samples = preprocessor.read_samples([path]).map_err(without_options)?;
    say(&[path.into()], &samples.remarks);
    Ok((samples.x, samples.rows))
}

/// What a file must have, and what comes of it.
pub fn print(preprocessor: &Preprocessor) -> String {
    let scaled = if preprocessor.scaler().is_some() { ", standardized" } else { "" };
    let features = preprocessor.encoding().features().join(", ");
    let filled = if preprocessor.fills_missing() { ", missing fields filled in" } else { "" };
    let predicted = match preprocessor.classes() {
        [] => format!("predicts {}", preprocessor.targets().join(", ")),
        classes => format!("classes {}", classes.join(", ")),
    };
    format!("columns {features}{filled}{scaled}; {predicted}")
}
