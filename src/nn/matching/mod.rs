//! Which tensors of a file are which weights of a model: by Kiln's names, Keras' and PyTorch's.

mod layouts;
mod named;
mod natural;
mod order;
mod report;
mod torch;

use super::network::{Built, Network};
use super::scope::Parameter;
use crate::io::TensorFile;
use crate::tensor::{Shape, Tensor};
pub use report::{WeightMatch, WeightMatches};

/// What names of an optimizer's state in Kiln's files begin with.
pub(crate) const OPTIMIZER: &str = "optimizer/";

/// A model that weights are looked for, and the names that it has for them.
pub(crate) struct Wanted<'m> {
    pub network: &'m Network,
    pub built: &'m Built,
    /// The weights' paths in Keras' files.
    pub in_keras_files: Vec<String>,
}

/// The weights of a model that a file has, by their indices, and what was matched to what.
pub(crate) type Matched = (Vec<(usize, Tensor)>, WeightMatches);

/// A layer of the model with its weights: their indices among all.
struct Target<'m> {
    layer: &'m str,
    weights: Vec<usize>,
}

impl<'m> Wanted<'m> {
    fn parameters(&self) -> &'m [Parameter] {
        &self.built.parameters
    }

    /// The layers that have weights, in the model's order.
    fn targets(&self) -> Vec<Target<'m>> {
        let mut targets: Vec<Target<'m>> = Vec::new();
        for (i, parameter) in self.parameters().iter().enumerate() {
            match targets.last_mut().filter(|target| target.layer == parameter.layer) {
                Some(target) => target.weights.push(i),
                None => targets.push(Target { layer: &parameter.layer, weights: vec![i] }),
            }
        }
        targets
    }

    /// What of a file are weights of the model. A layer gets all of its weights or none.
    ///
    /// # Errors
    /// Where the file has none of them, or several ways to match them are as good as each other.
    pub fn matched(&self, file: &TensorFile) -> Result<Matched, String> {
        let names: Vec<&str> = file.names().filter(|name| !name.starts_with(OPTIMIZER)).collect();
        let named = named::matched(self, file, &names)?;
        let matched = match &named {
            (found, _) if found.is_empty() && torch::is_torch(&names) => torch::matched(self, file, &names)?,
            _ => named,
        };
        if matched.0.is_empty() {
            return Err(self.refusal(file, &names, &matched.1));
        }
        Ok(matched)
    }

    /// That a file has nothing of the model's.
    fn refusal(&self, file: &TensorFile, names: &[&str], report: &WeightMatches) -> String {
        if names.is_empty() {
            return "holds no weights".into();
        }
        let there = names.iter().map(|name| match file.tensor(name) {
            Ok(tensor) => format!("{name} {}", tensor.shape()),
            Err(_) => name.to_string(),
        });
        let wanted = self.parameters().iter().map(|p| format!("{} {}", p.path(), p.shape));
        let why = report.left.iter().find(|(_, why)| why != report::ABSENT);
        let why = why.map(|(layer, why)| format!("; {layer}: {why}")).unwrap_or_default();
        format!(
            "has no layer of the model's, by name and shape: it has {}; the model has {}{why}",
            report::some(there),
            report::some(wanted)
        )
    }
}

/// Why a tensor of a file is not the weight of this shape, if so.
fn misfit(file: &TensorFile, name: &str, shape: &Shape) -> Option<String> {
    match file.tensor(name) {
        Ok(tensor) if tensor.shape() != shape => {
            Some(format!("{name} is {} in the file, {shape} here", tensor.shape()))
        }
        Ok(tensor) if !tensor.dtype().is_float() => Some(format!("{name} is {} in the file", tensor.dtype())),
        Ok(_) => None,
        Err(_) => Some(format!("{name} is of a type that cannot be read")),
    }
}
