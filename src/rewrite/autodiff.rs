//! Reverse-mode differentiation: walks the nodes backwards and appends each op's gradient as ordinary nodes.

use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Node, Order, Phase};
use crate::ops::binary::Binary;
use crate::tensor::DType;

impl Graph {
    /// Appends the gradient of the scalar `loss` with respect to each of `wrt`, and returns their ids.
    /// A value that the loss does not depend on has a gradient of zeros.
    ///
    /// # Errors
    /// [`Error::Shape`] where `loss` is not a scalar, an op on the way has no gradient, or an effect on the way has changed
    /// what the gradient would have to read: gradients come before effects.
    pub fn gradients(&mut self, loss: Id, wrt: &[Id]) -> Result<Vec<Id>> {
        self.check("gradients", &[loss])?;
        self.check("gradients", wrt)?;
        if !self.shape(loss).is_scalar() || self.ty(loss).dtype != DType::F32 {
            return Err(Error::shape("gradients", format!("the loss is a scalar f32 (), not {}", self.ty(loss))));
        }
        self.set_phase(Phase::Backward);
        let needed = self.depends_on(wrt);
        let order = Order::of(self);
        self.check_versions(loss, wrt, &needed, &order)?;
        let mut grads: Vec<Option<Id>> = vec![None; self.value_count()];
        grads[loss.index()] = Some(self.fill(1.0, []));
        let forward = self.nodes.len();
        for n in (0..forward).rev() {
            let node = self.nodes[n].clone();
            if node.effect || !node.outputs.iter().any(|y| needed[y.index()]) {
                continue;
            }
            let dy: Vec<Option<Id>> = node.outputs.iter().map(|y| grads[y.index()]).collect();
            if dy.iter().all(Option::is_none) {
                continue;
            }
            self.set_layer(&node.layer);
            let first = self.nodes.len();
            let dx = node.op.grad(self, &node.inputs, &node.outputs, &dy)?;
            self.check_rule(&node, &dx)?;
            let mut read = self.nodes[first..].iter().flat_map(|appended| &appended.inputs);
            if let Some(&leaf) = read.find(|x| x.index() < grads.len() && order.changes(**x, &(n + 1..forward))) {
                return Err(self.in_layer(self.changed(node.op.name(), leaf)));
            }
            for (x, dx) in node.inputs.iter().zip(dx) {
                let (true, Some(dx)) = (needed[x.index()], dx) else { continue };
                grads[x.index()] = Some(match grads[x.index()] {
                    Some(sum) => self.apply(Binary::Add, &[sum, dx])?,
                    None => dx,
                });
            }
        }
        let zero = |g: &mut Self, id: Id| g.fill(0.0, g.shape(id).clone());
        Ok(wrt.iter().map(|&id| grads[id.index()].unwrap_or_else(|| zero(self, id))).collect())
    }

    /// That a rule, which may be a user's own, gave a gradient for each input, in its shape.
    fn check_rule(&self, node: &Node, dx: &[Option<Id>]) -> Result<()> {
        let name = node.op.name();
        let (given, expected) = (dx.len(), node.inputs.len());
        if given != expected {
            let message = format!("its grad gave {given} gradients, expected {expected}: one, or None, for each input");
            return Err(self.in_layer(Error::shape(name, message)));
        }
        for (i, (&x, &dx)) in node.inputs.iter().zip(dx).enumerate() {
            let Some(dx) = dx else { continue };
            self.check(name, &[dx])?;
            if self.shape(x) != self.shape(dx) {
                let message = format!("its grad gave {} for input {i}, which is {}", self.ty(dx), self.ty(x));
                return Err(self.in_layer(Error::shape(name, message)));
            }
        }
        Ok(())
    }

    /// That each leaf which the loss reads has one version as far as `wrt` is concerned, and is read by one value.
    fn check_versions(&self, loss: Id, wrt: &[Id], depends: &[bool], order: &Order) -> Result<()> {
        let depends_on_wrt = |(_, node): &(usize, &Node)| node.inputs.iter().any(|x| depends[x.index()]);
        let effects = self.nodes.iter().enumerate().filter(|(_, node)| node.effect);
        // What goes into a leaf and comes out of it again has no gradient.
        let carriers = Order::new(self, effects.filter(depends_on_wrt), self.ids().collect());
        let shared = order.overlaps(wrt);
        let mut last_read = vec![None; self.value_count()];
        let on_the_way = self.needed_for(&[loss], false);
        for ((n, node), _) in self.nodes.iter().enumerate().zip(on_the_way).filter(|(_, on)| *on) {
            for &x in node.inputs.iter().filter(|x| self.leaf_of(**x).is_some()) {
                let since = last_read[x.index()].replace(n).unwrap_or(n);
                let two_versions = depends[x.index()] && order.changes(x, &(since..n));
                let two_values = !depends[x.index()] && shared(x);
                if two_versions || two_values || carriers.changes(x, &(0..n)) {
                    return Err(self.changed(node.op.name(), x));
                }
            }
        }
        Ok(())
    }

    fn changed(&self, op: &str, leaf: Id) -> Error {
        let leaf = self.leaf_of(leaf).map_or_else(String::new, |leaf| format!("{leaf:?}"));
        let message = format!("{op} reads {leaf}, which an effect has changed or another value stands for, too");
        Error::shape("gradients", message + "; call gradients before effects, and have one value for each leaf")
    }

    /// For each value, whether it depends on any of `wrt`.
    fn depends_on(&self, wrt: &[Id]) -> Vec<bool> {
        let mut depends = vec![false; self.value_count()];
        wrt.iter().for_each(|id| depends[id.index()] = true);
        for node in self.nodes.iter().filter(|n| !n.effect) {
            if node.inputs.iter().any(|x| depends[x.index()]) {
                node.outputs.iter().for_each(|y| depends[y.index()] = true);
            }
        }
        depends
    }
}
