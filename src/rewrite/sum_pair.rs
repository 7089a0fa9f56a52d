//! One launch for the gradients of two biases.

use std::sync::Arc;

use super::downcast;
use crate::graph::{Graph, Order};
use crate::ops::sum::{Sum, SumPair};

impl Graph {
    /// Makes two bias gradients at once: the first goes down to where the second stands.
    pub(super) fn with_pairs_of_sums(mut self) -> Self {
        let order = Order::of(&self);
        let mut kept = vec![true; self.nodes.len()];
        let mut waiting: Option<usize> = None;
        for n in 0..self.nodes.len() {
            let node = &self.nodes[n];
            if !downcast::<Sum>(node)
                .is_some_and(|sum| sum.is_of_rows(self.shape(node.inputs[0])) && !self.shape(node.inputs[0]).is_empty())
            {
                continue;
            }
            let may_wait = |&first: &usize| order.may_move(&self.nodes[first], &(first + 1..n + 1));
            let Some(first) = waiting.take().filter(may_wait) else {
                waiting = Some(n);
                continue;
            };
            kept[first] = false;
            let (x, y) = (self.nodes[first].inputs[0], self.nodes[first].outputs[0]);
            let node = &mut self.nodes[n];
            node.op = Arc::new(SumPair);
            node.inputs.insert(0, x);
            node.outputs.insert(0, y);
        }
        self.kept(kept)
    }
}
