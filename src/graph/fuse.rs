//! Fusion: rewrites that move work into another node's pass over memory. Each asks [`Order`] whether the node may move.

use std::any::Any;
use std::sync::Arc;

use super::{Graph, Guard, Id, Node, Order};
use crate::ops::accuracy::SparseCategoricalAccuracy;
use crate::ops::activation::{Activate, ActivateGrad};
use crate::ops::binary::Binary;
use crate::ops::matmul::{Epilogue, MatMul};
use crate::ops::softmax_cross_entropy::{SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad, SoftmaxCrossEntropyStep};
use crate::ops::sum::{Sum, SumPair};

impl Graph {
    /// The same computation in fewer passes: effects, outputs among them, leave what they did before; other values may
    /// disappear.
    #[must_use]
    pub fn fused(self) -> Self {
        // What nobody needs would keep its operands from being fused, and be fused with what is needed.
        let needed = self.needed_for(&[], true);
        self.kept(needed).with_epilogues().with_classifiers().with_pairs_of_sums()
    }

    /// Moves what follows a product alone into its epilogue: the product goes down to where that stands.
    fn with_epilogues(mut self) -> Self {
        let order = Order::of(&self);
        let mut kept = vec![true; self.nodes.len()];
        for n in 0..self.nodes.len() {
            let Some(x) = fusable_operand(&self.nodes[n]).map(|x| self.nodes[n].inputs[x]) else { continue };
            let Some(producer) = order.made(x) else { continue };
            let Some((op, inputs)) = into_product(&self, &self.nodes[producer], &self.nodes[n]) else { continue };
            let alone = Guard::Alone.lets(order.read(x).len() == 1);
            if alone && order.may_move(&self.nodes[producer], &(producer + 1..n)) {
                kept[producer] = false;
                self.nodes[n].op = Arc::new(op);
                self.nodes[n].inputs = inputs;
            }
        }
        self.kept(kept)
    }

    /// Makes one pass of cross-entropy, its gradient and the accuracy of the same logits and labels: the latter two go up
    /// to where the loss stands. What the gradient is weighed by has to be known there.
    fn with_classifiers(mut self) -> Self {
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

    /// Makes two bias gradients at once: the first goes down to where the second stands.
    fn with_pairs_of_sums(mut self) -> Self {
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

    /// With the nodes that are flagged.
    fn kept(mut self, flags: Vec<bool>) -> Self {
        self.keep(flags);
        self
    }
}

fn downcast<T: 'static>(node: &Node) -> Option<&T> {
    (node.op.as_ref() as &dyn Any).downcast_ref()
}

/// Which input of a node could be a product that takes the node into its epilogue.
fn fusable_operand(node: &Node) -> Option<usize> {
    match downcast::<Binary>(node) {
        Some(Binary::Add) => Some(0),
        Some(_) => None,
        None if downcast::<Activate>(node).is_some() => Some(0),
        None => downcast::<ActivateGrad>(node).map(|_| 1),
    }
}

/// The product that computes `node` of `producer`'s product, and its inputs; `None` where there is none.
fn into_product(graph: &Graph, producer: &Node, node: &Node) -> Option<(MatMul, Vec<Id>)> {
    let product = downcast::<MatMul>(producer)?;
    let mut inputs = producer.inputs.clone();
    let epilogue = match (&product.epilogue, downcast::<Activate>(node), downcast::<ActivateGrad>(node)) {
        (Epilogue::None, Some(f), _) => Epilogue::Activate { bias: false, activation: f.0 },
        (Epilogue::Bias, Some(f), _) => Epilogue::Activate { bias: true, activation: f.0 },
        (Epilogue::None, _, Some(f)) => {
            inputs.push(node.inputs[0]);
            Epilogue::ActivateGrad(f.0)
        }
        (Epilogue::None, None, None) => {
            // An addition: the epilogue adds a row of N numbers, nothing wider.
            let (row, (_, n)) = (graph.shape(node.inputs[1]), graph.shape(producer.outputs[0]).as_rows());
            if **row != [n] {
                return None;
            }
            inputs.push(node.inputs[1]);
            Epilogue::Bias
        }
        _ => return None,
    };
    Some((MatMul { epilogue, ..*product }, inputs))
}
