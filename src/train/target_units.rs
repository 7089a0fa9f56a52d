//! Outputs that are trained on scaled targets, in the targets' own units again: see
//! [`Model::set_target_scaler`](crate::nn::Model::set_target_scaler).

use crate::data::Scaler;
use crate::error::{Error, Result};
use crate::graph::{Graph, Id};
use crate::nn::loss::as_predicted;
use crate::ops::binary::Binary;
use crate::tensor::{DType, Tensor};

/// A scaler's numbers, in the shape of an output.
pub(super) struct Units {
    center: Id,
    scale: Id,
}

impl Units {
    /// Those of the output of this name.
    pub fn new(g: &mut Graph, name: &str, scaler: &Scaler, predicted: Id) -> Result<Self> {
        let shape = g.shape(predicted)[1..].to_vec();
        let wanted = shape.iter().product::<usize>();
        if scaler.center.len() != wanted {
            let message =
                format!("its target scaler was fitted to {} columns, the model gives {wanted}", scaler.center.len());
            return Err(Error::shape(format!("output {name:?}"), message));
        }
        let constant = |g: &mut Graph, numbers: &[f64]| -> Result<Id> {
            Ok(g.constant(&Tensor::new(shape.clone(), numbers.to_vec())?))
        };
        Ok(Self { center: constant(g, &scaler.center)?, scale: constant(g, &scaler.scale)? })
    }

    /// Targets as the output is trained on them.
    pub fn scaled(&self, g: &mut Graph, predicted: Id, targets: Id) -> Result<Id> {
        if g.ty(targets).dtype != DType::F32 {
            let message = "the targets are class indices, which a scaler does not scale; take it out, or give values";
            return Err(Error::argument("set_target_scaler", message));
        }
        let targets = as_predicted(g, predicted, targets)?;
        let distance = g.apply(Binary::Sub, &[targets, self.center])?;
        g.apply(Binary::Div, &[distance, self.scale])
    }

    /// An output in the targets' own units.
    pub fn own(&self, g: &mut Graph, predicted: Id) -> Result<Id> {
        let distance = g.apply(Binary::Mul, &[predicted, self.scale])?;
        g.apply(Binary::Add, &[distance, self.center])
    }
}
