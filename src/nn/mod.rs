//! The front: layers, losses, metrics and optimizers under Keras' names, [`Sequential`], and the [`Model`] that it is.

pub mod activation;
mod config;
mod custom;
mod functional;
pub mod init;
pub mod layers;
pub mod loss;
pub mod metric;
mod model;
pub(crate) mod network;
mod objective;
pub mod optimizer;
mod regularizer;
pub mod schedule;
mod scope;
mod sequential;
mod summary;

pub use activation::Activation;
pub(crate) use config::Configured;
pub use config::{Config, FromSetting, Setting};
pub use custom::CustomObjects;
pub use functional::{Shared, Value, Values};
pub use init::Initializer;
pub use layers::Layer;
pub use loss::Loss;
pub use metric::{ConfusionMatrix, Metric};
pub use model::Model;
pub(crate) use model::{About, Inputs, range};
pub(crate) use network::Network;
pub use objective::Objective;
pub use regularizer::Regularizer;
pub(crate) use scope::Known;
pub use scope::{Parameter, Scope};
pub use sequential::Sequential;
pub use summary::Summary;
