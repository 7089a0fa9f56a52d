//! What is known before there are samples: constants, shapes, and what nodes make of them.

use std::sync::Arc;

use super::Held;
use super::node::At;
use crate::error::Result;
use crate::graph::onnx::Constant;
use crate::tensor::Tensor;

/// What stands for the batch's extent in a shape that a node asks for.
pub(super) const BATCH: i64 = i64::MIN;

impl At<'_, '_> {
    /// Whether the node makes constants, which are kept then.
    pub fn folded(&mut self) -> Result<bool> {
        let node = self.node();
        if let ("Identity" | "Cast", Some(same)) = (node.op_type.as_str(), self.constant(0).cloned()) {
            self.importer.held.insert(node.outputs[0].clone(), Held::Constant(same));
            return Ok(true);
        }
        let made = match node.op_type.as_str() {
            "Constant" => {
                let constant = self.constant_attribute();
                Some(constant.ok_or_else(|| self.error("holds what is not read: expected floats or whole numbers"))?)
            }
            "Shape" if self.is_value(0)? => Some(self.shape_of()?),
            _ if node.inputs.is_empty() => None,
            op => self.of_constants(op)?,
        };
        let Some(made) = made else { return Ok(false) };
        let left = self.importer.budget.checked_sub(made.len());
        self.importer.budget = left.ok_or_else(|| self.error("makes too much of constants"))?;
        let made = Arc::new(made);
        self.importer.held.insert(node.outputs[0].clone(), Held::Constant(made));
        Ok(true)
    }

    fn shape_of(&self) -> Result<Constant> {
        let (value, order) = self.value(0)?;
        let extent = |&axis: &usize| if axis == 0 { BATCH } else { value.shape()[axis - 1] as i64 };
        let shape: Vec<i64> = order.iter().map(extent).collect();
        let end = |name: &str, default: i64| -> Result<usize> {
            let end = self.int(name, default)?;
            let end = if end < 0 { end.saturating_add(shape.len() as i64) } else { end };
            Ok(end.clamp(0, shape.len() as i64) as usize)
        };
        let (start, end) = (end("start", 0)?, end("end", shape.len() as i64)?);
        let part = shape[start.min(end)..end].to_vec();
        Ok(Constant::Ints(vec![part.len()], part))
    }

    fn constant(&self, i: usize) -> Option<&Arc<Constant>> {
        match self.importer.held.get(self.input_name(i)?)? {
            Held::Constant(constant) => Some(constant),
            Held::Value(..) => None,
        }
    }

