//! `kiln auto`.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Arg;
use kiln::auto::{Found, Progress, Report, Score, Search};
use kiln::data::{Dataset, Split};
use kiln::device::Device;
use kiln::io::printable;
use kiln::nn::{Metric, Model};
use kiln::table::{Preprocessor, TableData};
use kiln::tensor::DType;
use kiln::train::Logs;
use serde_json::{Value, json};

use crate::arrays::Print;
use crate::data::Bar;
use crate::interrupt::{Stop, Stopped};
use crate::outputs::{self, Kind, outputs};
use crate::pictures::{PictureArgs, Pictures, spared};
use crate::report;
use crate::samples::Loaded;
use crate::set::{Set, files_of, pictures_in, table_in, with};
use crate::table::{Opened, SEARCHED, TableArgs};
use crate::unpacked::UnpackedArgs;

const EXAMPLES: &str = "\
Settings are tried by cross-validation: widths, depth, activation, learning rate, batch size, dropout, weight decay, and whether
classes are balanced. Bad ones are left after a fold or two. The best is trained on all rows and scales its inputs itself. Pictures
have convolutions. The clock decides only how many settings are tried, which is printed and saved: --trials with that number and the
same --seed repeats a search to the bit on the same device.

Ctrl-C ends the search: the best so far is trained on all rows and saved, and the exit code is 130. The second one ends it at once.

Examples:
  kiln auto iris.csv --label species --save iris.safetensors
  kiln auto houses.csv --target price --budget 2m --save houses.safetensors
  kiln auto churn.csv --label left --without name --metric f1 --budget 5m --save churn.safetensors
  kiln auto iris.csv --label species --trials 40 --seed 1 --json
  kiln auto digits.npz --budget 2m --save digits.safetensors
  kiln auto flowers --size 32x32 --budget 10m --save flowers.safetensors";

/// Find the network for your data: try many settings, and train the best
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, mut_args(unlisted))]
pub struct Args {
    /// A table, FILE.csv or FILE.tsv, arrays, FILE.npz, a folder of pictures, or mnist or fashion-mnist
    #[arg(value_name = "DATA")]
    set: String,

    /// Of a table: more files with the same columns
    #[arg(value_name = "FILE")]
    more: Vec<PathBuf>,

    #[command(flatten)]
    table: TableArgs,

    #[command(flatten)]
    pictures: PictureArgs,

    #[command(flatten)]
    packed: UnpackedArgs,

    /// How long it may take, the last training included: 90s, 5m or 1h
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = budget)]
    budget: Duration,

    /// Try so many settings, however long they take
    #[arg(long, value_name = "N", conflicts_with = "budget")]
    trials: Option<usize>,

    /// Parts of the data for cross-validation, each measured on once
    #[arg(long, value_name = "N", default_value_t = 5)]
    folds: usize,

    /// What settings are compared by: accuracy, loss, f1 or auc of classes, r2, rmse, mae or loss of values [default: accuracy, r2]
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,

    /// Of the folds, the settings, the initial weights and the order of samples
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// auto, gpu, cpu, reference, or one of `kiln devices` by index or part of its name [default: auto of pictures, else cpu]
    #[arg(long)]
    device: Option<String>,

    /// Write the trained model to this file, put in place whole: as safetensors or, where its name ends in .keras, as Keras has it
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What a search decides itself stands not in its help.
fn unlisted(option: Arg) -> Arg {
    if SEARCHED.iter().any(|(name, ..)| option.get_id() == name) { option.hide(true) } else { option }
}

/// A time as it is written: a number and its unit, seconds where there is none.
fn budget(text: &str) -> Result<Duration> {
    let refused = || format!("{text:?} is no time; give one such as 90s, 5m or 1h");
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => bail!(refused()),
    };
    let number: f64 = number.parse().with_context(refused)?;
    ensure!(number > 0.0, refused());
    Duration::try_from_secs_f64(number * unit).with_context(refused)
}

/// What is searched on, and what the model keeps of it.
struct Data {
    /// All rows that a model may be trained on.
    all: Dataset,
    /// Rows that no search sees, where there are such.
    test: Option<Dataset>,
    origin: Origin,
}

enum Origin {
    Named,
    Arrays(Print),
    Folder(Box<Pictures>),
    /// With the rows that may be trained on, and what makes samples of further ones.
    Table(Box<TableData>, Vec<usize>, Box<Preprocessor>),
}

