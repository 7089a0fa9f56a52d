//! `kiln predict`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use kiln::device::Device;
use kiln::nn::Sequential;
use kiln::tensor::{Shape, Tensor, Values};
use serde_json::json;

use crate::model::DeviceArgs;
use crate::picture::{self, Picture};

const EXAMPLES: &str = "\
An input is a PNG of any size, an IDX file of bytes, raw or gzipped, or text of pixels from 0 to 255, a sample a line. MNIST
is white on black: --invert makes it of ink on paper.

Examples:
  kiln predict mnist.safetensors seven.png
  kiln predict mnist.safetensors --invert scan.png
  kiln predict mnist.safetensors t10k-images-idx3-ubyte --limit 3";

/// Say what a saved model sees in pictures: the class and its probability, beside the picture
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A file of `kiln train --save`
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// PNG, IDX or text files
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

    /// Print JSON lines, one a sample
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    ensure!(args.limit > 0, "limit: 0 leaves nothing to predict; give 1 or more");
    let mut model = Sequential::load(&args.file)?.device(Device::choose(&args.place.device)?.device);
    let sample = model.sample_shape()?.clone();
    for input in &args.inputs {
        let x = picture::read(input, &sample, args.invert)?.head(args.limit);
        let y = model.predict(&x)?;
        print(args, input, &sample, &x, &y)?;
    }
    Ok(())
}

fn print(args: &Args, input: &Path, sample: &Shape, x: &Tensor, y: &Tensor) -> Result<()> {
    let Values::U8(pixels) = x.values() else { unreachable!("inputs are read as bytes") };
    let outputs = y.values().to_f64();
    let width = outputs.len() / x.rows();
    let mut out = io::stdout().lock();
    for (row, (pixels, outputs)) in pixels.chunks(sample.len()).zip(outputs.chunks(width)).enumerate() {
        let class = (0..width).max_by(|&a, &b| outputs[a].total_cmp(&outputs[b])).expect("a model gives something");
        if args.json {
            let line = json!({ "input": input, "row": row, "class": class, "outputs": outputs });
            writeln!(out, "{line}")?;
            continue;
        }
        writeln!(out, "{}, row {row}: class {class}, {:.4}", input.display(), outputs[class])?;
        if let Some((height, width)) = picture::extents(sample) {
            write!(out, "{}", Picture::new(height, width, pixels).draw())?;
        }
        let all: Vec<String> =
            outputs.iter().enumerate().map(|(class, share)| format!("{class}: {share:.4}")).collect();
        writeln!(out, "{}\n", all.join("  "))?;
    }
    Ok(())
}
