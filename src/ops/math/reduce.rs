//! Maximum, minimum and product over neighbouring axes. (The sum, which is linear, is [`super::sum`].)

use std::ops::Range;

use super::case::random;
use super::cpu::{CpuArgs, CpuOp, Real, for_each_row_of, vectorised};
use super::dispatch::{Binding, Dispatch, LIB_GRID, LIB_NAN, LIB_REDUCTION, Module, Target};
use super::reduction::{Kernel, MOST_ROUNDS, Shares};
use super::sum::around;
use super::{Case, Io, Op, expect_inputs, only};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::Writer;
use crate::graph::{Graph, Id, Type};
use crate::tensor::{DType, Tensor};
use crate::threads::join;

const MODULE: Module = Module {
    stem: "reduce",
    source: include_str!("../../../shaders/reduce.wgsl"),
    libs: &[LIB_GRID, LIB_NAN, LIB_REDUCTION],
};

/// Numbers that are kept side by side: several vectors of every processor.
const LANES: usize = 64;
/// Rows that one call without recursion takes.
const LEAF_ROWS: usize = 256;
/// Fewer numbers than this are not worth a second thread.
const PARALLEL_FROM: usize = 1 << 17;

/// Factors of a product that has a gradient, at most: an invocation multiplies those of a part, and the parts.
const MOST_FACTORS: usize = MOST_ROUNDS * MOST_ROUNDS;

/// How numbers become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The largest; NaN where there is one.
    Max = 0,
    /// The smallest; NaN where there is one.
    Min = 1,
    /// All multiplied.
    Prod = 2,
}

impl Reduction {
    const ALL: [Self; 3] = [Self::Max, Self::Min, Self::Prod];

    #[inline]
    fn of<T: Real>(self, a: T, b: T) -> T {
        match self {
            // A NaN stays, as in NumPy.
            Self::Max if b > a || b.is_nan() => b,
            Self::Min if b < a || b.is_nan() => b,
            Self::Max | Self::Min => a,
            Self::Prod => a * b,
        }
    }

    /// What leaves every number as it is.
    fn identity<T: Real>(self) -> T {
        match self {
            Self::Max => T::neg_infinity(),
            Self::Min => T::infinity(),
            Self::Prod => T::one(),
        }
    }

    /// Each column of x, whose rows are as long as y. The order follows from the extents alone.
    fn columns<T: Real>(self, x: &[T], y: &mut [T]) {
        let inner = y.len();
        if inner > LANES / 2 {
            return for_each_row_of(x.len(), y, LANES, |i, y| {
                let lanes = self.strip(x, inner, i * LANES..i * LANES + y.len());
                y.copy_from_slice(&lanes[..y.len()]);
            });
        }
        // Several short rows stand side by side in the lanes.
        let wide = LANES / inner * inner;
        let (head, tail) = x.split_at(x.len() / wide * wide);
        let lanes = self.strip(head, wide, 0..wide);
        y.fill(self.identity());
        for row in lanes[..wide].chunks(inner).chain(tail.chunks(inner)) {
            self.merge(y, row);
        }
    }

    /// Some columns, at most as many as there are lanes, of rows of `row` numbers.
    fn strip<T: Real>(self, x: &[T], row: usize, columns: Range<usize>) -> [T; LANES] {
        let rows = x.len() / row;
        if rows <= LEAF_ROWS {
            return vectorised!({
                let mut lanes = [self.identity(); LANES];
                x.chunks_exact(row).for_each(|x| self.merge(&mut lanes, &x[columns.clone()]));
                lanes
            });
        }
        let (a, b) = x.split_at(rows.div_ceil(2).next_multiple_of(LEAF_ROWS) * row);
        let half = |x| self.strip(x, row, columns.clone());
        let (mut a, b) =
            if rows * columns.len() < PARALLEL_FROM { (half(a), half(b)) } else { join(|| half(a), || half(b)) };
        self.merge(&mut a, &b);
        a
    }

    #[inline(always)]
    fn merge<T: Real>(self, y: &mut [T], x: &[T]) {
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = self.of(*y, x));
    }
}

/// y, x reduced over `axes`, which y no longer has
#[derive(Clone, Debug)]
pub struct Reduce {
    /// How.
    pub reduction: Reduction,
    /// Neighbouring axes, together one element or more.
    pub axes: Range<usize>,
}

/// dx of x and dy: for a product `dx = dy * product of the others`; for an extreme dy at it, shared equally where several
/// are equal, as JAX does
#[derive(Clone, Debug)]
pub struct ReduceGrad(pub Reduce);

