//! `kiln generate`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use kiln::device::Device;
use kiln::nn::{Model, Sampler};

use crate::model::DeviceArgs;
use crate::outputs;

const EXAMPLES: &str = "\
Prints the prompt, and goes on with it token by token as the model of the file says: characters or words, as it was trained. The
example `moby_lstm` trains such a model and saves it. At --temperature 0 the likeliest token is taken each time.

Examples:
  kiln generate moby-lstm.safetensors --prompt \"Call me \"
  kiln generate moby-lstm.safetensors --prompt \"The whale\" --length 500 --temperature 0.7 --top-p 0.9 --seed 3";

/// Go on with a text, by a saved model that was trained on text
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A file of a program's `Model::save`, with the vocabulary of `Model::set_text_vectorization`
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The text to go on with
    #[arg(long, value_name = "TEXT")]
    prompt: String,

    /// How many tokens to add
    #[arg(long, value_name = "N", default_value_t = 300)]
    length: usize,

    /// Below 1 likely tokens become likelier, above 1 less so; 0 takes the likeliest
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    temperature: f64,

    /// Choose among the N likeliest tokens only
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,

    /// Choose among the fewest tokens that together have this probability
    #[arg(long, value_name = "SHARE")]
    top_p: Option<f64>,

    /// The same seed draws the same text
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    place: DeviceArgs,
}

pub fn run(args: &Args) -> Result<()> {
    let mut model = Model::load(&args.file)?.device(Device::choose(&args.place.device)?.device);
    let sampler = Sampler::new().temperature(args.temperature).top_k(args.top_k).top_p(args.top_p).seed(args.seed);
    let generation = model.generate(&args.prompt, sampler)?;
    let mut out = io::stdout().lock();
    write!(out, "{}", outputs::printable_lines(&args.prompt))?;
    out.flush()?;
    for token in generation.take(args.length) {
        write!(out, "{}", outputs::printable_lines(&token?))?;
        // As it is chosen, not when a line is full.
        out.flush()?;
    }
    Ok(writeln!(out)?)
}
