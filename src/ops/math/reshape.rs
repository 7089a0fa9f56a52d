//! The same elements under another shape. Nothing is computed or moved.

use super::case::{integers, random};
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Dispatch, Target};
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::{Extent, Writer};
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

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (x, y) = (writer.inputs()[0], writer.outputs()[0]);
        let (from, to) = (writer.extents(x)?, writer.extents(y)?);
        let order = writer.order(x);
        if let Some(axes) = Axes::between(&from, &to).filter(|_| !order.iter().copied().eq(0..order.len())) {
            let (name, order) = axes.applied(writer, x, &order)?;
            writer.give(y, name, order);
            return Ok(());
        }
        let open = to.iter().filter(|extent| matches!(extent, Extent::Batch(_))).count();
        let x = writer.plain(x)?;
        let shape = if open > 1 {
            writer.shape(&to)
        } else {
            let extent = |extent: &Extent| if let Extent::Fixed(extent) = extent { *extent as i64 } else { -1 };
            writer.ints(&to.iter().map(extent).collect::<Vec<_>>())
        };
        let name = writer.add("Reshape", &[&x, &shape], vec![]);
        writer.give_plain(y, name);
        Ok(())
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

/// A change of shape that adds and takes away axes of 1 alone.
#[cfg(feature = "onnx")]
struct Axes {
    /// Those of x that y lacks.
    removed: Vec<usize>,
    /// For each other one of x which of y's it is.
    kept: Vec<(usize, usize)>,
    /// Those of y that x lacks.
    added: Vec<usize>,
}

#[cfg(feature = "onnx")]
impl Axes {
    fn between(from: &[Extent], to: &[Extent]) -> Option<Self> {
        let mut axes = Self { removed: Vec::new(), kept: Vec::new(), added: Vec::new() };
        let (mut i, mut j) = (0, 0);
        while i < from.len() || j < to.len() {
            match (from.get(i), to.get(j)) {
                (Some(x), Some(y)) if x == y => {
                    axes.kept.push((i, j));
                    (i, j) = (i + 1, j + 1);
                }
                (Some(Extent::Fixed(1)), _) => {
                    axes.removed.push(i);
                    i += 1;
                }
                (_, Some(Extent::Fixed(1))) => {
                    axes.added.push(j);
                    j += 1;
                }
                _ => return None,
            }
        }
        Some(axes)
    }

    /// The tensor of y, and the order of its axes: those that stay keep their places, and a new one comes before the one that it
    /// stands before in y.
    fn applied(&self, writer: &mut Writer<'_>, x: Id, order: &[usize]) -> Result<(String, Vec<usize>)> {
        let mut name = writer.ordered(x, order)?;
        let places = |order: &[usize], axes: &[usize]| -> Vec<i64> {
            (0..).zip(order).filter(|(_, axis)| axes.contains(axis)).map(|(place, _)| place).collect()
        };
        if !self.removed.is_empty() {
            let axes = writer.ints(&places(order, &self.removed));
            name = writer.add("Squeeze", &[&name, &axes], vec![]);
        }
        let renamed = |axis: &usize| self.kept.iter().find(|(from, _)| from == axis).map(|(_, to)| *to);
        let mut order: Vec<usize> = order.iter().filter_map(renamed).collect();
        for &axis in self.added.iter().rev() {
            let at = order.iter().position(|&other| other == axis + 1).unwrap_or(order.len());
            order.insert(at, axis);
        }
        if !self.added.is_empty() {
            let axes = writer.ints(&places(&order, &self.added));
            name = writer.add("Unsqueeze", &[&name, &axes], vec![]);
        }
        Ok((name, order))
    }
}
