//! What recurrent layers write into the graph.

use std::ops::Range;
use std::sync::Arc;

use super::super::dropout::check_rate;
use super::{Kind, Recurrent};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Activation, Initializer, Known, Scope, mask};
use crate::ops::activation::Function;
use crate::ops::binary::Binary;
use crate::ops::concat::Concat;
use crate::ops::dropout::Dropout;
use crate::ops::matmul::MatMul;
use crate::ops::recurrence::Recurrence;
use crate::ops::reshape::Reshape;
use crate::ops::reverse::Reverse;
use crate::ops::slice::Slice;

/// What a walk over sequences gives.
pub(super) struct Walked {
    /// h behind each step (batch, steps, units), at its step.
    pub sequence: Id,
    /// What the layer gives of a sequence as a whole, (batch, units).
    pub last: Id,
    /// h and, of an LSTM, c behind the last step, each (batch, units).
    pub states: Vec<Id>,
    /// The mask of the steps.
    pub mask: Option<Id>,
}

/// Names of the states that a stateful layer keeps.
const STATES: [&str; 2] = ["hidden_state", "cell_state"];

/// Whether a layer's state of this name goes from batch to batch.
pub(crate) fn is_kept(name: &str) -> bool {
    STATES.contains(&name.rsplit('/').next().unwrap_or(name))
}

/// What lies in a range along one axis.
fn cut(scope: &mut Scope<'_>, x: Id, axis: usize, range: Range<usize>) -> Result<Id> {
    let part = Slice::along(scope.graph.shape(x), axis, range);
    scope.graph.apply(part, &[x])
}

/// Ones and zeros (batch, ..., features) to multiply by, ones of which the rate are zeros and the others larger.
fn dropout(scope: &mut Scope<'_>, rate: f64, extents: &[usize]) -> Result<Option<Id>> {
    check_rate(scope, rate)?;
    let salt = scope.salt();
    let Some(clock) = scope.training().filter(|_| rate > 0.0) else { return Ok(None) };
    let ones = scope.graph.fill(1.0, extents.to_vec());
    scope.graph.apply(Dropout::new(rate, salt), &[ones, clock]).map(Some)
}