/// `start`: when the command was called.
pub fn run(args: &Args, start: Instant) -> Result<()> {
    args.check()?;
    let data = args.data()?;
    let is_picture = data.all.sample_shape().rank() > 1;
    let request = args.device.as_deref().unwrap_or(if is_picture { "auto" } else { "cpu" });
    let device = Device::choose(request)?.device;
    let metric = args.metric(data.all.y().dtype() == DType::U32)?;
    let stop = Stop::on_signals()?;
    stop.searches();
    let watched = stop.clone();
    thread::spawn(move || watched.watch());
    let mut out = io::stdout();
    if !args.json {
        let seconds = args.budget.as_secs_f64();
        let limit = args.trials.map_or(format!("for {seconds} s"), |trials| format!("among {trials} settings"));
        let (folds, rows) = (args.folds, data.all.len());
        writeln!(out, "Searching {limit} on {device}, by {folds}-fold cross-validation of {rows} rows")?;
    }
    let line = Line::new(start);
    let search = Search::new(&data.all).device(device).folds(args.folds).seed(args.seed);
    let search = search.stop_when(|| stop.asked().is_some()).on_progress(|now| line.show(now));
    let search = search.budget(args.budget.saturating_sub(start.elapsed()));
    let search = args.trials.into_iter().fold(search, Search::trials);
    let search = metric.into_iter().fold(search, Search::metric);
    let search = match &data.origin {
        Origin::Table(table, rows, _) => search.prepare_by(|fold| Ok(table.prepare(&fold.among(rows))?.1)),
        _ => search,
    };
    let found = search.run();
    line.clear();
    let Found { mut model, report, .. } = match (found, stop.asked()) {
        (Err(e), Some(signal)) => return Err(Stopped::by(signal, e.to_string()).into()),
        (found, _) => found?,
    };
    data.keep(&mut model);
    let test = data.test.as_ref().map(|test| model.evaluate(test)).transpose()?;
    if let Some(path) = &args.save {
        model.save(path)?;
    }
    stop.over();
    let ended = Ended { args, report: &report, rows: data.all.len(), test, seconds: start.elapsed().as_secs_f64() };
    if args.json {
        writeln!(out, "{}", ended.json())?
    } else {
        ended.print(&mut out)?
    }
    match stop.asked() {
        None => Ok(()),
        Some(signal) => {
            Err(Stopped::by(signal, format!("the search was stopped after {} trials", report.trials)).into())
        }
    }
}

impl Args {
    /// What can be known to be wrong before anything is read.
    fn check(&self) -> Result<()> {
        self.table.refuse_searched()?;
        ensure!(self.trials != Some(0), "trials: 0 find nothing; give 1 or more");
        ensure!(self.folds >= 2, "folds: {} leave nothing to measure on; give 2 or more", self.folds);
        let outputs = outputs(&[("save", &self.save, Kind::Model)]);
        if let Some(folder) = pictures_in(&self.set) {
            spared(&outputs, folder)?;
        }
        let more = self.more.iter().chain(&self.table.test).map(|path| path.to_string_lossy());
        let read: Vec<PathBuf> = files_of(&self.set).into_iter().chain(more.flat_map(|path| files_of(&path))).collect();
        outputs::check(&outputs, &read.iter().map(|path| ("the data set", path.as_path())).collect::<Vec<_>>())
    }

    fn data(&self) -> Result<Data> {
        let (name, most) = (&self.set, self.packed.max_unpacked);
        if let (Some(path), None) = (table_in(name), pictures_in(name)) {
            self.pictures.refuse(name)?;
            return self.of_table(path);
        }
        let files = (name.as_str(), &self.more[..]);
        let (Split { train, test }, origin) = match Set::find(files, (&self.table, &self.pictures), self.seed, most)? {
            Set::Named(named) => (Bar::load(named)?, Origin::Named),
            Set::Arrays { split, print, .. } => (*split, Origin::Arrays(print)),
            Set::Folder { loaded, pictures, .. } => (self.unvalidated(*loaded)?, Origin::Folder(pictures)),
            Set::Table { .. } => unreachable!("was found before"),
        };
        Ok(Data { all: train, test: Some(test), origin })
    }

    /// The pictures of a folder that has none to validate on.
    fn unvalidated(&self, loaded: Loaded) -> Result<Split> {
        let name = &self.set;
        ensure!(
            loaded.validation.is_none(),
            "{name}: has a folder of its own to validate on, where a search validates on a part of all; move its pictures \
             to the folder to train on"
        );
        Ok(Split { train: loaded.train.held()?, test: loaded.test.held()? })
    }

    fn of_table(&self, path: &Path) -> Result<Data> {
        let (table, opened, fold) = self.table.search(&with(path, &self.more), self.packed.max_unpacked)?;
        let Opened { split: Split { train, test }, preprocessor, report } = opened;
        if self.json {
            report::print_json(&report)?
        } else {
            report::print(&self.set, &report)?
        }
        let origin = Origin::Table(Box::new(table), fold.train, Box::new(preprocessor));
        Ok(Data { all: train, test: Some(test).filter(|test| !test.is_empty()), origin })
    }

