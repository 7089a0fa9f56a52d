//! What a callback watches: a value of the epoch, and when it is better than another.

use crate::error::{Error, Result};
use crate::train::Run;

/// Which values are better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As the name says: the smaller loss, the larger accuracy.
    #[default]
    Auto,
    /// The smaller.
    Min,
    /// The larger.
    Max,
}

/// The names that [`Mode::by_name`] knows.
const NAMES: [(&str, Mode); 3] = [("auto", Mode::Auto), ("min", Mode::Min), ("max", Mode::Max)];

impl Mode {
    /// The mode of Keras' name: `auto`, `min` or `max`.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names.
    pub fn by_name(name: &str) -> Result<Self> {
        let found = NAMES.iter().find(|(known, _)| *known == name).map(|&(_, mode)| mode);
        found.ok_or_else(|| Error::argument("mode", crate::suggest::unknown(name, &NAMES.map(|(known, _)| known))))
    }
}

/// A value's name, and by how much a better one must be better.
#[derive(Clone, Debug)]
pub(super) struct Monitor {
    pub name: String,
    pub mode: Mode,
    pub min_delta: f64,
}

/// What a monitor saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub value: f64,
    rises: bool,
    min_delta: f64,
}

impl Monitor {
    pub fn new(name: &str, min_delta: f64) -> Self {
        Self { name: name.into(), mode: Mode::Auto, min_delta }
    }

    /// That its settings, and others of the callback's, are finite numbers.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the setting.
    pub fn check(&self, others: &[(&str, f64)]) -> Result<()> {
        let all = [("min_delta", self.min_delta)];
        match all.iter().chain(others).find(|(_, number)| !number.is_finite()) {
            Some((name, number)) => {
                Err(Error::argument(*name, format!("{number} compares with nothing; give a finite number")))
            }
            None => Ok(()),
        }
    }

    /// The value as it is now.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is none of the name, or nobody knows which are better.
    pub fn look(&self, run: &Run<'_>) -> Result<Seen> {
        let Some(value) = run.logs().get(&self.name) else {
            let names: Vec<&str> = run.logs().iter().map(|(name, _)| name).collect();
            let unvalidated = self.name.starts_with("val_") && !names.iter().any(|name| name.starts_with("val_"));
            let hint = if unvalidated { "; give fit a validation_split or validation_data" } else { "" };
            return Err(Error::argument("monitor", crate::suggest::unknown(&self.name, &names) + hint));
        };
        let rises = match self.mode {
            Mode::Min => Some(false),
            Mode::Max => Some(true),
            Mode::Auto => run.rises(&self.name),
        };
        let Some(rises) = rises else {
            let message = format!("whether more or less of {:?} is better is not known; give max or min", self.name);
            return Err(Error::argument("mode", message));
        };
        // As Keras: a minus is taken for a slip.
        Ok(Seen { value, rises, min_delta: self.min_delta.abs() })
    }
}

impl Seen {
    /// Whether this is better than a former value, or there was none. NaN is better than nothing at no time.
    pub fn improves(self, former: Option<f64>) -> bool {
        match former {
            None => !self.value.is_nan(),
            Some(former) if self.rises => self.value - self.min_delta > former,
            Some(former) => self.value + self.min_delta < former,
        }
    }
}

/// The setters of what a callback monitors.
macro_rules! monitored {
    () => {
        /// Which value to watch; default `val_loss`.
        #[must_use]
        pub fn monitor(mut self, name: impl Into<String>) -> Self {
            self.monitor.name = name.into();
            self
        }

        /// Which values are better; default [`Mode::Auto`](super::Mode::Auto).
        #[must_use]
        pub fn mode(mut self, mode: super::Mode) -> Self {
            self.monitor.mode = mode;
            self
        }
    };
}
pub(super) use monitored;
