//! Memory over gaps: LSTM and GRU answer by what a sequence began with, where SimpleRNN has forgotten it.
//!
//! A sequence begins with one of two marks; then comes a gap of noise, and the answer is which mark it was. For gaps of several lengths
//! each net is trained alike. `cargo run --release --example memory [-- --device NAME --seed N]` prints the accuracy on 1,000
//! sequences that were not trained on, and draws it to `runs/memory.png`.

mod common;

use kiln::nn::IntoLayer;
use kiln::plot::{Chart, Panel};
use kiln::prelude::*;
use kiln::random::uniform;

/// Gaps are multiples of this many steps.
const UNIT: usize = 10;
const UNITS: usize = 6;

/// `n` sequences of two numbers a step: the mark, 1 or -1 at the first step, and noise at all later ones.
fn sequences(n: usize, gap: usize, seed: u64) -> Result<Dataset> {
    let steps = gap + 1;
    let noise = uniform(n * steps, 1.0, seed, "noise", gap as u64);
    let marks: Vec<u32> = uniform(n, 1.0, seed, "marks", gap as u64).iter().map(|x| u32::from(*x > 0.0)).collect();
    let value = |at: usize| match (at / steps, at % steps) {
        (row, 0) => [2.0 * marks[row] as f32 - 1.0, 0.0],
        _ => [0.0, noise[at]],
    };
    let x: Vec<f32> = (0..n * steps).flat_map(value).collect();
    Dataset::new(Tensor::new([n, steps, 2], x)?, Tensor::new([n], marks)?)
}

/// The accuracy on sequences not seen.
fn accuracy(layer: impl IntoLayer, gap: usize, device: &Device, seed: u64) -> Result<f64> {
    let (train, test) = (sequences(2000, gap, seed)?, sequences(1000, gap, seed + 1000)?);
    let mut model =
        Sequential::new().add(layer).add(Dense::new(2).activation("softmax")).seed(seed).device(device.clone());
    model.compile(Adam::new(0.005).global_clip_norm(1.0), "sparse_categorical_crossentropy", ["accuracy"])?;
    model.fit(&train, Fit::new().epochs(12).batch_size(50).verbose(0))?;
    Ok(model.evaluate(&test)?.get("accuracy").expect("compiled with it"))
}

pub fn main() -> anyhow::Result<()> {
    let (device, seed) = common::device_and_seed()?;
    println!("  gap  SimpleRNN   LSTM    GRU");
    let mut columns = [const { Vec::new() }; 3];
    for gap in (1..=UNITS).map(|units| units * UNIT) {
        let simple = accuracy(SimpleRnn::new(16), gap, &device, seed)?;
        let lstm = accuracy(Lstm::new(16), gap, &device, seed)?;
        let gru = accuracy(Gru::new(16), gap, &device, seed)?;
        println!("{gap:>5}{simple:>11.3}{lstm:>7.3}{gru:>7.3}");
        columns.iter_mut().zip([simple, lstm, gru]).for_each(|(column, accuracy)| column.push(accuracy));
    }
    std::fs::create_dir_all("runs")?;
    let names = ["SimpleRNN", "LSTM", "GRU"].into_iter().zip(&columns);
    let panel = names.fold(Panel::new("accuracy"), |panel, (name, values)| panel.curve(name, values));
    Chart::new("What is remembered over a gap", format!("gap, in {UNIT} steps"))
        .panel(panel)
        .save("runs/memory.png")?;
    Ok(())
}
