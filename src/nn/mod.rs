//! The front: layers, losses, metrics and optimizers under Keras' names, [`Sequential`], and the [`Model`] that it is.

pub mod activation;
mod chain;
pub mod constraint;
mod custom;
mod functional;
pub mod init;
pub(crate) mod keras;
pub mod layers;
pub mod loss;
pub(crate) mod mask;
pub(crate) mod matching;
pub mod metric;
mod named;
pub(crate) mod nested;
pub(crate) mod network;
mod objective;
#[cfg(feature = "onnx")]
pub(crate) mod onnx;
pub mod optimizer;
mod per_sample;
mod regularizer;
mod sampler;
pub mod schedule;
mod scope;
pub mod summary;

pub(crate) use crate::config::Configured;
pub use crate::config::{Config, FromSetting, Setting};
pub use activation::Activation;
pub use chain::Chain;
pub use constraint::Constraint;
pub use custom::CustomObjects;
pub use functional::{Shared, Value, Values};
pub use init::Initializer;
pub use keras::KerasObject;
pub use layers::Layer;
pub use loss::Loss;
pub use matching::{WeightMatch, WeightMatches};
pub use metric::{ConfusionMatrix, Metric};
pub(crate) use named::Misnamed;
pub use named::{IntoMetrics, OrName};
pub use nested::IntoLayer;
pub(crate) use network::{Network, Table};
pub use objective::Objective;
pub use regularizer::Regularizer;
pub use sampler::Sampler;
pub(crate) use scope::Known;
pub use scope::{Parameter, Scope};
pub use summary::Summary;

// Whoever writes a network looks for its fronts here; they stand where they train.
pub use crate::train::{Model, Predictor, Sequential};
