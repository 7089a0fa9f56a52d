//! Reverse-mode differentiation: walks the nodes backwards and appends each op's gradient as ordinary nodes.

use super::{Graph, Id, Phase};
use crate::error::{Error, Result};
use crate::ops::binary::Binary;

impl Graph {
    /// Appends the gradient of the scalar `loss` with respect to each of `wrt`, and returns their ids.
    /// A value that the loss does not depend on has a gradient of zeros.
    ///
    /// # Errors
    /// [`Error::Shape`] where `loss` is not a scalar, or an op on the way has no gradient.
    pub fn gradients(&mut self, loss: Id, wrt: &[Id]) -> Result<Vec<Id>> {
        if !self.shape(loss).is_scalar() {
            return Err(Error::shape("gradients", format!("the loss is a scalar (), not {}", self.ty(loss))));
        }
        self.set_phase(Phase::Backward);
        let needed = self.depends_on(wrt);
        let mut grads: Vec<Option<Id>> = vec![None; self.value_count()];
        grads[loss.index()] = Some(self.fill(1.0, []));
        for n in (0..self.nodes.len()).rev() {
            let node = self.nodes[n].clone();
            if node.effect || !node.outputs.iter().any(|y| needed[y.index()]) {
                continue;
            }
            let dy: Vec<Option<Id>> = node.outputs.iter().map(|y| grads[y.index()]).collect();
            if dy.iter().all(Option::is_none) {
                continue;
            }
            self.set_layer(&node.layer);
            let dx = node.op.grad(self, &node.inputs, &node.outputs, &dy)?;
            assert_eq!(dx.len(), node.inputs.len(), "{}: one gradient an input", node.op.name());
            for (x, dx) in node.inputs.iter().zip(dx) {
                let (true, Some(dx)) = (needed[x.index()], dx) else { continue };
                assert_eq!(self.shape(*x), self.shape(dx), "{}: a gradient has its input's shape", node.op.name());
                grads[x.index()] = Some(match grads[x.index()] {
                    Some(sum) => self.apply(Binary::Add, &[sum, dx])?,
                    None => dx,
                });
            }
        }
        let zero = |g: &mut Self, id: Id| g.fill(0.0, g.shape(id).clone());
        Ok(wrt.iter().map(|&id| grads[id.index()].unwrap_or_else(|| zero(self, id))).collect())
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
