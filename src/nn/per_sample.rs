//! A number for each sample, made by a function of one's own: what losses and metrics of one's own are.

use std::fmt;

use super::Metric;
use super::loss::as_predicted;
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};

/// From predictions `(batch, ...)` and targets to a number a sample, `(batch,)`. Targets are those of the data set: `u32` labels
/// `(batch,)`, or `f32` values, of which a plain list `(batch,)` has the predictions' shape where they are one a sample.
pub type PerSample = fn(&mut Graph, Id, Id) -> Result<Id>;

/// Such a function and its name, by which saved models know it.
#[derive(Clone, Copy)]
pub(crate) struct Own {
    pub name: &'static str,
    function: PerSample,
}

impl Own {
    pub fn new(name: &'static str, function: PerSample) -> Self {
        Self { name, function }
    }

    /// That the name is free; `what` it is of.
    pub fn check(self, what: &str) -> Result<()> {
        let name = self.name;
        if !["", "loss"].contains(&name) && !name.starts_with("val_") && Metric::by_name(name).is_err() {
            return Ok(());
        }
        Err(Error::argument(what, format!("{name:?} is no name for one of your own: it has a meaning; take another")))
    }

    /// A number a sample; of outputs with a mask one for each part that the mask knows, or, where it is of samples, a sample.
    pub fn append(self, what: &str, g: &mut Graph, predicted: Id, targets: Id, mask: Option<Id>) -> Result<Id> {
        let (p, t) = (g.ty(predicted), g.ty(targets));
        let is_list = t.dtype == p.dtype && t.shape.rank() == 1 && t.shape.len() == p.shape.len();
        let targets = if is_list { as_predicted(g, predicted, targets)? } else { targets };
        let each = (self.function)(g, predicted, targets)?;
        let expected = mask.map_or_else(|| Type::float([g.shape(predicted)[0]]), |mask| g.ty(mask).clone());
        if *g.ty(each) == expected {
            return Ok(each);
        }
        if mask.is_some() {
            let message = format!("gives {}; for outputs with a mask of {expected} it gives that", g.ty(each));
            return Err(Error::shape(self.name, message));
        }
        Err(Error::shape(self.name, format!("gives {}, a {what} gives a number a sample, {expected}", g.ty(each))))
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}
