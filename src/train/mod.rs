//! Training: [`Model`] and [`Sequential`], the session on a device, the loop of `fit`, its callbacks, and what it reports.

pub(crate) mod batch;
pub mod callbacks;
mod class_weight;
pub(crate) mod evaluation;
pub(crate) mod feed;
mod finite;
mod fit;
mod gathered;
mod history;
#[cfg(test)]
mod inference_plans;
mod model;
pub(crate) mod position;
mod profile;
mod progress;
mod rows;
mod run;
mod sequential;
pub(crate) mod session;
mod target_units;
pub(crate) mod trace;
pub(crate) mod training;

pub use callbacks::Callback;
pub use finite::CheckFinite;
pub use fit::Fit;
pub use history::{History, Logs};
pub(crate) use model::{About, Inputs, range};
pub use model::{Generation, Model, Predictor};
#[cfg(feature = "plot")]
pub use model::{ModelPlot, plot_model};
pub(crate) use profile::profile;
pub use profile::{KernelTime, Profile};
pub use run::{Run, Snapshot};
pub use sequential::Sequential;
