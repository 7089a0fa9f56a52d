//! Adds the gradients of several steps up, for an update by their mean: Keras' `gradient_accumulation_steps`.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_piece, vectorised};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::DType;

const MODULE: Module =
    Module { stem: "accumulate", source: include_str!("../../../shaders/accumulate.wgsl"), libs: &[LIB_GRID] };

/// y += x, in place, of gradients x; at the end of a cycle x = (x + y) / count and y = 0, which changes both
#[derive(Clone, Copy, Debug)]
pub struct Accumulate {
    /// How many steps a cycle has, where it ends with this one.
    pub ends: Option<u64>,
}

impl<T: Real> CpuOp<T> for Accumulate {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let Some(count) = self.ends else {
            let (x, [y]) = (args.real(0), args.out());
            return for_each_piece(y, |start, y| {
                vectorised!(y.iter_mut().zip(&x[start..]).for_each(|(y, &x)| *y += x));
            });
        };
        let (count, [x, y]) = (T::of(count as f64), args.out());
        for_each_piece(x, |start, x| {
            vectorised!(x.iter_mut().zip(&y[start..]).for_each(|(x, &y)| *x = (*x + y) / count));
        });
        y.fill(T::zero());
    }
}

impl Op for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }

    fn outputs(&self, _inputs: &[Type]) -> Result<Vec<Type>> {
        Ok(Vec::new())
    }

    fn check_targets(&self, inputs: &[Type], targets: &[Type]) -> Result<()> {
        let read = usize::from(self.ends.is_none());
        let arenas: Vec<&Type> = inputs.iter().chain(targets).collect();
        match arenas[..] {
            // The kernel takes four elements at a time.
            [x, y] if inputs.len() == read && x == y && x.dtype == DType::F32 && x.shape.len().is_multiple_of(4) => {
                Ok(())
            }
            _ => Err(Error::shape("accumulate", format!("takes two arenas of one length, of which it reads {read}"))),
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

pub(crate) fn cases() -> Vec<Case> {
    let case = |ends: Option<u64>, n: usize| {
        let label = ends.map_or_else(|| format!("({n},)"), |count| format!("({n},), the last of {count}"));
        let (x, y) = (random([n], 210), random([n], 211));
        let (inputs, targets) = if ends.is_some() { (vec![], vec![x, y]) } else { (vec![x], vec![y]) };
        // A quotient is good to 2.5 ulps in WGSL, the sum under it to half a one of its larger term.
        Case::new(label, Accumulate { ends }, inputs).changes(targets).ulps(4.0).sums(1)
    };
    [None, Some(2), Some(3)].into_iter().flat_map(|ends| [4, 252, 256, 1028].map(|n| case(ends, n))).collect()
}
