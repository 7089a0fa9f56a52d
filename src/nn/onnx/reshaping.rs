//! Nodes that change the shape of tensors, and put them side by side.

use super::constants::BATCH;
use super::node::At;
use crate::error::Result;
use crate::nn::layers::{Concatenate, Flatten, Reshape};

impl At<'_, '_> {
    /// Another order of axes; nothing is moved before something needs it.
    pub fn transpose(&mut self) -> Result<()> {
        let (value, order) = self.value(0)?;
        let rank = order.len();
        let perm = self.int_list("perm")?.unwrap_or_else(|| (0..rank as i64).rev().collect());
        let axes = perm.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<Vec<_>>>()?;
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        if sorted.into_iter().ne(0..rank) {
            return Err(self.error(format!("has perm {perm:?} of {rank} axes")));
        }
        self.give(value, axes.into_iter().map(|axis| order[axis]).collect());
        Ok(())
    }

    pub fn concatenation(&mut self) -> Result<()> {
        let (first, order) = self.value(0)?;
        let mut values = vec![first];
        for i in 1..self.node().inputs.len() {
            values.push(self.ordered(i, &order)?);
        }
        let axis = order[self.axis(self.int("axis", 0)?, order.len())?];
        let y = match &values[..] {
            [only] => only.clone(),
            _ => self.applied(Concatenate::new().axis(axis as isize), &values)?,
        };
        self.give(y, order);
        Ok(())
    }

    pub fn gather(&mut self) -> Result<()> {
        if self.is_value(0)? { self.step() } else { self.embedding() }
    }

    /// Another shape of the same numbers, sample by sample.
    pub fn reshaping(&mut self) -> Result<()> {
        let x = self.plain(0)?;
        let own: Vec<usize> = x.shape().to_vec();
        let rank = own.len() + 1;
        let shape = match self.node().op_type.as_str() {
            "Flatten" => match self.axis(self.int("axis", 1)?, rank + 1)? {
                1 => vec![-1],
                axis => return Err(self.error(format!("flattens from axis {axis}, expected 1"))),
            },
            "Reshape" => self.reshaped(&own)?,
            op => self.squeezed_axes(&own, op == "Squeeze")?,
        };
        let y = match &shape[..] {
            [-1] => self.applied(Flatten, &[x])?,
            _ => self.applied(Reshape::new(shape), &[x])?,
        };
        self.give_plain(y);
        Ok(())
    }

    /// The shape of a sample that a `Reshape` asks for.
    fn reshaped(&self, own: &[usize]) -> Result<Vec<isize>> {
        let shape = match self.ints_if(1)? {
            Some(shape) => shape,
            None => self.int_list("shape")?.unwrap_or_default(),
        };
        let count: usize = own.iter().product();
        let refused =
            || self.error(format!("asks for {shape:?} of samples {own:?}, and changes how many samples there are"));
        let (&first, rest) = shape.split_first().ok_or_else(refused)?;
        let extent = |(place, &extent): (usize, &i64)| match extent {
            0 if self.int("allowzero", 0).ok() == Some(0) => own.get(place).map(|&extent| extent as isize),
            -1 => Some(-1),
            extent => isize::try_from(extent).ok().filter(|&extent| extent > 0),
        };
        let rest: Vec<isize> = rest.iter().enumerate().map(extent).collect::<Option<_>>().ok_or_else(refused)?;
        let known = rest.iter().filter(|&&extent| extent > 0).try_fold(1usize, |all, &n| all.checked_mul(n as usize));
        let fits = match (known, rest.iter().filter(|&&extent| extent == -1).count()) {
            (Some(known), 0) => known == count,
            (Some(known), 1) => first != -1 && known > 0 && count.is_multiple_of(known),
            _ => false,
        };
        // The batch's extent may be given as the one that the file was made with.
        if fits && [0, 1, -1, BATCH].contains(&first) { Ok(rest) } else { Err(refused()) }
    }

    /// The shape of a sample without axes of 1, or with more of them.
    fn squeezed_axes(&self, own: &[usize], squeeze: bool) -> Result<Vec<isize>> {
        let axes = match self.ints_if(1)? {
            Some(axes) => Some(axes),
            None => self.int_list("axes")?,
        };
        let mut shape: Vec<isize> = own.iter().map(|&extent| extent as isize).collect();
        let rank = shape.len() + 1;
        if squeeze {
            let axes = match axes {
                Some(axes) => axes.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<Vec<_>>>()?,
                None => (1..rank).filter(|&axis| own[axis - 1] == 1).collect(),
            };
            if axes.iter().any(|&axis| axis == 0 || own[axis - 1] != 1) {
                return Err(
                    self.error(format!("takes the axes {axes:?} away from samples {own:?}, expected such of 1"))
                );
            }
            let kept = (1..rank).filter(|axis| !axes.contains(axis));
            return Ok(kept.map(|axis| shape[axis - 1]).collect());
        }
        let axes = axes.unwrap_or_default();
        let mut axes = axes.iter().map(|&axis| self.axis(axis, rank + axes.len())).collect::<Result<Vec<_>>>()?;
        axes.sort_unstable();
        for axis in axes {
            if axis == 0 || axis > shape.len() + 1 {
                return Err(self.error("adds an axis before the batch's"));
            }
            shape.insert(axis - 1, 1);
        }
        Ok(shape)
    }
}
