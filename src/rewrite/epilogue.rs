//! What follows an op alone goes into the op's own pass, where it says that it can: see [`crate::ops::Op::absorb`].

use std::sync::Arc;

use crate::graph::{Graph, Guard, Id, Order};
use crate::ops::Op;

impl Graph {
    /// Moves what follows an op alone into its pass: the op goes down to where that stands.
    pub(super) fn with_epilogues(mut self) -> Self {
        let order = Order::of(&self);
        let mut kept = vec![true; self.nodes.len()];
        for n in 0..self.nodes.len() {
            let absorbed = (0..self.nodes[n].inputs.len()).find_map(|operand| self.absorbed(&order, n, operand));
            let Some((producer, op, inputs)) = absorbed else { continue };
            kept[producer] = false;
            self.nodes[n].op = op;
            self.nodes[n].inputs = inputs;
        }
        self.kept(kept)
    }

    /// The node that makes an operand of node n and can do what that does, the op that does both, and its inputs.
    fn absorbed(&self, order: &Order, n: usize, operand: usize) -> Option<(usize, Arc<dyn Op>, Vec<Id>)> {
        let node = &self.nodes[n];
        let x = node.inputs[operand];
        let producer = order.made(x)?;
        let first = &self.nodes[producer];
        if node.effect || node.outputs.len() != 1 || first.outputs.len() != 1 {
            return None;
        }
        let others = || node.inputs.iter().enumerate().filter(|(i, _)| *i != operand).map(|(_, &other)| other);
        let op = first.op.absorb(&*node.op, operand, self.ty(x), &self.types(&others().collect::<Vec<_>>()))?;
        let alone = Guard::Alone.lets(order.read(x).len() == 1);
        let moves = alone && order.may_move(first, &(producer + 1..n));
        moves.then(|| (producer, op, first.inputs.iter().copied().chain(others()).collect()))
    }
}
