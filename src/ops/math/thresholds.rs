//! How many of the positive samples, and how many of the negative ones, have a score above each of evenly spaced
//! thresholds: what the area under a curve is made of.

use super::case::{integers, random};
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Binding, Dispatch, LIB_GRID, LIB_NAN, LIB_REDUCTION, Module, Target};
use super::reduction::{Kernel, Shares};
use super::sum;
use super::{Case, Io, Op, one_shape};
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::tensor::{DType, Tensor};

const MODULE: Module = Module {
    stem: "thresholds",
    source: include_str!("../../../shaders/thresholds.wgsl"),
    libs: &[LIB_GRID, LIB_NAN, LIB_REDUCTION],
};

/// y (2, count) of scores p and targets t of one shape: y[0, i] counts the scores above threshold i of targets that are
/// not 0, y[1, i] of those that are. The first threshold is below every score, NaN included, the last above every one,
/// those between at i / (count - 1), as `keras.metrics.AUC` has them.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// How many, 2 or more.
    pub count: usize,
}

impl<T: Real> CpuOp<T> for Thresholds {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let (p, t, [y]) = (args.real(0), args.real(1), args.out());
        let last = self.count - 1;
        y.fill(T::zero());
        let (positives, negatives) = y.split_at_mut(self.count);
        for (p, &t) in p.iter().zip(t) {
            let counts = if t == T::zero() { &mut *negatives } else { &mut *positives };
            counts[0] += T::one();
            // Rounded as in f32, in f64 too: of a score that stands at a threshold the rounding decides.
            let place = p.f64() as f32 * last as f32;
            (1..last).take_while(|&i| place > i as f32).for_each(|i| counts[i] += T::one());
        }
    }
}

impl Op for Thresholds {
    fn name(&self) -> &'static str {
        "thresholds"
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        one_shape("thresholds", inputs, 2)?;
        if self.count < 2 {
            return Err(Error::shape("thresholds", format!("count is {}, expected 2 or more", self.count)));
        }
        Ok(vec![Type::float([2, self.count])])
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        let shares = Shares::new([1, io.inputs[0].shape.len(), self.count], target);
        let kernel = Kernel::new(MODULE, ["thresholds", "thresholds_shared"], vec![Binding::Input(1)]);
        let (p, y) = (Binding::Input(0), Binding::Output(0));
        if shares.is_whole() {
            return vec![shares.launch(&kernel, [p, y], 1.0)];
        }
        let counts = Binding::Scratch(2 * shares.units());
        let sum = Shares::whole([1, shares.parts, 2 * self.count], target);
        vec![shares.launch(&kernel, [p, counts], 1.0), sum.launch(&sum::kernel(), [counts, y], 1.0)]
    }

    fn flops(&self, io: &Io) -> u64 {
        io.inputs[0].shape.len() as u64 * self.count as u64
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let bits = |shape: Vec<usize>, seed| {
        let bits = integers(shape.clone(), 2, DType::U32, seed).values().to_f32();
        Tensor::new(shape, bits).expect("as many as before")
    };
    let case = |label: &str, count, p: Tensor| {
        let t = bits(p.shape().to_vec(), 391);
        Case::new(label, Thresholds { count }, vec![p, t]).ulps(0.0)
    };
    // Scores at thresholds, where a rounding decides.
    let at = (0..400).map(|i| (i % 200) as f32 / 199.0).collect::<Vec<_>>();
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let p = Tensor::from([nan, nan, 2.0, 2.0, -1.0, inf, -inf, 1.0, 0.5]);
    let t = Tensor::from([1.0, 0.0, nan, 0.0, 0.25, 1.0, -1.0, 0.0, nan]);
    vec![
        Case::new("NaN, and scores beyond 0 and 1", Thresholds { count: 5 }, vec![p, t]).ulps(0.0),
        case("(1,) of two", 2, random([1], 390)),
        case("(5, 3) of 17", 17, random([5, 3], 390)),
        case("(257,) of 200", 200, random([257], 390)),
        case("(70000,) of 3", 3, random([70_000], 390)),
        case("(200000,) of 2", 2, random([200_000], 390)),
        case("(1,) of 70000", 70_000, random([1], 390)),
        case("scores at thresholds", 200, Tensor::new([400], at).expect("as many")),
    ]
}
