//! `RNN`, `LSTM` and `GRU`, whose tensors have the steps before the batch, and an axis of the ways that the steps are gone.

use std::sync::Arc;

use super::Held;
use super::node::At;
use crate::error::Result;
use crate::graph::onnx::{Constant, OnnxNode};
use crate::nn::Activation;
use crate::nn::functional::{Shared, Value};
use crate::nn::layers::{Bidirectional, Gru, Lstm, Reshape, SimpleRnn};
use crate::tensor::Tensor;

/// (steps, batch, numbers) of (batch, steps, numbers), and (1, batch, units) of (batch, 1, units).
const STEPS_FIRST: [usize; 3] = [1, 0, 2];
/// Of a node, the inputs behind kernel, recurrent kernel and bias: lengths of the sequences, first states, weights of peepholes.
const LENGTHS: usize = 4;
const FIRST: [usize; 2] = [5, 6];
const PEEPHOLES: usize = 7;

/// What a node computes.
struct Walk {
    units: usize,
    activation: Activation,
    recurrent_activation: Activation,
    /// Of a GRU: whether it resets behind the product.
    reset_after: bool,
    use_bias: bool,
    /// Which outputs are read: all steps, and the states behind the last.
    reads: [bool; 2],
}

impl<'g> At<'_, 'g> {
    pub fn recurrence(&mut self) -> Result<()> {
        self.check_recurrence()?;
        let x = self.ordered(0, &STEPS_FIRST)?;
        let node = self.node();
        let is_read =
            |i: usize| node.outputs.get(i).is_some_and(|made| self.importer.readers.contains_key(made.as_str()));
        let reads = [is_read(0), is_read(1) || is_read(2)];
        let walk = self.walk(reads)?;
        match self.text("direction", "forward")?.as_str() {
            "bidirectional" if reads != [true, false] => {
                Err(self.error("goes both ways and gives the last states; expected all steps alone to be read"))
            }
            "bidirectional" => {
                let both = self.recurrent(&walk, 2, false)?;
                let y = both.apply(&x).map_err(|e| self.error(e))?;
                self.give_steps_of_both(y, walk.units)
            }
            "reverse" if reads[0] => {
                Err(self.error("goes backwards and gives all steps, which Kiln's layers do by Bidirectional alone"))
            }
            way => {
                let layer = self.recurrent(&walk, 1, way == "reverse")?;
                let mut made = layer.apply_all(&x).map_err(|e| self.error(e))?;
                self.give_steps(made.remove(0))?;
                made.into_iter().enumerate().try_for_each(|(state, value)| self.give_state(1 + state, value))
            }
        }
    }

    /// That the node has nothing that Kiln's layers lack.
    fn check_recurrence(&self) -> Result<()> {
        if self.int("layout", 0)? != 0 || self.int("input_forget", 0)? != 0 || self.float("clip", 0.0)? != 0.0 {
            return Err(self.error("has layout, input_forget or clip; expected none of them"));
        }
        for (i, what) in [(LENGTHS, "lengths of sequences"), (PEEPHOLES, "weights of peepholes")] {
            if self.input_name(i).is_some() {
                return Err(self.error(format!("has {what} as its input {i}, which Kiln's layers lack")));
            }
        }
        for i in FIRST {
            let is_zero = |first: Tensor| first.values().to_f32().iter().all(|&number| number == 0.0);
            if !self.floats_if(i)?.is_none_or(is_zero) {
                return Err(self.error(format!("has first states as its input {i}; expected zeros")));
            }
        }
        Ok(())
    }

    fn walk(&self, reads: [bool; 2]) -> Result<Walk> {
        let recurrent = self.floats(2)?;
        let units = recurrent.shape().last().copied().filter(|_| recurrent.rank() == 3);
        let units = units.ok_or_else(|| self.error("has a recurrent kernel of other than three axes"))?;
        let functions = self.functions()?;
        let [recurrent_activation, activation] = match functions[..] {
            [f] => [f, f],
            [f, g] => [f, g],
            [f, g, h] if g == h => [f, g],
            _ => return Err(self.error("has other activations for its states than for its steps; expected the same")),
        };
        let reset_after = self.int("linear_before_reset", 0)? != 0;
        let use_bias = self.input_name(3).is_some();
        Ok(Walk { units, activation, recurrent_activation, reset_after, use_bias, reads })
    }

    /// The activations of one way. Those of the other are the same.
    fn functions(&self) -> Result<Vec<Activation>> {
        let usual: &[&str] = match self.node().op_type.as_str() {
            "RNN" => &["Tanh"],
            "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
            _ => &["Sigmoid", "Tanh"],
        };
        let names = self.texts("activations")?.unwrap_or_else(|| usual.iter().map(|&name| name.into()).collect());
        let (mut alphas, mut betas) =
            (self.float_list("activation_alpha")?.into_iter(), self.float_list("activation_beta")?.into_iter());
        let mut functions = Vec::new();
        for name in &names {
            let mut alpha = |default: f64| Ok(alphas.next().unwrap_or(default));
            let mut beta = |default: f64| Ok(betas.next().unwrap_or(default));
            let function = match name.as_str() {
                "Affine" => match (alpha(1.0)?, beta(0.0)?) {
                    (alpha, beta) if (alpha - 1.0).abs() < 1e-6 && beta.abs() < 1e-6 => Some(Activation::Linear),
                    found => {
                        return Err(self.error(format!("has the activation Affine of {found:?}; expected 1 and 0")));
                    }
                },
                other => self.function(other, alpha, beta)?,
            };
            let refused = || self.error(format!("has the activation {name}, which Kiln has not as it is there"));
            functions.push(function.ok_or_else(refused)?);
        }
        let (one, other) = functions.split_at(usual.len().min(functions.len()));
        if one.len() != usual.len() || !(other.is_empty() || one == other) {
            return Err(self.error(format!("has the activations {names:?}; expected {} for each way", usual.len())));
        }
        Ok(one.to_vec())
    }

    /// The layer, with its weights, which goes so many ways.
    fn recurrent(&mut self, walk: &Walk, ways: usize, backwards: bool) -> Result<Arc<Shared>> {
        let mut weights = Vec::new();
        for way in 0..ways {
            let prefix = if ways == 1 { "" } else { ["forward_layer/", "backward_layer/"][way] };
            weights.extend(
                self.weights_of(walk, way)?.into_iter().map(|(name, weight)| (format!("{prefix}{name}"), weight)),
            );
        }
        let weights = weights.iter().map(|(name, weight)| (name.as_str(), weight.clone())).collect();
        let [sequences, state] = walk.reads;
        macro_rules! made {
            ($layer:expr) => {{
                let layer = $layer.activation(walk.activation).use_bias(walk.use_bias).go_backwards(backwards);
                let layer = layer.return_sequences(sequences).return_state(state);
                if ways == 1 {
                    self.layer(weights, || layer)
                } else {
                    self.layer(weights, || Bidirectional::new(layer))
                }
            }};
        }
        Ok(match self.node().op_type.as_str() {
            "RNN" => made!(SimpleRnn::new(walk.units)),
            "LSTM" => made!(Lstm::new(walk.units).recurrent_activation(walk.recurrent_activation)),
            _ => {
                let gru = Gru::new(walk.units).recurrent_activation(walk.recurrent_activation);
                made!(gru.reset_after(walk.reset_after))
            }
        })
    }

    /// The weights of one way as Kiln's layers have them.
    fn weights_of(&self, walk: &Walk, way: usize) -> Result<Vec<(&'static str, Tensor)>> {
        // Which of the node's gates each of the layer's is: i, f, g, o of i, o, f, c.
        let gates: &[usize] = match self.node().op_type.as_str() {
            "RNN" => &[0],
            "LSTM" => &[0, 2, 3, 1],
            _ => &[0, 1, 2],
        };
        let (count, units) = (gates.len() as isize, walk.units as isize);
        let made = |tensor: Result<Tensor>| tensor.map_err(|e| self.error(e));
        // (gates * units, numbers) as (numbers, gates * units).
        let turned = |i: usize| -> Result<Tensor> {
            let of_way = made(self.floats(i)?.take(&[way]))?;
            let by_gate = made(of_way.reshape(&[count, units, -1]))?;
            let numbers = by_gate.shape()[2] as isize;
            made(made(by_gate.take(gates))?.permute(&[2, 0, 1])).and_then(|all| made(all.reshape(&[numbers, -1])))
        };
        let mut weights = vec![("kernel", turned(1)?), ("recurrent_kernel", turned(2)?)];
        if let Some(bias) = self.floats_if(3)? {
            let both = made(made(bias.take(&[way]))?.reshape(&[2, count, units]))?.to_vec::<f32>();
            let row = |row: usize| {
                let gate = |&gate: &usize| both[(row * gates.len() + gate) * walk.units..][..walk.units].to_vec();
                gates.iter().flat_map(gate).collect::<Vec<f32>>()
            };
            let width = gates.len() * walk.units;
            let is_two = self.node().op_type == "GRU" && walk.reset_after;
            weights.push((
                "bias",
                made(match is_two {
                    true => Tensor::new([2, width], [row(0), row(1)].concat()),
                    false => Tensor::new([width], row(0).iter().zip(row(1)).map(|(a, b)| a + b).collect::<Vec<_>>()),
                })?,
            ));
        }
        Ok(weights)
    }

    /// The whole numbers that another node has as an input, or in an attribute.
    fn ints_of(&self, node: &OnnxNode, input: usize, attribute: &str) -> Option<Vec<i64>> {
        let held = node.inputs.get(input).and_then(|name| self.importer.held.get(name));
        if let Some(Held::Constant(constant)) = held {
            let Constant::Ints(_, ints) = &**constant else { return None };
            return Some(ints.clone());
        }
        let own = node.attributes.iter().find(|(name, _)| name == attribute).map(|(_, value)| value);
        match own {
            Some(crate::graph::onnx::Attribute::Ints(ints)) => Some(ints.clone()),
            Some(crate::graph::onnx::Attribute::Int(int)) => Some(vec![*int]),
            _ => None,
        }
    }

    /// Keeps a value as what another node makes, which is read with this one.
    fn give_to(&mut self, index: usize, value: Value, order: Vec<usize>) {
        let made = self.importer.graph.nodes[index].outputs[0].clone();
        self.importer.held.insert(made, Held::Value(value, order));
        self.importer.done.insert(index);
    }

    /// All steps, to a node that takes the axis of ways away.
    fn give_steps(&mut self, steps: Value) -> Result<()> {
        let made = self.node().outputs.first().filter(|made| self.importer.readers.contains_key(made.as_str()));
        let Some(made) = made else { return Ok(()) };
        match self.importer.only_reader(made) {
            Some((index, node)) if node.op_type == "Squeeze" && self.ints_of(node, 1, "axes") == Some(vec![1]) => {
                self.give_to(index, steps, STEPS_FIRST.to_vec());
                Ok(())
            }
            _ => Err(self.error("gives its steps to other than a Squeeze of axis 1")),
        }
    }

    /// All steps of both ways, side by side, to the nodes that put them so.
    fn give_steps_of_both(&mut self, steps: Value, units: usize) -> Result<()> {
        let refused = || self.error("gives the steps of both ways to other than what puts them side by side");
        let (place, moved) = self.importer.only_reader(&self.node().outputs[0]).ok_or_else(refused)?;
        let is_moved = moved.op_type == "Transpose" && self.ints_of(moved, 1, "perm") == Some(vec![0, 2, 1, 3]);
        let (index, joined) = self.importer.only_reader(&moved.outputs[0]).filter(|_| is_moved).ok_or_else(refused)?;
        let shape = self.ints_of(joined, 1, "shape").filter(|_| joined.op_type == "Reshape");
        let width = 2 * units as i64;
        match shape.as_deref() {
            Some(&[_, _, last]) if last == -1 || last == width => {}
            _ => return Err(refused()),
        }
        self.importer.done.insert(place);
        self.give_to(index, steps, STEPS_FIRST.to_vec());
        Ok(())
    }

    /// A state (batch, units) as (1, batch, units), or to nodes that take the axis of ways away.
    fn give_state(&mut self, output: usize, state: Value) -> Result<()> {
        let Some(made) = self.node().outputs.get(output).filter(|made| !made.is_empty()) else { return Ok(()) };
        let mut is_left = false;
        for index in self.importer.readers.get(made.as_str()).cloned().unwrap_or_default() {
            let node = self.importer.graph.nodes.get(index);
            let takes_way = |node: &&OnnxNode| match node.op_type.as_str() {
                "Squeeze" => self.ints_of(node, 1, "axes") == Some(vec![0]),
                "Gather" => {
                    let is_first = |axis: Option<Vec<i64>>| axis.is_none_or(|axis| axis == [0]);
                    let one = self.ints_of(node, 1, "").is_some_and(|places| places == [0] || places == [-1]);
                    one && is_first(self.ints_of(node, usize::MAX, "axis"))
                }
                _ => false,
            };
            match node.filter(takes_way) {
                Some(_) => self.give_to(index, state.clone(), vec![0, 1]),
                None => is_left = true,
            }
        }
        if is_left {
            let units = state.shape().iter().product::<usize>() as isize;
            let value = self.applied(Reshape::new([1, units]), &[state])?;
            self.importer.held.insert(made.clone(), Held::Value(value, STEPS_FIRST.to_vec()));
        }
        Ok(())
    }
}
