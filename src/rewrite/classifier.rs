//! One pass for cross-entropy, its gradient and the accuracy.

use std::sync::Arc;

use super::downcast;
use crate::graph::{Graph, Node, Order};
use crate::ops::accuracy::SparseCategoricalAccuracy;
use crate::ops::softmax_cross_entropy::{SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad, SoftmaxCrossEntropyStep};

impl Graph {
    /// Makes one pass of cross-entropy, its gradient and the accuracy of the same logits and labels: the latter two go up
    /// to where the loss stands. What the gradient is weighed by has to be known there.
    pub(super) fn with_classifiers(mut self) -> Self {
        let order = Order::of(&self);
        let mut kept = vec![true; self.nodes.len()];
        for n in 0..self.nodes.len() {
            if downcast::<SoftmaxCrossEntropy>(&self.nodes[n]).is_none() {
                continue;
            }
            let inputs = self.nodes[n].inputs.clone();
            let of_the_same = |op: fn(&Node) -> bool| {
                let mut readers = order.read(inputs[0]).iter().copied().filter(|&m| m > n && kept[m]);
                readers.find(|&m| {
                    let node = &self.nodes[m];
                    op(node) && node.inputs.starts_with(&inputs) && order.may_move(node, &(n..m))
                })
            };
            let grad = of_the_same(|node| downcast::<SoftmaxCrossEntropyGrad>(node).is_some());
            let hits = of_the_same(|node| downcast::<SparseCategoricalAccuracy>(node).is_some());
            let Some(grad) = grad else { continue };
            let hit_values = match hits {
                Some(hits) => self.nodes[hits].outputs[0],
                None => self.value(self.ty(self.nodes[n].outputs[0]).clone(), None),
            };
            let (dloss, dx) = (self.nodes[grad].inputs[2], self.nodes[grad].outputs[0]);
            let node = &mut self.nodes[n];
            node.op = Arc::new(SoftmaxCrossEntropyStep);
            node.inputs.push(dloss);
            node.outputs.extend([dx, hit_values]);
            kept[grad] = false;
            hits.into_iter().for_each(|hits| kept[hits] = false);
        }
        self.kept(kept)
    }
}
