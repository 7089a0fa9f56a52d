//! The one error type of the library.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;

/// A `Result` whose error is Kiln's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in the library. Each message says what was found, what was expected and what to do.
///
/// `{:?}` writes the message, too, and what it came of: a program whose `main` returns [`Result`] ends with it. A program's own
/// errors go with Kiln's by [`Error::other`], and those of the system by `?`.
///
/// ```
/// use kiln::prelude::*;
/// fn rows(text: &str) -> Result<usize> {
///     text.parse().map_err(Error::other)
/// }
/// fn read() -> Result<usize> {
///     rows(&std::fs::read_to_string("rows.txt")?)
/// }
/// let error = rows("many").unwrap_err();
/// assert_eq!(format!("{error:?}"), "invalid digit found in string");
/// assert!(read().is_err());
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Shapes or types that do not fit together; the text names the op or layer and both sides.
    #[error("{op}: {message}")]
    Shape {
        /// The op, layer or function that refused its operands.
        op: String,
        /// What it was given and what it expects.
        message: String,
    },
    /// An argument out of its range.
    #[error("{name}: {message}")]
    Argument {
        /// The argument or option, as the caller wrote it.
        name: String,
        /// What it was given and what it expects.
        message: String,
    },
    /// A file that is not what it should be.
    #[error("{}: {message}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found, what was expected, and what to do.
        message: String,
    },
    /// The operating system refused to read or write a file.
    #[error("{}: {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A named data set could not be found or fetched.
    #[error("{set}: {message}")]
    Data {
        /// The data set's name.
        set: String,
        /// What was tried and what to put where.
        message: String,
    },
    /// No device fits the request.
    #[error("device {request:?}: {message}")]
    NoDevice {
        /// The request, as the caller wrote it.
        request: String,
        /// What there is instead and how to take it.
        message: String,
    },
    /// The device refused a command, ran out of memory or was lost.
    #[error("{device}: {message}")]
    Device {
        /// The adapter's name.
        device: String,
        /// What failed and what to do.
        message: String,
    },
    /// More than a limit of the device.
    #[error("{device}: {what} needs {needed}, the device's limit is {limit}: {advice}")]
    Limit {
        /// The adapter's name.
        device: String,
        /// What needed it.
        what: String,
        /// The amount asked for.
        needed: u64,
        /// The most that the device has.
        limit: u64,
        /// What to do.
        advice: &'static str,
    },
    /// The device, or the host, has no memory left for something.
    #[error(
        "{device}: no memory for {what}, {needed} bytes; take fewer samples at once, smaller batches or a smaller model"
    )]
    Memory {
        /// The adapter's name, or `cpu`.
        device: String,
        /// What needed it.
        what: String,
        /// Bytes asked for.
        needed: u64,
    },
    /// The loss or a gradient became NaN or infinite.
    #[error(
        "epoch {epoch}, step {step}: the loss is {loss:?}: {origin}; lower the learning rate, or check the data for values far outside [-1, 1]"
    )]
    NotFinite {
        /// The epoch, from 1.
        epoch: usize,
        /// The step within the epoch, from 1.
        step: usize,
        /// The mean loss of the step's batch: finite where a gradient alone is not.
        loss: f64,
        /// Where it came from, as far as that is known: the layer and the op, or the weights.
        origin: String,
    },
    /// The model is not ready for the call.
    #[error("{model}: {message}")]
    Model {
        /// The model's name.
        model: String,
        /// What is missing and which call provides it.
        message: String,
    },
    /// An error of a program's own: see [`Error::other`].
    #[error(transparent)]
    Other(Box<dyn StdError + Send + Sync>),
}

/// As [`std::process::Termination`] prints it where `main` returns it: the message, then what it came of, unless that was said.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.to_string();
        f.write_str(&said)?;
        let mut next = self.source();
        while let Some(source) = next {
            let text = source.to_string();
            if !said.contains(&text) {
                write!(f, "\ncaused by: {text}")?;
                said.push_str(&text);
            }
            next = source.source();
        }
        Ok(())
    }
}

/// An error of the system with what it says itself. [`Error::io`] adds the file and what was done to it.
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::other(error)
    }
}

impl Error {
    /// An [`Error::Shape`] of `op`.
    pub fn shape(op: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Shape { op: op.into(), message: message.into() }
    }

    /// An [`Error::Argument`] named `name`.
    pub fn argument(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Argument { name: name.into(), message: message.into() }
    }

    /// An [`Error::Format`] of the file at `path`.
    pub fn format(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::Format { path: path.into(), message: message.into() }
    }

    /// An [`Error::Memory`].
    pub(crate) fn memory(device: &str, what: impl Into<String>, needed: u64) -> Self {
        Self::Memory { device: device.into(), what: what.into(), needed }
    }

    /// An error of a program's own, or a text: so that what it defines, such as a layer or a callback, and its `main` return one type.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let stop = LambdaCallback::new().on_epoch_end(|run| {
    ///     if run.epoch() == 3 { Err(Error::other("three epochs are enough")) } else { Ok(()) }
    /// });
    /// ```
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// Wraps a system error; for `map_err`: `File::open(p).map_err(Error::io(p, "open"))`.
    pub fn io(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.into(), action, source }
    }
}
