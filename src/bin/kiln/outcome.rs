//! What `kiln train` reached, and how it is printed.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Result;
use kiln::train::{History, Logs};
use serde_json::{Value, json};

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
    pub test: Logs,
    pub trained: Trained,
}

impl Outcome {
    fn scores(&self) -> (f64, f64) {
        let score = |name| self.test.get(name).unwrap_or(f64::NAN);
        (score("accuracy"), score("loss"))
    }

    pub fn print(&self) -> Result<()> {
        let (accuracy, loss) = self.scores();
        let trained = &self.trained;
        let (seconds, steps) = (trained.duration.as_secs_f64(), trained.steps());
        let (steps_rate, samples_rate) = (trained.rate(steps as f64), trained.rate(trained.samples));
        let mut out = io::stdout().lock();
        writeln!(out, "Test accuracy: {accuracy:.4}, test loss: {loss:.4}")?;
        writeln!(
            out,
            "Training time: {seconds:.1} s, {steps} steps ({steps_rate:.0} steps/s, {samples_rate:.0} samples/s)"
        )?;
        Ok(())
    }

    pub fn print_json(&self, device: &str) -> Result<()> {
        let ((accuracy, loss), trained) = (self.scores(), &self.trained);
        Ok(print_line(&json!({
            "device": device,
            "epochs": trained.history.epochs().len(),
            "first_step_seconds": trained.first_step.as_secs_f64(),
            "samples_per_second": trained.rate(trained.samples),
            "seconds": trained.duration.as_secs_f64(),
            "steps": trained.steps(),
            "steps_per_second": trained.rate(trained.steps() as f64),
            "test_accuracy": accuracy,
            "test_loss": loss,
        }))?)
    }
}
