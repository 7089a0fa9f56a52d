//! A scale and a shift, broadcast as NumPy does: `y = x scale + shift`; and what they are where values are normalized by
//! statistics that are known before, as batch normalization does in inference. Products take them into their epilogue.

use super::binary::Binary;
use super::broadcast::{self, Run, for_each_run};
use super::case::{positive, random};
use super::cpu::{CpuArgs, CpuOp, Real, vectorised};
use super::dispatch::{Dispatch, LIB_BROADCAST, LIB_GRID, Module, Params, Target};
use super::unary::Unary;
use super::{Case, Io, Op, one_shape, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::Writer;
use crate::graph::{Graph, Id, Type};

const MODULE: Module = Module {
    stem: "scale_shift",
    source: include_str!("../../../shaders/scale_shift.wgsl"),
    libs: &[LIB_GRID, LIB_BROADCAST],
};
const STATISTICS_MODULE: Module = Module {
    stem: "scale_shift_statistics",
    source: include_str!("../../../shaders/scale_shift_statistics.wgsl"),
    libs: &[LIB_GRID],
};

/// y = x scale + shift
#[derive(Clone, Copy, Debug)]
pub struct ScaleShift;

/// scale = gamma / sqrt(variance + epsilon) and shift = beta - mean scale of mean, variance, gamma and beta, all of one shape:
/// x scale + shift is gamma (x - mean) / sqrt(variance + epsilon) + beta.
#[derive(Clone, Copy, Debug)]
pub struct OfStatistics {
    /// What keeps the division from zero: above 0.
    pub epsilon: f64,
}

impl<T: Real> CpuOp<T> for ScaleShift {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (inputs, [y]) = ([args.real(0), args.real(1), args.real(2)], args.out());
        for_each_run(args.io, inputs, y, |operands, y| match operands {
            [Run::Each(x), Run::Each(scale), Run::Each(shift)] => {
                let operands = x.iter().zip(scale).zip(shift);
                vectorised!(y.iter_mut().zip(operands).for_each(|(y, ((&x, &scale), &shift))| *y = x * scale + shift));
            }
            [Run::Each(x), Run::Same(scale), Run::Same(shift)] => {
                vectorised!(y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * scale + shift));
            }
            [x, scale, shift] => {
                y.iter_mut().enumerate().for_each(|(k, y)| *y = x.at(k) * scale.at(k) + shift.at(k));
            }
        });
    }
}

impl Op for ScaleShift {
    fn name(&self) -> &'static str {
        "scale_shift"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        broadcast::output("scale_shift", inputs, 3)
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let dy = only(dy);
        let by = [g.apply(Binary::Mul, &[dy, x[1]])?, g.apply(Binary::Mul, &[dy, x[0]])?, dy];
        let reduced = |(dx, x): (Id, &Id)| {
            let shape = g.shape(*x).clone();
            broadcast::reduce(g, dx, &shape).map(Some)
        };
        by.into_iter().zip(x).map(reduced).collect()
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (inputs, y) = (writer.inputs(), writer.outputs()[0]);
        let (x, scale) = (inputs[0], inputs[1]);
        let Some((op, statistics)) = of_statistics(writer.graph(), scale) else {
            let (names, order) = writer.broadcast(inputs, y)?;
            let scaled = writer.add("Mul", &[&names[0], &names[1]], vec![]);
            let name = writer.add("Add", &[&scaled, &names[2]], vec![]);
            writer.give(y, name, order);
            return Ok(());
        };
        let rank = writer.rank(x);
        let own = writer.graph().shape(scale);
        let axis = (0..own.rank()).rev().find(|&axis| own[axis] != 1).unwrap_or(own.rank() - 1) + rank - own.rank();
        let mut order = writer.order(x);
        if order[1] != axis {
            order = [0, axis].into_iter().chain((1..rank).filter(|&other| other != axis)).collect();
        }
        let x = writer.ordered(x, &order)?;
        let [mean, variance, gamma, beta] = statistics;
        let mut names = vec![x];
        for (what, id) in [("gamma", gamma), ("beta", beta), ("moving_mean", mean), ("moving_variance", variance)] {
            names.push(if writer.name_of(id).is_some() {
                writer.plain(id)?
            } else {
                let numbers = writer.constant(id)?;
                writer.floats(what, &numbers)
            });
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = writer.add("BatchNormalization", &names, vec![("epsilon", op.epsilon.into())]);
        writer.give(y, name, order);
        Ok(())
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        vec![broadcast::launch(MODULE, "scale_shift", io)]
    }

    fn flops(&self, io: &Io) -> u64 {
        2 * io.outputs[0].shape.len() as u64
    }
}

