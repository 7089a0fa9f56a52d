//! Fusion: rewrites that move work into a neighbour's pass over memory. Each is checked against the graph as written.

use std::any::Any;
use std::sync::Arc;

use super::{Graph, Id, Node};
use crate::ops::accuracy::SparseCategoricalAccuracy;
use crate::ops::activation::{Activate, ActivateGrad};
use crate::ops::binary::Binary;
use crate::ops::matmul::{Epilogue, MatMul};
use crate::ops::softmax_cross_entropy::{SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad, SoftmaxCrossEntropyStep};
use crate::ops::sum::{Sum, SumPair};

impl Graph {
    /// The same computation in fewer passes. Values in `keep` stay available; others may disappear.
    #[must_use]
    pub fn fused(self, keep: &[Id]) -> Self {
        // What nobody needs would keep its operands from being fused, and be fused with what is needed.
        let dead: Vec<bool> = self.needed_for(keep).iter().map(|needed| !needed).collect();
        self.without(&dead).with_epilogues(keep).with_classifiers().with_pairs_of_sums()
    }

    /// Moves what follows a product alone into its epilogue.
    fn with_epilogues(mut self, keep: &[Id]) -> Self {
        let mut uses = vec![0usize; self.value_count()];
        keep.iter().for_each(|id| uses[id.index()] += 1);
        self.nodes.iter().flat_map(|n| &n.inputs).for_each(|id| uses[id.index()] += 1);
        let mut made_by = vec![None; self.value_count()];
        let mut dead = vec![false; self.nodes.len()];
        for n in 0..self.nodes.len() {
            let fused = fusable_operand(&self.nodes[n]).and_then(|x| {
                let producer: usize = made_by[self.nodes[n].inputs[x].index()]?;
                let once = uses[self.nodes[n].inputs[x].index()] == 1;
                let (op, inputs) = into_product(&self, &self.nodes[producer], &self.nodes[n]).filter(|_| once)?;
                Some((producer, op, inputs))
            });
            if let Some((producer, op, inputs)) = fused {
                dead[producer] = true;
                self.nodes[n].op = Arc::new(op);
                self.nodes[n].inputs = inputs;
            }
            if !self.nodes[n].effect {
                self.nodes[n].outputs.iter().for_each(|y| made_by[y.index()] = Some(n));
            }
        }
        self.without(&dead)
    }

    /// Makes one pass of cross-entropy, its gradient and the accuracy of the same logits and labels.
    fn with_classifiers(mut self) -> Self {
        let mut dead = vec![false; self.nodes.len()];
        for n in 0..self.nodes.len() {
            if downcast::<SoftmaxCrossEntropy>(&self.nodes[n]).is_none() {
                continue;
            }
            let inputs = self.nodes[n].inputs.clone();
            let of_the_same = |op: fn(&Node) -> bool| {
                let mut nodes = self.nodes.iter().zip(&dead);
                nodes.position(|(node, dead)| !dead && op(node) && node.inputs.starts_with(&inputs))
            };
            let grad = of_the_same(|node| downcast::<SoftmaxCrossEntropyGrad>(node).is_some());
            let hits = of_the_same(|node| downcast::<SparseCategoricalAccuracy>(node).is_some());
            // What the loss is weighed by has to be known where it is made.
            let Some(grad) = grad.filter(|&g| self.leaf_of(self.nodes[g].inputs[2]).is_some()) else { continue };
            let hit_values = match hits {
                Some(hits) => self.nodes[hits].outputs[0],
                None => self.value(self.ty(self.nodes[n].outputs[0]).clone(), None),
            };
            let (dloss, dx) = (self.nodes[grad].inputs[2], self.nodes[grad].outputs[0]);
            let node = &mut self.nodes[n];
            node.op = Arc::new(SoftmaxCrossEntropyStep);
            node.inputs.push(dloss);
            node.outputs.extend([dx, hit_values]);
            dead[grad] = true;
            hits.into_iter().for_each(|hits| dead[hits] = true);
        }
        self.without(&dead)
    }

    /// Makes two bias gradients at once, in the place of the later one: nothing but an effect waits for the first.
    fn with_pairs_of_sums(mut self) -> Self {
        let mut dead = vec![false; self.nodes.len()];
        let mut waiting: Option<usize> = None;
        for n in 0..self.nodes.len() {
            let node = &self.nodes[n];
            if !downcast::<Sum>(node).is_some_and(|sum| sum.is_of_rows(self.shape(node.inputs[0]))) {
                // Made later, it would be too late for this node.
                let needed = |first: usize| node.inputs.contains(&self.nodes[first].outputs[0]);
                waiting = waiting.filter(|&first| !needed(first));
                continue;
            }
            let Some(first) = waiting.take() else {
                waiting = Some(n);
                continue;
            };
            dead[first] = true;
            let (x, y) = (self.nodes[first].inputs[0], self.nodes[first].outputs[0]);
            let node = &mut self.nodes[n];
            node.op = Arc::new(SumPair);
            node.inputs.insert(0, x);
            node.outputs.insert(0, y);
        }
        self.without(&dead)
    }

    /// Without the nodes that are flagged.
    fn without(mut self, dead: &[bool]) -> Self {
        let mut dead = dead.iter();
        self.nodes.retain(|_| !dead.next().expect("one flag a node"));
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
