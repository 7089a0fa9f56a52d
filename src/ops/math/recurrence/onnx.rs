//! Recurrence as ONNX' `RNN`, `LSTM` and `GRU`, which multiply by the kernel themselves: the product before the op is taken in.

mod masked;

use std::any::Any;

use super::super::matmul::MatMul;
use super::{Binary, Cell, Function, Recurrence, Slice};
use crate::error::Result;
use crate::graph::Id;
use crate::graph::onnx::{Attribute, Writer};
use crate::tensor::Tensor;
use masked::Compacted;

/// (steps, batch, numbers) of (batch, steps, numbers), and (states, batch, units) of (batch, states, units).
const STEPS_FIRST: [usize; 3] = [1, 0, 2];

/// What a recurrence reads, as ONNX has it.
struct Read {
    x: Id,
    /// The kernel (features, gates * units) and the recurrent kernel (units, gates * units).
    kernels: [Tensor; 2],
    /// The bias of all gates (gates * units).
    bias: Option<Tensor>,
    /// What the weights are called.
    names: [String; 3],
}

impl Recurrence {
    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Result<()> {
        let (inputs, outputs) = (writer.inputs(), writer.outputs());
        let [mask, dropped] = self.optional();
        if dropped.is_some() {
            return Err(writer.refused("drops parts of its states, as in training alone"));
        }
        if outputs[2..].iter().any(|&y| writer.is_read(y)) {
            return Err(writer.refused("leaves to others what it keeps for its gradient"));
        }
        let mut attributes = self.activations(writer)?;
        let units = writer.graph().shape(inputs[1])[0];
        attributes.push(("hidden_size", units.into()));
        attributes.push(("direction", (if self.backwards { "reverse" } else { "forward" }).into()));
        if self.cell == Cell::GruResetAfter {
            attributes.push(("linear_before_reset", 1i64.into()));
        }
        let read = Read::of(writer, inputs)?;
        let compacted = mask.map(|mask| Compacted::new(writer, read.x, inputs[mask])).transpose()?;
        let mut names = vec![match &compacted {
            Some(compacted) => compacted.x.clone(),
            None => writer.ordered(read.x, &STEPS_FIRST)?,
        }];
        names.extend(self.weights(writer, &read, units)?);
        let first = self.first_states(writer, inputs[2])?;
        match &compacted {
            Some(_) if !first.is_empty() => {
                return Err(writer.refused(
                    "has both a mask and first states; ONNX' operators give the latter up for empty sequences",
                ));
            }
            Some(compacted) => names.push(compacted.lengths.clone()),
            None => names.extend(first),
        }
        while names.last().is_some_and(String::is_empty) {
            names.pop();
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let op_type = match self.cell {
            Cell::Simple => "RNN",
            Cell::Lstm => "LSTM",
            Cell::Gru | Cell::GruResetAfter => "GRU",
        };
        let made = writer.add_all(op_type, &names, attributes, 1 + self.cell.states());
        let way = writer.ints(&[1]);
        let sequence = writer.add("Squeeze", &[&made[0], &way], vec![]);
        match &compacted {
            Some(compacted) if writer.is_read(outputs[0]) => {
                let states = compacted.spread(writer, self, &sequence, units);
                writer.give_plain(outputs[0], states);
            }
            _ => writer.give(outputs[0], sequence, STEPS_FIRST.to_vec()),
        }
        self.give_last(writer, outputs[1], &made[1..]);
        Ok(())
    }

    /// The states behind the last step, each (1, batch, units), as one value, or to those that read one of them.
    fn give_last(&self, writer: &mut Writer<'_>, last: Id, states: &[String]) {
        if let [only] = states {
            writer.give(last, only.clone(), STEPS_FIRST.to_vec());
            return;
        }
        let mut left = writer.is_output(last);
        for &reader in writer.readers(last).to_vec().iter() {
            let node = &writer.graph().nodes()[reader];
            let slice = (&*node.op as &dyn Any).downcast_ref::<Slice>();
            match slice.and_then(|slice| slice.0.get(1)).filter(|cut| cut.end == cut.first + 1 && cut.step == 1) {
                Some(cut) => {
                    writer.give(node.outputs[0], states[cut.first].clone(), STEPS_FIRST.to_vec());
                    writer.take_over(reader);
                }
                None => left = true,
            }
        }
        if left {
            let states: Vec<&str> = states.iter().map(String::as_str).collect();
            let all = writer.add("Concat", &states, vec![("axis", 0i64.into())]);
            writer.give(last, all, STEPS_FIRST.to_vec());
        }
    }

    /// The activations of gates and of what a step makes, as ONNX has them for each operator.
    fn activations(&self, writer: &Writer<'_>) -> Result<Vec<(&'static str, Attribute)>> {
        let (f, s) = (self.activation, self.recurrent_activation);
        let all = match self.cell {
            Cell::Simple => vec![f],
            Cell::Lstm => vec![s, f, f],
            Cell::Gru | Cell::GruResetAfter => vec![s, f],
        };
        let (mut names, mut alphas, mut betas) = (Vec::new(), Vec::new(), Vec::new());
        for function in all {
            let (name, alpha, beta) = match function {
                None => ("Affine", 1.0, 0.0),
                Some(Function::Relu) => ("Relu", 0.0, 0.0),
                Some(Function::Sigmoid) => ("Sigmoid", 0.0, 0.0),
                Some(Function::Tanh) => ("Tanh", 0.0, 0.0),
                Some(Function::LeakyRelu { negative_slope }) => ("LeakyRelu", negative_slope, 0.0),
                Some(Function::Elu { alpha }) => ("Elu", alpha, 0.0),
                Some(Function::HardSigmoid) => ("HardSigmoid", 1.0 / 6.0, 0.5),
                Some(other) => {
                    let name = other.name();
                    return Err(
                        writer.refused(format!("has the activation {name}, which ONNX' recurrent operators lack"))
                    );
                }
            };
            names.push(name);
            if matches!(name, "Affine" | "LeakyRelu" | "Elu" | "HardSigmoid") {
                alphas.push(alpha);
            }
            if matches!(name, "Affine" | "HardSigmoid") {
                betas.push(beta);
            }
        }
        let mut attributes = vec![("activations", names.into())];
        if !alphas.is_empty() {
            attributes.push(("activation_alpha", alphas.into()));
        }
        if !betas.is_empty() {
            attributes.push(("activation_beta", betas.into()));
        }
        Ok(attributes)
    }

    /// The gates of ONNX' operator, in its order: which of the op's each is.
    fn gates_in_order(&self) -> &'static [usize] {
        match self.cell {
            Cell::Simple => &[0],
            // i, o, f, g of i, f, g, o.
            Cell::Lstm => &[0, 3, 1, 2],
            Cell::Gru | Cell::GruResetAfter => &[0, 1, 2],
        }
    }

