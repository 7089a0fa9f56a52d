//! The front: layers, losses, metrics and optimizers under Keras' names, and [`Sequential`].

pub mod activation;
pub mod init;
pub mod layers;
pub mod loss;
pub mod metric;
pub mod optimizer;
pub mod schedule;
mod scope;
mod sequential;
mod summary;

pub use activation::Activation;
pub use init::Initializer;
pub use layers::Layer;
pub use loss::Loss;
pub use metric::{ConfusionMatrix, Metric};
pub use scope::{Parameter, Scope};
pub use sequential::Sequential;
pub use summary::Summary;
