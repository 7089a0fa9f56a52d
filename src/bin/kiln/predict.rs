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
use crate::model::{DeviceArgs, predicts_values};
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

    /// Write what it says to a file instead: a table of file, row, class and probability, or of file, row and numbers
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
    let mut answers =
        Answers::new(args, sample.clone(), outputs_of(&model, table.as_ref(), trained.as_ref(), &args.file));
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

/// What outputs are.
enum Outputs {
    /// Of classes, by their names; none where they are numbers, or the model does not say.
    Classes(Vec<String>),
    /// Numbers, by theirs.
    Values(Vec<String>),
}

/// Those of what a model was trained on.
fn outputs_of(model: &Model, table: Option<&Preprocessor>, pictures: Option<&Pictures>, file: &Path) -> Outputs {
    if let Some(table) = table {
        return match table.classes() {
            [] => Outputs::Values(table.targets().to_vec()),
            classes => Outputs::Classes(classes.to_vec()),
        };
    }
    if let Some(pictures) = pictures {
        return Outputs::Classes(pictures.classes.clone());
    }
    if predicts_values(model) {
        return Outputs::Values(Vec::new());
    }
    let set = Course::of(model, file).ok().and_then(|course| NamedSet::find(&course.set).ok());
    Outputs::Classes(set.map(class_names).unwrap_or_default())
}

/// What the model says, printed at once or gathered for a file.
struct Answers<'a> {
    args: &'a Args,
    sample: Shape,
    outputs: Outputs,
    table: csv::Writer<Vec<u8>>,
    count: usize,
}

impl<'a> Answers<'a> {
    fn new(args: &'a Args, sample: Shape, outputs: Outputs) -> Self {
        Self { args, sample, outputs, table: csv::Writer::from_writer(Vec::new()), count: 0 }
    }

    /// The name of a class or of a number.
    fn name(&self, index: usize) -> String {
        let (Outputs::Classes(names) | Outputs::Values(names)) = &self.outputs;
        names.get(index).cloned().unwrap_or_else(|| match &self.outputs {
            Outputs::Classes(_) => index.to_string(),
            Outputs::Values(_) => format!("y{index}"),
        })
    }

    /// Adds the outputs `y` for some samples, each the row of a file.
    fn add(&mut self, rows: &[(&Path, usize)], x: &Tensor, y: &Tensor) -> Result<()> {
        let outputs = y.values().to_f64();
        let width = outputs.len() / x.rows();
        if matches!(self.outputs, Outputs::Values(_)) {
            return outputs.chunks(width).zip(rows).try_for_each(|(values, &place)| self.add_values(place, values));
        }
        let classes = classes_of(&y.reshape(&[x.rows() as isize, width as isize])?)?;
        for (i, ((outputs, class), &(file, row))) in outputs.chunks(width).zip(classes).zip(rows).enumerate() {
            // One output tells two classes apart.
            let share = outputs[class.min(width - 1)];
            self.count += 1;
            if self.args.output.is_some() {
                let values = [self.name(class), (share as f32).to_string()];
                self.write((file, row), &["class".into(), "probability".into()], &values)?;
                continue;
            }
            self.print((file, row), (x, i), (class, share), outputs)?;
        }
        Ok(())
    }

    /// Adds the numbers for a row of a file.
    fn add_values(&mut self, (file, row): (&Path, usize), values: &[f64]) -> Result<()> {
        self.count += 1;
        let names: Vec<String> = (0..values.len()).map(|index| self.name(index)).collect();
        if self.args.output.is_some() {
            let values: Vec<String> = values.iter().map(|&value| (value as f32).to_string()).collect();
            return self.write((file, row), &names, &values);
        }
        let mut out = io::stdout().lock();
        if self.args.json {
            let mut line = json!({ "input": file.to_string_lossy(), "row": row, "outputs": values });
            names.iter().zip(values).for_each(|(name, value)| line["values"][name] = json!(value));
            writeln!(out, "{line}")?;
            return Ok(());
        }
        let each = names.iter().zip(values).map(|(name, &value)| format!("{} {}", printable(name), value as f32));
        let from = file.display().to_string();
        writeln!(out, "{}, row {row}: {}", printable(&from), each.collect::<Vec<_>>().join(", "))?;
        Ok(())
    }

    /// Adds a line to the table, under these names.
    fn write(&mut self, (file, row): (&Path, usize), names: &[String], values: &[String]) -> Result<()> {
        if self.count == 1 {
            let names = names.iter().map(String::as_str);
            self.table.write_record(["file", "row"].into_iter().chain(names))?;
        }
        let row = row.to_string();
        let place = [file.as_os_str().as_encoded_bytes(), row.as_bytes()];
        self.table.write_record(place.into_iter().chain(values.iter().map(String::as_bytes)))?;
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
            if matches!(&self.outputs, Outputs::Classes(names) if !names.is_empty()) {
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
