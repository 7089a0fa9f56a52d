//! Test cases that each op brings along: inputs, and how far a kernel may be from the f64 reference.

use std::sync::Arc;

use rand::Rng as _;

use super::{Io, Op};
use crate::error::Result;
use crate::graph::Type;
use crate::random::stream;
use crate::tensor::{DType, Shape, Tensor};

/// An op on given inputs.
///
/// ```
/// use kiln::ops::Case;
/// use kiln::ops::case::positive;
/// use kiln::ops::unary::Unary;
/// let root = Case::new("a matrix", Unary::Sqrt, vec![positive([3, 5], 1)]).ulps(4.0).wrt(&[0]);
/// assert_eq!(root.io()?.outputs[0].shape.to_string(), "(3, 5)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Case {
    /// What is special about it, such as the shape.
    pub label: String,
    /// The op.
    pub op: Arc<dyn Op>,
    /// Its inputs; floats are given in f32, so that every executor starts from the same numbers.
    pub inputs: Vec<Tensor>,
    /// For an effect: what the leaves that it changes hold before.
    pub targets: Vec<Tensor>,
    /// The inputs whose gradients are checked against finite differences.
    pub wrt: Vec<usize>,
    /// The largest error allowed, in units of 2^-23 of the element (see [`Case::sums`]).
    pub ulps: f64,
    /// Whether an element smaller than the output's root mean square is measured against that instead:
    /// right for sums, whose terms may cancel.
    pub sums: bool,
}

impl Case {
    /// A case of `op` that allows 2 ulps an element and checks no gradient.
    pub fn new(label: impl Into<String>, op: impl Op, inputs: Vec<Tensor>) -> Self {
        let label = label.into();
        Self { label, op: Arc::new(op), inputs, targets: Vec::new(), wrt: Vec::new(), ulps: 2.0, sums: false }
    }

    /// Makes it a case of an effect.
    #[must_use]
    pub fn changes(mut self, targets: Vec<Tensor>) -> Self {
        self.targets = targets;
        self
    }

    /// Checks the gradients of these inputs.
    #[must_use]
    pub fn wrt(mut self, inputs: &[usize]) -> Self {
        self.wrt = inputs.to_vec();
        self
    }

    /// Allows errors of this many ulps.
    #[must_use]
    pub fn ulps(mut self, ulps: f64) -> Self {
        self.ulps = ulps;
        self
    }

    /// Allows what summing `terms` numbers in any order costs. The error of such a sum, in ulps of the output's root mean
    /// square, has a standard deviation of a fifth of the root of their number; among ten thousand outputs some had
    /// partial sums several times the usual size, and strayed by seven (seen: 1.3 roots on the CPU's own product).
    #[must_use]
    pub fn sums(mut self, terms: usize) -> Self {
        self.ulps += 2.0 * (terms as f64).sqrt();
        self.sums = true;
        self
    }

    /// The types of its inputs and of what it writes.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where the op does not take these inputs.
    pub fn io(&self) -> Result<Io> {
        let types = |tensors: &[Tensor]| -> Vec<Type> { tensors.iter().map(Type::of).collect() };
        let inputs = types(&self.inputs);
        let outputs = if self.targets.is_empty() { self.op.outputs(&inputs)? } else { types(&self.targets) };
        Ok(Io { inputs, outputs })
    }

    /// The first element of `found` that is further from `reference` than allowed, or the worst error in ulps.
    ///
    /// # Errors
    /// The mismatch in words: index, both values, error and tolerance.
    pub fn compare(&self, reference: &[f64], found: &[f64]) -> Result<f64, String> {
        if reference.len() != found.len() {
            return Err(format!("{} elements, the reference has {}", found.len(), reference.len()));
        }
        // Of what is finite in f32: one element beyond that would let all others be anything.
        let finite = || reference.iter().filter(|r| r.abs() <= f64::from(f32::MAX));
        let mean_square = finite().map(|r| r * r).sum::<f64>() / finite().count().max(1) as f64;
        // Below this f32 has no full precision; a relative error means nothing there.
        let floor = if self.sums { mean_square.sqrt() } else { 0.0 }.max(f64::from(f32::MIN_POSITIVE));
        let mut worst = 0.0f64;
        for (i, (&r, &f)) in reference.iter().zip(found).enumerate() {
            let same =
                r == f || (r.is_nan() && f.is_nan()) || (r.abs() > f64::from(f32::MAX) && r.signum() * f > 3.4e38);
            let error = if same { 0.0 } else { (f - r).abs() / (r.abs().max(floor) * 2f64.powi(-23)) };
            // NaN fails every comparison, so it is asked for by name.
            if error.is_nan() || error > self.ulps {
                return Err(format!("element {i} is {f:e}, expected {r:e}: {error:.1} ulps, allowed {:.1}", self.ulps));
            }
            worst = worst.max(error);
        }
        Ok(worst)
    }
}

/// Numbers uniform in [-1, 1), the same on every machine for one `seed`.
pub fn random(shape: impl Into<Shape>, seed: u64) -> Tensor {
    let shape = shape.into();
    let mut rng = stream(seed, "case", 0);
    let values: Vec<f32> = (0..shape.len()).map(|_| (rng.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0).collect();
    Tensor::new(shape, values).expect("one value an element")
}

/// Numbers uniform in [0, 1): in their sums nothing cancels.
pub fn positive(shape: impl Into<Shape>, seed: u64) -> Tensor {
    let random = random(shape, seed);
    let values: Vec<f32> = random.values().to_f32().iter().map(|x| x.abs()).collect();
    Tensor::new(random.shape().clone(), values).expect("as many as before")
}

/// Integers uniform in 0..below, as `dtype`: `U32` or `U8`.
pub fn integers(shape: impl Into<Shape>, below: u32, dtype: DType, seed: u64) -> Tensor {
    let shape = shape.into();
    let mut rng = stream(seed, "case", 1);
    let values: Vec<u32> = (0..shape.len()).map(|_| rng.next_u32() % below).collect();
    match dtype {
        DType::U8 => Tensor::new(shape, values.iter().map(|&v| v as u8).collect::<Vec<_>>()),
        _ => Tensor::new(shape, values),
    }
    .expect("one value an element")
}

/// The numbers of a clock: see [`super::clock`].
pub fn clock(step: u32, offset: u32) -> Tensor {
    Tensor::new([super::clock::WORDS], vec![step, offset, step, 0]).expect("four words")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::sum::Sum;

    #[test]
    fn one_infinite_element_lets_no_other_be_wrong() {
        let case = Case::new("", Sum::new(0..1), Vec::new()).sums(4);
        for infinite in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e300] {
            let reference = [infinite, 1.0, -2.0];
            assert!(case.compare(&reference, &[infinite, 1.0, -2.0]).is_ok(), "{infinite}");
            assert!(case.compare(&reference, &[infinite, 1.0, -2.1]).is_err(), "{infinite}");
        }
        let close = 2.0 + 2f64.powi(-22);
        assert!(case.compare(&[2.0], &[close]).is_ok() && case.compare(&[2.0], &[f64::INFINITY]).is_err());
    }
}
