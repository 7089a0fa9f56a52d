//! What `kiln train` reached, and how it is printed.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Result;
use kiln::io::printable;
use kiln::table::Baseline;
use kiln::train::{History, Logs};
use serde_json::{Value, json};

use crate::report::{baseline, baseline_json};
use crate::train::settings::Kept;

/// One line, at once: somebody may be following.
fn print_line(value: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()
}

/// The first epoch's time has the start in it: kernels are compiled and the data sent to the device.
pub fn print_epoch(epoch: usize, logs: &Logs, duration: Duration) -> io::Result<()> {
    let mut line = json!({ "epoch": epoch, "seconds": duration.as_secs_f64() });
    logs.iter().for_each(|(name, value)| line[name] = json!(value));
    print_line(&line)
}

/// What was trained.
pub struct Trained {
    /// From the command's call to the end of the first step; measured for `--json` only.
    pub first_step: Duration,
    /// Of the training, with validation.
    pub duration: Duration,
    pub samples: f64,
    pub history: History,
}

impl Trained {
    fn steps(&self) -> usize {
        self.history.batch_losses().len()
    }

    /// Per second, of the training's time.
    fn rate(&self, count: f64) -> f64 {
        count / self.duration.as_secs_f64().max(1e-9)
    }
}

/// A run's result.
pub struct Outcome {
    /// What was measured, where there are samples to measure on.
    pub test: Option<Logs>,
    /// What that is to be held against.
    pub baseline: Option<Baseline>,
    /// The names of the classes, where they have some.
    pub classes: Vec<String>,
    /// Of a run with early stopping, which epoch's weights the model has.
    pub kept: Option<Kept>,
    pub trained: Trained,
}

/// What metrics are called, in the order in which they are said.
const NAMES: [(&str, &str); 5] = [
    ("accuracy", "accuracy"),
    ("mean_absolute_error", "MAE"),
    ("root_mean_squared_error", "RMSE"),
    ("r2_score", "R2"),
    ("loss", "loss"),
];

/// The values whose names begin so, each by its name, by what it is called and itself; others stand behind those of [`NAMES`].
pub fn scores<'a>(logs: &'a Logs, prefix: &str) -> Vec<(&'a str, &'a str, f64)> {
    let named: Vec<(&str, &str, f64)> = logs
        .iter()
        .filter_map(|(name, value)| Some((name, name.strip_prefix(prefix)?, value)))
        .filter(|(_, name, _)| !(prefix.is_empty() && (name.starts_with("val_") || *name == "learning_rate")))
        .collect();
    let known = NAMES.iter().filter_map(|(known, called)| {
        let (name, _, value) = named.iter().find(|(_, name, _)| name == known)?;
        Some((*name, *called, *value))
    });
    let others = named.iter().filter(|(_, name, _)| NAMES.iter().all(|(known, _)| known != name));
    known.chain(others.copied()).collect()
}

/// [`scores`] as text, such as `test accuracy: 0.9788, test loss: 0.0690`.
fn said(what: &str, logs: &Logs, prefix: &str) -> String {
    let values = scores(logs, prefix).into_iter().map(|(_, name, value)| format!("{what} {name}: {value:.4}"));
    values.collect::<Vec<_>>().join(", ")
}

impl Outcome {
    /// What the model reached: on the test set or, where there is none, in its last epoch.
    fn reached(&self) -> String {
        let text = match (&self.test, self.trained.history.epochs().last()) {
            (Some(test), _) => said("test", test, ""),
            (None, Some(last)) => {
                let [training, validation] = [said("training", last, ""), said("validation", last, "val_")];
                [training, validation].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
            }
            (None, None) => String::new(),
        };
        let (first, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
        first.to_uppercase() + rest
    }

    pub fn print(&self) -> Result<()> {
        let trained = &self.trained;
        let (seconds, steps) = (trained.duration.as_secs_f64(), trained.steps());
        let (steps_rate, samples_rate) = (trained.rate(steps as f64), trained.rate(trained.samples));
        let mut out = io::stdout().lock();
        if let Some(kept) = &self.kept {
            writeln!(out, "The run {}", kept.print())?;
        }
        writeln!(out, "{}", self.reached())?;
        if let Some(found) = &self.baseline {
            writeln!(out, "Baseline: {}", printable(&baseline(found, &self.classes)))?;
        }
        writeln!(
            out,
            "Training time: {seconds:.1} s, {steps} steps ({steps_rate:.0} steps/s, {samples_rate:.0} samples/s)"
        )?;
        Ok(())
    }

    pub fn print_json(&self, device: &str) -> Result<()> {
        let trained = &self.trained;
        let mut line = json!({
            "device": device,
            "epochs": trained.history.epochs().len(),
            "first_step_seconds": trained.first_step.as_secs_f64(),
            "samples_per_second": trained.rate(trained.samples),
            "seconds": trained.duration.as_secs_f64(),
            "steps": trained.steps(),
            "steps_per_second": trained.rate(trained.steps() as f64),
        });
        let test = self.test.iter().flat_map(Logs::iter);
        test.for_each(|(name, value)| line[format!("test_{name}")] = json!(value));
        self.kept.iter().for_each(|kept| line["early_stopping"] = kept.as_json());
        self.baseline.iter().for_each(|found| line["baseline"] = baseline_json(found, &self.classes));
        Ok(print_line(&line)?)
    }
}
