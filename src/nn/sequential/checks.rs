//! What holds for every model, whether a program or a file made it: names of layers, shapes of samples.

use std::collections::{HashMap, HashSet};

use super::snake_case;
use crate::nn::layers::Layer;
use crate::tensor::Shape;

/// The names of a model's layers.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    /// By the stem of a layer's type, the first number that was not tried.
    next: HashMap<String, usize>,
}

impl Names {
    /// The name of a layer that is added: its own or, without one, its type's, with a number from the second on.
    pub fn of(&mut self, layer: &impl Layer) -> String {
        if let Some(name) = layer.name() {
            self.take(name);
            return name.to_string();
        }
        let stem = snake_case(layer.kind());
        loop {
            let number = self.next.entry(stem.clone()).or_insert(0);
            let name = if *number == 0 { stem.clone() } else { format!("{stem}_{number}") };
            *number += 1;
            if self.take(&name) {
                return name;
            }
        }
    }

    /// Takes a name; whether it was free.
    pub fn take(&mut self, name: &str) -> bool {
        self.taken.insert(name.to_string())
    }
}

/// The first name that comes a second time.
pub(super) fn twice<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    names.find(|name| !seen.insert(*name))
}

/// Why no model takes samples of this shape, if so.
pub(super) fn sample_refusal(sample: &Shape) -> Option<String> {
    if sample.is_empty() {
        return Some(format!("samples of {sample} have no elements; each extent is 1 or more"));
    }
    (!sample.is_countable()).then(|| format!("samples of {sample} have 2^32 elements or more, too many for any device"))
}
