//! A copy into a value that the session keeps: a gradient into its arena, an output for the caller. The plan leaves it
//! out wherever the value can be made in that place at once.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, Slice, map};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, expect_inputs};
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Leaf, Type};
use crate::tensor::DType;

const MODULE: Module = Module { stem: "copy", source: include_str!("../../../shaders/copy.wgsl"), libs: &[LIB_GRID] };

/// y = x, in place
#[derive(Clone, Copy, Debug)]
pub struct Copy;

impl Graph {
    /// Lets the caller read a value after a run, as [`Leaf::Output`] of this index.
    ///
    /// # Errors
    /// [`Error::Shape`] where the value is of a type that no kernel copies, or of another graph.
    pub fn output(&mut self, index: usize, id: Id) -> Result<()> {
        self.check("output", &[id])?;
        let place = self.leaf(Leaf::Output(index), self.ty(id).clone());
        self.effect(Copy, &[id], &[place])
    }
}

impl<T: Real> CpuOp<T> for Copy {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        match args.inputs[0] {
            Slice::Real(x) => {
                let [y] = args.out();
                map(x, y, |x| x);
            }
            Slice::U32(x) => args.out_u32().copy_from_slice(x),
            Slice::U8(_) => unreachable!("the shape rule lets no bytes in"),
        }
    }
}

impl Op for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        let dtype = inputs.first().map_or(DType::F32, |t| t.dtype);
        expect_inputs("copy", inputs, &[if dtype == DType::U32 { dtype } else { DType::F32 }])?;
        Ok(Vec::new())
    }

    fn check_targets(&self, inputs: &[Type], targets: &[Type]) -> Result<()> {
        self.outputs(inputs)?;
        if inputs == targets {
            return Ok(());
        }
        let into = targets.iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
        Err(Error::shape("copy", format!("{} does not fit {into}", inputs[0])))
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let n = io.outputs[0].shape.len();
        vec![Dispatch::over(MODULE, "copy", io, Params::new().u32("n", n), n)]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

pub(crate) fn cases() -> Vec<Case> {
    [1, 63, 64, 65, 1000]
        .map(|n| Case::new(format!("({n},)"), Copy, vec![random([n], 80)]).changes(vec![random([n], 81)]).ulps(0.0))
        .into()
}