    /// What is asked for, of classes or of values.
    fn metric(&self, classes: bool) -> Result<Option<Metric>> {
        let known: &[(&str, &str)] = match classes {
            true => &[
                ("accuracy", "accuracy"),
                ("loss", "sparse_categorical_crossentropy"),
                ("f1", "f1_score"),
                ("auc", "auc"),
            ],
            false => &[("r2", "r2_score"), ("rmse", "rmse"), ("mae", "mae"), ("loss", "mse")],
        };
        let Some(name) = &self.metric else { return Ok(None) };
        let Some((_, found)) = known.iter().find(|(known, _)| known == name) else {
            let (names, what) =
                (known.iter().map(|(name, _)| *name).collect::<Vec<_>>(), if classes { "classes" } else { "values" });
            bail!("metric: {name:?} is none of {what}; give {} or {}", names[..3].join(", "), names[3]);
        };
        Ok(Some(Metric::by_name(found)?))
    }
}

impl Data {
    /// Keeps with the model what it needs to read further data.
    fn keep(&self, model: &mut Model) {
        match &self.origin {
            Origin::Table(_, _, preprocessor) => preprocessor.keep(model),
            Origin::Named => {}
            Origin::Arrays(print) => print.keep(model),
            Origin::Folder(pictures) => pictures.keep(model),
        }
    }
}

/// A line on the terminal that says how far the search is.
struct Line {
    start: Instant,
    shown: bool,
}

impl Line {
    fn new(start: Instant) -> Self {
        Self { start, shown: io::stderr().is_terminal() }
    }

    fn show(&self, now: &Progress) {
        if self.shown {
            let best = now.best.map(|best| format!(", best {best}")).unwrap_or_default();
            let (seconds, trials, trained) = (self.start.elapsed().as_secs(), now.trials, now.trained);
            let _gone = write!(io::stderr(), "\r\x1b[K{seconds} s: {trials} settings, {trained} trainings{best}");
        }
    }

    fn clear(&self) {
        if self.shown {
            let _gone = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// What is said at the end.
struct Ended<'a> {
    args: &'a Args,
    report: &'a Report,
    rows: usize,
    test: Option<Logs>,
    seconds: f64,
}

impl Ended<'_> {
    fn print(&self, out: &mut impl Write) -> Result<()> {
        let Self { args, report, rows, seconds, .. } = self;
        write!(out, "{report}")?;
        let (trials, seed, best) = (report.trials, report.seed, report.best());
        let diverged = match report.diverged {
            0 => String::new(),
            n => format!(", of which {n} had a loss that is no number"),
        };
        writeln!(
            out,
            "Tried {trials} settings in {seconds:.1} s{diverged}; --trials {trials} --seed {seed} repeats this search"
        )?;
        writeln!(out, "Trained the best on all {rows} rows for {} epochs", best.epochs)?;
        if let Some(test) = &self.test {
            let values = test.iter().map(|(name, value)| format!("{name} {value:.4}")).collect::<Vec<_>>().join(", ");
            writeln!(out, "On rows that no training saw: {values}")?;
        }
        match &args.save {
            None => writeln!(out, "The model was not saved; --save FILE keeps it")?,
            Some(path) => {
                let input = match () {
                    () if pictures_in(&args.set).is_some() => "PICTURE",
                    () if table_in(&args.set).is_some() => "FILE.csv",
                    () => "INPUT",
                };
                let path = path.display().to_string();
                writeln!(out, "{}", printable(&format!("Saved {path}; ask it by")))?;
                writeln!(out, "  {}", printable(&format!("kiln predict {path} {input}")))?;
                if cfg!(feature = "serve") {
                    writeln!(out, "  {}", printable(&format!("kiln serve {path}")))?;
                }
            }
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let score = |score: &Score| json!({ "mean": score.mean, "deviation": score.deviation });
        let ranked = self.report.ranked.iter().map(|ranked| {
            let settings = &ranked.settings;
            json!({ "trial": ranked.trial, "score": score(&ranked.score), "epochs": ranked.epochs, "settings": settings.to_string() })
        });
        let mut all = json!({
            "metric": self.report.metric,
            "trials": self.report.trials,
            "diverged": self.report.diverged,
            "folds": self.report.folds,
            "seed": self.report.seed,
            "rows": self.rows,
            "seconds": self.seconds,
            "baseline": score(&self.report.baseline),
            "ranked": ranked.collect::<Vec<_>>(),
            "saved": self.args.save,
        });
        for (name, value) in self.test.iter().flat_map(Logs::iter) {
            all[format!("test_{name}")] = json!(value);
        }
        all
    }
}
