//! Recurrence over the steps of sequences: h\[t\] = cell(x\[t\], h[t - 1] u), where x has what a layer's kernel makes of all steps at once.
//!
//! One node, however many steps there are. Rows of a batch do not depend on each other, so that a thread, or a workgroup, walks all
//! steps with rows of its own.

mod cases;
mod cells;
mod cpu;
mod gpu;
#[cfg(feature = "onnx")]
mod onnx;

use std::ops::Range;
use std::sync::Arc;

use super::activation::Function;
use super::binary::Binary;
use super::concat::Concat;
use super::cpu::{CpuArgs, CpuOp, Real};
use super::dispatch::{Dispatch, Target};
use super::matmul::MatMul;
use super::reshape::Reshape;
use super::slice::Slice;
use super::sum::Sum;
use super::transpose::Transpose;
use super::{Case, Io, Op, expect_inputs};
use crate::error::{Error, Result};
#[cfg(feature = "onnx")]
use crate::graph::onnx::Writer;
use crate::graph::{Graph, Id, Type};
use crate::tensor::DType;

pub(crate) use cases::cases;
pub(crate) use gpu::product_of_step;

/// What a step makes of x and of the state before it; f is the activation, s that of the gates, and a b is a product of matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// h = f(x + h u)
    Simple,
    /// (i, f, g, o) = x + h u; c = s(f) c + s(i) f(g); h = s(o) f(c): Hochreiter and Schmidhuber, 1997, with forget gates.
    Lstm,
    /// (z, r) = s(x + h u) of the first two thirds; g = f(x + (r h) u) of the last; h = z h + (1 - z) g: Cho et al., 2014.
    Gru,
    /// The same with g = f(x + r (h u + bias)): one product a step.
    GruResetAfter,
}

impl Cell {
    /// Parts of x, each as wide as the state.
    pub fn gates(self) -> usize {
        match self {
            Self::Simple => 1,
            Self::Lstm => 4,
            Self::Gru | Self::GruResetAfter => 3,
        }
    }

    /// Parts that the product of h makes: all but of [`Cell::Gru`], whose last is another product's.
    fn of_h(self) -> usize {
        if self == Self::Gru { 2 } else { self.gates() }
    }

    /// Parts of the state: h, and c of an LSTM.
    pub fn states(self) -> usize {
        if self == Self::Lstm { 2 } else { 1 }
    }

    /// Parts that each step keeps for the gradient: h; i, f, g, o and c before the step; z, r, g, and h u + bias of the last third.
    fn kept(self) -> usize {
        match self {
            Self::Simple => 1,
            Self::Lstm => 5,
            Self::Gru => 3,
            Self::GruResetAfter => 4,
        }
    }
}

/// y (batch, steps, units), the state h behind each step; last (batch, states, units), the state behind the last step; and for the
/// gradient alone h before each step, and what [`Cell`] keeps. Inputs are x (batch, steps, gates * units), u (units, gates *
/// units), the first state (batch, states, units), of [`Cell::GruResetAfter`] its bias (units,), where `masked` a mask (batch, steps),
/// where `dropped` what h is multiplied by before each product (batch, units). At a step whose mask is 0 the state stays.
#[derive(Clone, Debug)]
pub struct Recurrence {
    /// What a step does.
    pub cell: Cell,
    /// f; none is the identity.
    pub activation: Option<Function>,
    /// s; none is the identity.
    pub recurrent_activation: Option<Function>,
    /// Whether the last step comes first. What is made of a step stands at that step.
    pub backwards: bool,
    /// Whether there is a mask.
    pub masked: bool,
    /// Whether h is multiplied by something before each product.
    pub dropped: bool,
}

/// dx and the gradient of the first state, of what was kept, u transposed, h before each step, and the gradients of y and of the
/// last state, as far as there are any; then the mask and what h was multiplied by.
#[derive(Clone, Debug)]
pub struct RecurrenceGrad {
    /// What it is the gradient of.
    pub forward: Recurrence,
    /// Whether the loss depends on y.
    pub of_y: bool,
    /// Whether the loss depends on the last state.
    pub of_last: bool,
}

/// The extents of a recurrence.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    rows: usize,
    steps: usize,
    units: usize,
}

impl Sizes {
    /// Of a value (rows, steps, units).
    fn of(value: &Type) -> Self {
        let [rows, steps, units] = value.shape[..] else { unreachable!("the shape rule has seen {value}") };
        Self { rows, steps, units }
    }
}

/// More units go round the loops of a kernel too often: see `gpu.rs`.
pub const MOST_UNITS: usize = 2048;

impl Recurrence {
    /// Of a cell with Keras' activations: tanh, and sigmoid for its gates.
    pub fn new(cell: Cell) -> Self {
        let [activation, recurrent_activation] = [Some(Function::Tanh), Some(Function::Sigmoid)];
        Self { cell, activation, recurrent_activation, backwards: false, masked: false, dropped: false }
    }

