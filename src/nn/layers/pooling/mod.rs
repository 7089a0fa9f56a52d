//! Layers that make one number of several neighbouring ones, channel by channel,
//! <https://keras.io/api/layers/pooling_layers/>.

/// `kind`, `config` and `keras` of a layer whose `settings` are under Keras' keys.
macro_rules! kept_by_settings {
    ($name:ident) => {
        fn kind(&self) -> &'static str {
            stringify!($name)
        }

        fn config(&self) -> Config {
            Config::new(self.kind()).with_all(self.settings())
        }

        fn keras(&self, name: &str) -> Result<KerasObject> {
            Ok(KerasObject::layer(self.kind(), name).with_all(self.settings()))
        }
    };
}

mod adaptive;
mod global;
mod window;

pub use adaptive::{AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveMaxPooling1D, AdaptiveMaxPooling2D};
pub use global::{GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalMaxPooling1D, GlobalMaxPooling2D};
pub use window::{AveragePooling1D, AveragePooling2D, MaxPooling1D, MaxPooling2D};

use super::pair::Pair;
use super::{DataFormat, Layer, data_format};
use crate::error::Result;
use crate::graph::{Aggregation, Graph, Id};
use crate::nn::Config;
use crate::ops::average_pool::AveragePool;
use crate::ops::max_pool::MaxPool;
use crate::ops::pool::Area;

/// How the pixels under a window become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pooling {
    Max,
    Average,
}

impl Pooling {
    /// Images (batch, height, width, channels) pooled.
    fn applied(self, graph: &mut Graph, images: Id, area: Area) -> Result<Id> {
        match self {
            Self::Max => graph.apply(MaxPool(area), &[images]),
            Self::Average => graph.apply(AveragePool::new(area), &[images]),
        }
    }

    /// How a reduction does the same.
    fn aggregation(self) -> Aggregation {
        match self {
            Self::Max => Aggregation::Max,
            Self::Average => Aggregation::Mean,
        }
    }
}

/// The layer of this class, with the settings taken out of `config`; `None` where the class is none of these.
pub(super) fn from_config(config: &mut Config) -> Result<Option<Box<dyn Layer>>> {
    Ok(Some(match config.class() {
        "AdaptiveAveragePooling1D" => Box::new(AdaptiveAveragePooling1D::from_config(config)?),
        "AdaptiveAveragePooling2D" => Box::new(AdaptiveAveragePooling2D::from_config(config)?),
        "AdaptiveMaxPooling1D" => Box::new(AdaptiveMaxPooling1D::from_config(config)?),
        "AdaptiveMaxPooling2D" => Box::new(AdaptiveMaxPooling2D::from_config(config)?),
        "AveragePooling1D" => Box::new(AveragePooling1D::from_config(config)?),
        "AveragePooling2D" => Box::new(AveragePooling2D::from_config(config)?),
        "GlobalAveragePooling1D" => Box::new(GlobalAveragePooling1D::from_config(config)?),
        "GlobalAveragePooling2D" => Box::new(GlobalAveragePooling2D::from_config(config)?),
        "GlobalMaxPooling1D" => Box::new(GlobalMaxPooling1D::from_config(config)?),
        "GlobalMaxPooling2D" => Box::new(GlobalMaxPooling2D::from_config(config)?),
        "MaxPooling1D" => Box::new(MaxPooling1D::from_config(config)?),
        "MaxPooling2D" => Box::new(MaxPooling2D::from_config(config)?),
        _ => return Ok(None),
    }))
}
