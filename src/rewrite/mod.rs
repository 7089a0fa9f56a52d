//! Rewrites of graphs: gradients as ordinary nodes, and the same computation in fewer passes over memory. One rule a file; each
//! asks [`crate::graph::Order`] whether a node may move.

mod autodiff;
mod classifier;
mod epilogue;
mod sum_pair;

use std::any::Any;

use crate::graph::{Graph, Node};

impl Graph {
    /// The same computation in fewer passes: effects, outputs among them, leave what they did before; other values may
    /// disappear.
    #[must_use]
    pub fn fused(self) -> Self {
        // What nobody needs would keep its operands from being fused, and be fused with what is needed.
        let needed = self.needed_for(&[], true);
        self.kept(needed).with_epilogues().with_classifiers().with_pairs_of_sums()
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
