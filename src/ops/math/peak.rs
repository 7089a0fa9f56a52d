//! Chains of fused multiply-adds: what a device can compute where memory is no bound. `kiln bench` measures by it what
//! share of the device's peak other kernels reach. No layer uses it.

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Dispatch, LIB_GRID, Module, Params, Target};
use super::{Case, Io, Op, expect_inputs};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::DType;
use crate::threads::{self, Chunks, for_each_chunk};

const MODULE: Module = Module { stem: "peak", source: include_str!("../../../shaders/peak.wgsl"), libs: &[LIB_GRID] };

/// Elements that an invocation of the kernel takes: four vectors, whose chains do not wait for each other.
const PER_INVOCATION: usize = 16;

/// y = x after `rounds` times x = x / 2 + 1 / 4; the number of elements is a multiple of 16
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// Fused multiply-adds an element.
    pub rounds: usize,
}

/// A piece of the loop over elements, which a processor keeps in its registers: 12 vectors of AVX2, 6 of AVX-512, 24 of
/// NEON. More would not fit, fewer would wait for each other.
struct Chains<'a, T> {
    y: &'a mut [T],
    rounds: usize,
}

const LANES: usize = 96;

impl<T: Real> pulp::WithSimd for Chains<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let (half, quarter) = (T::of(0.5), T::of(0.25));
        for y in self.y.chunks_mut(LANES) {
            let mut chains = [T::zero(); LANES];
            chains[..y.len()].copy_from_slice(y);
            for _ in 0..self.rounds {
                for x in &mut chains {
                    *x = x.mul_add(half, quarter);
                }
            }
            y.copy_from_slice(&chains[..y.len()]);
        }
    }
}

impl<T: Real> CpuOp<T> for Peak {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (x, [y]) = (args.real(0), args.out());
        y.copy_from_slice(x);
        let piece = y.len().div_ceil(threads::count()).max(1).next_multiple_of(LANES);
        for_each_chunk(Chunks(y, piece), 1, &|_, y| pulp::Arch::new().dispatch(Chains { y, rounds: self.rounds }));
    }
}

impl Op for Peak {
    fn name(&self) -> &'static str {
        "peak"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs("peak", inputs, &[DType::F32])?;
        if inputs[0].shape.len().is_multiple_of(PER_INVOCATION) {
            return Ok(inputs.to_vec());
        }
        Err(Error::shape("peak", format!("{} elements are no multiple of {PER_INVOCATION}", inputs[0].shape.len())))
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let invocations = io.inputs[0].shape.len() / PER_INVOCATION;
        let params = Params::new().u32("invocations", invocations).u32("rounds", self.rounds);
        vec![Dispatch::over(MODULE, "peak", io, params, invocations)]
    }

    fn flops(&self, io: &Io) -> u64 {
        2 * self.rounds as u64 * io.inputs[0].shape.len() as u64
    }
}

pub(crate) fn cases() -> Vec<Case> {
    // Each round halves the error there was and adds half an ulp of its own.
    [(16, 1), (16, 7), (1040, 2), (4096, 40)]
        .map(|(n, rounds)| {
            Case::new(format!("({n},), {rounds} rounds"), Peak { rounds }, vec![random([n], 85)]).sums(1)
        })
        .into()
}
