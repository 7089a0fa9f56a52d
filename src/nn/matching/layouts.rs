//! How PyTorch's modules keep what Kiln's layers have.

use super::order::Order;
use super::torch::Module;
use crate::error::{Error, Result};
use crate::io::TensorFile;
use crate::nn::layers::Layer;
use crate::nn::scope::Parameter;
use crate::tensor::{Shape, Tensor};

/// A module of a file.
pub(super) struct Source<'s> {
    pub module: &'s Module,
    pub file: &'s TensorFile,
}

/// How a weight lies in a module.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    leaf: String,
    form: Form,
    /// The shape that the tensor, or each of the tensors, has in the file.
    shape: Vec<usize>,
    /// The pixels and channels of an image made flat, whose numbers the first axis of the weight is about.
    flat: Option<(usize, usize)>,
}

/// What makes a weight of a tensor.
#[derive(Clone, Debug, PartialEq)]
enum Form {
    Same,
    /// Of one axis more, all others having one place.
    Shared,
    /// The axes in this order.
    Axes(&'static [isize]),
    /// A depthwise kernel, whose channels and multiples are one axis: these, and the axes' order once they are two.
    Depthwise(usize, &'static [isize]),
    /// Rows become columns, of as many blocks as there are numbers here, in this order.
    Gates(&'static [usize]),
    /// The sum of this tensor, for the input, and the one for the state.
    Sum,
    /// Both, below each other, each of blocks in this order.
    Both(&'static [usize]),
    /// Rows of three blocks, of which this is one, as columns.
    Projection(usize),
    /// A block of a bias.
    ProjectionBias(usize),
    /// Rows become columns.
    Output,
}

/// PyTorch has the gates r, z, n, Keras z, r, h.
const GRU: &[usize] = &[1, 0, 2];
/// Both have i, f, c, o.
const LSTM: &[usize] = &[0, 1, 2, 3];
const SIMPLE: &[usize] = &[0];

/// How the weights of a layer lie in a module of its kind, or why they are in none.
pub(super) fn of(
    layer: &dyn Layer,
    weights: &[(usize, &Parameter)],
    order: &Order,
) -> Result<Vec<(usize, Layout)>, String> {
    let kind = layer.kind();
    let flat = match order {
        Order::Flat { pixels, channels } => Some((*pixels, *channels)),
        Order::Unknown(culprit) => {
            return Err(format!(
                "the order of the numbers that it reads cannot be told: PyTorch has channels first, and {culprit} moves them"
            ));
        }
        _ => None,
    };
    let each = |&(index, parameter): &(usize, &Parameter)| {
        let refused = || refusal(kind, parameter);
        let mut layout = layout(kind, parameter, weights).ok_or_else(refused)?;
        layout.flat = flat.filter(|_| parameter.name != "bias");
        Ok((index, layout))
    };
    weights.iter().map(each).collect()
}

fn refusal(kind: &str, parameter: &Parameter) -> String {
    match (kind, parameter.name.as_str()) {
        ("GRU" | "Bidirectional", name) if name.ends_with("bias") => {
            "PyTorch's GRU has a bias of its own for the state: set reset_after".into()
        }
        _ => format!("a {kind} with a {} of {} is no module of PyTorch's", parameter.name, parameter.shape),
    }
}

/// How one weight lies in a module.
fn layout(kind: &str, parameter: &Parameter, all: &[(usize, &Parameter)]) -> Option<Layout> {
    let (name, shape) = (parameter.name.as_str(), &parameter.shape);
    let lies = |leaf: &str, form, shape: Vec<usize>| Some(Layout { leaf: leaf.into(), form, shape, flat: None });
    let permuted = |order: &'static [isize]| {
        let mut there = vec![0; order.len()];
        order.iter().zip(shape.iter()).for_each(|(&axis, &extent)| there[axis as usize] = extent);
        lies("weight", Form::Axes(order), there)
    };
    let is_vector = shape.rank() == 1;
    match (kind, name) {
        ("Dense" | "TimeDistributed", "kernel") if shape.rank() == 2 => permuted(&[1, 0]),
        ("Conv1D" | "Conv1DTranspose", "kernel") => permuted(&[2, 1, 0]),
        ("Conv2D" | "Conv2DTranspose", "kernel") => permuted(&[2, 3, 1, 0]),
        ("DepthwiseConv1D" | "DepthwiseConv2D", "kernel") => depthwise(shape),
        (
            "Dense" | "TimeDistributed" | "Conv1D" | "Conv2D" | "Conv1DTranspose" | "Conv2DTranspose"
            | "DepthwiseConv1D" | "DepthwiseConv2D",
            "bias",
        ) => lies("bias", Form::Same, shape.to_vec()),
        ("Embedding", "embeddings") => lies("weight", Form::Same, shape.to_vec()),
        ("BatchNormalization" | "LayerNormalization" | "GroupNormalization" | "RMSNormalization", _) if is_vector => {
            let leaf = match name {
                "gamma" | "scale" => "weight",
                "beta" => "bias",
                "moving_mean" => "running_mean",
                "moving_variance" => "running_var",
                _ => return None,
            };
            lies(leaf, Form::Same, shape.to_vec())
        }
        ("PReLU", "alpha") if shape.iter().filter(|&&extent| extent != 1).count() <= 1 => {
            lies("weight", Form::Shared, vec![shape.len()])
        }
        ("MultiHeadAttention", _) => attention(name, shape, all),
        ("LSTM" | "GRU" | "SimpleRNN" | "Bidirectional", _) => recurrent(name, shape, all),
        _ => None,
    }
}

/// A kernel (sizes, channels, multiples) there is (channels * multiples, 1, sizes).
fn depthwise(shape: &Shape) -> Option<Layout> {
    let (sizes, [channels, multiples]) = shape.split_last_chunk::<2>()?;
    let order: &[isize] = if sizes.len() == 1 { &[2, 0, 1] } else { &[2, 3, 0, 1] };
    let there = [&[channels * multiples, 1], sizes].concat();
    Some(Layout { leaf: "weight".into(), form: Form::Depthwise(*channels, order), shape: there, flat: None })
}

/// Weights of recurrent layers: of the way back of those that go both ways the tensors end otherwise.
fn recurrent(name: &str, shape: &Shape, all: &[(usize, &Parameter)]) -> Option<Layout> {
    let (way, name) = name.split_once('/').unwrap_or(("", name));
    let behind = if way == "backward_layer" { "_reverse" } else { "" };
    let state = if way.is_empty() { "recurrent_kernel".into() } else { format!("{way}/recurrent_kernel") };
    let (_, state) = all.iter().find(|(_, p)| p.name == state)?;
    let [units, columns] = state.shape[..] else { return None };
    let gates = match columns / units {
        1 => SIMPLE,
        3 => GRU,
        4 => LSTM,
        _ => return None,
    };
    let (leaf, form, shape) = match name {
        "kernel" => ("weight_ih", Form::Gates(gates), vec![columns, shape[0]]),
        "recurrent_kernel" => ("weight_hh", Form::Gates(gates), vec![columns, units]),
        "bias" if gates == GRU && shape.rank() == 2 => ("bias_ih", Form::Both(gates), vec![columns]),
        "bias" if gates != GRU => ("bias_ih", Form::Sum, vec![columns]),
        _ => return None,
    };
    Some(Layout { leaf: format!("{leaf}{behind}"), form, shape, flat: None })
}

/// Weights of attention whose queries, keys and values have the same features.
fn attention(name: &str, shape: &Shape, all: &[(usize, &Parameter)]) -> Option<Layout> {
    let (_, query) = all.iter().find(|(_, p)| p.name == "query/kernel")?;
    let [features, heads, size] = query.shape[..] else { return None };
    let width = heads * size;
    let (part, weight) = name.split_once('/')?;
    let block = ["query", "key", "value"].iter().position(|known| *known == part);
    let lies = |leaf: &str, form, shape: Vec<usize>| Some(Layout { leaf: leaf.into(), form, shape, flat: None });
    match (block, weight) {
        _ if width != features => None,
        (Some(block), "kernel") if *shape == query.shape => {
            lies("in_proj_weight", Form::Projection(block), vec![3 * width, features])
        }
        (Some(block), "bias") => lies("in_proj_bias", Form::ProjectionBias(block), vec![3 * width]),
        (None, "kernel") if part == "attention_output" && shape[..] == [heads, size, features] => {
            lies("out_proj.weight", Form::Output, vec![features, width])
        }
        (None, "bias") if part == "attention_output" => lies("out_proj.bias", Form::Same, shape.to_vec()),
        _ => None,
    }
}

/// The tensor's rows in blocks, in another order.
fn in_blocks(tensor: &Tensor, order: &[usize]) -> Result<Tensor> {
    let block = tensor.rows() / order.len();
    tensor.take(&order.iter().flat_map(|&at| at * block..(at + 1) * block).collect::<Vec<_>>())
}

/// The tensor in another shape of as many elements.
fn shaped(tensor: &Tensor, shape: &[usize]) -> Result<Tensor> {
    tensor.reshape(&shape.iter().map(|&extent| extent as isize).collect::<Vec<_>>())
}

impl Layout {
    /// What the module calls the tensors.
    pub fn leaves(&self) -> impl Iterator<Item = &str> {
        let of_state = match (&self.form, self.leaf.as_str()) {
            (Form::Sum | Form::Both(_), "bias_ih") => Some("bias_hh"),
            (Form::Sum | Form::Both(_), _) => Some("bias_hh_reverse"),
            _ => None,
        };
        [Some(self.leaf.as_str()), of_state].into_iter().flatten()
    }

    /// Whether a module has the tensors, of floats and of these shapes.
    pub fn fits(&self, module: &Module, file: &TensorFile) -> bool {
        self.leaves().all(|leaf| {
            let tensor = module.tensor(leaf).and_then(|name| file.tensor(name).ok());
            tensor.is_some_and(|tensor| tensor.shape()[..] == self.shape[..] && tensor.dtype().is_float())
        })
    }

    /// What is done to the tensors, in words.
    pub fn how(&self) -> &'static str {
        match self.form {
            Form::Same | Form::Shared if self.flat.is_some() => "channels last",
            Form::Same | Form::Shared => "",
            _ if self.flat.is_some() => "transposed, channels last",
            Form::Axes(_) | Form::Output | Form::Depthwise(..) => "transposed",
            Form::Gates(GRU) => "transposed, gates reordered",
            Form::Gates(_) => "transposed",
            Form::Sum => "added",
            Form::Both(_) => "gates reordered",
            Form::Projection(_) => "its part, transposed",
            Form::ProjectionBias(_) => "its part",
        }
    }

    /// The weight, of its shape in the model.
    pub fn weight(&self, source: &Source<'_>, shape: &Shape) -> Result<Tensor> {
        let mut tensors = self.leaves().map(|leaf| source.tensor(leaf));
        let tensor = tensors.next().ok_or_else(|| Error::argument(&self.leaf, "is not in the module"))??;
        let second = tensors.next().transpose()?;
        let third = |at: &usize| {
            let rows = tensor.rows() / 3;
            tensor.take(&(at * rows..(at + 1) * rows).collect::<Vec<_>>())
        };
        let made = match (&self.form, second) {
            (Form::Same | Form::Shared, _) => tensor.clone(),
            (Form::Axes(order), _) => tensor.permute(order)?,
            (Form::Depthwise(channels, order), _) => {
                let split = [&[*channels, self.shape[0] / channels], &self.shape[2..]].concat();
                shaped(tensor, &split)?.permute(order)?
            }
            (Form::Gates(order), _) => in_blocks(tensor, order)?.transpose(),
            (Form::Sum, Some(second)) => tensor.try_add(second)?,
            (Form::Both(order), Some(second)) => {
                let both = [in_blocks(tensor, order)?, in_blocks(second, order)?];
                Tensor::concatenate(&[&both[0], &both[1]], 0)?
            }
            (Form::Projection(at), _) => third(at)?.transpose(),
            (Form::ProjectionBias(at), _) => third(at)?,
            (Form::Output, _) => tensor.transpose(),
            (Form::Sum | Form::Both(_), None) => return Err(Error::argument(&self.leaf, "has no bias for the state")),
        };
        let made = match self.flat {
            Some((pixels, channels)) => {
                let rest = made.shape().len() / (pixels * channels);
                shaped(&made, &[channels, pixels, rest])?.permute(&[1, 0, 2])?
            }
            None => made,
        };
        shaped(&made, shape)
    }
}

impl Source<'_> {
    fn tensor(&self, leaf: &str) -> Result<&Tensor> {
        let name = self.module.tensor(leaf).ok_or_else(|| Error::argument(leaf, "is not in the module"))?;
        self.file.tensor(name)
    }
}
