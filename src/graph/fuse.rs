//! Fusion: rewrites that move work into a neighbour's pass over memory. Each is checked against the graph as written.

use std::any::Any;
use std::sync::Arc;

use super::{Graph, Id, Node};
use crate::ops::activation::{Activate, ActivateGrad};
use crate::ops::binary::Binary;
use crate::ops::matmul::{Epilogue, MatMul};

impl Graph {
    /// The same computation in fewer passes. Values in `keep` stay available; others may disappear.
    #[must_use]
    pub fn fused(mut self, keep: &[Id]) -> Self {
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
        let mut dead = dead.into_iter();
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
