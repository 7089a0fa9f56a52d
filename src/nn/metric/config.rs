//! Metrics in saved models.

use super::{AucCurve, Average, ClassAggregation, Metric};
use crate::config::named;
use crate::error::{Error, Result};
use crate::nn::{Config, Configured, Loss};

named!(AucCurve: "ROC" = Roc, "PR" = Pr);
named!(Average: "micro" = Micro, "macro" = Macro, "weighted" = Weighted);
named!(ClassAggregation: "uniform_average" = UniformAverage, "variance_weighted_average" = VarianceWeightedAverage);

impl Configured for Metric {
    fn config(&self) -> Config {
        let config = Config::new(self.name());
        match *self {
            Self::TopKCategoricalAccuracy { k } | Self::SparseTopKCategoricalAccuracy { k } => config.with("k", k),
            Self::BinaryAccuracy { threshold } | Self::Precision { threshold } | Self::Recall { threshold } => {
                config.with("threshold", threshold)
            }
            Self::F1Score { average, threshold } => config.with("average", average).with("threshold", threshold),
            Self::Auc { curve, num_thresholds, from_logits } => {
                config.with("curve", curve).with("num_thresholds", num_thresholds).with("from_logits", from_logits)
            }
            Self::R2Score { class_aggregation } => config.with("class_aggregation", class_aggregation),
            Self::Loss(loss) => loss.config(),
            _ => config,
        }
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        let mut metric = Self::by_name(config.class())?;
        match &mut metric {
            Self::TopKCategoricalAccuracy { k } | Self::SparseTopKCategoricalAccuracy { k } => {
                *k = config.take_or("k", *k)?;
            }
            Self::BinaryAccuracy { threshold } | Self::Precision { threshold } | Self::Recall { threshold } => {
                *threshold = config.take_or("threshold", *threshold)?;
            }
            Self::F1Score { average, threshold } => {
                *average = config.take_or("average", *average)?;
                *threshold = config.take_or("threshold", *threshold)?;
            }
            Self::Auc { curve, num_thresholds, from_logits } => {
                *curve = config.take_or("curve", *curve)?;
                *num_thresholds = config.take_or("num_thresholds", *num_thresholds)?;
                *from_logits = config.take_or("from_logits", *from_logits)?;
            }
            Self::R2Score { class_aggregation } => {
                *class_aggregation = config.take_or("class_aggregation", *class_aggregation)?;
            }
            Self::Loss(loss) => *loss = Loss::from_config(config)?,
            _ => {}
        }
        metric.check().map_err(|e| Error::argument(format!("metric {:?}", config.class()), e.to_string()))?;
        Ok(metric)
    }
}
