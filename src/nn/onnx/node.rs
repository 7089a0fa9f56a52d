//! A node of the graph: what it reads, its settings, and which layer it becomes.

use super::{Held, Importer, cleaned};
use crate::error::{Error, Result};
use crate::graph::onnx::{Attribute, Constant, OnnxNode};
use crate::nn::functional::Value;
use crate::nn::layers::Layer;
use crate::tensor::Tensor;

/// The node that is read.
pub(super) struct At<'a, 'g> {
    pub importer: &'a mut Importer<'g>,
    pub index: usize,
}

impl<'g> At<'_, 'g> {
    pub fn node(&self) -> &'g OnnxNode {
        &self.importer.graph.nodes[self.index]
    }

    /// An error that names the node.
    pub fn error(&self, message: impl std::fmt::Display) -> Error {
        let node = self.node();
        let name = if node.name.is_empty() { &node.outputs[0] } else { &node.name };
        Error::argument(format!("node {name:?}"), format!("{} {message}", node.op_type))
    }

    /// Reads the node.
    pub fn read(&mut self) -> Result<()> {
        if self.folded()? {
            return Ok(());
        }
        match self.node().op_type.as_str() {
            "Gemm" | "MatMul" => self.dense(),
            "Conv" => self.convolution(),
            "ConvTranspose" => self.transposed_convolution(),
            "BatchNormalization" => self.batch_normalization(),
            "LayerNormalization" => self.layer_normalization(),
            "RNN" | "LSTM" | "GRU" => self.recurrence(),
            "PRelu" => self.prelu(),
            "MaxPool" | "AveragePool" => self.pooling(),
            "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "ReduceMax" => self.global_pooling(),
            "Pad" => self.padding(),
            "Resize" | "Upsample" => self.resizing(),
            "Slice" => self.slice(),
            "Gather" => self.gather(),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.reshaping(),
            "Transpose" => self.transpose(),
            "Concat" => self.concatenation(),
            "Identity" | "Dropout" | "Cast" => self.pass(),
            "Neg" => self.negation(),
            "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" | "Sum" | "Mean" => self.arithmetic(),
            _ => self.activation(),
        }
    }

    /// The name of an input; `None` where it is left out.
    pub fn input_name(&self, i: usize) -> Option<&'g str> {
        self.node().inputs.get(i).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// What an input is, if there is one.
    fn held(&self, i: usize) -> Result<Option<&Held>> {
        let Some(name) = self.input_name(i) else { return Ok(None) };
        let held = self.importer.held.get(name);
        held.map(Some).ok_or_else(|| self.error(format!("reads {name:?}, which nothing makes before it")))
    }

    /// An input that is a value, and the order of its axes.
    pub fn value(&self, i: usize) -> Result<(Value, Vec<usize>)> {
        match self.held(i)? {
            Some(Held::Value(value, order)) => Ok((value.clone(), order.clone())),
            _ => Err(self
                .error(format!("takes what the network computes as its input {i}, was given a constant or nothing"))),
        }
    }

    /// Whether an input is a value.
    pub fn is_value(&self, i: usize) -> Result<bool> {
        Ok(matches!(self.held(i)?, Some(Held::Value(..))))
    }

    /// An input that is a value, in the file's order of axes.
    pub fn plain(&mut self, i: usize) -> Result<Value> {
        let (value, order) = self.value(i)?;
        let name = self.input_name(i).expect("it is a value").to_string();
        self.importer.plain(&name, value, &order)
    }

    /// An input that is a value, such that the tensor's axes lie in it in an order: that of `wanted` or, where it is another, by one
    /// `Permute` more.
    pub fn ordered(&mut self, i: usize, wanted: &[usize]) -> Result<Value> {
        let (value, order) = self.value(i)?;
        if order == wanted {
            return Ok(value);
        }
        if order.len() != wanted.len() {
            return Err(self.error(format!(
                "takes a tensor of {} axes, was given one of {}",
                wanted.len(),
                order.len()
            )));
        }
        let mut moved = vec![0; order.len()];
        order.iter().zip(wanted).for_each(|(&from, &to)| moved[to] = from);
        if moved[0] != 0 {
            return Err(self.error("reads a tensor whose first axis is not the batch's"));
        }
        let name = self.input_name(i).expect("it is a value").to_string();
        let own = self.importer.unique(&format!("permute_{}", cleaned(&name)));
        let value = crate::nn::layers::Permute::new(moved[1..].to_vec()).named(own).apply(&value)?;
        self.importer.held.insert(name, Held::Value(value.clone(), wanted.to_vec()));
        Ok(value)
    }

    /// An input that is a constant, if there is one.
    fn constant_at(&self, i: usize) -> Result<Option<&Constant>> {
        match self.held(i)? {
            None => Ok(None),
            Some(Held::Constant(constant)) => Ok(Some(constant)),
            Some(Held::Value(..)) => {
                Err(self.error(format!("takes a constant as its input {i}, was given what the network computes")))
            }
        }
    }

    /// An input that is a constant of floats, if there is one.
    pub fn floats_if(&self, i: usize) -> Result<Option<Tensor>> {
        match self.constant_at(i)? {
            None => Ok(None),
            Some(Constant::Floats(tensor)) => Ok(Some(tensor.clone())),
            Some(Constant::Ints(..)) => Err(self.error(format!("takes constant floats as its input {i}"))),
        }
    }

    /// An input that is a constant of floats.
    pub fn floats(&self, i: usize) -> Result<Tensor> {
        self.floats_if(i)?.ok_or_else(|| self.error(format!("has no input {i}")))
    }

    /// An input that is a constant of whole numbers, if there is one.
    pub fn ints_if(&self, i: usize) -> Result<Option<Vec<i64>>> {
        match self.constant_at(i)? {
            None => Ok(None),
            Some(Constant::Ints(_, ints)) => Ok(Some(ints.clone())),
            Some(Constant::Floats(_)) => Err(self.error(format!("takes constant whole numbers as its input {i}"))),
        }
    }

    fn attribute(&self, name: &str) -> Option<&'g Attribute> {
        self.node().attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub fn int(&self, name: &str, default: i64) -> Result<i64> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Attribute::Int(value)) => Ok(*value),
            Some(_) => Err(self.error(format!("has {name}, which is no whole number"))),
        }
    }

    pub fn float(&self, name: &str, default: f64) -> Result<f64> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Attribute::Float(value)) => Ok(f64::from(*value)),
            Some(_) => Err(self.error(format!("has {name}, which is no number"))),
        }
    }

    pub fn text(&self, name: &str, default: &str) -> Result<String> {
        match self.attribute(name) {
            None => Ok(default.into()),
            Some(Attribute::Text(value)) => Ok(value.clone()),
            Some(_) => Err(self.error(format!("has {name}, which is no text"))),
        }
    }

    pub fn int_list(&self, name: &str) -> Result<Option<Vec<i64>>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Ints(values)) => Ok(Some(values.clone())),
            Some(_) => Err(self.error(format!("has {name}, which are no whole numbers"))),
        }
    }

    /// Texts, if there are any.
    pub fn texts(&self, name: &str) -> Result<Option<Vec<String>>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Texts(values)) => Ok(Some(values.clone())),
            Some(_) => Err(self.error(format!("has {name}, which are no texts"))),
        }
    }

    /// Numbers, of which there may be none.
    pub fn float_list(&self, name: &str) -> Result<Vec<f64>> {
        match self.attribute(name) {
            None => Ok(Vec::new()),
            Some(Attribute::Floats(values)) => Ok(values.iter().map(|&value| f64::from(value)).collect()),
            Some(_) => Err(self.error(format!("has {name}, which are no numbers"))),
        }
    }

    /// So many extents of an attribute, each 1 or more.
    pub fn extents(&self, name: &str, count: usize, default: usize) -> Result<Vec<usize>> {
        let Some(values) = self.int_list(name)? else { return Ok(vec![default; count]) };
        let extents: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
        extents
            .filter(|extents| extents.len() == count && extents.iter().all(|&n| n < 1 << 30))
            .ok_or_else(|| self.error(format!("has {name} {values:?}, expected {count} whole numbers")))
    }

    /// A constant of the node.
    pub fn constant_attribute(&self) -> Option<Constant> {
        let (name, value) = self.node().attributes.first()?;
        Some(match (name.as_str(), value) {
            (_, Attribute::Constant(constant)) => constant.clone(),
            (_, Attribute::Int(value)) => Constant::Ints(Vec::new(), vec![*value]),
            (_, Attribute::Float(value)) => Constant::Floats(Tensor::new([], vec![*value]).ok()?),
            (_, Attribute::Ints(values)) => Constant::Ints(vec![values.len()], values.clone()),
            (_, Attribute::Floats(values)) => Constant::Floats(Tensor::new([values.len()], values.clone()).ok()?),
            _ => return None,
        })
    }

    /// An axis of a tensor of so many, counted from the end where it is negative.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize> {
        let counted = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
        usize::try_from(counted)
            .ok()
            .filter(|&axis| axis < rank)
            .ok_or_else(|| self.error(format!("has axis {axis} of a tensor of {rank} axes")))
    }

    /// Keeps what the node makes.
    pub fn give(&mut self, value: Value, order: Vec<usize>) {
        let name = self.node().outputs[0].clone();
        self.importer.held.insert(name, Held::Value(value, order));
    }

    /// Keeps what the node makes with its axes in the file's order.
    pub fn give_plain(&mut self, value: Value) {
        let rank = value.shape().rank() + 1;
        self.give(value, (0..rank).collect());
    }

    /// The name of the layer: that of its weight without the last part, or the node's own.
    pub fn layer_name(&mut self, weight: Option<&str>) -> String {
        let node = self.node();
        let of_weight = weight.and_then(|name| name.rsplit_once(['/', '.'])).map(|(layer, _)| layer.to_string());
        let own = || if node.name.is_empty() { node.op_type.to_lowercase() } else { node.name.clone() };
        cleaned(&of_weight.unwrap_or_else(own))
    }

    /// Applies a layer without weights.
    pub fn applied(&mut self, layer: impl Layer + 'static, values: &[Value]) -> Result<Value> {
        let name = self.layer_name(None);
        let name = self.importer.unique(&name);
        layer.named(name).apply(values).map_err(|e| self.error(e))
    }
}
