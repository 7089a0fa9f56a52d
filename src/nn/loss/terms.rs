//! What losses are made of: element-wise nodes, and what several of them share.

use crate::error::Result;
use crate::graph::{Graph, Id};
use crate::ops::Op;
use crate::ops::binary::Binary;
use crate::ops::curve::{Bend, Curve};
use crate::ops::reduce::{Reduce, Reduction};
use crate::ops::reshape::Reshape;
use crate::ops::select::Select;
use crate::ops::sum::Sum;
use crate::ops::unary::Unary;

/// Keras' `epsilon`.
pub(in crate::nn) const EPSILON: f64 = 1e-7;

/// The terms of a loss, one an output, in a graph under way.
pub(super) struct Terms<'a>(pub &'a mut Graph);

impl Terms<'_> {
    pub fn with(&mut self, op: Binary, a: Id, b: Id) -> Result<Id> {
        self.0.apply(op, &[a, b])
    }

    pub fn number(&mut self, op: Binary, a: Id, number: f64) -> Result<Id> {
        let number = self.0.fill(number, []);
        self.0.apply(op, &[a, number])
    }

    pub fn map(&mut self, op: impl Op, x: Id) -> Result<Id> {
        self.0.apply(op, &[x])
    }

    /// 1 - x
    pub fn rest(&mut self, x: Id) -> Result<Id> {
        let one = self.0.fill(1.0, []);
        self.with(Binary::Sub, one, x)
    }

    /// x, at least EPSILON and at most `most`.
    pub fn clipped(&mut self, x: Id, most: f64) -> Result<Id> {
        let x = self.number(Binary::Max, x, EPSILON)?;
        self.number(Binary::Min, x, most)
    }

    /// log(1 + x), of EPSILON where x is less.
    pub fn logarithm(&mut self, x: Id) -> Result<Id> {
        let x = self.number(Binary::Max, x, EPSILON)?;
        let x = self.number(Binary::Add, x, 1.0)?;
        self.map(Unary::Log, x)
    }

    /// |p - t|
    pub fn distance(&mut self, p: Id, t: Id) -> Result<Id> {
        let error = self.with(Binary::Sub, p, t)?;
        self.map(Unary::Abs, error)
    }

    /// q^2 / 2 + delta (|p - t| - q) with q = min(|p - t|, delta): both branches at once, as smooth as the loss is.
    pub fn huber(&mut self, p: Id, t: Id, delta: f64) -> Result<Id> {
        let size = self.distance(p, t)?;
        let near = self.number(Binary::Min, size, delta)?;
        let square = self.map(Unary::Square, near)?;
        let half = self.number(Binary::Mul, square, 0.5)?;
        let far = self.with(Binary::Sub, size, near)?;
        let far = self.number(Binary::Mul, far, delta)?;
        self.with(Binary::Add, half, far)
    }

    /// Targets of which a share has given way to equal parts of the classes.
    pub fn smoothed(&mut self, t: Id, share: f64, classes: usize) -> Result<Id> {
        if share == 0.0 {
            return Ok(t);
        }
        let left = self.number(Binary::Mul, t, 1.0 - share)?;
        self.number(Binary::Add, left, share / classes as f64)
    }

    /// -t log p - (1 - t) log(1 - p)
    pub fn binary(&mut self, p: Id, t: Id) -> Result<Id> {
        let p = self.clipped(p, 1.0 - EPSILON)?;
        let (not_p, not_t) = (self.rest(p)?, self.rest(t)?);
        let (log_p, log_not_p) = (self.map(Unary::Log, p)?, self.map(Unary::Log, not_p)?);
        let hit = self.minus_product(t, log_p)?;
        let other = self.with(Binary::Mul, not_t, log_not_p)?;
        self.with(Binary::Sub, hit, other)
    }

    /// t softplus(-x) + (1 - t) softplus(x): neither cancels where the model is certain.
    pub fn binary_of_logits(&mut self, x: Id, t: Id) -> Result<Id> {
        let (minus_x, not_t) = (self.map(Unary::Neg, x)?, self.rest(t)?);
        let if_one = self.map(Bend(Curve::Softplus), minus_x)?;
        let if_zero = self.map(Bend(Curve::Softplus), x)?;
        let if_one = self.with(Binary::Mul, t, if_one)?;
        let if_zero = self.with(Binary::Mul, not_t, if_zero)?;
        self.with(Binary::Add, if_one, if_zero)
    }

    /// -t log(p / sum p)
    pub fn categorical(&mut self, p: Id, t: Id) -> Result<Id> {
        let total = self.row_sum(p)?;
        let share = self.with(Binary::Div, p, total)?;
        let share = self.clipped(share, 1.0 - EPSILON)?;
        let log = self.map(Unary::Log, share)?;
        self.minus_product(t, log)
    }

    /// max(1 - t p, 0), where t becomes 2 t - 1 if the whole batch is of 0 and 1, as Keras has it.
    pub fn hinge(&mut self, p: Id, t: Id) -> Result<Id> {
        let (zeros, ones) = (self.number(Binary::Equal, t, 0.0)?, self.number(Binary::Equal, t, 1.0)?);
        let either = self.with(Binary::Max, zeros, ones)?;
        let axes = 0..self.0.shape(t).rank();
        let binary = self.map(Reduce { reduction: Reduction::Min, axes }, either)?;
        let twice = self.number(Binary::Mul, t, 2.0)?;
        let signs = self.number(Binary::Sub, twice, 1.0)?;
        let t = self.0.apply(Select, &[binary, signs, t])?;
        let agreed = self.with(Binary::Mul, t, p)?;
        let short = self.rest(agreed)?;
        self.number(Binary::Max, short, 0.0)
    }

    /// x at a length of 1 over the last axis. As in Keras what is shorter than EPSILON is not stretched to it.
    pub fn direction(&mut self, x: Id) -> Result<Id> {
        let squares = self.map(Unary::Square, x)?;
        let total = self.row_sum(squares)?;
        // The root's slope at 0 is infinite: nothing below the smallest square that counts may reach it.
        let total = self.number(Binary::Max, total, EPSILON * EPSILON)?;
        let length = self.map(Unary::Sqrt, total)?;
        self.with(Binary::Div, x, length)
    }

    pub fn minus_product(&mut self, a: Id, b: Id) -> Result<Id> {
        let product = self.with(Binary::Mul, a, b)?;
        self.map(Unary::Neg, product)
    }

    /// The sum over the last axis, which stays as 1.
    pub fn row_sum(&mut self, x: Id) -> Result<Id> {
        let shape = self.0.shape(x).clone();
        let last = shape.rank() - 1;
        let sum = self.map(Sum::new(last..shape.rank()), x)?;
        self.map(Reshape([&shape[..last], &[1]].concat().into()), sum)
    }

    /// One number a sample: over the outputs the mean, or the sum over the last axis and the mean over those between.
    pub fn per_sample(&mut self, terms: Id, sums: bool) -> Result<Id> {
        let shape = self.0.shape(terms).clone();
        let rank = shape.rank();
        let last = shape.last().copied().unwrap_or(1);
        let terms_of_mean = shape[1..].iter().product::<usize>() / if sums { last } else { 1 };
        self.map(Sum::scaled(1..rank, 1.0 / terms_of_mean as f64), terms)
    }
}
