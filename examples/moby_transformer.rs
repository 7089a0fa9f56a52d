//! Moby Dick, character by character: a transformer of two blocks that learns to say what follows, beside n-grams.
//!
//! `cargo run --release --example moby_transformer [-- --device NAME --limit N --epochs N]` prints bits a character on every tenth chapter,
//! which is held out, and saves the model to `runs/moby-transformer.safetensors`, from which `kiln generate` goes on with any text.

mod common;
#[path = "common/moby.rs"]
mod moby;
#[path = "common/ngram.rs"]
mod ngram;

use kiln::nn::Value;
use kiln::prelude::*;
use moby::Moby;

/// Characters a window.
const LENGTH: usize = 64;
const WIDTH: usize = 64;
const HEADS: usize = 4;

/// Attention to what came before, then two dense layers, each added to what it was given.
fn block(x: &Value) -> Result<Value> {
    let normal = LayerNormalization::new().apply(x)?;
    let attended = MultiHeadAttention::new(HEADS, WIDTH / HEADS).use_causal_mask(true).apply([&normal, &normal])?;
    let x = Add.apply([x, &attended])?;
    let normal = LayerNormalization::new().apply(&x)?;
    let wide = Dense::new(4 * WIDTH).activation("gelu").apply(&normal)?;
    Add.apply([&x, &Dense::new(WIDTH).apply(&wide)?])
}

pub fn main() -> anyhow::Result<()> {
    let args = common::Args::read(8)?;
    let moby = Moby::read(args.limit)?;
    moby.print_ngrams();
    let size = moby.text.vocabulary_size();
    let input = Input::new([LENGTH]);
    let characters = Embedding::new(size, WIDTH).apply(&input)?;
    let mut x = Add.apply([&characters, &PositionEmbedding::new(LENGTH).apply(&characters)?])?;
    for _ in 0..2 {
        x = block(&x)?;
    }
    let x = LayerNormalization::new().apply(&x)?;
    let mut model = Model::new(&input, Dense::new(size).apply(&x)?)?.device(args.device);
    let windows = moby.windows(LENGTH, LENGTH / 2)?;
    let steps = args.epochs * kiln::data::Source::len(&windows).div_ceil(32);
    model.set_text_vectorization(moby.text.clone());
    let rate = common::one_cycle(0.003, steps, 20);
    model.compile(Scheduled::new(Adam::default(), rate).global_clip_norm(1.0), moby::loss(), [])?;
    print!("{}", model.summary()?);
    model.fit(&windows, Fit::new().epochs(args.epochs).batch_size(32))?;
    println!("transformer: {:.3} bits a character", moby::bits(&mut model, &moby.held_out(LENGTH)?)?);
    moby::save_and_write(&mut model, "moby-transformer")
}
