//! Training: the session on a device, the loop of `fit`, and what it reports.

mod finite;
pub(crate) mod fit;
mod history;
mod profile;
mod progress;
pub(crate) mod session;
pub(crate) mod trace;

pub use finite::CheckFinite;
pub use fit::Fit;
pub use history::{History, Logs};
pub(crate) use profile::profile;
pub use profile::{KernelTime, Profile};
