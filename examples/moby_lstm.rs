//! Moby Dick, character by character: an LSTM that learns to say what follows, beside n-grams, and writes on its own.
//!
//! `cargo run --release --example moby_lstm [-- --device NAME --limit N --epochs N]` prints bits a character on every tenth chapter,
//! which is held out, and saves the model to `runs/moby-lstm.safetensors`, from which `kiln generate` goes on with any text.

mod common;
#[path = "common/moby.rs"]
mod moby;
#[path = "common/ngram.rs"]
mod ngram;

use kiln::prelude::*;
use moby::Moby;

/// Characters a window: of longer ones an epoch has fewer steps, and what it is to learn seldom lies further back.
const LENGTH: usize = 50;
/// Of those that are measured on: the LSTM takes any number of steps.
const LONG: usize = 400;

fn net(length: usize, size: usize, device: Device) -> Sequential {
    Sequential::new()
        .add(Input::new([length]))
        .add(Embedding::new(size, 64))
        .add(Lstm::new(256).return_sequences(true))
        .add(Dense::new(size))
        .device(device)
}

pub fn main() -> anyhow::Result<()> {
    let args = common::Args::read(20)?;
    let moby = Moby::read(args.limit)?;
    moby.print_ngrams();
    let size = moby.text.vocabulary_size();
    let windows = moby.windows(LENGTH, LENGTH)?;
    let steps = (args.epochs * kiln::data::Source::len(&windows).div_ceil(32)) as u64;
    let mut model = net(LENGTH, size, args.device.clone());
    model.set_text_vectorization(moby.text.clone());
    let rate = CosineDecay::new(0.004, steps);
    model.compile(Scheduled::new(Adam::default(), rate).global_clip_norm(1.0), moby::loss(), [])?;
    print!("{}", model.summary()?);
    model.fit(&windows, Fit::new().epochs(args.epochs).batch_size(32))?;
    let mut long = net(LONG, size, args.device);
    long.compile("adam", moby::loss(), [])?;
    long.set_weights(&model.weights()?)?;
    println!("LSTM: {:.3} bits a character", moby::bits(&mut long, &moby.held_out(LONG)?)?);
    moby::save_and_write(&mut model, "moby-lstm")
}