    /// What a node makes of constants alone, if it is one of the few that stand around shapes and weights.
    fn of_constants(&self, op: &str) -> Result<Option<Constant>> {
        if (0..self.node().inputs.len()).any(|i| self.input_name(i).is_some() && self.constant(i).is_none()) {
            return Ok(None);
        }
        let Some(first) = self.constant(0) else { return Ok(None) };
        Ok(match (op, &**first) {
            ("Transpose", Constant::Floats(tensor)) => {
                let order = self.int_list("perm")?.unwrap_or_else(|| (0..tensor.rank() as i64).rev().collect());
                let order: Vec<isize> = order.iter().map(|&axis| axis as isize).collect();
                Some(Constant::Floats(tensor.permute(&order).map_err(|e| self.error(e))?))
            }
            ("Reshape", Constant::Floats(tensor)) => {
                let shape: Vec<isize> = self.ints_if(1)?.unwrap_or_default().iter().map(|&n| n as isize).collect();
                Some(Constant::Floats(tensor.reshape(&shape).map_err(|e| self.error(e))?))
            }
            // As many as there are samples, all the same: one stands for them.
            ("Expand", Constant::Floats(tensor)) => {
                let is_of_batch = self.ints_if(1)?.is_some_and(|shape| shape.contains(&BATCH));
                let numbers = if is_of_batch { tensor.to_vec::<f32>() } else { Vec::new() };
                let is_same = |one: &&f32| numbers.iter().all(|number| number.to_bits() == one.to_bits());
                numbers.first().filter(is_same).map(|&one| Constant::Floats(Tensor::from(one)))
            }
            ("Slice", Constant::Floats(one)) if one.rank() == 0 => Some(Constant::Floats(one.clone())),
            ("ConstantOfShape", Constant::Ints(_, shape)) if shape.contains(&BATCH) => {
                match self.constant_attribute() {
                    None => Some(Constant::Floats(Tensor::from(0.0f32))),
                    Some(Constant::Floats(one)) if one.values().len() == 1 => Some(Constant::Floats(one.reshape(&[])?)),
                    Some(_) => None,
                }
            }
            ("Unsqueeze" | "Squeeze", Constant::Floats(tensor)) => self.squeezed(op, tensor)?,
            ("Unsqueeze" | "Squeeze" | "Reshape", Constant::Ints(_, ints)) => {
                let shape = if op == "Squeeze" && ints.len() == 1 { Vec::new() } else { vec![ints.len()] };
                Some(Constant::Ints(shape, ints.clone()))
            }
            ("Gather", Constant::Ints(_, ints)) => self.gathered(ints)?,
            ("Slice", Constant::Ints(_, ints)) => self.sliced(ints)?,
            ("Concat", Constant::Ints(..)) => {
                let mut all = Vec::new();
                for i in 0..self.node().inputs.len() {
                    let Some(Constant::Ints(_, ints)) = self.constant(i).map(|constant| &**constant) else {
                        return Ok(None);
                    };
                    if all.len() + ints.len() > self.importer.budget {
                        return Err(self.error("makes too much of constants"));
                    }
                    all.extend(ints);
                }
                Some(Constant::Ints(vec![all.len()], all))
            }
            _ => None,
        })
    }

    fn squeezed(&self, op: &str, tensor: &Tensor) -> Result<Option<Constant>> {
        let axes = match self.ints_if(1)? {
            Some(axes) => axes,
            None => self.int_list("axes")?.unwrap_or_default(),
        };
        let mut shape: Vec<isize> = tensor.shape().iter().map(|&extent| extent as isize).collect();
        if op == "Squeeze" {
            let axes = axes.iter().map(|&axis| self.axis(axis, shape.len())).collect::<Result<Vec<_>>>()?;
            let kept =
                (0..shape.len()).filter(|axis| if axes.is_empty() { shape[*axis] != 1 } else { !axes.contains(axis) });
            shape = kept.map(|axis| shape[axis]).collect();
        } else {
            let rank = shape.len() + axes.len();
            let mut axes = axes.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<Vec<_>>>()?;
            axes.sort_unstable();
            axes.iter().for_each(|&axis| shape.insert(axis.min(shape.len()), 1));
        }
        Ok(Some(Constant::Floats(tensor.reshape(&shape).map_err(|e| self.error(e))?)))
    }

    fn gathered(&self, ints: &[i64]) -> Result<Option<Constant>> {
        let Some(Constant::Ints(shape, places)) = self.constant(1).map(|constant| &**constant) else { return Ok(None) };
        let places = places.iter().map(|&place| Ok(ints[self.axis(place, ints.len())?])).collect::<Result<Vec<_>>>()?;
        Ok(Some(Constant::Ints(shape.clone(), places)))
    }

    fn sliced(&self, ints: &[i64]) -> Result<Option<Constant>> {
        let one = |i: usize, default: i64| -> Result<i64> {
            Ok(self.ints_if(i)?.and_then(|all| all.first().copied()).unwrap_or(default))
        };
        let count = ints.len() as i64;
        let place = |place: i64| if place < 0 { place.saturating_add(count).max(0) } else { place.min(count) } as usize;
        let (first, end) = (place(one(1, 0)?), place(one(2, count)?));
        if one(4, 1)? != 1 {
            return Ok(None);
        }
        let part = ints[first.min(end)..end].to_vec();
        Ok(Some(Constant::Ints(vec![part.len()], part)))
    }
}
