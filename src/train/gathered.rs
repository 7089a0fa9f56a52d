//! The batch of a step, from the columns of a set that is on the device.

use std::sync::Arc;

use super::trace::{Key, Mode};
use crate::error::Result;
use crate::graph::{Graph, Id, Leaf, Type};
use crate::ops::binary::Binary;
use crate::ops::cast::Cast;
use crate::ops::gather::Gather;
use crate::tensor::DType;

/// A step's rows of each column.
pub(super) struct Gathered {
    /// Floats, as networks have them.
    pub inputs: Vec<Id>,
    /// None where the model predicts.
    pub targets: Vec<Id>,
    /// What each sample's loss is multiplied by.
    pub weights: Option<Id>,
}

impl Gathered {
    /// The rows that the order and the clock say.
    pub fn of(g: &mut Graph, key: &Key, order: Id, clock: Id) -> Result<Self> {
        let source = &key.source;
        let mut columns: Vec<(usize, Type)> = source.columns().collect();
        let weights = if source.weighted { columns.pop() } else { None };
        let mut scales: Vec<f64> = source.inputs.iter().map(|&(_, scale)| f64::from_bits(scale)).collect();
        let inputs = scales.len();
        if key.mode == Mode::Predict {
            columns.truncate(inputs);
        }
        scales.resize(columns.len(), 1.0);
        let mut gather = |columns: &[(usize, Type)], scales: &[f64]| {
            let gather = Gather { batch: key.batch, scales: scales.to_vec() };
            let columns = columns.iter().map(|(column, ty)| g.leaf(Leaf::Data(*column), ty.clone()));
            let mut reads: Vec<Id> = columns.collect();
            reads.extend([order, clock]);
            g.apply_all(Arc::new(gather), &reads)
        };
        // Two columns a launch.
        let mut batch = Vec::new();
        for (columns, scales) in columns.chunks(2).zip(scales.chunks(2)) {
            batch.extend(gather(columns, scales)?);
        }
        let weights = match weights.filter(|_| key.mode != Mode::Predict) {
            Some(column) => Some(gather(&[column], &[1.0])?[0]),
            None => None,
        };
        for (x, &scale) in batch[..inputs].iter_mut().zip(&scales) {
            *x = as_floats(g, *x, scale)?;
        }
        let targets = batch.split_off(inputs);
        Ok(Self { inputs: batch, targets, weights })
    }
}

/// Samples as floats: of whole numbers gather multiplies none. What takes them as rows of a table has them as they are.
fn as_floats(g: &mut Graph, x: Id, scale: f64) -> Result<Id> {
    if g.ty(x).dtype != DType::U32 {
        return Ok(x);
    }
    let x = g.apply(Cast::ToFloat, &[x])?;
    if scale == 1.0 {
        return Ok(x);
    }
    let scale = g.fill(scale, []);
    g.apply(Binary::Mul, &[x, scale])
}
