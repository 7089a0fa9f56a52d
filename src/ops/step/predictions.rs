//! Writes a batch's predictions into the rows of the data set that the batch was taken from in order.

use super::case::{clock, random};
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, clock as clock_op};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{DType, Tensor};

const MODULE: Module =
    Module { stem: "predictions", source: include_str!("../../../shaders/predictions.wgsl"), libs: &[LIB_GRID] };

/// `predictions[clock.rows + i] = y[i]`; inputs y (batch, ...) and the clock
#[derive(Clone, Copy, Debug)]
pub struct Keep;

impl<T: Real> CpuOp<T> for Keep {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (y, first) = (args.real(0), args.u32(1)[1] as usize);
        let width = y.len() / args.io.inputs[0].shape[0];
        let [predictions] = args.out();
        predictions[first * width..][..y.len()].copy_from_slice(y);
    }
}

impl Op for Keep {
    fn name(&self) -> &'static str {
        "predictions"
    }

    fn outputs(&self, _inputs: &[Type]) -> Result<Vec<Type>> {
        Ok(Vec::new())
    }

    fn check_targets(&self, inputs: &[Type], targets: &[Type]) -> Result<()> {
        clock_op::check(inputs, 1)?;
        let y = &inputs[0];
        let [all] = targets else {
            return Err(Error::shape("predictions", format!("changes one leaf, was given {}", targets.len())));
        };
        let rows = [y, all].map(|ty| ty.shape.get(1..));
        if y.dtype != DType::F32
            || all.dtype != DType::F32
            || y.shape.is_empty()
            || rows[0].is_none()
            || rows[0] != rows[1]
        {
            return Err(Error::shape("predictions", format!("{y} are no rows of {all}")));
        }
        Ok(())
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let (n, batch) = (io.inputs[0].shape.len(), io.inputs[0].shape[0]);
        let params = Params::new().u32("n", n).u32("width", n / batch);
        vec![Dispatch::over(MODULE, "keep", io, params, n)]
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |label, batch: usize, first| {
        let before = Tensor::new([9, 5], vec![3.0f32; 45]).expect("nine rows of five");
        Case::new(label, Keep, vec![random([batch, 5], 110), clock(1, first)]).changes(vec![before]).ulps(0.0)
    };
    vec![case("the first rows", 4, 0), case("the last rows", 3, 6), case("all rows", 9, 0)]
}
