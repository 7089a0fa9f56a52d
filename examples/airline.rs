//! A forecast of airline passengers by an LSTM, beside the rule that a month has what it had a year before.
//!
//! The series has 144 months; the net learns from all but the last 24. It reads by how much each of the last twelve months lay above the
//! same month of the year before, as a logarithm, and says it for the next. Each of the 24 months is forecast from the true
//! months before it. `cargo run --release --example airline [-- --device NAME]` prints the root mean squared error, in
//! thousands of passengers, of three seeds and of the rule, and draws the forecast of the first to `runs/airline.png`.

mod common;

use kiln::data::{Scaler, TimeseriesDataset, Windows};
use kiln::plot::{Chart, Panel};
use kiln::prelude::*;

const YEAR: usize = 12;
/// The months at the end that are forecast.
const TEST: usize = 24;

/// The root of the mean of squared differences.
fn rmse(found: &[f64], wanted: &[f64]) -> f64 {
    let squares = found.iter().zip(wanted).map(|(a, b)| (a - b).powi(2));
    (squares.sum::<f64>() / wanted.len() as f64).sqrt()
}

pub fn main() -> anyhow::Result<()> {
    let device = common::device()?;
    let months: Vec<f64> = kiln::data::airline()?.values().to_f64();
    let growth: Vec<f32> = (YEAR..months.len()).map(|at| (months[at] / months[at - YEAR]).ln() as f32).collect();
    let series = Tensor::new([growth.len(), 1], growth.clone())?;
    let next = Tensor::new([growth.len() - YEAR, 1], growth[YEAR..].to_vec())?;
    let windows = TimeseriesDataset::from_array(series, next, Windows::new(YEAR))?.to_dataset()?;
    let (train, test) = windows.split_at(windows.len() - TEST);
    let scaler = Scaler::standardize_targets(&train)?;
    // Of samples and targets alike: both are growth.
    let scaled = |data: &Dataset| -> Result<Dataset> {
        let x = data.x().reshape(&[-1, 1])?;
        let x = scaler.apply_to(&x)?.reshape(&[data.len() as isize, YEAR as isize, 1])?;
        Dataset::new(x, data.y().clone())
    };
    let (train, test) = (scaled(&train)?, scaled(&test)?);

    let (before, truth) = (&months[months.len() - TEST - YEAR..months.len() - YEAR], &months[months.len() - TEST..]);
    let mut forecasts = Vec::new();
    for seed in 0..3 {
        let mut model = Sequential::new().add(Lstm::new(16)).add(Dense::new(1)).seed(seed).device(device.clone());
        model.set_target_scaler(scaler.clone())?;
        model.compile(Adam::new(0.003), "mse", [])?;
        model.fit(&train, Fit::new().epochs(100).batch_size(16).verbose(0))?;
        let growth = model.predict(test.x())?.values().to_f64();
        forecasts
            .push(before.iter().zip(growth).map(|(passengers, growth)| passengers * growth.exp()).collect::<Vec<_>>());
        println!("seed {seed}: RMSE {:.1}", rmse(forecasts.last().expect("one"), truth));
    }
    let mut errors: Vec<f64> = forecasts.iter().map(|forecast| rmse(forecast, truth)).collect();
    errors.sort_by(f64::total_cmp);
    println!("LSTM, median of three seeds: RMSE {:.1}", errors[1]);
    println!("last year's value: RMSE {:.1}", rmse(before, truth));
    std::fs::create_dir_all("runs")?;
    let panel = Panel::new("passengers, in thousands")
        .curve("truth", truth)
        .curve("LSTM", &forecasts[0])
        .curve("last year", before);
    Chart::new("Airline passengers, 1959 and 1960", "month").panel(panel).save("runs/airline.png")?;
    Ok(())
}