impl<T: Real> CpuOp<T> for OfStatistics {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let [mean, variance, gamma, beta] = [0, 1, 2, 3].map(|i| args.real(i));
        let ([scale, shift], epsilon) = (args.out(), T::of(self.epsilon));
        for (i, (scale, shift)) in scale.iter_mut().zip(shift).enumerate() {
            *scale = gamma[i] / (variance[i] + epsilon).sqrt();
            *shift = beta[i] - mean[i] * *scale;
        }
    }
}

impl Op for OfStatistics {
    fn name(&self) -> &'static str {
        "scale_shift_statistics"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return Err(Error::shape(self.name(), format!("epsilon is {}; give a number above 0", self.epsilon)));
        }
        let one = one_shape(self.name(), inputs, 4)?;
        Ok([&one[..], &one[..]].concat())
    }

    fn grad(&self, g: &mut Graph, x: &[Id], y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let (&[mean, variance, ..], scale) = (x, y[0]) else { unreachable!("the shape rule has seen four inputs") };
        // Of the scale: its own, and what goes to it by the shift.
        let by_shift = dy[1].map(|shift| g.apply(Binary::Mul, &[shift, mean])).transpose()?;
        let of_scale = match (dy[0], by_shift) {
            (Some(own), Some(by_shift)) => g.apply(Binary::Sub, &[own, by_shift])?,
            (Some(own), None) => own,
            (None, by_shift) => g.apply(Unary::Neg, &[by_shift.expect("one of two has a gradient")])?,
        };
        let epsilon = g.fill(self.epsilon, []);
        let square = g.apply(Binary::Add, &[variance, epsilon])?;
        let root = g.apply(Unary::Sqrt, &[square])?;
        let gamma = g.apply(Binary::Div, &[of_scale, root])?;
        // d scale / d variance = -scale / (2 (variance + epsilon))
        let weighed = g.apply(Binary::Mul, &[of_scale, scale])?;
        let divided = g.apply(Binary::Div, &[weighed, square])?;
        let half = g.fill(-0.5, []);
        let of_variance = g.apply(Binary::Mul, &[divided, half])?;
        let of_mean = dy[1].map(|shift| {
            let weighed = g.apply(Binary::Mul, &[shift, scale])?;
            g.apply(Unary::Neg, &[weighed])
        });
        Ok(vec![of_mean.transpose()?, Some(of_variance), Some(gamma), dy[1]])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let n = io.outputs[0].shape.len();
        let params = Params::new().u32("n", n).f32("epsilon", self.epsilon);
        vec![Dispatch::over(STATISTICS_MODULE, "statistics", io, params, n)]
    }

    fn flops(&self, io: &Io) -> u64 {
        5 * io.outputs[0].shape.len() as u64
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (label, x, scale, shift) in [
        ("(1,)", &[1][..], &[1][..], &[1][..]),
        ("(257,)", &[257], &[257], &[257]),
        ("rows on (5, 3)", &[5, 3], &[3], &[3]),
        ("rows on (2, 3, 5, 7)", &[2, 3, 5, 7], &[7], &[7]),
        ("columns on (2, 3, 65)", &[2, 3, 65], &[3, 1], &[3, 1]),
        ("scalars on (7, 11)", &[7, 11], &[], &[]),
        ("a scalar and a row", &[2, 3], &[], &[3]),
        ("alternating axes", &[2, 1, 3], &[4, 1], &[5, 1, 4, 1]),
    ] {
        let inputs = vec![random(x, 820), random(scale, 821), random(shift, 822)];
        cases.push(Case::new(label, ScaleShift, inputs).wrt(&[0, 1, 2]).sums(2));
    }
    for n in [1, 2, 3, 65, 257] {
        let inputs = vec![random([n], 830), positive([n], 831), random([n], 832), random([n], 833)];
        let case = Case::new(format!("({n},)"), OfStatistics { epsilon: 0.25 }, inputs);
        cases.push(case.wrt(&[0, 1, 2, 3]).ulps(8.0).sums(2));
    }
    cases
}

/// What makes a scale of statistics, if that is what makes it, and those statistics: mean, variance, gamma and beta.
#[cfg(feature = "onnx")]
fn of_statistics(graph: &Graph, scale: Id) -> Option<(OfStatistics, [Id; 4])> {
    let mut node = graph.producer(scale)?;
    while node.op.is_view() {
        node = graph.producer(node.inputs[0])?;
    }
    let op = (&*node.op as &dyn std::any::Any).downcast_ref::<OfStatistics>()?;
    Some((*op, node.inputs[..].try_into().ok()?))
}
