//! `kiln predict`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use kiln::data::{NamedSet, image_files};
use kiln::device::Device;
use kiln::io::{printable, write_file};
use kiln::nn::Model;
use kiln::nn::metric::classes_of;
use kiln::table::Preprocessor;
use kiln::tensor::{Shape, Tensor, Values};
use serde_json::json;

use crate::arrays::{self, archive};
use crate::model::DeviceArgs;
use crate::outputs::{self, Kind, outputs};
use crate::picture::{self, Picture};
use crate::pictures::{Pictures, folder};
use crate::saved::{Course, class_names};
use crate::table;
use crate::unpacked::UnpackedArgs;

const EXAMPLES: &str = "\
An input is a PNG or JPEG of any size, a folder of such, an IDX file of bytes, raw or gzipped, or text of pixels from 0 to 255,
a sample a line, or an .npz of NumPy's with the array x_test, or with one array. MNIST is white on black: --invert makes it of
ink on paper. Of a model that was trained on a table the inputs are tables with its columns; those of labels and others may be
there. Pictures come to the model's size as those did that it was trained on.

Examples:
  kiln predict mnist.safetensors seven.png
  kiln predict mnist.safetensors --invert scan.jpg
  kiln predict mnist.safetensors t10k-images-idx3-ubyte --limit 3
  kiln predict flowers.safetensors garden/*.jpg --output garden.csv
  kiln predict animals.safetensors more-animals.csv";

/// Say what a saved model sees in pictures, the class and its probability beside the picture, or in the rows of a table
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A file of `kiln train --save`, or a .keras
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// PNG, JPEG, IDX, text or .npz files, folders of pictures; tables where it was trained on one
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,

    /// Take the first N samples of each input [default: 10, or all with --output]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Write what it says to a file instead: a table of file, row, class and probability
    #[arg(long, value_name = "FILE.csv", conflicts_with = "json")]
    output: Option<PathBuf>,

    /// Black for white and white for black
    #[arg(long)]
    invert: bool,

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

pub fn run(args: &Args) -> Result<()> {
    ensure!(args.limit != Some(0), "limit: 0 leaves nothing to predict; give 1 or more");
    let read = args.inputs.iter().map(|path| ("an input", path.as_path())).chain([("the model", args.file.as_path())]);
    outputs::check(&outputs(&[("output", &args.output, Kind::File)]), &read.collect::<Vec<_>>())?;
    let mut model = Model::load(&args.file)?.device(Device::choose(&args.place.device)?.device);
    let most = args.packed.max_unpacked;
    let table = table::find(&model, &args.file, most)?;
    let trained = Pictures::find(&model, &args.file)?;
    ensure!(table.is_none() || !args.invert, "invert: is for pictures, {} takes tables", args.file.display());
    let sample = model.sample_shape()?.clone();
    let mut answers = Answers::new(args, sample.clone(), names(&model, table.as_ref(), trained.as_ref(), &args.file));
    for input in &args.inputs {
        let files = args.files(input)?;
        if let Some(pictures) = &trained {
            for files in files.chunks(AT_ONCE) {
                let x = pictures.samples(files, args.invert, most)?;
                let y = model.predict(&x)?;
                answers.add(&files.iter().map(|file| (file.as_path(), 0)).collect::<Vec<_>>(), &x, &y)?;
            }
            continue;
        }
        for file in &files {
            let (x, rows) = args.samples(file, table.as_ref(), &sample)?;
            let x = x.head(args.most_samples());
            model.input_scale(&x).with_context(|| file.display().to_string())?;
            let y = model.predict(&x)?;
            answers.add(&rows.into_iter().map(|row| (file.as_path(), row)).collect::<Vec<_>>(), &x, &y)?;
        }
    }
    answers.end()
}

impl Args {
    /// How many samples of each input are taken.
    fn most_samples(&self) -> usize {
        self.limit.unwrap_or(if self.output.is_some() { usize::MAX } else { 10 })
    }

    /// The files of an input: itself, or the pictures in it.
    fn files(&self, input: &Path) -> Result<Vec<PathBuf>> {
        if folder(input).is_none() {
            return Ok(vec![input.into()]);
        }
        let mut files = image_files(input)?;
        ensure!(!files.is_empty(), "{}: holds no PNG or JPEG files", input.display());
        files.truncate(self.most_samples());
        Ok(files)
    }

    /// The samples in a file, and which of its rows they are.
    fn samples(&self, input: &Path, table: Option<&Preprocessor>, sample: &Shape) -> Result<(Tensor, Vec<usize>)> {
        let most = self.packed.max_unpacked;
        let x = match (table, archive(input)) {
            (Some(_), Some(path)) => {
                let (path, file) = (path.display(), self.file.display());
                bail!("{path}: {file} was trained on a table; give a table with its columns")
            }
            (None, Some(path)) => {
                ensure!(!self.invert, "invert: is for pictures in files of their own, not for {}", path.display());
                arrays::samples(path, most)?
            }
            (Some(table), None) => return table::samples(table, input),
            (None, None) => picture::read(input, sample, self.invert, most)?,
        };
        let rows = (0..x.rows()).collect();
        Ok((x, rows))
    }
}

/// The names of the classes of what it was trained on; none where they are numbers, or it does not say.
fn names(model: &Model, table: Option<&Preprocessor>, pictures: Option<&Pictures>, file: &Path) -> Vec<String> {
    if let Some(table) = table {
        return table.classes().to_vec();
    }
    if let Some(pictures) = pictures {
        return pictures.classes.clone();
    }
    let set = Course::of(model, file).ok().and_then(|course| NamedSet::find(&course.set).ok());
    set.map(class_names).unwrap_or_default()
}

/// What the model says, printed at once or gathered for a file.
struct Answers<'a> {
    args: &'a Args,
    sample: Shape,
    names: Vec<String>,
    table: csv::Writer<Vec<u8>>,
    count: usize,
}

impl<'a> Answers<'a> {
    fn new(args: &'a Args, sample: Shape, names: Vec<String>) -> Self {
        Self { args, sample, names, table: csv::Writer::from_writer(Vec::new()), count: 0 }
    }

    fn name(&self, class: usize) -> String {
        self.names.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    /// Adds the outputs `y` for some samples, each the row of a file.
    fn add(&mut self, rows: &[(&Path, usize)], x: &Tensor, y: &Tensor) -> Result<()> {
        let outputs = y.values().to_f64();
        let width = outputs.len() / x.rows();
        let classes = classes_of(&y.reshape(&[x.rows() as isize, width as isize])?)?;
        for (i, ((outputs, class), &(file, row))) in outputs.chunks(width).zip(classes).zip(rows).enumerate() {
            // One output tells two classes apart.
            let share = outputs[class.min(width - 1)];
            self.count += 1;
            if self.args.output.is_some() {
                if self.count == 1 {
                    self.table.write_record(["file", "row", "class", "probability"])?;
                }
                let [row, class, share] = [row.to_string(), self.name(class), (share as f32).to_string()];
                self.table.write_record([
                    file.as_os_str().as_encoded_bytes(),
                    row.as_bytes(),
                    class.as_bytes(),
                    share.as_bytes(),
                ])?;
                continue;
            }
            self.print((file, row), (x, i), (class, share), outputs)?;
        }
        Ok(())
    }

    fn print(
        &self,
        (file, row): (&Path, usize),
        (x, i): (&Tensor, usize),
        (class, share): (usize, f64),
        outputs: &[f64],
    ) -> Result<()> {
        let mut out = io::stdout().lock();
        if self.args.json {
            let mut line = json!({ "input": file.to_string_lossy(), "row": row, "class": class, "outputs": outputs });
            if !self.names.is_empty() {
                line["label"] = json!(self.name(class));
            }
            writeln!(out, "{line}")?;
            return Ok(());
        }
        let (from, taken) = (file.display().to_string(), self.name(class));
        writeln!(out, "{}, row {row}: class {}, {share:.4}", printable(&from), printable(&taken))?;
        if let (Values::U8(pixels), Some((height, width))) = (x.values(), picture::extents(&self.sample)) {
            let len = self.sample.len();
            write!(out, "{}", Picture::new(height, width, &pixels[i * len..][..len]).draw())?;
        }
        let all: Vec<String> = outputs
            .iter()
            .enumerate()
            .map(|(class, share)| format!("{}: {share:.4}", printable(&self.name(class))))
            .collect();
        writeln!(out, "{}\n", all.join("  "))?;
        Ok(())
    }

    /// Writes the file.
    fn end(self) -> Result<()> {
        let Some(path) = &self.args.output else { return Ok(()) };
        let text = self.table.into_inner().map_err(|e| e.into_error())?;
        write_file(path, text)?;
        let (count, path) = (self.count, path.display().to_string());
        let samples = if count == 1 { "sample" } else { "samples" };
        writeln!(io::stdout(), "{}: {count} {samples}", printable(&path))?;
        Ok(())
    }
}
