//! The front: layers, losses, metrics and optimizers under Keras' names, and [`Sequential`].

pub mod activation;
mod config;
mod custom;
pub mod init;
pub mod layers;
pub mod loss;
pub mod metric;
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
pub use init::Initializer;
pub use layers::Layer;
pub use loss::Loss;
pub use metric::{ConfusionMatrix, Metric};
pub use regularizer::Regularizer;
pub(crate) use scope::Known;
pub use scope::{Parameter, Scope};
pub use sequential::Sequential;
pub(crate) use sequential::{About, Inputs, range};
pub use summary::Summary;
