//! The floats that the CPU computes in, and their functions that are not a processor's own.

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::ops::Range;

use super::bounded::{normal, normal_density, tanh};
use super::convolution::Convolution;
use super::cpu::Finish;
use super::exponential::{exponential, exponential_minus_one, log_one_plus};
use super::product::{self, Product};
use crate::tensor::Values;

/// The float that a CPU executor computes in: f32 to train, f64 as the reference.
pub trait Real:
    num_traits::Float + num_traits::NumAssign + bytemuck::Pod + std::iter::Sum + std::fmt::Debug + Send + Sync
{
    /// Rounds a double to this type.
    fn of(x: f64) -> Self;

    /// A byte as this type, exactly.
    fn of_u8(x: u8) -> Self;

    /// This number as a double, exactly.
    fn f64(self) -> f64;

    /// Elements in this type.
    fn values(elements: Vec<Self>) -> Values;

    /// Zero where the number is subnormal in f32, the number itself elsewhere. Optimizers flush their moments:
    /// processors and some GPUs take many times longer over subnormals.
    fn flushed(self) -> Self {
        if self.abs() < Self::of(f64::from(f32::MIN_POSITIVE)) { Self::zero() } else { self }
    }

    /// e to the power of the number, which loops of f32 make by vectors.
    #[must_use]
    #[inline(always)]
    fn exponential(self) -> Self {
        self.exp()
    }

    /// The `gemm` crate's product of matrices, chosen by the processor.
    fn library() -> product::Library<Self>;

    /// y = op(a) op(b), a product of matrices.
    ///
    /// # Panics
    /// Where a slice is not as long as the extents say.
    fn multiply(product: &Product<'_, Self>, y: &mut [Self]) {
        product.by_library(y);
    }

    /// Whether [`Real::multiply_packed`] gives a row of y the same bits whatever other rows there are.
    const BY_ROWS: bool = false;

    /// How many numbers a packed right side (K, N) has.
    fn packed_len([k, n]: [usize; 2]) -> usize {
        k * n
    }

    /// Some columns of b, whose rows have `width` numbers, as [`Real::multiply_packed`] reads them.
    fn pack(b: &[Self], width: usize, columns: Range<usize>, packed: &mut [Self]) {
        for (packed, b) in packed.chunks_mut(columns.len().max(1)).zip(b.chunks(width)) {
            packed.copy_from_slice(&b[columns.clone()]);
        }
    }

    /// y (M, N) = a (M, K) b (K, N), by the calling thread alone, b as [`Real::pack`] has left it: for products that have it in common.
    ///
    /// # Panics
    /// Where a slice is not as long as the extents say.
    fn multiply_packed(a: &[Self], packed: &[Self], extents: [usize; 3], y: &mut [Self]) {
        Product { a, b: packed, extents, trans_a: false, trans_b: false }.by_library_alone(y);
    }

    /// 1 / (1 + exp(-x)), with all its digits in both tails, which loops of f32 make by vectors.
    #[must_use]
    #[inline(always)]
    fn sigmoid(self) -> Self {
        // exp(-x) would overflow in the left tail, where x / infinity drops the last digits.
        let e = (-self.abs()).exponential();
        (if self < Self::zero() { e } else { Self::one() }) / (Self::one() + e)
    }

    /// The hyperbolic tangent, which loops of f32 make by vectors.
    #[must_use]
    fn hyperbolic_tangent(self) -> Self {
        self.tanh()
    }

    /// e^x - 1 for x up to 0, which loops of f32 make by vectors.
    #[must_use]
    fn exponential_minus_one(self) -> Self {
        self.exp_m1()
    }

    /// ln(1 + x) for x of 0 to 1, which loops of f32 make by vectors.
    #[must_use]
    fn log_one_plus(self) -> Self {
        self.ln_1p()
    }

    /// The normal distribution's integral up to x, which loops of f32 make by vectors.
    #[must_use]
    fn normal(self) -> Self {
        Self::of(0.5 * libm::erfc(-self.f64() * FRAC_1_SQRT_2))
    }

    /// The normal distribution's density, which loops of f32 make by vectors.
    #[must_use]
    fn normal_density(self) -> Self {
        let x = self.f64();
        Self::of((-0.5 * x * x).exp() / (2.0 * PI).sqrt())
    }

    /// A pass of a convolution, and what follows it.
    ///
    /// # Panics
    /// Where a slice is not as long as the extents say.
    fn convolve(convolution: &Convolution<'_, Self>, y: &mut [Self], finish: Finish<'_, Self>) {
        convolution.by_loops(y, finish);
    }
}

impl Real for f32 {
    #[inline]
    fn of(x: f64) -> Self {
        x as Self
    }

    #[inline]
    fn of_u8(x: u8) -> Self {
        Self::from(x)
    }

    #[inline]
    fn f64(self) -> f64 {
        f64::from(self)
    }

    fn values(elements: Vec<Self>) -> Values {
        Values::F32(elements)
    }

    #[inline(always)]
    fn exponential(self) -> Self {
        exponential(self)
    }

    fn library() -> product::Library<Self> {
        gemm_f32::gemm::f32::get_gemm_fn()
    }

    fn multiply(product: &Product<'_, Self>, y: &mut [Self]) {
        product.by_kernel(y);
    }

    const BY_ROWS: bool = true;

    fn packed_len(extents: [usize; 2]) -> usize {
        product::packed_len(extents)
    }

    fn pack(b: &[Self], width: usize, columns: Range<usize>, packed: &mut [Self]) {
        product::pack(b, width, columns, packed);
    }

    fn multiply_packed(a: &[Self], packed: &[Self], extents: [usize; 3], y: &mut [Self]) {
        product::multiply_packed(a, packed, extents, y);
    }

    #[inline(always)]
    fn hyperbolic_tangent(self) -> Self {
        tanh(self)
    }

    #[inline(always)]
    fn exponential_minus_one(self) -> Self {
        exponential_minus_one(self)
    }

    #[inline(always)]
    fn log_one_plus(self) -> Self {
        log_one_plus(self)
    }

    #[inline(always)]
    fn normal(self) -> Self {
        normal(self)
    }

    #[inline(always)]
    fn normal_density(self) -> Self {
        normal_density(self)
    }

    fn convolve(convolution: &Convolution<'_, Self>, y: &mut [Self], finish: Finish<'_, Self>) {
        convolution.by_vectors(y, finish);
    }
}

impl Real for f64 {
    #[inline]
    fn of(x: f64) -> Self {
        x
    }

    #[inline]
    fn of_u8(x: u8) -> Self {
        Self::from(x)
    }

    #[inline]
    fn f64(self) -> f64 {
        self
    }

    fn values(elements: Vec<Self>) -> Values {
        Values::F64(elements)
    }

    fn library() -> product::Library<Self> {
        gemm_f64::gemm::f64::get_gemm_fn()
    }
}
