//! `kiln predict`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use kiln::data::NamedSet;
use kiln::device::Device;
use kiln::io::printable;
use kiln::nn::Model;
use kiln::nn::metric::classes_of;
use kiln::tensor::{Shape, Tensor, Values};
use serde_json::json;

use crate::arrays::{self, archive};
use crate::model::DeviceArgs;
use crate::picture::{self, Picture};
use crate::saved::{Course, class_names};
use crate::table::Columns;
use crate::unpacked::UnpackedArgs;

const EXAMPLES: &str = "\
An input is a PNG of any size, an IDX file of bytes, raw or gzipped, or text of pixels from 0 to 255, a sample a line, or an
.npz of NumPy's with the array x_test, or with one array. MNIST is white on black: --invert makes it of ink on paper. Of a
model that was trained on a table the inputs are tables with its columns; those of labels and others may be there.

Examples:
  kiln predict mnist.safetensors seven.png
  kiln predict mnist.safetensors --invert scan.png
  kiln predict mnist.safetensors t10k-images-idx3-ubyte --limit 3
  kiln predict animals.safetensors more-animals.csv";

/// Say what a saved model sees in pictures, the class and its probability beside the picture, or in the rows of a table
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A file of `kiln train --save`
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// PNG, IDX, text or .npz files; tables where it was trained on one
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<PathBuf>,

    /// Take the first N samples of each input
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,

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

pub fn run(args: &Args) -> Result<()> {
    ensure!(args.limit > 0, "limit: 0 leaves nothing to predict; give 1 or more");
    let mut model = Model::load(&args.file)?.device(Device::choose(&args.place.device)?.device);
    let most = args.packed.max_unpacked;
    let columns = Columns::find(&model, &args.file)?.map(|columns| columns.within(most));
    ensure!(columns.is_none() || !args.invert, "invert: is for pictures, {} takes tables", args.file.display());
    let sample = model.sample_shape()?.clone();
    let names = names(&model, columns.as_ref(), &args.file);
    for input in &args.inputs {
        let x = match (&columns, archive(input)) {
            (Some(_), Some(path)) => {
                bail!(
                    "{}: {} was trained on a table; give a table with its columns",
                    path.display(),
                    args.file.display()
                )
            }
            (None, Some(path)) => {
                ensure!(!args.invert, "invert: is for pictures in files of their own, not for {}", path.display());
                arrays::samples(path, most)?
            }
            (Some(columns), None) => columns.samples(input)?,
            (None, None) => picture::read(input, &sample, args.invert, most)?,
        };
        let x = x.head(args.limit);
        model.input_scale(&x).with_context(|| input.display().to_string())?;
        let y = model.predict(&x)?;
        print(args, input, (&sample, &x), &y, &names)?;
    }
    Ok(())
}

/// The names of the classes of what it was trained on; none where they are numbers, or it does not say.
fn names(model: &Model, columns: Option<&Columns>, file: &Path) -> Vec<String> {
    if let Some(columns) = columns {
        return columns.encoding.classes().to_vec();
    }
    let set = Course::of(model, file).ok().and_then(|course| NamedSet::find(&course.set).ok());
    set.map(class_names).unwrap_or_default()
}

fn print(args: &Args, input: &Path, (sample, x): (&Shape, &Tensor), y: &Tensor, names: &[String]) -> Result<()> {
    let outputs = y.values().to_f64();
    let width = outputs.len() / x.rows();
    let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
    let classes = classes_of(&y.reshape(&[x.rows() as isize, width as isize])?)?;
    let mut out = io::stdout().lock();
    for ((row, outputs), class) in outputs.chunks(width).enumerate().zip(classes) {
        if args.json {
            let mut line = json!({ "input": input.to_string_lossy(), "row": row, "class": class, "outputs": outputs });
            if !names.is_empty() {
                line["label"] = json!(name(class));
            }
            writeln!(out, "{line}")?;
            continue;
        }
        // One output tells two classes apart.
        let (from, taken) = (input.display().to_string(), name(class));
        let share = outputs[class.min(width - 1)];
        writeln!(out, "{}, row {row}: class {}, {share:.4}", printable(&from), printable(&taken))?;
        if let (Values::U8(pixels), Some((height, width))) = (x.values(), picture::extents(sample)) {
            let pixels = &pixels[row * sample.len()..][..sample.len()];
            write!(out, "{}", Picture::new(height, width, pixels).draw())?;
        }
        let all: Vec<String> = outputs
            .iter()
            .enumerate()
            .map(|(class, share)| format!("{}: {share:.4}", printable(&name(class))))
            .collect();
        writeln!(out, "{}\n", all.join("  "))?;
    }
    Ok(())
}
