//! Areas under curves from counts at thresholds, as `keras.metrics.AUC` has them.

use super::columns::{expect_values, values};
use super::share;
use crate::error::Result;
use crate::graph::{Graph, Id};
use crate::ops::activation::{Activate, Function};
use crate::ops::reshape::Reshape;
use crate::ops::thresholds::Thresholds;

/// Which two rates, one over the other as the threshold falls.
///
/// ```
/// use kiln::prelude::*;
/// let metric = Metric::Auc { curve: AucCurve::Pr, num_thresholds: 200, from_logits: false };
/// # let _ = metric;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AucCurve {
    /// Of the positive ones the share found, over the share of the negative ones that was taken for positive.
    #[default]
    Roc,
    /// Precision over recall.
    Pr,
}

/// How many positive, then how many negative outputs are above each threshold: (1, 2 thresholds).
pub(super) fn columns(g: &mut Graph, count: usize, from_logits: bool, both: [Id; 2]) -> Result<Id> {
    expect_values(g, "auc", both[1], "accuracy, or train on one-hot targets")?;
    let t = values(g, "auc", both)?;
    let p = if from_logits { g.apply(Activate(Function::Sigmoid), &[both[0]])? } else { both[0] };
    let counts = g.apply(Thresholds { count }, &[p, t])?;
    g.apply(Reshape([1, 2 * count].into()), &[counts])
}

impl AucCurve {
    /// The area from the sums of [`columns`]. The first threshold is below every output.
    pub(super) fn area(self, sums: &[f64]) -> f64 {
        let (hits, misses) = sums.split_at(sums.len() / 2);
        let (positives, negatives) = (hits[0], misses[0]);
        let between = |i: usize| match self {
            Self::Roc => {
                let height = share(hits[i] + hits[i + 1], positives) / 2.0;
                share(misses[i] - misses[i + 1], negatives) * height
            }
            Self::Pr => {
                // Hits rise in line with all that is taken for positive, not with recall: Davis and Goadrich 2006,
                // <https://doi.org/10.1145/1143844.1143874>, section 4.
                let (more, fewer) = (hits[i] + misses[i], hits[i + 1] + misses[i + 1]);
                let rise = hits[i] - hits[i + 1];
                let slope = share(rise, more - fewer);
                let ratio = if fewer > 0.0 { more / fewer } else { 1.0 };
                share(slope * (rise + (hits[i + 1] - slope * fewer) * ratio.ln()), positives)
            }
        };
        (0..hits.len() - 1).map(between).sum()
    }
}
