//! Nodes that take tensors element by element.

use super::node::At;
use super::{Held, Importer};
use crate::error::Result;
use crate::graph::onnx::{Constant, OnnxNode};
use crate::nn::Activation;
use crate::nn::functional::Value;
use crate::nn::layers::{Add, Average, Maximum, Minimum, Multiply, Rescaling, Subtract};
use crate::tensor::Tensor;

impl<'g> At<'_, 'g> {
    /// What goes on as it is.
    pub fn pass(&mut self) -> Result<()> {
        let (value, order) = self.value(0)?;
        self.give(value, order);
        Ok(())
    }

    pub fn negation(&mut self) -> Result<()> {
        let (x, order) = self.value(0)?;
        let y = self.applied(Rescaling::new(-1.0), &[x])?;
        self.give(y, order);
        Ok(())
    }

    /// The activation of a name that nodes of their own and recurrent nodes share, by what makes its alpha and its beta of their
    /// defaults; `None` for other names.
    pub fn function(
        &self,
        name: &str,
        mut alpha: impl FnMut(f64) -> Result<f64>,
        mut beta: impl FnMut(f64) -> Result<f64>,
    ) -> Result<Option<Activation>> {
        Ok(Some(match name {
            "Relu" => Activation::Relu,
            "Sigmoid" => Activation::Sigmoid,
            "Tanh" => Activation::Tanh,
            "LeakyRelu" => Activation::LeakyRelu { negative_slope: alpha(0.01)? },
            "Elu" => Activation::Elu { alpha: alpha(1.0)? },
            "Softplus" => Activation::Softplus,
            "Softsign" => Activation::Softsign,
            "HardSigmoid" => match (alpha(0.2)?, beta(0.5)?) {
                (alpha, beta) if (alpha - 1.0 / 6.0).abs() < 1e-6 && beta == 0.5 => Activation::HardSigmoid,
                (alpha, beta) => {
                    return Err(self.error(format!("has alpha {alpha} and beta {beta}, expected 1/6 and 0.5")));
                }
            },
            _ => return Ok(None),
        }))
    }

    pub fn activation(&mut self) -> Result<()> {
        let activation = match self.node().op_type.as_str() {
            "Softmax" => Activation::Softmax,
            "LogSoftmax" => Activation::LogSoftmax,
            "Selu" => Activation::Selu,
            "Exp" => Activation::Exponential,
            "Mish" => Activation::Mish,
            "HardSwish" => Activation::HardSilu,
            "Gelu" if self.text("approximate", "none")? == "tanh" => Activation::GeluTanh,
            "Gelu" => Activation::Gelu,
            "Clip" => self.clip()?,
            other => {
                let function =
                    self.function(other, |usual| self.float("alpha", usual), |usual| self.float("beta", usual))?;
                function.ok_or_else(|| self.error("is an operator that Kiln has no layer for"))?
            }
        };
        if !activation.is_of_rows() {
            let (x, order) = self.value(0)?;
            let y = self.applied(activation, &[x])?;
            self.give(y, order);
            return Ok(());
        }
        // Softmax goes along the last axis of the value.
        let (_, mut order) = self.value(0)?;
        let rank = order.len();
        // Before version 13 of the operators it took all axes from this one on as one, of which there is but the last here.
        let default = if self.importer.graph.opset < 13 { 1 } else { -1 };
        let axis = self.axis(self.int("axis", default)?, rank)?;
        if order[axis] != rank - 1 {
            order = (0..rank).map(|place| if place < axis { place } else { place.saturating_sub(1) }).collect();
            order[axis] = rank - 1;
        }
        let x = self.ordered(0, &order)?;
        let y = self.applied(activation, &[x])?;
        self.give(y, order);
        Ok(())
    }

    fn clip(&self) -> Result<Activation> {
        let end = |i: usize, name: &str, default: f64| -> Result<f64> {
            match self.floats_if(i)? {
                Some(end) => Ok(end.values().to_f64().first().copied().unwrap_or(default)),
                None => self.float(name, default),
            }
        };
        match (end(1, "min", f64::NEG_INFINITY)?, end(2, "max", f64::INFINITY)?) {
            (0.0, 6.0) => Ok(Activation::Relu6),
            (0.0, high) if high >= f64::from(f32::MAX) => Ok(Activation::Relu),
            (low, high) => Err(self.error(format!("has the ends {low} and {high}, expected 0 and 6"))),
        }
    }

    pub fn arithmetic(&mut self) -> Result<()> {
        if let Some((x, last)) = self.gelu() {
            let Some(Held::Value(value, order)) = self.importer.held.get(&x).cloned() else {
                return Err(self.error("reads what nothing makes before it"));
            };
            let y = self.applied(Activation::Gelu, &[value])?;
            self.importer.held.insert(last, Held::Value(y, order));
            return Ok(());
        }
        let values = (0..self.node().inputs.len()).map(|i| self.is_value(i)).collect::<Result<Vec<_>>>()?;
        if values.iter().all(|&value| value) {
            return self.merge();
        }
        let [is_first, is_second] = values[..] else { return Err(self.error("takes constants among several values")) };
        if !is_first && !is_second {
            return Err(self.error("takes constants alone"));
        }
        let (of_value, of_constant) = if is_first { (0, 1) } else { (1, 0) };
        let (x, order) = self.value(of_value)?;
        let (numbers, x, order) = self.laid_out(of_value, of_constant, x, order)?;
        let negated = |tensor: &Tensor, by: &dyn Fn(f64) -> f64| {
            let numbers: Vec<f64> = tensor.values().to_f64().into_iter().map(by).collect();
            Tensor::new(tensor.shape().clone(), numbers)
        };
        let layer = match (self.node().op_type.as_str(), is_first) {
            ("Add" | "Sum", _) => Rescaling::new(1.0).offset(numbers),
            ("Sub", true) => Rescaling::new(1.0).offset(negated(&numbers, &|number| -number)?),
            ("Sub", false) => Rescaling::new(-1.0).offset(numbers),
            ("Mul", _) => Rescaling::new(numbers),
            ("Div", true) => Rescaling::new(negated(&numbers, &f64::recip)?),
            _ => return Err(self.error("takes a constant in a way that Kiln has no layer for")),
        };
        let y = self.applied(layer, &[x])?;
        self.give(y, order);
        Ok(())
    }

    /// The constant as numbers along the last axes of the value; the value in the file's order where the two need it.
    fn laid_out(
        &mut self,
        of_value: usize,
        of_constant: usize,
        x: Value,
        order: Vec<usize>,
    ) -> Result<(Tensor, Value, Vec<usize>)> {
        let constant = self.floats(of_constant)?;
        let rank = order.len();
        if constant.values().len() == 1 {
            return Ok((constant.reshape(&[])?, x, order));
        }
        let (x, order) = if order[0] == 0 { (x, order) } else { (self.plain(of_value)?, (0..rank).collect()) };
        let mut whole = vec![1; rank.saturating_sub(constant.rank())];
        whole.extend(&constant.shape()[..]);
        if whole.len() != rank || whole[0] != 1 {
            return Err(self.error(format!("takes a constant of {} with a value of {rank} axes", constant.shape())));
        }
        let wide: Vec<isize> = whole.iter().map(|&extent| extent as isize).collect();
        let mut places = vec![0; rank];
        order.iter().enumerate().for_each(|(place, &axis)| places[axis] = place as isize);
        let laid = constant.reshape(&wide)?.permute(&places)?;
        let own: Vec<isize> =
            laid.shape().iter().skip_while(|&&extent| extent == 1).map(|&extent| extent as isize).collect();
        Ok((laid.reshape(&own)?, x, order))
    }

    /// Several values as one.
    fn merge(&mut self) -> Result<()> {
        let (first, order) = self.value(0)?;
        let mut values = vec![first];
        for i in 1..self.node().inputs.len() {
            values.push(self.ordered(i, &order)?);
        }
        let y = match (self.node().op_type.as_str(), &values[..]) {
            (_, [only]) => only.clone(),
            ("Add" | "Sum", _) => self.applied(Add, &values)?,
            ("Mul", _) => self.applied(Multiply, &values)?,
            ("Max", _) => self.applied(Maximum, &values)?,
            ("Min", _) => self.applied(Minimum, &values)?,
            ("Mean", _) => self.applied(Average, &values)?,
            ("Sub", [_, _]) => self.applied(Subtract, &values)?,
            _ => return Err(self.error("divides one value by another, which no layer of Kiln's does")),
        };
        self.give(y, order);
        Ok(())
    }

    /// Where the node begins x (1 + erf(x / sqrt(2))) / 2, whose nodes are read as one then: x, and what the last of them makes.
    fn gelu(&mut self) -> Option<(String, String)> {
        let begin = self.node();
        let x = begin.inputs.first()?.clone();
        let root = std::f64::consts::SQRT_2;
        let by = number(self.importer, begin.inputs.get(1)?)?;
        let is_begin = match begin.op_type.as_str() {
            "Div" => (by - root).abs() < 1e-5,
            "Mul" => (by * root - 1.0).abs() < 1e-5,
            _ => false,
        };
        let next = |from: &OnnxNode| -> Option<(usize, &'g OnnxNode)> { self.importer.only_reader(&from.outputs[0]) };
        let (erf, node) = next(begin).filter(|(_, node)| is_begin && node.op_type == "Erf")?;
        let (add, node) = next(node).filter(|(_, node)| node.op_type == "Add")?;
        let others = |node: &OnnxNode, made: &str| node.inputs.iter().find(|input| *input != made).cloned();
        let one = others(node, &self.importer.graph.nodes[erf].outputs[0])?;
        if number(self.importer, &one)? != 1.0 {
            return None;
        }
        // Two products follow, by x and by a half, in either order; the half may be taken of x before.
        let mut taken = vec![erf, add];
        let (mut has_x, mut has_half, mut last) = (false, false, node);
        while let Some((index, node)) = next(last).filter(|(_, node)| node.op_type == "Mul" && !(has_x && has_half)) {
            let other = others(node, &last.outputs[0])?;
            if other == x {
                has_x = true;
            } else if number(self.importer, &other) == Some(0.5) {
                has_half = true;
            } else if self.is_half_of(&other, &x) {
                (has_x, has_half) = (true, true);
            } else {
                return None;
            }
            taken.push(index);
            last = node;
        }
        let made = last.outputs[0].clone();
        (has_x && has_half).then(|| self.importer.done.extend(taken))?;
        Some((x, made))
    }

    /// Whether a tensor is half of another one.
    fn is_half_of(&self, tensor: &str, x: &str) -> bool {
        let maker = self.importer.graph.nodes.iter().find(|node| node.outputs[0] == tensor && node.op_type == "Mul");
        let half = |name: &String| number(self.importer, name) == Some(0.5);
        maker.is_some_and(|node| node.inputs.iter().any(|input| input == x) && node.inputs.iter().any(half))
    }
}

/// The number that a constant of one element is.
fn number(importer: &Importer<'_>, name: &str) -> Option<f64> {
    let Held::Constant(constant) = importer.held.get(name)? else { return None };
    match &**constant {
        Constant::Floats(tensor) if tensor.values().len() == 1 => Some(tensor.values().to_f64()[0]),
        _ => None,
    }
}
