//! Tensors one after the other along an axis, as `numpy.concatenate`.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row};
use super::dispatch::{Binding, Dispatch, LIB_GRID, Module, Params, Target};
use super::slice::Slice;
use super::sum::around;
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::{Writer, place};
use crate::graph::{Graph, Id, Type};
use crate::tensor::DType;

const MODULE: Module =
    Module { stem: "concat", source: include_str!("../../../shaders/concat.wgsl"), libs: &[LIB_GRID] };

/// y, the inputs one after the other along the axis `0`
#[derive(Clone, Copy, Debug)]
pub struct Concat(pub usize);

impl Concat {
    /// For each input: elements a row of it, a row of y, and before its first in a row of y. A row is what lies along the
    /// axis and those behind it.
    fn rows(self, io: &Io) -> impl Iterator<Item = [usize; 3]> + '_ {
        let row = move |ty: &Type| around(&ty.shape, &(self.0..ty.shape.rank()))[1];
        let whole = row(&io.outputs[0]);
        let mut first = 0;
        io.inputs.iter().map(move |ty| {
            let part = [row(ty), whole, first];
            first += part[0];
            part
        })
    }
}

impl<T: Real> CpuOp<T> for Concat {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let [y] = args.out();
        for (i, [width, whole, first]) in self.rows(args.io).enumerate() {
            let x = args.real(i);
            for_each_row(y, whole, |row, y| y[first..first + width].copy_from_slice(&x[row * width..][..width]));
        }
    }
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("concat", inputs, &vec![DType::F32; inputs.len().max(1)])?;
        let first = &inputs[0].shape;
        let like_first = |ty: &Type| {
            ty.shape.rank() == first.rank() && (0..first.rank()).all(|a| a == self.0 || ty.shape[a] == first[a])
        };
        if self.0 >= first.rank() || !inputs.iter().all(like_first) || inputs.iter().any(|ty| ty.shape.is_empty()) {
            let found = inputs.iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
            let message = format!("takes shapes that differ along axis {} alone, was given {found}", self.0);
            return Err(Error::shape("concat", message));
        }
        let mut shape = first.to_vec();
        shape[self.0] = inputs.iter().map(|ty| ty.shape[self.0]).sum();
        Ok(vec![Type::float(shape)])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let mut first = 0;
        let mut gradients = Vec::new();
        for &x in x {
            let extent = g.shape(x)[self.0];
            let part = Slice::along(g.shape(y[0]), self.0, first..first + extent);
            first += extent;
            gradients.push(Some(g.apply(part, &[only(dy)])?));
        }
        Ok(gradients)
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (inputs, y) = (writer.inputs(), writer.outputs()[0]);
        let made = inputs.iter().find(|&&x| !writer.is_constant(x)).unwrap_or(&inputs[0]);
        let order = writer.order(*made);
        let names = inputs.iter().map(|&x| writer.ordered(x, &order)).collect::<Result<Vec<_>>>()?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = writer.add("Concat", &names, vec![("axis", place(&order, self.0).into())]);
        writer.give(y, name, order);
        Ok(())
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let launch = |(i, [width, whole, first]): (usize, [usize; 3])| {
            let n = io.inputs[i].shape.len();
            let params = Params::new().u32("n", n).u32("width", width).u32("whole", whole).u32("first", first);
            let bindings = vec![Binding::Input(i), Binding::Output(0), Binding::Params];
            Dispatch { bindings, ..Dispatch::over(MODULE, "concat", io, params, n) }
        };
        self.rows(io).enumerate().map(launch).collect()
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |label: &str, axis, shapes: &[&[usize]]| {
        let inputs: Vec<_> = shapes.iter().zip(350..).map(|(&shape, seed)| random(shape, seed)).collect();
        let wrt: Vec<usize> = (0..inputs.len()).collect();
        Case::new(label, Concat(axis), inputs).wrt(&wrt).ulps(0.0)
    };
    vec![
        case("(3,) and (257,)", 0, &[&[3], &[257]]),
        case("rows of (2, 5) and (1, 5)", 0, &[&[2, 5], &[1, 5]]),
        case("columns of three", 1, &[&[7, 2], &[7, 1], &[7, 30]]),
        case("the middle of (2, 3, 4) and (2, 1, 4)", 1, &[&[2, 3, 4], &[2, 1, 4]]),
        case("one alone", 0, &[&[5, 2]]),
    ]
}
