//! What a search found, as it is printed and kept with the model.

use std::fmt;

use super::Settings;
use super::standing::{Standing, deviation, mean};
use crate::config::{Config, Configured};
use crate::error::{Error, Result};

/// Its name in saved models.
const CLASS: &str = "Search";

/// Trials that a saved model keeps.
const KEPT: usize = 10;

/// The mean of a metric over the folds, and how far they are from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The mean.
    pub mean: f64,
    /// The standard deviation of the folds.
    pub deviation: f64,
}

impl Score {
    /// That of the folds' scores.
    pub fn of(scores: &[f64]) -> Self {
        Self { mean: mean(scores.iter().copied()), deviation: deviation(scores) }
    }
}

/// To four digits behind the point where they are below ten, to five digits where they are more.
impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.mean.abs().max(self.deviation);
        let digits = if size < 10.0 { 4 } else { (4.0 - size.log10().floor()).max(0.0) as usize };
        write!(f, "{:.digits$} ± {:.digits$}", self.mean, self.deviation)
    }
}

/// A trial that was trained on all folds.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Its number, from 0: its settings follow from it and the seed.
    pub trial: usize,
    /// What was tried.
    pub settings: Settings,
    /// The epochs after which its loss on the rows that it did not see was the lowest.
    pub epochs: usize,
    /// The metric then.
    pub score: Score,
}

/// What a [`Search`](super::Search) tried. `{}` prints the best ten with the baseline below them; a model that a search made keeps it as
/// the note `auto`.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What the trials were compared by, as logs have it.
    pub metric: String,
    /// How many were tried: with the seed, the number that repeats the search.
    pub trials: usize,
    /// How many of them had a loss that is no number.
    pub diverged: usize,
    /// Of the cross-validation.
    pub folds: usize,
    /// Of all that is random.
    pub seed: u64,
    /// What is reached by what says the same of every row: each class with its share, or the mean.
    pub baseline: Score,
    /// Those that were trained on all folds, the best first; before it the smallest of those that the folds do not tell from it. The others
    /// were left behind by better ones.
    pub ranked: Vec<Ranked>,
}

impl Report {
    pub(super) fn ranked(standings: &[(usize, Standing)], settings: impl Fn(usize) -> Settings) -> Vec<Ranked> {
        let ranked = |(trial, standing): &(usize, Standing)| Ranked {
            trial: *trial,
            settings: settings(*trial),
            epochs: standing.epochs,
            score: Score::of(&standing.scores),
        };
        standings.iter().map(ranked).collect()
    }

    /// The trial whose network was trained on all of the data.
    ///
    /// # Panics
    /// Where there is none, which no search returns.
    pub fn best(&self) -> &Ranked {
        &self.ranked[0]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.ranked[..self.ranked.len().min(KEPT)];
        let scores: Vec<String> = shown.iter().map(|ranked| ranked.score.to_string()).collect();
        let baseline = self.baseline.to_string();
        let width = scores.iter().chain([&baseline]).map(|score| score.chars().count()).max().unwrap_or(0);
        let width = width.max(self.metric.len());
        writeln!(f, "rank  {:width$}  epochs  trial  settings", self.metric)?;
        for ((rank, ranked), score) in (1..).zip(shown).zip(&scores) {
            let Ranked { trial, settings, epochs, .. } = ranked;
            writeln!(f, "{rank:>4}  {score:width$}  {epochs:>6}  {trial:>5}  {settings}")?;
        }
        writeln!(f, "   -  {baseline:width$}       -      -  baseline: the same answer for every row")?;
        writeln!(f, "The first is the smallest network of those that the folds do not tell from the best")
    }
}

impl Configured for Score {
    fn config(&self) -> Config {
        Config::new("Score").with("mean", self.mean).with("deviation", self.deviation)
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self { mean: config.take("mean")?, deviation: config.take("deviation")? })
    }
}

impl Configured for Ranked {
    fn config(&self) -> Config {
        let config = Config::new("Ranked").with("trial", self.trial).with("settings", self.settings.clone());
        config.with("epochs", self.epochs).with("score", self.score)
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        let [trial, epochs] = ["trial", "epochs"].map(|name| config.take(name));
        Ok(Self { trial: trial?, settings: config.take("settings")?, epochs: epochs?, score: config.take("score")? })
    }
}

impl Configured for Report {
    fn config(&self) -> Config {
        let kept: Vec<Ranked> = self.ranked.iter().take(KEPT).cloned().collect();
        Config::new(CLASS)
            .with("metric", self.metric.clone())
            .with("trials", self.trials)
            .with("diverged", self.diverged)
            .with("folds", self.folds)
            .with("seed", self.seed)
            .with("baseline", self.baseline)
            .with("ranked", kept)
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        if config.class() != CLASS {
            return Err(Error::argument(config.class(), format!("is no {CLASS}")));
        }
        let report = Self {
            metric: config.take("metric")?,
            trials: config.take("trials")?,
            diverged: config.take("diverged")?,
            folds: config.take("folds")?,
            seed: config.take("seed")?,
            baseline: config.take("baseline")?,
            ranked: config.take("ranked")?,
        };
        match report.ranked.is_empty() {
            true => Err(Error::argument(CLASS, "has no trial; there is one at least")),
            false => Ok(report),
        }
    }
}