impl<T: Real> CpuOp<T> for Reduce {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let [_, n, inner] = around(&args.io.inputs[0].shape, &self.axes);
        let (x, [y]) = (args.real(0), args.out());
        for_each_row_of(x.len(), y, inner, |outer, y| self.reduction.columns(&x[outer * n * inner..][..n * inner], y));
    }
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        match self.reduction {
            Reduction::Max => "max",
            Reduction::Min => "min",
            Reduction::Prod => "prod",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32])?;
        let (shape, axes) = (&inputs[0].shape, &self.axes);
        if axes.end > shape.rank() || axes.start > axes.end || shape[axes.clone()].contains(&0) {
            return Err(Error::shape(
                self.name(),
                format!("axes {axes:?} are not among those of {shape}, or are empty"),
            ));
        }
        Ok(vec![Type::float([&shape[..axes.start], &shape[axes.end..]].concat())])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        Ok(vec![Some(g.apply(ReduceGrad(self.clone()), &[x[0], only(dy)])?)])
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        let y = writer.outputs()[0];
        let op_type = match self.reduction {
            Reduction::Max => "ReduceMax",
            Reduction::Min => "ReduceMin",
            Reduction::Prod => "ReduceProd",
        };
        let (name, order) = writer.reduced(op_type, self.axes.clone())?;
        writer.give(y, name, order);
        Ok(())
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        let shares = Shares::new(around(&io.inputs[0].shape, &self.axes), target);
        let (x, y) = (Binding::Input(0), Binding::Output(0));
        if shares.is_whole() {
            return vec![shares.launch(&self.forward(), [x, y], 1.0)];
        }
        let parts = Binding::Scratch(shares.units());
        let second = shares.second(target).launch(&self.forward(), [parts, y], 1.0);
        vec![shares.launch(&self.forward(), [x, parts], 1.0), second]
    }

    fn flops(&self, io: &Io) -> u64 {
        io.inputs[0].shape.len() as u64
    }
}

