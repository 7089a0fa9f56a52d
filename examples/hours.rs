//! The smallest model there is: a line through hours of study and the scores they led to.
//!
//! `cargo run --example hours [-- --device NAME]` prints the slope 2.3 and the intercept 79 that the least squares give.

mod common;

use kiln::prelude::*;

pub fn main() -> anyhow::Result<()> {
    let device = common::device()?;
    let hours = Tensor::new([4, 1], vec![2.0f32, 4.0, 6.0, 8.0])?;
    let scores = Tensor::new([4], vec![81.0f32, 93.0, 91.0, 97.0])?;
    let mut model = Sequential::new().add(Dense::new(1)).device(device);
    let optimizer = Sgd { learning_rate: 0.01, ..Sgd::default() };
    model.compile(optimizer, Loss::MeanSquaredError, [Metric::RootMeanSquaredError])?;
    let history = model.fit(&Dataset::new(hours, scores)?, Fit::new().epochs(3000).batch_size(4).verbose(0))?;
    let line: Vec<f64> = model.weights()?.iter().flat_map(|t| t.values().to_f64()).collect();
    println!("score = {:.2} * hours + {:.2}", line[0], line[1]);
    println!("off by {:.2}, the root of the mean square", history.get("root_mean_squared_error")[2999]);
    Ok(())
}