    fn has_bias(&self) -> bool {
        self.cell == Cell::GruResetAfter
    }

    /// The index of the mask among the inputs, and that of what h is multiplied by.
    fn optional(&self) -> [Option<usize>; 2] {
        let mask = 3 + usize::from(self.has_bias());
        [self.masked.then_some(mask), self.dropped.then_some(mask + usize::from(self.masked))]
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error::shape(self.name(), message)
    }

    /// The extents, after x and u.
    fn sizes(&self, x: &Type, units: usize) -> Result<Sizes> {
        let [rows, steps, width] = x.shape[..] else {
            return Err(self.error(format!("x is {x}, expected (batch, steps, {} units)", self.cell.gates())));
        };
        if units == 0 || units > MOST_UNITS || width != self.cell.gates() * units {
            let (message, gates) = (format!("x is {x} for {units} units"), self.cell.gates());
            return Err(self.error(format!("{message}, expected {gates} parts of 1 to {MOST_UNITS} units")));
        }
        Ok(Sizes { rows, steps, units })
    }

    /// That each input has the shape that these sizes ask for.
    fn check(&self, inputs: &[Type], wanted: &[(&str, Vec<usize>)]) -> Result<()> {
        expect_inputs(self.name(), inputs, &vec![DType::F32; wanted.len()])?;
        match inputs.iter().zip(wanted).find(|(found, (_, shape))| *found.shape != **shape) {
            Some((found, (what, shape))) => {
                Err(self.error(format!("{what} is {found}, expected {}", Type::float(shape.clone()))))
            }
            None => Ok(()),
        }
    }

    /// The shapes of the mask and of what h is multiplied by, as far as there are any.
    fn optional_shapes(&self, Sizes { rows, steps, units }: Sizes) -> Vec<(&'static str, Vec<usize>)> {
        let mask = self.masked.then(|| ("the mask", vec![rows, steps]));
        mask.into_iter().chain(self.dropped.then(|| ("the dropout", vec![rows, units]))).collect()
    }

    /// That the kernels can have both activations: they have one number for both.
    fn check_activations(&self) -> Result<()> {
        let told = |f: Option<Function>| match f {
            Some(Function::LeakyRelu { negative_slope: number } | Function::Elu { alpha: number }) => Some(number),
            _ => None,
        };
        match (told(self.activation), told(self.recurrent_activation)) {
            (Some(a), Some(b)) if a != b => {
                Err(self.error(format!("its activations have the numbers {a} and {b}; give both the same one")))
            }
            _ => Ok(()),
        }
    }

    /// The gradients of u and of the bias, given dx.
    fn of_weights(&self, g: &mut Graph, x: &[Id], [prev, saved, dx]: [Id; 3]) -> Result<[Option<Id>; 2]> {
        let units = g.shape(x[1])[0];
        let product = |g: &mut Graph, h: Id, da: Id| g.apply(MatMul::new(true, false), &[h, da]);
        let mut h = prev;
        if let Some(i) = self.optional()[1] {
            let rows = g.shape(x[i])[0];
            let dropped = g.apply(Reshape([rows, 1, units].into()), &[x[i]])?;
            h = g.apply(Binary::Mul, &[prev, dropped])?;
        }
        if matches!(self.cell, Cell::Simple | Cell::Lstm) {
            return Ok([Some(product(g, h, dx)?), None]);
        }
        let [gates, candidate] = [columns(g, dx, 0..2 * units)?, columns(g, dx, 2 * units..3 * units)?];
        let r = columns(g, saved, units..2 * units)?;
        let first = product(g, h, gates)?;
        let (of_candidate, bias) = if self.has_bias() {
            let inner = g.apply(Binary::Mul, &[r, candidate])?;
            (product(g, h, inner)?, Some(g.apply(Sum::new(0..2), &[inner])?))
        } else {
            let reset = g.apply(Binary::Mul, &[r, h])?;
            (product(g, reset, candidate)?, None)
        };
        Ok([Some(g.apply(Concat(1), &[first, of_candidate])?), bias])
    }
}

/// Numbers of a range along the last of three axes.
fn columns(g: &mut Graph, x: Id, range: Range<usize>) -> Result<Id> {
    let part = Slice::along(g.shape(x), 2, range);
    g.apply(part, &[x])
}

impl<T: Real> CpuOp<T> for Recurrence {
    fn cpu(&self, args: CpuArgs<'_, T>) {
        cpu::forward(self, args);
    }
}