    /// Gates side by side (rows, gates * units) as ONNX has them, (1, gates * units, rows).
    fn turned(&self, of: &Tensor, units: usize) -> Result<Tensor> {
        let rows = of.shape()[0];
        let gates = of.reshape(&[rows as isize, -1, units as isize])?.permute(&[1, 2, 0])?;
        gates.take(self.gates_in_order())?.reshape(&[1, -1, rows as isize])
    }

    /// W, R and B.
    fn weights(&self, writer: &mut Writer<'_>, read: &Read, units: usize) -> Result<Vec<String>> {
        let [kernel, recurrent] = [&read.kernels[0], &read.kernels[1]].map(|kernel| self.turned(kernel, units));
        let mut names = vec![writer.weight(&read.names[0], kernel?), writer.weight(&read.names[1], recurrent?)];
        let inner = match self.cell {
            Cell::GruResetAfter => Some(writer.constant(writer.inputs()[3])?),
            _ => None,
        };
        if read.bias.is_none() && inner.is_none() {
            names.push(String::new());
            return Ok(names);
        }
        let width = self.cell.gates() * units;
        let zeros = |count: usize| Tensor::new([1, count], vec![0.0f32; count]);
        let of_kernel = match &read.bias {
            Some(bias) => bias.reshape(&[1, -1])?,
            None => zeros(width)?,
        };
        let of_kernel = self.turned(&of_kernel, units)?.reshape(&[1, -1])?;
        let of_recurrent = match inner {
            Some(inner) => Tensor::concatenate(&[&zeros(2 * units)?, &inner.reshape(&[1, -1])?], 1)?,
            None => zeros(width)?,
        };
        let bias = Tensor::concatenate(&[&of_kernel, &of_recurrent], 1)?;
        names.push(writer.weight(&read.names[2], bias));
        Ok(names)
    }

    /// The first states, each (1, batch, units), where they are not zeros, behind the lengths of the sequences, which are all the same.
    fn first_states(&self, writer: &mut Writer<'_>, first: Id) -> Result<Vec<String>> {
        if writer.graph().filled_with(first) == Some(0.0) {
            return Ok(Vec::new());
        }
        let all = writer.ordered(first, &STEPS_FIRST)?;
        let mut names = vec![String::new()];
        if self.cell.states() == 1 {
            names.push(all);
            return Ok(names);
        }
        for state in 0..self.cell.states() as i64 {
            let [from, to, axis] = [state, state + 1, 0].map(|number| writer.ints(&[number]));
            names.push(writer.add("Slice", &[&all, &from, &to, &axis], vec![]));
        }
        Ok(names)
    }
}

impl Read {
    /// What the recurrence of these inputs reads: the first is x times the kernel with the bias, where nodes say so, else x itself.
    fn of(writer: &Writer<'_>, inputs: &[Id]) -> Result<Self> {
        let graph = writer.graph();
        let name = |id: Id, other: &str| writer.name_of(id).unwrap_or(other).to_string();
        let recurrent = writer.constant(inputs[1])?;
        let recurrent_name = name(inputs[1], "recurrent_kernel");
        let (mut product, mut bias, mut bias_name) = (inputs[0], None, "bias".to_string());
        let added = graph.producer(product).filter(|node| {
            (&*node.op as &dyn Any).downcast_ref::<Binary>() == Some(&Binary::Add)
                && writer.is_constant(node.inputs[1])
                && graph.shape(node.inputs[1]).rank() == 1
        });
        if let Some(node) = added {
            (product, bias) = (node.inputs[0], Some(writer.constant(node.inputs[1])?));
            bias_name = name(node.inputs[1], "bias");
        }
        let multiplied = graph.producer(product).filter(|node| {
            let op = (&*node.op as &dyn Any).downcast_ref::<MatMul>();
            op.is_some_and(|op| !op.trans_a && !op.trans_b && !op.stacked) && writer.is_constant(node.inputs[1])
        });
        if let Some(node) = multiplied {
            let kernels = [writer.constant(node.inputs[1])?, recurrent];
            let names = [name(node.inputs[1], "kernel"), recurrent_name, bias_name];
            return Ok(Self { x: node.inputs[0], kernels, bias, names });
        }
        // The kernel that changes nothing.
        let width = graph.shape(inputs[0])[2];
        let one = |i: usize| f32::from(i / width == i % width);
        let kernel = Tensor::new([width, width], (0..width * width).map(one).collect::<Vec<_>>())?;
        let names = ["kernel".into(), recurrent_name, bias_name];
        Ok(Self { x: inputs[0], kernels: [kernel, recurrent], bias: None, names })
    }
}
