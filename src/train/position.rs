//! Where a run stands within an epoch.

use crate::error::{Error, Result};
use crate::nn::{Config, Configured};

/// An epoch that was begun: whose it is, and how far it has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Position {
    /// How many steps were made.
    pub step: usize,
    /// Samples that the epoch trains on.
    pub samples: usize,
    pub batch_size: usize,
    pub shuffle: bool,
    /// Of the order of samples.
    pub seed: u64,
    /// The sum over these steps of each column of the log; none where there are no steps.
    pub totals: Vec<f64>,
}

impl Position {
    /// That a run with the settings of `now` can go on from here.
    pub fn check(&self, now: &Self, columns: usize) -> Result<()> {
        let differs = |name: &str, [was, is]: [String; 2]| {
            let message = format!(
                "the model stands after step {} of an epoch for which it was {was}, not {is}; give {was} to go on there, or \
                 compile the model to train it anew",
                self.step
            );
            Err(Error::argument(name, message))
        };
        if self.samples != now.samples {
            return differs("samples", [self.samples, now.samples].map(|n| n.to_string()));
        }
        if self.batch_size != now.batch_size {
            return differs("batch_size", [self.batch_size, now.batch_size].map(|n| n.to_string()));
        }
        if self.shuffle != now.shuffle {
            return differs("shuffle", [self.shuffle, now.shuffle].map(|yes| yes.to_string()));
        }
        if self.shuffle && self.seed != now.seed {
            return differs("seed", [self.seed, now.seed].map(|seed| seed.to_string()));
        }
        if self.totals.len() != columns {
            let found = self.totals.len();
            return Err(Error::argument("position", format!("has {found} sums, the log has {columns} columns")));
        }
        Ok(())
    }
}

impl Configured for Position {
    fn config(&self) -> Config {
        Config::new("Position")
            .with("step", self.step)
            .with("samples", self.samples)
            .with("batch_size", self.batch_size)
            .with("shuffle", self.shuffle)
            .with("seed", self.seed)
            .with("totals", self.totals.clone())
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        let (step, samples, batch_size) = (config.take("step")?, config.take("samples")?, config.take("batch_size")?);
        let (shuffle, seed, totals) = (config.take("shuffle")?, config.take("seed")?, config.take("totals")?);
        if batch_size == 0 || step == 0 || samples == 0 || step > usize::div_ceil(samples, batch_size) {
            let message = format!("is no step of an epoch of {samples} samples in batches of {batch_size}");
            return Err(Error::argument(format!("setting \"step\" of Position, {step},"), message));
        }
        Ok(Self { step, samples, batch_size, shuffle, seed, totals })
    }
}