impl Reduce {
    fn kernel(&self, entries: [&'static str; 2], own: Vec<Binding>) -> Kernel {
        Kernel::new(MODULE, entries, own).constant("REDUCTION", self.reduction as u32)
    }

    fn forward(&self) -> Kernel {
        self.kernel(["forward", "forward_shared"], Vec::new())
    }
}

impl<T: Real> CpuOp<T> for ReduceGrad {
    fn cpu(&self, mut args: CpuArgs<'_, T>) {
        let Reduce { reduction, axes } = &self.0;
        let [_, n, inner] = around(&args.io.inputs[0].shape, axes);
        let (x, dy, [dx]) = (args.real(0), args.real(1), args.out());
        for_each_row_of(x.len(), dx, n * inner, |outer, dx| {
            let x = &x[outer * n * inner..][..n * inner];
            for (i, &dy) in dy[outer * inner..][..inner].iter().enumerate() {
                reduction.gradient(dy, |k| i + k * inner, x, dx, n);
            }
        });
    }
}

impl Reduction {
    /// dx of the n numbers of x that stand `at` places.
    fn gradient<T: Real>(self, dy: T, at: impl Fn(usize) -> usize, x: &[T], dx: &mut [T], n: usize) {
        if self == Self::Prod {
            // Products of those before, then times those behind: no division, so zeros do no harm.
            let mut product = dy;
            for k in 0..n {
                dx[at(k)] = product;
                product *= x[at(k)];
            }
            product = T::one();
            for k in (0..n).rev() {
                dx[at(k)] *= product;
                product *= x[at(k)];
            }
            return;
        }
        let y = (1..n).fold(x[at(0)], |so_far, k| self.of(so_far, x[at(k)]));
        let equal = (0..n).filter(|&k| x[at(k)] == y).count();
        let share = dy / T::of(equal as f64);
        (0..n).for_each(|k| dx[at(k)] = if x[at(k)] == y { share } else { T::zero() });
    }
}

impl Op for ReduceGrad {
    fn name(&self) -> &'static str {
        match self.0.reduction {
            Reduction::Max => "max_grad",
            Reduction::Min => "min_grad",
            Reduction::Prod => "prod_grad",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        expect_inputs(self.name(), inputs, &[DType::F32; 2])?;
        let reduced = &self.0.outputs(&inputs[..1])?[0];
        if *reduced != inputs[1] {
            return Err(Error::shape(self.name(), format!("dy {} is not {reduced}", inputs[1])));
        }
        let [_, n, _] = around(&inputs[0].shape, &self.0.axes);
        if self.0.reduction == Reduction::Prod && n > MOST_FACTORS {
            let message =
                format!("takes products of at most {MOST_FACTORS} numbers, was given {n}; reduce in two steps");
            return Err(Error::shape(self.name(), message));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        let extents = around(&io.inputs[0].shape, &self.0.axes);
        let (x, own) = (Binding::Input(0), vec![Binding::Input(1), Binding::Output(0)]);
        if self.0.reduction == Reduction::Prod {
            let second = self.0.kernel(["product_gradient"; 2], own);
            return Shares::alone(extents).launches(x, (&self.0.forward(), 1), &second, target);
        }
        let first = self.0.kernel(["parts_alone", "parts_shared"], Vec::new());
        let second = self.0.kernel(["gradient", "gradient_shared"], own);
        Shares::new(extents, target).launches(x, (&first, 2), &second, target)
    }

    fn flops(&self, io: &Io) -> u64 {
        4 * io.inputs[0].shape.len() as u64
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for reduction in Reduction::ALL {
        for (label, shape, axes) in [
            ("all of (7,)", vec![7], 0..1),
            ("rows of (9, 257)", vec![9, 257], 0..1),
            ("columns of (65, 3)", vec![65, 3], 1..2),
            ("the middle of (3, 2, 5, 2)", vec![3, 2, 5, 2], 1..3),
            ("no axis of (3, 2)", vec![3, 2], 1..1),
        ] {
            let op = Reduce { reduction, axes: axes.clone() };
            let x = random(shape.clone(), 330);
            let dy = random([&shape[..axes.start], &shape[axes.end..]].concat(), 331);
            cases.push(Case::new(label, op.clone(), vec![x.clone()]).wrt(&[0]).ulps(8.0));
            cases.push(Case::new(label, ReduceGrad(op), vec![x, dy]).ulps(8.0));
        }
        for (label, shape, axes) in [
            ("all of (70000,)", vec![70_000], 0..1),
            ("rows of (70000, 1)", vec![70_000, 1], 1..2),
            ("columns of (200000, 2)", vec![200_000, 2], 0..1),
        ] {
            // About 1, so that a product of as many is a number.
            let near =
                random(shape.clone(), 333).values().to_f32().iter().map(|x| 1.0 + x / 1024.0).collect::<Vec<_>>();
            let (op, x) =
                (Reduce { reduction, axes: axes.clone() }, Tensor::new(shape.clone(), near).expect("as many"));
            let dy = random([&shape[..axes.start], &shape[axes.end..]].concat(), 334);
            // A product's error grows as a sum's of as many.
            cases.push(Case::new(label, op.clone(), vec![x.clone()]).sums(shape[axes.start]));
            cases.push(Case::new(label, ReduceGrad(op), vec![x, dy]).sums(shape[axes.start]));
        }
        let op = Reduce { reduction, axes: 1..2 };
        let x = Tensor::new([3, 3], vec![0.0f32, 2.0, 2.0, 0.0, 3.0, 0.0, -1.0, -1.0, -1.0]).expect("nine");
        let label = "ties and zeros";
        cases.push(Case::new(label, ReduceGrad(op), vec![x, random([3], 332)]).ulps(4.0));
        let x = Tensor::from([[1.0, f32::NAN, 2.0], [f32::NAN, 1.0, 2.0], [f32::INFINITY, -f32::INFINITY, 1.0]]);
        cases.push(Case::new("NaN and infinities", Reduce { reduction, axes: 1..2 }, vec![x]).ulps(0.0));
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_counts_once_and_threads_change_no_bit() {
        // Powers of two that come and go, so that products are exact.
        let x: Vec<f32> = (0..600_000u64).map(|i| 2f32.powi((i * 7919 % 7) as i32 - 3)).collect();
        for (n, inner) in [(1, 1), (65, 1), (600_000, 1), (300_000, 2), (70, 33), (9_000, 65), (2, 1000)] {
            let by = |threads: usize, reduction: Reduction| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut y = vec![9.0; inner];
                pool.install(|| reduction.columns(&x[..n * inner], &mut y));
                y
            };
            for reduction in Reduction::ALL {
                let one = by(1, reduction);
                assert_eq!(by(3, reduction), one, "{reduction:?} of ({n}, {inner})");
                for (i, &y) in one.iter().enumerate() {
                    let column = (0..n).map(|k| f64::from(x[k * inner + i]));
                    let wanted = match reduction {
                        Reduction::Max => column.fold(f64::MIN, f64::max),
                        Reduction::Min => column.fold(f64::MAX, f64::min),
                        Reduction::Prod => column.product(),
                    };
                    assert_eq!(f64::from(y), wanted, "{reduction:?} of ({n}, {inner})");
                }
            }
        }
    }

    #[test]
    fn products_of_more_factors_than_a_kernel_loops_over_have_no_gradient() {
        let outputs = |reduction, n: usize| {
            let op = ReduceGrad(Reduce { reduction, axes: 0..1 });
            op.outputs(&[Type::float([n]), Type::float([])])
        };
        assert!(outputs(Reduction::Prod, MOST_FACTORS).is_ok());
        assert!(outputs(Reduction::Max, MOST_FACTORS + 1).is_ok());
        let error = outputs(Reduction::Prod, MOST_FACTORS + 1).unwrap_err().to_string();
        assert!(error.contains("at most 16777216 numbers, was given 16777217; reduce in two steps"), "{error}");
    }
}