impl Op for Recurrence {
    fn name(&self) -> &'static str {
        match self.cell {
            Cell::Simple => "simple_rnn",
            Cell::Lstm => "lstm",
            Cell::Gru => "gru",
            Cell::GruResetAfter => "gru_reset_after",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        if inputs.len() < 3 {
            return Err(self.error(format!("takes 3 inputs or more, was given {}", inputs.len())));
        }
        self.check_activations()?;
        let sizes @ Sizes { rows, steps, units } =
            self.sizes(&inputs[0], inputs[1].shape.first().copied().unwrap_or(0))?;
        let (width, states) = (self.cell.gates() * units, self.cell.states());
        let mut wanted = vec![
            ("x", vec![rows, steps, width]),
            ("u", vec![units, width]),
            ("the first state", vec![rows, states, units]),
        ];
        wanted.extend(self.has_bias().then(|| ("the bias", vec![units])));
        wanted.extend(self.optional_shapes(sizes));
        self.check(inputs, &wanted)?;
        let of = |parts: usize| Type::float([rows, steps, parts * units]);
        Ok(vec![of(1), Type::float([rows, states, units]), of(1), of(self.cell.kept())])
    }

    fn grad(&self, g: &mut Graph, x: &[Id], y: &[Id], dy: &[Option<Id>]) -> Result<Vec<Option<Id>>> {
        let [of_y, of_last, None, None] = *dy else {
            return Err(self.error("what it keeps for its gradient has none itself"));
        };
        let [prev, saved] = [y[2], y[3]];
        let transposed = g.apply(Transpose(vec![1, 0]), &[x[1]])?;
        let op = RecurrenceGrad { forward: self.clone(), of_y: of_y.is_some(), of_last: of_last.is_some() };
        let optional = self.optional().into_iter().flatten().map(|i| x[i]);
        let inputs: Vec<Id> =
            [saved, transposed, prev].into_iter().chain(of_y).chain(of_last).chain(optional).collect();
        let made = g.apply_all(Arc::new(op), &inputs)?;
        let [du, dbias] = self.of_weights(g, x, [prev, saved, made[0]])?;
        let mut dx = vec![Some(made[0]), du, Some(made[1])];
        dx.extend(self.has_bias().then_some(dbias));
        dx.resize(x.len(), None);
        Ok(dx)
    }

    #[cfg(feature = "onnx")]
    fn onnx(&self, writer: &mut Writer<'_>) -> Result<()> {
        self.write(writer)
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        gpu::forward(self, io, target)
    }

    fn flops(&self, io: &Io) -> u64 {
        flops(&io.inputs[0], &io.inputs[1])
    }
}

impl<T: Real> CpuOp<T> for RecurrenceGrad {
    fn cpu(&self, args: CpuArgs<'_, T>) {
        cpu::backward(self, args);
    }
}

impl RecurrenceGrad {
    /// The indices of dy, of the last state's gradient, of the mask and of what h was multiplied by among the inputs.
    fn places(&self) -> [Option<usize>; 4] {
        let mut next = 3;
        [self.of_y, self.of_last, self.forward.masked, self.forward.dropped].map(|given| {
            next += usize::from(given);
            given.then(|| next - 1)
        })
    }
}

impl Op for RecurrenceGrad {
    fn name(&self) -> &'static str {
        match self.forward.cell {
            Cell::Simple => "simple_rnn_grad",
            Cell::Lstm => "lstm_grad",
            Cell::Gru => "gru_grad",
            Cell::GruResetAfter => "gru_reset_after_grad",
        }
    }

    fn outputs(&self, inputs: &[Type]) -> Result<Vec<Type>> {
        let forward = &self.forward;
        let [_, _, prev, ..] = inputs else {
            return Err(forward.error(format!("its gradient takes 3 inputs or more, was given {}", inputs.len())));
        };
        let [rows, steps, units] = prev.shape[..] else {
            return Err(forward.error(format!("h before each step is {prev}, expected (batch, steps, units)")));
        };
        let (width, states) = (forward.cell.gates() * units, forward.cell.states());
        let x = Type::float([rows, steps, width]);
        let sizes = forward.sizes(&x, units)?;
        let state = vec![rows, states, units];
        let mut wanted = vec![
            ("what it kept", vec![rows, steps, forward.cell.kept() * units]),
            ("u transposed", vec![width, units]),
            ("h before each step", vec![rows, steps, units]),
        ];
        wanted.extend(self.of_y.then(|| ("dy", vec![rows, steps, units])));
        wanted.extend(self.of_last.then(|| ("the gradient of the last state", state.clone())));
        wanted.extend(forward.optional_shapes(sizes));
        forward.check(inputs, &wanted)?;
        Ok(vec![x, Type::float(state)])
    }

    fn gpu(&self, io: &Io, target: &Target) -> Vec<Dispatch> {
        gpu::backward(self, io, target)
    }

    fn flops(&self, io: &Io) -> u64 {
        flops(&io.outputs[0], &io.inputs[1])
    }
}

/// Each number of x takes a sum over as many as there are units.
fn flops(x: &Type, u: &Type) -> u64 {
    let width = x.shape[2].max(1);
    2 * x.shape.len() as u64 * (u.shape.len() / width) as u64
}
