//! Adds the gradients of several steps up, for an update by their mean: Keras' `gradient_accumulation_steps`.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_piece};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, expect_inputs};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::DType;

const MODULE: Module =
    Module { stem: "accumulate", source: include_str!("../../shaders/accumulate.wgsl"), libs: &[LIB_GRID] };

/// sums += grads; at the end of a cycle grads = (grads + sums) / count and sums = 0; changes both arenas
#[derive(Clone, Copy, Debug)]
pub struct Accumulate {
    /// How many steps a cycle has, where it ends with this one.
    pub ends: Option<u64>,
}

impl<T: Real> CpuOp<T> for Accumulate {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let [grads, sums] = args.out();
        let Some(count) = self.ends else {
            return for_each_piece(sums, |start, sums| {
                sums.iter_mut().zip(&grads[start..]).for_each(|(s, &g)| *s += g);
            });
        };
        let count = T::of(count as f64);
        for_each_piece(grads, |start, grads| {
            grads.iter_mut().zip(&sums[start..]).for_each(|(g, &s)| *g = (*g + s) / count);
        });
        sums.fill(T::zero());
    }
}

impl Op for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("accumulate", inputs, &[])?;
        Ok(Vec::new())
    }

    fn check_targets(&self, inputs: &[Type], targets: &[Type]) -> Result<()> {
        self.outputs(inputs)?;
        match targets {
            // The kernel takes four elements at a time.
            [grads, sums] if grads == sums && grads.dtype == DType::F32 && grads.shape.len().is_multiple_of(4) => {
                Ok(())
            }
            _ => Err(Error::shape("accumulate", "takes two arenas of one length")),
        }
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let vectors = io.outputs[0].shape.len() / 4;
        let params = Params::new().u32("vectors", vectors).f32("count", self.ends.unwrap_or(1) as f64);
        vec![Dispatch::over(MODULE, if self.ends.is_some() { "mean" } else { "add" }, io, params, vectors)]
    }

    fn flops(&self, io: &Io) -> u64 {
        (1 + u64::from(self.ends.is_some())) * io.outputs[0].shape.len() as u64
    }
}

pub(super) fn cases() -> Vec<Case> {
    let case = |ends: Option<u64>, n: usize| {
        let label = ends.map_or_else(|| format!("({n},)"), |count| format!("({n},), the last of {count}"));
        let targets = vec![random([n], 210), random([n], 211)];
        // A quotient is good to 2.5 ulps in WGSL, the sum under it to half a one of its larger term.
        Case::new(label, Accumulate { ends }, vec![]).changes(targets).ulps(4.0).sums(1)
    };
    [None, Some(2), Some(3)].into_iter().flat_map(|ends| [4, 252, 256, 1028].map(|n| case(ends, n))).collect()
}
