//! Sequence to sequence: a GRU gives the next value behind each step of a sequence.
//!
//! Each sequence is 30 values of a wave of its own frequency and phase. Behind the first ten values its course is settled; the value
//! predicted there is right where it lies within 0.1 of the wave's next one.
//! `cargo run --release --example sequence_to_sequence [-- --device NAME --limit N --epochs N --seed N]` prints how many of the values
//! are right, of 500 waves that were not trained on.

mod common;

use kiln::data::{TimeseriesDataset, Windows};
use kiln::prelude::*;
use kiln::random::uniform;

const LENGTH: usize = 30;
/// Steps from which the course can be told.
const KNOWN: usize = 10;

/// `n` waves with the next value of each step.
fn waves(n: usize, seed: u64) -> Result<Dataset> {
    let [speeds, phases] = ["speeds", "phases"].map(|purpose| uniform(n, 1.0, seed, purpose, 0));
    let wave = |(speed, phase): (f32, f32)| {
        (0..=LENGTH).map(move |step| ((0.5 + 0.3 * speed) * step as f32 + 3.0 * phase).sin())
    };
    let series: Vec<f32> = speeds.into_iter().zip(phases).flat_map(wave).collect();
    // The waves are one series; a window is a wave, and its target the same a step later.
    let series = Tensor::new([n * (LENGTH + 1), 1], series)?;
    TimeseriesDataset::next_steps(series, Windows::new(LENGTH).sequence_stride(LENGTH + 1))?.to_dataset()
}

pub fn main() -> anyhow::Result<()> {
    let common::Args { device, limit, epochs, seed } = common::Args::read_seeded(2000, 20)?;
    let (train, test) = (waves(limit, seed)?, waves(500, seed + 1000)?);
    let mut model =
        Sequential::new().add(Gru::new(32).return_sequences(true)).add(Dense::new(1)).seed(seed).device(device);
    model.compile(Adam::new(0.005), "mse", [])?;
    model.fit(&train, Fit::new().epochs(epochs).verbose(0))?;
    print!("{}", model.summary()?);
    let (found, wanted) = (model.predict(test.x())?.to_vec::<f32>(), test.y().to_vec::<f32>());
    let judged = (0..found.len()).filter(|at| at % LENGTH >= KNOWN).collect::<Vec<_>>();
    let right = judged.iter().filter(|&&at| (found[at] - wanted[at]).abs() < 0.1).count();
    println!("next values within 0.1: {:.3}", right as f64 / judged.len() as f64);
    Ok(())
}
