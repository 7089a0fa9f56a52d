//! `kiln eval`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use kiln::data::NamedSet;
use kiln::device::Device;
use kiln::nn::Sequential;
use serde_json::json;

use crate::data::Bar;
use crate::model::DeviceArgs;
use crate::saved::Course;

const EXAMPLES: &str = "\
Examples:
  kiln train mnist --save mnist.safetensors
  kiln eval mnist.safetensors
  kiln eval mnist.safetensors fashion-mnist --device cpu";

/// Measure a saved model on a test set: loss and metrics
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A file of `kiln train --save`
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The data set [default: the one that it was trained on]
    #[arg(value_name = "DATASET")]
    set: Option<String>,

    #[command(flatten)]
    place: DeviceArgs,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let mut model = Sequential::load(&args.file)?.device(Device::choose(&args.place.device)?.device);
    let set = match &args.set {
        Some(name) => NamedSet::find(name)?,
        None => NamedSet::find(&Course::of(&model, &args.file)?.set)?,
    };
    let test = Bar::load(set)?.test;
    let logs = model.evaluate(&test)?;
    let mut out = io::stdout().lock();
    if args.json {
        let mut line = json!({ "set": set.name, "samples": test.len() });
        logs.iter().for_each(|(name, value)| line[name] = json!(value));
        writeln!(out, "{line}")?;
        return Ok(());
    }
    let values: Vec<String> = logs.iter().map(|(name, value)| format!("{name}: {value:.4}")).collect();
    writeln!(out, "{} test samples of {}: {}", test.len(), set.name, values.join(", "))?;
    Ok(())
}
