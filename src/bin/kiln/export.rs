//! `kiln export`.

use std::path::PathBuf;

use anyhow::Result;
use kiln::device::Device;
use kiln::nn::Model;

use crate::outputs::{self, Kind, Output};

const EXAMPLES: &str = "\
Writes what the model predicts with: its weights are inside, and the size of the batch is left open. Samples are floats as the first
layer takes them: bytes of pictures are divided by 255 before. What an Embedding reads are whole numbers of 64 bits.

Examples:
  kiln export mnist.safetensors mnist.onnx";

/// Write a saved model as a file of ONNX, for other programs to run
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A file of `kiln train --save` or of a program, or a .keras
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to write to: a name that ends in .onnx
    #[arg(value_name = "OUTPUT")]
    output: PathBuf,
}

pub fn run(args: &Args) -> Result<()> {
    let output = Output { option: "OUTPUT", path: &args.output, kind: Kind::File };
    outputs::check(&[output], &[("the model", args.file.as_path())])?;
    Ok(Model::load(&args.file)?.device(Device::cpu()).export(&args.output)?)
}