impl Recurrent {
    pub(super) fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let (x, first) = self.expect(scope, inputs, 1)?;
        let walked = self.walk(scope, "", x, &first, self.go_backwards)?;
        let mut y = if self.return_sequences { walked.sequence } else { walked.last };
        if self.return_sequences && self.go_backwards {
            y = scope.graph.apply(Reverse(1), &[y])?;
        }
        if let Some(mask) = walked.mask.filter(|_| self.return_sequences) {
            scope.set_mask(y, mask)?;
        }
        let states = if self.return_state { walked.states } else { Vec::new() };
        Ok([y].into_iter().chain(states).collect())
    }

    /// The sequences, and the states to begin with of so many walks, if there are any.
    pub(super) fn expect(&self, scope: &Scope<'_>, inputs: &[Id], walks: usize) -> Result<(Id, Vec<Id>)> {
        let count = self.cell().states() * walks;
        let Some((&x, first)) = inputs.split_first().filter(|(_, first)| [0, count].contains(&first.len())) else {
            let message = format!("takes sequences, or these and {count} states; was given {} inputs", inputs.len());
            return Err(scope.error(message));
        };
        let shape = scope.graph.shape(x);
        if shape.rank() != 3 {
            return Err(scope.error(format!("takes sequences (batch, steps, features), was given {shape}")));
        }
        let wanted = [shape[0], self.units];
        match first.iter().map(|&state| scope.graph.shape(state)).find(|state| ***state != wanted) {
            Some(state) => Err(scope.error(format!("takes states of {wanted:?}, was given {state}"))),
            None => Ok((x, first.to_vec())),
        }
    }

    /// Walks over sequences, with weights whose names begin with `prefix`.
    pub(super) fn walk(
        &self,
        scope: &mut Scope<'_>,
        prefix: &str,
        x: Id,
        first: &[Id],
        backwards: bool,
    ) -> Result<Walked> {
        self.misnamed.check_in(scope)?;
        if self.units == 0 {
            return Err(scope.error("0 units make nothing; give 1 or more"));
        }
        let mask = scope.mask(x);
        let [rows, _, features] = scope.graph.shape(x)[..] else { return Err(scope.error("takes sequences")) };
        let mut read = x;
        if let Some(dropped) = dropout(scope, self.dropout, &[rows, 1, features])? {
            read = scope.graph.apply(Binary::Mul, &[x, dropped])?;
        }
        let dropped = dropout(scope, self.recurrent_dropout, &[rows, self.units])?;
        let first = match first {
            [] => self.first_state(scope, prefix, rows)?,
            given => self.joined(scope, given)?,
        };
        let (of_x, recurrent, bias) = self.weighed(scope, prefix, read, features)?;
        let op = Recurrence {
            activation: function(scope, self.activation, "activation")?,
            recurrent_activation: function(scope, self.recurrent_activation, "recurrent_activation")?,
            backwards,
            masked: mask.is_some(),
            dropped: dropped.is_some(),
            ..Recurrence::new(self.cell())
        };
        let reads: Vec<Id> = [of_x, recurrent, first].into_iter().chain(bias).chain(mask).chain(dropped).collect();
        let made = scope.graph.apply_all(Arc::new(op), &reads)?;
        let states = self.parted(scope, made[1])?;
        self.keep(scope, prefix, &states)?;
        let (mut sequence, mut last) = (made[0], states[0]);
        if let Some(mask) = mask.filter(|_| self.zero_output_for_mask) {
            sequence = mask::weighed(scope.graph, sequence, mask)?;
            let steps = scope.graph.shape(mask)[1];
            let end = if backwards { 0 } else { steps - 1 };
            let of_last = cut(scope, mask, 1, end..end + 1)?;
            last = scope.graph.apply(Binary::Mul, &[last, of_last])?;
        }
        Ok(Walked { sequence, last, states, mask })
    }

    /// What the op reads of weights: x times the kernel with the bias of all gates, the recurrent kernel, and the bias that a GRU which
    /// resets behind the product adds there.
    fn weighed(&self, scope: &mut Scope<'_>, prefix: &str, x: Id, features: usize) -> Result<(Id, Id, Option<Id>)> {
        let (units, width) = (self.units, self.cell().gates() * self.units);
        let kernel = self.kernel.ask(scope, &format!("{prefix}kernel"), [features, width])?;
        let recurrent = self.recurrent.ask(scope, &format!("{prefix}recurrent_kernel"), [units, width])?;
        let mut of_x = scope.graph.apply(MatMul::new(false, false), &[x, kernel])?;
        let has_two = self.kind == Kind::Gru { reset_after: true };
        if !self.use_bias {
            return Ok((of_x, recurrent, has_two.then(|| scope.graph.fill(0.0, [units]))));
        }
        let name = format!("{prefix}bias");
        let shape = if has_two { vec![2, width] } else { vec![width] };
        let mut bias = self.bias.ask(scope, &name, shape)?;
        if self.kind == (Kind::Lstm { unit_forget_bias: true }) {
            scope.start_at_one(&name, units..2 * units);
        }
        let mut inner = None;
        if has_two {
            let [of_kernel, of_recurrent] = [0, 1].map(|row| cut(scope, bias, 0, row..row + 1));
            let [of_kernel, of_recurrent] = [of_kernel?, of_recurrent?];
            let gates = cut(scope, of_recurrent, 1, 0..2 * units)?;
            let candidate = cut(scope, of_recurrent, 1, 2 * units..3 * units)?;
            inner = Some(scope.graph.apply(Reshape([units].into()), &[candidate])?);
            // The gates' two are added up before the walk.
            let zeros = scope.graph.fill(0.0, [1, units]);
            let others = scope.graph.apply(Concat(1), &[gates, zeros])?;
            let sum = scope.graph.apply(Binary::Add, &[of_kernel, others])?;
            bias = scope.graph.apply(Reshape([width].into()), &[sum])?;
        }
        of_x = scope.graph.apply(Binary::Add, &[of_x, bias])?;
        Ok((of_x, recurrent, inner))
    }

    /// Given states as one (batch, states, units).
    fn joined(&self, scope: &mut Scope<'_>, states: &[Id]) -> Result<Id> {
        let rows = scope.graph.shape(states[0])[0];
        let one = |&state: &Id| scope.graph.apply(Reshape([rows, 1, self.units].into()), &[state]);
        let parts = states.iter().map(one).collect::<Result<Vec<_>>>()?;
        if let [only] = parts[..] { Ok(only) } else { scope.graph.apply(Concat(1), &parts) }
    }

    /// The states of one (batch, states, units).
    fn parted(&self, scope: &mut Scope<'_>, all: Id) -> Result<Vec<Id>> {
        let (rows, states) = (scope.graph.shape(all)[0], self.cell().states());
        let one = |i| {
            let part = if states == 1 { all } else { cut(scope, all, 1, i..i + 1)? };
            scope.graph.apply(Reshape([rows, self.units].into()), &[part])
        };
        (0..states).map(one).collect()
    }

    /// Zeros, or the state that a stateful layer has kept.
    fn first_state(&self, scope: &mut Scope<'_>, prefix: &str, rows: usize) -> Result<Id> {
        let states = self.cell().states();
        let Some(batch_size) = self.stateful else { return Ok(scope.graph.fill(0.0, [rows, states, self.units])) };
        if batch_size == 0 {
            return Err(scope.error("is stateful of batches of 0; give their size"));
        }
        let names = STATES.iter().take(states).map(|name| format!("{prefix}{name}"));
        let ask = |name: String| scope.state(&name, [batch_size, self.units], Initializer::Zeros);
        let kept = names.map(ask).collect::<Result<Vec<_>>>()?;
        if rows == batch_size {
            return self.joined(scope, &kept);
        }
        // A model is built by a batch of one.
        if rows == 1 && (scope.pass.is_alone || matches!(scope.parameters, Known::Growing(_))) {
            return Ok(scope.graph.fill(0.0, [rows, states, self.units]));
        }
        let message = format!("is stateful of batches of {batch_size}, was given one of {rows}; give whole batches");
        Err(scope.error(message))
    }

    /// Keeps the states for the next batch, where the layer does.
    fn keep(&self, scope: &mut Scope<'_>, prefix: &str, states: &[Id]) -> Result<()> {
        let Some(batch_size) = self.stateful.filter(|_| scope.training().is_some()) else { return Ok(()) };
        for (name, &state) in STATES.iter().zip(states) {
            if scope.graph.shape(state)[0] == batch_size {
                scope.set_state(&format!("{prefix}{name}"), state)?;
            }
        }
        Ok(())
    }
}

/// The activation as the op has it.
fn function(scope: &Scope<'_>, activation: Activation, what: &str) -> Result<Option<Function>> {
    if activation == Activation::Linear {
        return Ok(None);
    }
    match activation.function()? {
        Some(function) => Ok(Some(function)),
        None => Err(scope.error(format!(
            "its {what} is one whose slope does not follow from its value; give linear, {}",
            Function::ALL.map(Function::name).join(", ")
        ))),
    }
}
