//! `kiln train --lr-find`: the loss as the learning rate grows, and the rate that follows from it. By Smith,
//! <https://arxiv.org/abs/1506.01186>.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Result, bail};
use kiln::data::Source;
use kiln::error::Error;
use kiln::nn::Model;
use kiln::nn::optimizer::Optimizer;
use kiln::nn::schedule::{Schedule, Scheduled};
use kiln::plot::{Chart, Panel};
use kiln::train::{CheckFinite, Fit};
use serde_json::json;

/// The rates that are tried, from the first step to the last.
const RATES: (f64, f64) = (1e-6, 10.0);
const STEPS: usize = 100;
/// How much of the mean so far stays at each step.
const KEPT: f64 = 0.9;
/// The loss has gone astray where it is so many times its lowest.
const ASTRAY: f64 = 4.0;
/// What is suggested, of the rate at which the loss is lowest: there it is about to grow.
const SHARE: f64 = 0.1;
/// Lines of the table in a terminal, and the columns of its longest bar.
const LINES: usize = 20;
const BAR: f64 = 40.0;

/// A rate that grows by the same share at every step.
#[derive(Debug)]
struct Growth;

impl Schedule for Growth {
    fn at(&self, step: u64) -> f64 {
        RATES.0 * (RATES.1 / RATES.0).powf(step as f64 / (STEPS - 1) as f64)
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// The optimizer whose rate grows.
pub fn growing(optimizer: Box<dyn Optimizer>) -> Box<dyn Optimizer> {
    Box::new(Scheduled::new(optimizer, Growth))
}

/// The mean loss at each rate, up to where it went astray.
struct Curve {
    rates: Vec<f64>,
    losses: Vec<f64>,
}

impl Curve {
    /// Of the losses of the steps. Later ones count for more, and the first does not weigh on those behind it.
    fn of(losses: &[f64]) -> Self {
        let (mut mean, mut lowest, mut smooth) = (0.0, f64::INFINITY, Vec::new());
        for (step, loss) in losses.iter().take(STEPS).enumerate() {
            mean = KEPT * mean + (1.0 - KEPT) * loss;
            let loss = mean / (1.0 - KEPT.powi(step as i32 + 1));
            if !loss.is_finite() || loss > ASTRAY * lowest {
                break;
            }
            lowest = loss.min(lowest);
            smooth.push(loss);
        }
        Self { rates: (0..smooth.len()).map(|step| Growth.at(step as u64)).collect(), losses: smooth }
    }

    /// The rate at which the loss is lowest.
    fn lowest(&self) -> Option<f64> {
        let best = (0..self.losses.len()).min_by(|&a, &b| self.losses[a].total_cmp(&self.losses[b]))?;
        Some(self.rates[best])
    }

    fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "learning rate      loss")?;
        let most = self.losses.iter().fold(0.0f64, |most, &loss| most.max(loss));
        for step in (0..self.losses.len()).step_by(STEPS.div_ceil(LINES)) {
            let (rate, loss) = (self.rates[step], self.losses[step]);
            writeln!(out, "{rate:>13.1e}  {loss:>8.4}  {}", "█".repeat((loss / most * BAR).round() as usize))?;
        }
        Ok(())
    }

    fn plot(&self, path: &Path) -> Result<()> {
        let panel = Panel::new("loss").curve("mean of the last steps", &self.losses);
        let chart = Chart::new("Loss as the learning rate grows", "learning rate").log_x(&self.rates);
        Ok(chart.panel(panel).save(path)?)
    }
}

/// Trains a model, whose optimizer is one that grows, and says what the loss came to.
pub fn run(model: &mut Model, train: &dyn Source, batch_size: usize, plot: Option<&Path>, is_json: bool) -> Result<()> {
    let epochs = STEPS.div_ceil(train.len().div_ceil(batch_size.max(1)).max(1));
    let fit = Fit::new().epochs(epochs).batch_size(batch_size).check_finite(CheckFinite::Off).verbose(0);
    let history = model.fit(train, fit)?;
    let curve = Curve::of(history.batch_losses());
    let Some(lowest) = curve.lowest() else {
        bail!("lr_find: the first loss is no number; look through the data for what is none");
    };
    let suggested = SHARE * lowest;
    let mut out = io::stdout().lock();
    if is_json {
        let line = json!({"learning_rates": curve.rates, "losses": curve.losses, "suggested_learning_rate": suggested});
        writeln!(out, "{line}")?;
    } else {
        curve.print()?;
        let [lowest, suggested] = [lowest, suggested].map(short);
        writeln!(
            out,
            "The loss is lowest at {lowest:?} and grows behind it; try a tenth: --learning-rate {suggested:?}"
        )?;
    }
    plot.map_or(Ok(()), |path| curve.plot(path))
}

/// Of two digits.
fn short(rate: f64) -> f64 {
    format!("{rate:.1e}").parse().expect("it was a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Falls up to a rate, and grows tenfold a step behind it.
    fn losses(until: usize) -> Vec<f64> {
        (0..STEPS)
            .map(|step| if step <= until { 2.0 - step as f64 / 100.0 } else { 10.0f64.powi((step - until) as i32) })
            .collect()
    }

    #[test]
    fn the_lowest_loss_is_found_before_it_goes_astray() {
        let curve = Curve::of(&losses(60));
        assert!(curve.losses.len() < 66, "{} steps", curve.losses.len());
        assert_eq!(curve.lowest(), Some(Growth.at(60)));
    }

    #[test]
    fn rates_span_what_is_said() {
        assert_eq!((Growth.at(0), Growth.at(99)), (1e-6, 10.0));
    }

    #[test]
    fn a_loss_that_is_no_number_ends_the_curve() {
        let mut losses = losses(60);
        losses[10] = f64::NAN;
        assert_eq!(Curve::of(&losses).losses.len(), 10);
        assert_eq!(Curve::of(&[f64::NAN]).lowest(), None);
    }
}
