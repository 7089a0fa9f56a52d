//! Sequence to vector: an LSTM reads a sequence and gives one answer behind its last step.
//!
//! Each sequence has 20 tokens of four kinds and, somewhere among them, one mark; the answer is the token that follows the mark.
//! `cargo run --release --example sequence_to_vector [-- --device NAME --limit N --epochs N --seed N]` prints how many of 1,000
//! sequences that were not trained on are answered right.

mod common;

use kiln::prelude::*;
use kiln::random::uniform;

const LENGTH: usize = 20;
const KINDS: usize = 4;
/// The token of the mark, behind those of the kinds.
const MARK: usize = KINDS;

/// `n` sequences, each token as one of five numbers that is 1, and their answers.
fn sequences(n: usize, seed: u64) -> Result<Dataset> {
    // Whole numbers below `most`.
    let drawn = |purpose, count: usize, most: usize| -> Vec<usize> {
        uniform(count, 1.0, seed, purpose, 0).iter().map(|x| ((x + 1.0) / 2.0 * most as f32) as usize).collect()
    };
    let (tokens, marks) = (drawn("tokens", n * LENGTH, KINDS), drawn("marks", n, LENGTH - 1));
    let (mut x, mut y) = (vec![0f32; n * LENGTH * (KINDS + 1)], Vec::new());
    for (row, mark) in marks.into_iter().enumerate() {
        for step in 0..LENGTH {
            let at = row * LENGTH + step;
            x[at * (KINDS + 1) + if step == mark { MARK } else { tokens[at] }] = 1.0;
        }
        y.push(tokens[row * LENGTH + mark + 1] as u32);
    }
    Dataset::new(Tensor::new([n, LENGTH, KINDS + 1], x)?, Tensor::new([n], y)?)
}

pub fn main() -> anyhow::Result<()> {
    let common::Args { device, limit, epochs, seed } = common::Args::read_seeded(4000, 20)?;
    let (train, test) = (sequences(limit, seed)?, sequences(1000, seed + 1000)?);
    let mut model =
        Sequential::new().add(Lstm::new(32)).add(Dense::new(KINDS).activation("softmax")).seed(seed).device(device);
    model.compile(Adam::new(0.01), "sparse_categorical_crossentropy", ["accuracy"])?;
    model.fit(&train, Fit::new().epochs(epochs).batch_size(50).verbose(0))?;
    print!("{}", model.summary()?);
    println!("test accuracy: {:.3}", model.evaluate(&test)?.get("accuracy").expect("compiled with it"));
    Ok(())
}
