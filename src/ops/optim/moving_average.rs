//! Moving averages of weights: Keras' `use_ema`.

use super::case::{clock, random};
use super::cpu::{CpuArgs, CpuOp, Real, for_each_update};
use super::dispatch::{Dispatch, LIB_FLUSHED, LIB_GRID, Module, Params, Target};
use super::optimizer::SCALARS;
use super::{Case, Io, Op, clock as clock_op, expect_inputs};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{DType, Tensor};

const MODULE: Module = Module {
    stem: "moving_average",
    source: include_str!("../../../shaders/moving_average.wgsl"),
    libs: &[LIB_GRID, LIB_FLUSHED],
};

/// a = kept a + taken w, in place; where the step overwrites, w = a then. The numbers are the step's row of a schedule.
#[derive(Clone, Copy, Debug)]
pub struct MovingAverage;

impl MovingAverage {
    /// A step's row of the schedule.
    pub(crate) fn row(kept: f64, overwrites: bool) -> [f64; SCALARS] {
        [kept, 1.0 - kept, f64::from(u8::from(overwrites)), 0.0]
    }
}

impl<T: Real> CpuOp<T> for MovingAverage {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let row = args.u32(1)[0] as usize * SCALARS;
        let [kept, taken, overwrites] = [0, 1, 2].map(|i| args.real(0)[row + i]);
        let [w, a] = args.out();
        for_each_update(w, [a], move |w, [a]| [(kept * a + taken * w).flushed()]);
        if overwrites != T::zero() {
            w.copy_from_slice(a);
        }
    }
}

impl Op for MovingAverage {
    fn name(&self) -> &'static str {
        "moving_average"
    }

    fn outputs(&self, _inputs: &[Type]) -> Result<Vec<Type>> {
        Ok(Vec::new())
    }

    fn check_targets(&self, inputs: &[Type], targets: &[Type]) -> Result<()> {
        expect_inputs("moving_average", inputs, &[DType::F32, DType::U32])?;
        clock_op::check(inputs, 1)?;
        match targets {
            // The kernel takes four elements at a time.
            [w, a]
                if w == a
                    && w.dtype == DType::F32
                    && w.shape.len().is_multiple_of(4)
                    && inputs[0].shape.get(1) == Some(&SCALARS) =>
            {
                Ok(())
            }
            _ => {
                let message = format!("takes rows of {SCALARS} scalars, and changes two arenas of one length");
                Err(Error::shape("moving_average", message))
            }
        }
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let vectors = io.outputs[0].shape.len() / 4;
        let params = Params::new().u32("vectors", vectors);
        vec![Dispatch::over(MODULE, "moving_average", io, params, vectors)]
    }

    fn flops(&self, io: &Io) -> u64 {
        3 * io.outputs[0].shape.len() as u64
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |step: u32, n: usize| {
        // The first step takes the weights over, the last one gives the average back.
        let rows = [MovingAverage::row(0.0, false), MovingAverage::row(0.9, false), MovingAverage::row(0.75, true)];
        let rows = Tensor::new([3, SCALARS], rows.concat().iter().map(|&x| x as f32).collect::<Vec<_>>());
        let inputs = vec![rows.expect("three rows"), clock(step, 0)];
        let targets = vec![random([n], 220), random([n], 221)];
        Case::new(format!("({n},), step {step}"), MovingAverage, inputs).changes(targets).ulps(2.0).sums(2)
    };
    [0, 1, 2].into_iter().flat_map(|step| [4, 252, 1028].map(|n| case(step, n))).collect()
}
