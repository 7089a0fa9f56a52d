//! The time of day and of a run: the system's clock, in a browser the browser's, since there the standard library's panics.

#[cfg(not(target_family = "wasm"))]
pub(crate) use std::time::{Instant, SystemTime};

#[cfg(target_family = "wasm")]
pub(crate) use web_time::{Instant, SystemTime};
