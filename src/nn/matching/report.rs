//! What became of a file's weights.

use std::fmt;

/// So many names of a list are told.
const SHOWN: usize = 8;

/// Why a layer that the file says nothing of has no weights of it.
pub(super) const ABSENT: &str = "not in the file";

/// What [`Model::load_weights_from`](crate::nn::Model::load_weights_from) took out of a file. Printed, it is a few lines: how many weights
/// were taken, which of them have another name in the file, which layers stay as they are and why, what of the file is not used.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct WeightMatches {
    /// The weights that were taken, in the order of the model's.
    pub matched: Vec<WeightMatch>,
    /// The layers that stay as they were, by their paths, and why.
    pub left: Vec<(String, String)>,
    /// The tensors of the file that are none of the model's.
    pub unused: Vec<String>,
    /// What the file does not say, and the model should be looked at for.
    pub notes: Vec<String>,
    /// How many weights the model has.
    pub weights: usize,
}

/// A weight of a model, and what of a file it is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WeightMatch {
    /// The weight's path: `dense/kernel`.
    pub weight: String,
    /// The tensors of the file: one, or those that the weight was put together of.
    pub tensors: Vec<String>,
    /// What was done to them; empty where nothing was.
    pub how: &'static str,
}

impl WeightMatches {
    /// Whether every weight of the model was in the file.
    pub fn is_complete(&self) -> bool {
        self.matched.len() == self.weights
    }
}

impl WeightMatch {
    /// The path of the layer, or of the part of it that has the weight.
    fn layer(&self) -> &str {
        self.weight.rsplit_once('/').map_or("", |(layer, _)| layer)
    }

    /// Whether it has the same name in the file, and nothing was done to it.
    fn is_plain(&self) -> bool {
        self.how.is_empty() && self.tensors.len() == 1 && self.tensors[0] == self.weight
    }
}

/// The first names of a list, and how many more there are.
pub(super) fn some(names: impl ExactSizeIterator<Item = String>) -> String {
    let count = names.len();
    let mut text = names.take(SHOWN).collect::<Vec<_>>().join(", ");
    if count > SHOWN {
        text.push_str(&format!(" and {} more", count - SHOWN));
    }
    text
}

impl fmt::Display for WeightMatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = if self.matched.iter().all(WeightMatch::is_plain) { ", by their names" } else { "" };
        writeln!(f, "{} of {} weights are in the file{plain}", self.matched.len(), self.weights)?;
        for layer in self.matched.chunk_by(|a, b| a.layer() == b.layer()) {
            if layer.iter().all(WeightMatch::is_plain) {
                continue;
            }
            let each = layer.iter().map(|WeightMatch { weight, tensors, how }| {
                let name = weight.rsplit('/').next().unwrap_or(weight);
                let how = if how.is_empty() { String::new() } else { format!(" ({how})") };
                format!("{name} <- {}{how}", tensors.join(" + "))
            });
            writeln!(f, "  {}: {}", layer[0].layer(), each.collect::<Vec<_>>().join(", "))?;
        }
        for (layer, why) in &self.left {
            writeln!(f, "  {layer} stays as it was: {why}")?;
        }
        if !self.unused.is_empty() {
            writeln!(f, "  not used: {}", some(self.unused.iter().cloned()))?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))
    }
}
