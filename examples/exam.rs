//! One sigmoid unit: hours of study, and whether the exam was passed.
//!
//! `cargo run --example exam [-- --device NAME]` gets all 7 right and prints from which hour on it expects a pass.

mod common;

use kiln::prelude::*;

pub fn main() -> anyhow::Result<()> {
    let device = common::device()?;
    let hours: Vec<f32> = (1..=7).map(|i| 2.0 * i as f32).collect();
    let passed = vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
    let data = Dataset::new(Tensor::new([7, 1], hours.clone())?, Tensor::new([7, 1], passed)?)?;
    let mut model = Sequential::new().add(Dense::new(1).activation(Activation::Sigmoid)).device(device);
    model.compile(Sgd { learning_rate: 0.1, ..Sgd::default() }, Loss::BinaryCrossentropy, [Metric::Accuracy])?;
    model.fit(&data, Fit::new().epochs(5000).batch_size(7).verbose(0))?;
    let chances = model.predict(&Tensor::new([7, 1], hours.clone())?)?.values().to_f64();
    for (hours, chance) in hours.iter().zip(chances) {
        println!("{hours:4} hours: {} ({:.1}%)", if chance > 0.5 { "pass" } else { "fail" }, 100.0 * chance);
    }
    let line: Vec<f64> = model.weights()?.iter().flat_map(|t| t.values().to_f64()).collect();
    println!("a pass is expected from {:.1} hours on", -line[1] / line[0]);
    let accuracy = model.evaluate(&data)?.get("accuracy").expect("asked for");
    println!("accuracy {accuracy:.2}: {} of 7 right", (7.0 * accuracy).round());
    Ok(())
}
