//! The same elements under another shape. Nothing is computed or moved.

use super::case::{integers, random};
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Dispatch, Target};
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Shape};

/// y = x under the shape `0`
#[derive(Clone, Debug)]
pub struct Reshape(pub Shape);

impl Reshape {
    /// `f` of x, which takes each row along the last axis by itself. Where x is a view whose rows are those of what it is a view of,
    /// f goes under the view: the op that made the rows can then take f into its pass.
    pub(crate) fn under(g: &mut Graph, x: Id, f: impl FnOnce(&mut Graph, Id) -> Result<Id>) -> Result<Id> {
        let maker = g.producer(x).filter(|node| node.op.is_view());
        let source = maker.map(|node| node.inputs[0]).filter(|source| g.shape(*source).last() == g.shape(x).last());
        let Some(source) = source else { return f(g, x) };
        let y = f(g, source)?;
        g.apply(Self(g.shape(x).clone()), &[y])
    }
}

impl<T: Real> CpuOp<T> for Reshape {
    fn cpu(&self, _args: CpuArgs<'_, T>) {
        unreachable!("a view is resolved when the plan is made");
    }
}

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        let dtype = inputs.first().map_or(DType::F32, |t| t.dtype);
        // Not bytes, whose rows are padded.
        expect_inputs("reshape", inputs, &[if dtype == DType::U32 { dtype } else { DType::F32 }])?;
        let from = &inputs[0].shape;
        if from.len() != self.0.len() {
            let message = format!("{from} has {} elements, {} has {}", from.len(), self.0, self.0.len());
            return Err(Error::shape("reshape", message));
        }
        Ok(vec![Type { shape: self.0.clone(), dtype }])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(g.apply(Self(g.shape(x[0]).clone()), &[only(dy)])?)])
    }

    fn gpu(&self, _io: &Io, _target: &Target) -> Vec<Dispatch> {
        Vec::new()
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }

    fn is_view(&self) -> bool {
        true
    }
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("(3, 4) to (2, 6)", Reshape([2, 6].into()), vec![random([3, 4], 70)]).wrt(&[0]),
        Case::new("(1,) to ()", Reshape([].into()), vec![random([1], 71)]).wrt(&[0]),
        Case::new("places", Reshape([3, 1].into()), vec![integers([3], 9, DType::U32, 72)]).ulps(0.0),
    ]
}
