//! `kiln eval`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use kiln::data::{NamedSet, Source as _};
use kiln::device::Device;
use kiln::io::printable;
use kiln::nn::Model;
use kiln::nn::metric::{ClassScores, ConfusionMatrix};
use kiln::train::Logs;
use serde_json::{Value, json};

use crate::arrays::{self, archive};
use crate::data::Bar;
use crate::model::{DeviceArgs, predicts_values, shaped};
use crate::outputs::{self, Kind, outputs};
use crate::pictures::Pictures;
use crate::samples::Samples;
use crate::saved::{Course, class_names};
use crate::set::{files_of, pictures_in, table_in};
use crate::table;
use crate::unpacked::UnpackedArgs;

const EXAMPLES: &str = "\
Examples:
  kiln train mnist --save mnist.safetensors
  kiln eval mnist.safetensors
  kiln eval mnist.safetensors --confusion --plot confusion.png
  kiln eval mnist.safetensors fashion-mnist --device cpu
  kiln eval animals.safetensors more-animals.csv
  kiln eval animals.safetensors animals.csv --held-out";

/// Measure a saved model on a test set, or on all rows of a table: loss and metrics
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A file of `kiln train --save`, or a .keras
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The data set [default: the one that it was trained on], a folder of pictures, a table with the columns of that: FILE.csv, or arrays x_test and y_test: FILE.npz
    #[arg(value_name = "DATASET")]
    set: Option<String>,

    /// Of the table or folder that it was trained on, only the samples that were held back
    #[arg(long)]
    held_out: bool,

    #[command(flatten)]
    place: DeviceArgs,

    /// Count which classes the samples of each class are taken for; precision, recall and F1 of each
    #[arg(long)]
    confusion: bool,

    /// Draw the confusion matrix: .png or .svg
    #[arg(long, value_name = "FILE", requires = "confusion")]
    plot: Option<PathBuf>,

    #[command(flatten)]
    packed: UnpackedArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let inputs = args.set.iter().flat_map(|name| files_of(name)).collect::<Vec<_>>();
    let inputs = inputs.iter().map(|path| ("the data set", path.as_path())).chain([("the model", args.file.as_path())]);
    outputs::check(&outputs(&[("plot", &args.plot, Kind::Picture)]), &inputs.collect::<Vec<_>>())?;
    let mut model = Model::load(&args.file)?.device(Device::choose(&args.place.device)?.device);
    ensure!(
        !args.confusion || !predicts_values(&model),
        "confusion: {} predicts numbers, which are of no classes; leave --confusion out",
        args.file.display()
    );
    let (set, test, names) = args.samples(&model)?;
    let test = test.settled()?.scaled_for(&model).with_context(|| set.clone())?;
    let logs = model.evaluate(&test)?;
    let confusion = args.confusion.then(|| named(model.confusion_matrix(&test)?, names)).transpose()?;
    // What was measured before what may fail.
    print(args, &set, test.len(), &logs, confusion.as_ref())?;
    if let (Some(confusion), Some(path)) = (&confusion, &args.plot) {
        confusion.plot(path)?;
    }
    Ok(())
}

fn print(args: &Args, set: &str, samples: usize, logs: &Logs, confusion: Option<&ConfusionMatrix>) -> Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        let mut line = json!({ "set": set, "samples": samples });
        logs.iter().for_each(|(name, value)| line[name] = json!(value));
        if let Some(confusion) = confusion {
            line["confusion"] = as_json(confusion);
        }
        writeln!(out, "{line}")?;
        return Ok(());
    }
    let values: Vec<String> = logs.iter().map(|(name, value)| format!("{name}: {value:.4}")).collect();
    let what =
        if args.set.as_deref().and_then(table_in).is_some() && !args.held_out { "samples" } else { "test samples" };
    writeln!(out, "{samples} {what} of {}: {}", printable(set), values.join(", "))?;
    if let Some(confusion) = confusion {
        write!(out, "\n{confusion}\n{}", confusion.report())?;
    }
    Ok(())
}

/// By the names of its classes, where there are some.
fn named(confusion: ConfusionMatrix, names: Vec<String>) -> Result<ConfusionMatrix> {
    if names.len() != confusion.counts().rows() {
        return Ok(confusion);
    }
    Ok(confusion.with_class_names(names)?)
}

impl Args {
    /// The name of the set, what is measured of it, and the names of its classes.
    fn samples(&self, model: &Model) -> Result<(String, Samples, Vec<String>)> {
        let name = match &self.set {
            Some(name) => name.clone(),
            None => Course::of(model, &self.file)?.set,
        };
        if let Some(path) = pictures_in(&name) {
            let pictures = Pictures::of(model, &self.file, &name)?;
            let data = pictures.test(path, self.held_out, self.packed.max_unpacked)?;
            return Ok((name, data, pictures.classes));
        }
        if Pictures::find(model, &self.file)?.is_some() {
            bail!("{}: was trained on a folder of pictures; name the folder to measure on", self.file.display());
        }
        if let Some(path) = table_in(&name) {
            let preprocessor = table::of(model, &self.file, self.packed.max_unpacked)?;
            let read = if self.held_out { table::held_out } else { table::dataset };
            let data = read(&preprocessor, path)?;
            return Ok((name, data.into(), preprocessor.classes().to_vec()));
        }
        ensure!(
            !self.held_out,
            "held_out: {name} is no table; give the file that {} was trained on",
            self.file.display()
        );
        let of_table = table::find(model, &self.file, None)?.is_some();
        if of_table && self.set.is_some() {
            bail!("{name}: {} was trained on a table; give a table with its columns", self.file.display());
        }
        if let Some(path) = archive(&name) {
            let data = arrays::test(path, predicts_values(model), self.packed.max_unpacked)?;
            return Ok((name, data.into(), Vec::new()));
        }
        if of_table {
            bail!("{}: was trained on a table; name the file to measure on, such as {name}.csv", self.file.display());
        }
        let set = NamedSet::find_images(&name)?;
        Ok((name, shaped(Bar::load(set)?.test, model.sample_shape()?)?.into(), class_names(set)))
    }
}

/// The counts, a list for each class, and the scores of each.
fn as_json(confusion: &ConfusionMatrix) -> Value {
    let scores = |of: &ClassScores| json!({ "precision": of.precision, "recall": of.recall, "f1": of.f1, "samples": of.samples });
    let (counts, report) = (confusion.counts().values().to_f64(), confusion.report());
    let rows: Vec<Vec<u64>> =
        counts.chunks(report.classes.len()).map(|row| row.iter().map(|&count| count as u64).collect()).collect();
    json!({
        "names": report.names,
        "counts": rows,
        "classes": report.classes.iter().map(scores).collect::<Vec<_>>(),
        "macro_average": scores(&report.macro_average),
        "weighted_average": scores(&report.weighted_average),
    })
}
