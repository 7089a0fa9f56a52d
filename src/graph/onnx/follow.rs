//! Ops that can go along any order of axes, and so keep the one that they find.

use std::ops::Range;

use super::writer::{Writer, is_plain, plain};
use super::{Attribute, Extent};
use crate::error::Result;
use crate::graph::Id;

impl Writer<'_> {
    /// Writes the op as what a function makes of the tensor of its only input, in whatever order that has its axes; so has the output.
    ///
    /// # Errors
    /// As [`Writer::ordered`].
    pub fn map(&mut self, make: impl FnOnce(&mut Self, &str) -> String) -> Result<()> {
        let (x, y) = (self.inputs()[0], self.outputs()[0]);
        let order = self.order(x);
        let x = self.ordered(x, &order)?;
        let name = make(self, &x);
        self.give(y, name, order);
        Ok(())
    }

    /// [`Writer::map`] to a node of this operator.
    ///
    /// # Errors
    /// As [`Writer::ordered`].
    pub fn follow(&mut self, op_type: &str, attributes: Vec<(&str, Attribute)>) -> Result<()> {
        self.map(|writer, x| writer.add(op_type, &[x], attributes))
    }

    /// The op's only input reduced over neighbouring axes, which the output no longer has, and the order of those that it has.
    ///
    /// # Errors
    /// As [`Writer::ordered`].
    pub fn reduced(&mut self, op_type: &str, axes: Range<usize>) -> Result<(String, Vec<usize>)> {
        let x = self.inputs()[0];
        let order = self.order(x);
        let x = self.ordered(x, &order)?;
        if axes.is_empty() {
            return Ok((x, order));
        }
        let places: Vec<i64> =
            (0..).zip(&order).filter(|(_, axis)| axes.contains(axis)).map(|(place, _)| place).collect();
        let places = self.ints(&places);
        let name = self.add(op_type, &[&x, &places], vec![("keepdims", 0i64.into())]);
        let left = order.into_iter().filter(|axis| !axes.contains(axis));
        let renamed = |axis: usize| if axis < axes.start { axis } else { axis - axes.len() };
        Ok((name, left.map(renamed).collect()))
    }

    /// The tensors of values that an elementwise operator broadcasts to the shape of `y`, and the order of axes that they have.
    ///
    /// # Errors
    /// As [`Writer::ordered`].
    pub fn broadcast(&mut self, inputs: &[Id], y: Id) -> Result<(Vec<String>, Vec<usize>)> {
        let rank = self.rank(y);
        let full = |x: &&Id| !self.is_constant(**x) && self.rank(**x) == rank;
        let orders = inputs.iter().filter(full).map(|&x| self.order(x));
        let order = orders.into_iter().find(|order| !is_plain(order)).unwrap_or_else(|| plain(rank));
        // Numbers take the shape of what they go with, if that has the whole of it.
        let others: Vec<Vec<Extent>> = inputs
            .iter()
            .filter(|&&x| self.graph.filled_with(x).is_none())
            .map(|&x| self.extents(x))
            .collect::<Result<_>>()?;
        let whole = self.extents(y)?;
        let has = |axis: usize| {
            let own = |extents: &Vec<Extent>| (axis + extents.len()).checked_sub(rank).map(|axis| extents[axis]);
            others.iter().any(|extents| own(extents) == Some(whole[axis])) || whole[axis] == Extent::Fixed(1)
        };
        let numbers = (0..rank).all(has);
        let names = inputs.iter().map(|&x| self.operand(x, &order, numbers)).collect::<Result<Vec<_>>>()?;
        Ok((names, order))
    }

    /// An operand of an elementwise operator, in an order that may have more axes than its own.
    fn operand(&mut self, id: Id, order: &[usize], numbers: bool) -> Result<String> {
        let own = self.rank(id);
        if let Some(number) = self.graph.filled_with(id).filter(|_| numbers) {
            return Ok(self.number(number));
        }
        if is_plain(order) {
            return self.plain(id);
        }
        if own == order.len() || self.constants.contains_key(&id) {
            return self.ordered(id, order);
        }
        let x = self.plain(id)?;
        let axes: Vec<i64> = (0..(order.len() - own) as i64).collect();
        let axes = self.ints(&axes);
        let x = self.add("Unsqueeze", &[&x, &axes], vec![]);
        let order: Vec<i64> = order.iter().map(|&axis| axis as i64).collect();
        Ok(self.add("Transpose", &[&x], vec![("perm", order.into())]))
    }

    /// Writes the op as an elementwise operator of its inputs, which are broadcast.
    ///
    /// # Errors
    /// As [`Writer::ordered`].
    pub fn elementwise(&mut self, op_type: &str) -> Result<()> {
        let (inputs, y) = (self.inputs(), self.outputs()[0]);
        let (names, order) = self.broadcast(inputs, y)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = self.add(op_type, &names, vec![]);
        self.give(y, name, order);
        Ok(())
    }
}
