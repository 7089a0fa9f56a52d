//! One of two operands by a condition, all three broadcast as NumPy does: `y = c != 0 ? a : b`.

use super::broadcast::{self, for_each_run};
use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, vectorised};
use super::dispatch::{Dispatch, LIB_BROADCAST, LIB_GRID, Module, Target};
use super::{Case, Io, Op, only};
use crate::error::Result;
#[cfg(feature = "onnx")]
use crate::graph::onnx::{BOOL, Writer};
use crate::graph::{Graph, Id, Type};
use crate::tensor::Tensor;

const MODULE: Module =
    Module { stem: "select", source: include_str!("../../../shaders/select.wgsl"), libs: &[LIB_GRID, LIB_BROADCAST] };

/// y = c != 0 ? a : b; inputs c, a and b. The condition has no gradient. What is not chosen reaches neither the value
/// nor a gradient, not even where it is NaN.
#[derive(Clone, Copy, Debug)]
pub struct Select;

impl<T: Real> CpuOp<T> for Select {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (inputs, [y]) = ([args.real(0), args.real(1), args.real(2)], args.out());
        for_each_run(args.io, inputs, y, |[c, a, b], y| {
            vectorised!(for (k, y) in y.iter_mut().enumerate() {
                *y = if c.at(k) != T::zero() { a.at(k) } else { b.at(k) };
            });
        });
    }
}

impl Op for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        broadcast::output("select", inputs, 3)
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let (dy, zero) = (only(dy), g.fill(0.0, []));
        let mut gradients = vec![None];
        for (x, inputs) in [(x[1], [x[0], dy, zero]), (x[2], [x[0], zero, dy])] {
            let (dx, shape) = (g.apply(Self, &inputs)?, g.shape(x).clone());
            gradients.push(Some(broadcast::reduce(g, dx, &shape)?));
        }
        Ok(gradients)
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (inputs, y) = (writer.inputs(), writer.outputs()[0]);
        let (names, order) = writer.broadcast(inputs, y)?;
        let chosen = writer.add("Cast", &[&names[0]], vec![("to", BOOL.into())]);
        let name = writer.add("Where", &[&chosen, &names[1], &names[2]], vec![]);
        writer.give(y, name, order);
        Ok(())
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        vec![broadcast::launch(MODULE, "choose", io)]
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let condition = |shape: &[usize], seed| {
        // Some zeros of either sign, some numbers that only count as true.
        let values = random(shape, seed).values().to_f32().into_iter().map(|x| (1.5 * x).round()).collect::<Vec<_>>();
        Tensor::new(shape, values).expect("one value an element")
    };
    let mut cases = Vec::new();
    for (label, c, a, b) in [
        ("(1,)", &[1][..], &[1][..], &[1][..]),
        ("(257,)", &[257], &[257], &[257]),
        ("scalars and (255,)", &[255], &[], &[]),
        ("a column, a row and (5, 3)", &[5, 1], &[3], &[5, 3]),
        ("one condition for (2, 3)", &[], &[2, 1], &[2, 3]),
        ("alternating axes", &[2, 1, 3], &[4, 1], &[5, 1, 4, 1]),
    ] {
        let inputs = vec![condition(c, 70), random(a, 71), random(b, 72)];
        cases.push(Case::new(label, Select, inputs).wrt(&[1, 2]).ulps(0.0));
    }
    let rows = [[-0.0, 0.0, 1e30, -1e30], [1.0, 1e30, -0.0, 1e30], [-1e30, 2.0, 0.0, 3.0]];
    let inputs = rows.map(|row: [f32; 4]| Tensor::new([4], row.to_vec()).expect("four")).to_vec();
    cases.push(Case::new("zeros and far from zero", Select, inputs).ulps(0.0));
    cases
}
