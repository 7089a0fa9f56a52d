//! `kiln predict`.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use kiln::data::image_files;
use kiln::io::{file_kind, printable, write_file};
use kiln::table::Prediction;
use kiln::tensor::{Tensor, Values};
use serde_json::{Value, json};

use crate::arrays::{self, archive};
use crate::model::DeviceArgs;
use crate::outputs::{self, Kind, outputs, say};
use crate::picture::{self, Changes, Picture};
use crate::pictures::folder;
use crate::table;
use crate::trained::{Takes, Trained, as_json};
use crate::unpacked::UnpackedArgs;

const EXAMPLES: &str = "\
An input is a PNG or JPEG of any size, a folder of such, an IDX file of bytes, raw or gzipped, or text of pixels from 0 to 255,
a sample a line, or an .npz of NumPy's with the array x_test, or with one array. MNIST is white on black: --invert makes it of
ink on paper, and --fit makes any picture as large and as centred as MNIST's. Of a model that was trained on a table the inputs
are tables with its columns; those of labels and others may be there. Pictures come to the model's size as those did that it was
trained on.

Of an input of ten samples or fewer every picture is drawn and every probability told; of more, a sample is a line. Rows count
from 0.

Examples:
  kiln predict animals.safetensors more-animals.csv
  kiln predict animals.safetensors more-animals.csv --limit 10
  kiln predict animals.safetensors more-animals.csv --output said.csv
  kiln predict mnist.safetensors seven.png
  kiln predict mnist.safetensors --invert --fit scan.jpg
  kiln predict flowers.safetensors garden/*.jpg --output garden.json";

/// Say what a saved model gives for every row of a table, or sees in pictures: class and probabilities, or values
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A file of `kiln train --save`, or a .keras
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// PNG, JPEG, IDX, text or .npz files, folders of pictures; tables where it was trained on one
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,

    /// Take the first N samples of each input [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Write what it says to a file instead, .csv or .json: file, row, class and probabilities, or values
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    output: Option<PathBuf>,

    #[command(flatten)]
    changes: Changes,

    #[command(flatten)]
    place: DeviceArgs,

    #[command(flatten)]
    packed: UnpackedArgs,

    /// Print JSON lines, one a sample
    #[arg(long)]
    json: bool,
}

/// Pictures that are decoded and asked about at once.
const AT_ONCE: usize = 64;
/// Samples whose answers are made at once.
const ROWS_AT_ONCE: usize = 4096;
/// Samples of an input that are told in full; of more each is a line.
const MOST_IN_FULL: usize = 10;

pub fn run(args: &Args) -> Result<()> {
    ensure!(args.limit != Some(0), "limit: 0 leaves nothing to predict; give 1 or more");
    let read = args.inputs.iter().map(|path| ("an input", path.as_path())).chain([("the model", args.file.as_path())]);
    outputs::check(&outputs(&[("output", &args.output, Kind::File)]), &read.collect::<Vec<_>>())?;
    let format = args.output.as_deref().map(Format::of).transpose()?;
    let most = args.packed.max_unpacked;
    let model = Trained::load(&args.file, &args.place, most, "predict")?;
    if let (Takes::Records(_), Some(option)) = (&model.takes, args.changes.option()) {
        bail!("{option}: is for pictures, {} takes tables", args.file.display());
    }
    let mut answers = Answers {
        args,
        model: &model,
        format,
        table: csv::Writer::from_writer(Vec::new()),
        list: Vec::new(),
        count: 0,
    };
    for input in &args.inputs {
        let files = args.files(input, &model.takes)?;
        if let Takes::Pictures(pictures) = &model.takes {
            for some in files.chunks(AT_ONCE) {
                let x = pictures.samples(some, args.changes, most)?;
                let rows: Vec<_> = some.iter().map(|file| (file.as_path(), 0)).collect();
                answers.add(&rows, &x, files.len() <= MOST_IN_FULL)?;
            }
            continue;
        }
        for file in &files {
            let (x, numbers) = args.samples(file, &model)?;
            let x = x.head(args.limit.unwrap_or(usize::MAX));
            let in_full = x.rows() <= MOST_IN_FULL;
            for first in (0..x.rows()).step_by(ROWS_AT_ONCE) {
                let rows: Vec<usize> = (first..x.rows().min(first + ROWS_AT_ONCE)).collect();
                let places: Vec<_> = rows.iter().map(|&row| (file.as_path(), numbers[row])).collect();
                answers.add(&places, &x.take(&rows)?, in_full).with_context(|| file.display().to_string())?;
            }
        }
    }
    answers.end()
}

impl Args {
    /// The files of an input: itself, or the pictures in it, or the tables.
    fn files(&self, input: &Path, takes: &Takes) -> Result<Vec<PathBuf>> {
        if folder(input).is_none() {
            return Ok(vec![input.into()]);
        }
        if let Takes::Records(_) = takes {
            let files = kiln::table::files(input)?;
            ensure!(!files.is_empty(), "{}: holds no tables, which end in .csv or .tsv", input.display());
            return Ok(files);
        }
        let mut files = image_files(input)?;
        ensure!(!files.is_empty(), "{}: holds no PNG or JPEG files", input.display());
        files.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(files)
    }

    /// The samples in a file, and which of its rows they are.
    fn samples(&self, input: &Path, model: &Trained) -> Result<(Tensor, Vec<usize>)> {
        let (most, path) = (self.packed.max_unpacked, input.display());
        if let Takes::Records(columns) = &model.takes {
            let advice = "was trained on a table; give a table with its columns";
            ensure!(archive(input).is_none(), "{path}: {} {advice}", self.file.display());
            if let Some(kind) = kind_of(input).filter(|kind| !kind.contains("gzip")) {
                bail!("{path}: is {kind}; {} {advice}", self.file.display());
            }
            return table::samples(columns, input);
        }
        if let Some(path) = archive(input) {
            let option = self.changes.option();
            ensure!(
                option.is_none(),
                "{}: is for pictures in files of their own, not for {}",
                option.unwrap_or_default(),
                path.display()
            );
            return Ok(numbered(arrays::samples(path, most)?));
        }
        let (x, border) = picture::read(input, &model.sample, self.changes, most)?;
        if let Some(set) = model.is_negative_of(border) {
            let advice = if self.changes.invert { "leave --invert out" } else { "give --invert" };
            say(format_args!(
                "{}: its border is bright, pictures of {set} are bright on black; {advice}",
                printable(&path.to_string())
            ));
        }
        Ok(numbered(x))
    }
}

/// Samples with the numbers of their rows, where all rows are there.
fn numbered(x: Tensor) -> (Tensor, Vec<usize>) {
    let rows = (0..x.rows()).collect();
    (x, rows)
}

/// What a file is, where that can be told without taking anything from a pipe.
fn kind_of(path: &Path) -> Option<&'static str> {
    let mut start = Vec::new();
    let file = path.is_file().then(|| File::open(path).ok())??;
    file.take(512).read_to_end(&mut start).ok()?;
    file_kind(&start)
}

/// How a file of answers is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Json,
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("json") => Ok(Self::Json),
            _ => bail!("output: {} ends in neither .csv nor .json; give one of these", path.display()),
        }
    }
}

/// What the model says, printed at once or gathered for a file.
struct Answers<'a> {
    args: &'a Args,
    model: &'a Trained,
    format: Option<Format>,
    table: csv::Writer<Vec<u8>>,
    /// The objects of a list of JSON's.
    list: Vec<u8>,
    count: usize,
}

impl Answers<'_> {
    /// Asks about samples, each the row of a file.
    fn add(&mut self, rows: &[(&Path, usize)], x: &Tensor, in_full: bool) -> Result<()> {
        let (y, said) = self.model.ask(x)?;
        let outputs = y.values().to_f64();
        let width = outputs.len() / x.rows();
        for (i, ((outputs, said), &place)) in outputs.chunks(width).zip(&said).zip(rows).enumerate() {
            self.count += 1;
            match self.format {
                Some(Format::Csv) => self.write_row(place, said)?,
                Some(Format::Json) => {
                    self.list.extend_from_slice(if self.count == 1 { b"[\n  " } else { b",\n  " });
                    self.list.extend_from_slice(object(place, said).to_string().as_bytes());
                }
                None if self.args.json => self.print_json(place, said, outputs)?,
                None => self.print(place, said, in_full.then_some((x, i)))?,
            }
        }
        Ok(())
    }

    /// A line of the table, below the names of its columns.
    fn write_row(&mut self, (file, row): (&Path, usize), said: &Prediction) -> Result<()> {
        if self.count == 1 {
            let mut names = vec!["file".to_string(), "row".into()];
            match said {
                Prediction::Class { probabilities, .. } => {
                    names.extend(["class".into(), "probability".into()]);
                    names.extend(probabilities.iter().map(|(name, _)| format!("probability of {name}")));
                }
                Prediction::Values(values) => names.extend(values.iter().map(|(name, _)| name.clone())),
            }
            self.table.write_record(&names)?;
        }
        self.table.write_field(file.as_os_str().as_encoded_bytes())?;
        self.table.write_field(row.to_string())?;
        let numbers = match said {
            Prediction::Class { name, probabilities, class } => {
                self.table.write_field(name)?;
                self.table.write_field(short(probabilities[*class].1))?;
                probabilities
            }
            Prediction::Values(values) => values,
        };
        for (_, number) in numbers {
            self.table.write_field(short(*number))?;
        }
        Ok(self.table.write_record(None::<&[u8]>)?)
    }

    fn print_json(&self, (file, row): (&Path, usize), said: &Prediction, outputs: &[f64]) -> Result<()> {
        let mut line = json!({ "input": file.to_string_lossy(), "row": row, "outputs": outputs });
        match said {
            Prediction::Class { class, name, .. } => {
                line["class"] = json!(class);
                if self.model.has_names() {
                    line["label"] = json!(name);
                }
            }
            Prediction::Values(_) => line["values"] = as_json(said)["values"].clone(),
        }
        Ok(writeln!(io::stdout(), "{line}")?)
    }

    /// A line, and below it what is said in full: the `i`th of some samples, where it is a picture, and all probabilities.
    fn print(&self, (file, row): (&Path, usize), said: &Prediction, in_full: Option<(&Tensor, usize)>) -> Result<()> {
        let mut out = io::stdout().lock();
        let from = file.display().to_string();
        let listed = |numbers: &[(String, f64)], between: &str| {
            let all = numbers.iter().map(|(name, number)| format!("{}{between}{number:.4}", printable(name)));
            all.collect::<Vec<_>>().join("  ")
        };
        let what = match said {
            Prediction::Class { class, name, probabilities } => {
                format!("class {}, {:.4}", printable(name), probabilities[*class].1)
            }
            Prediction::Values(values) => listed(values, " "),
        };
        writeln!(out, "{}, row {row}: {what}", printable(&from))?;
        let Some((x, i)) = in_full else { return Ok(()) };
        let sample = &self.model.sample;
        if let (Values::U8(pixels), Some((height, width))) = (x.values(), picture::extents(sample)) {
            let len = sample.len();
            write!(out, "{}", Picture::new(height, width, &pixels[i * len..][..len]).draw())?;
        }
        if let Prediction::Class { probabilities, .. } = said {
            writeln!(out, "{}\n", listed(probabilities, ": "))?;
        }
        Ok(())
    }

    /// Writes the file.
    fn end(self) -> Result<()> {
        let Some(path) = &self.args.output else { return Ok(()) };
        let text = match self.format {
            Some(Format::Json) => [&self.list[..], b"\n]\n"].concat(),
            _ => self.table.into_inner().map_err(|e| e.into_error())?,
        };
        write_file(path, text)?;
        let (count, path) = (self.count, path.display().to_string());
        let samples = if count == 1 { "sample" } else { "samples" };
        writeln!(io::stdout(), "{}: {count} {samples}", printable(&path))?;
        Ok(())
    }
}

/// A number with the digits that an f32 has.
fn short(number: f64) -> String {
    (number as f32).to_string()
}

/// An answer as an object of JSON's.
fn object((file, row): (&Path, usize), said: &Prediction) -> Value {
    let place = json!({ "file": file.to_string_lossy(), "row": row });
    let Value::Object(mut object) = place else { unreachable!("it was made as one") };
    object.extend(as_json(said));
    object.into()
}
