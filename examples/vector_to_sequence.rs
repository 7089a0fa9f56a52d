//! Vector to sequence: a vector is repeated for each step, and a GRU makes a sequence of it.
//!
//! The vector says frequency and phase of a wave, the sequence is its first 20 values; a value is right where it lies within 0.1 of
//! the wave's. `cargo run --release --example vector_to_sequence [-- --device NAME --limit N --epochs N --seed N]` prints how many
//! values are right, of 500 waves that were not trained on.

mod common;

use kiln::prelude::*;
use kiln::random::uniform;

const LENGTH: usize = 20;

/// `n` vectors of frequency and phase, each from -1 to 1, with their waves.
fn waves(n: usize, seed: u64) -> Result<Dataset> {
    let x = uniform(2 * n, 1.0, seed, "waves", 0);
    let wave = |pair: &[f32]| {
        let (speed, phase) = (0.4 + 0.2 * pair[0], 3.0 * pair[1]);
        (0..LENGTH).map(move |step| (speed * step as f32 + phase).sin())
    };
    let y: Vec<f32> = x.chunks(2).flat_map(wave).collect();
    Dataset::new(Tensor::new([n, 2], x)?, Tensor::new([n, LENGTH, 1], y)?)
}

pub fn main() -> anyhow::Result<()> {
    let common::Args { device, limit, epochs, seed } = common::Args::read_seeded(3000, 40)?;
    let (train, test) = (waves(limit, seed)?, waves(500, seed + 1000)?);
    let mut model = Sequential::new()
        .add(Dense::new(32).activation("tanh"))
        .add(RepeatVector::new(LENGTH))
        .add(Gru::new(48).return_sequences(true))
        .add(Dense::new(1))
        .seed(seed)
        .device(device);
    model.compile(Adam::new(0.01), "mse", [])?;
    model.fit(&train, Fit::new().epochs(epochs).verbose(0))?;
    print!("{}", model.summary()?);
    let (found, wanted) = (model.predict(test.x())?.to_vec::<f32>(), test.y().to_vec::<f32>());
    let right = found.iter().zip(&wanted).filter(|(a, b)| (*a - *b).abs() < 0.1).count();
    println!("values within 0.1: {:.3}", right as f64 / wanted.len() as f64);
    Ok(())
}
