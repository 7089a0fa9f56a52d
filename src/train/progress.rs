//! What `fit` prints: Keras' bar on a terminal, one line an epoch elsewhere and where TERM is dumb.

use super::Logs;
use crate::clock::Instant;

/// The state of one epoch's line.
pub(super) struct Progress {
    bar: bool,
    silent: bool,
    epoch: usize,
    epochs: usize,
    steps: usize,
    start: Instant,
    #[cfg(feature = "progress")]
    shown: Option<indicatif::ProgressBar>,
}

impl Progress {
    /// `verbose` is Keras': 0 silent, 1 a bar, 2 one line an epoch. Without a terminal, and on one that cannot draw, 1 is 2.
    pub fn new(verbose: u8, epoch: usize, epochs: usize, steps: usize) -> Self {
        let draws = std::env::var_os("TERM").is_none_or(|name| name != "dumb");
        let terminal = draws && std::io::IsTerminal::is_terminal(&std::io::stdout());
        let bar = cfg!(feature = "progress") && verbose == 1 && terminal;
        if bar {
            say(&format!("Epoch {epoch}/{epochs}"));
        }
        Self {
            bar,
            silent: verbose == 0,
            epoch,
            epochs,
            steps,
            start: Instant::now(),
            #[cfg(feature = "progress")]
            shown: bar.then(|| bar_of(steps)),
        }
    }

    /// Whether anybody sees the running values.
    pub fn wants_values(&self) -> bool {
        self.bar
    }

    /// After some steps, with the values so far if they are known.
    #[cfg(feature = "progress")]
    pub fn update(&self, done: usize, logs: Option<&Logs>) {
        let Some(bar) = &self.shown else { return };
        bar.set_position(done as u64);
        if let Some(logs) = logs {
            bar.set_message(format!("{} - {}", self.pace(done), values(logs)));
        }
    }

    /// After some steps, with the values so far if they are known.
    #[cfg(not(feature = "progress"))]
    pub fn update(&self, _done: usize, _logs: Option<&Logs>) {}

    /// At the epoch's end.
    pub fn finish(&self, logs: &Logs) {
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.shown {
            bar.set_position(self.steps as u64);
            bar.finish_with_message(format!("{} - {}", self.pace(self.steps), values(logs)));
        }
        if !self.bar && !self.silent {
            let (epoch, epochs, steps) = (self.epoch, self.epochs, self.steps);
            say(&format!("Epoch {epoch}/{epochs} - {steps} steps - {} - {}", self.pace(steps), values(logs)));
        }
    }

    /// Seconds so far and time a step: `1s 2ms/step`.
    fn pace(&self, done: usize) -> String {
        let seconds = self.start.elapsed().as_secs_f64();
        let step = seconds / done.max(1) as f64;
        let step = match step {
            s if s < 1e-3 => format!("{:.0}us", s * 1e6),
            s if s < 1.0 => format!("{:.1}ms", s * 1e3),
            s => format!("{s:.1}s"),
        };
        format!("{seconds:.1}s {step}/step")
    }
}

/// Prints a line. A reader that has gone away ends no training.
pub(super) fn say(line: &str) {
    use std::io::Write as _;
    let _gone = writeln!(std::io::stdout(), "{line}");
}

/// `loss: 0.2571 - accuracy: 0.9257`
fn values(logs: &Logs) -> String {
    logs.iter().map(|(name, value)| format!("{name}: {value:.4}")).collect::<Vec<_>>().join(" - ")
}

#[cfg(feature = "progress")]
fn bar_of(steps: usize) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::with_draw_target(Some(steps as u64), indicatif::ProgressDrawTarget::stdout());
    let style = indicatif::ProgressStyle::with_template("{pos}/{len} {bar:20} {msg}").expect("a valid template");
    bar.set_style(style.progress_chars("━╸ "));
    bar
}
