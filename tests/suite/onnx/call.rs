//! A case as a graph under way, and what translations share.

use kiln::device::{Device, Function};
use kiln::graph::{Aggregation, Graph, Id, Leaf, Type};
use kiln::nn::layers::Input;
use kiln::nn::{Layer, Sequential};
use kiln::ops::Op;
use kiln::ops::binary::Binary;
use kiln::ops::normalize::Normalize;
use kiln::ops::reshape::Reshape;
use kiln::ops::transpose::Transpose;
use kiln::tensor::{DType, Shape};
use kiln::{Result, Tensor};

use super::Case;

/// A graph of a case, whose inputs are the leaves that a translation asked for.
pub struct Call<'a> {
    pub case: &'a Case,
    pub g: Graph,
    given: Vec<(usize, Id)>,
}

/// The outputs of the graph that a translation makes of a case.
pub fn on_graph(
    case: &Case,
    device: &Device,
    translate: impl Fn(&mut Call<'_>) -> Result<Vec<Id>>,
) -> Result<Vec<Tensor>> {
    let mut call = Call { case, g: Graph::new(), given: Vec::new() };
    let outputs = translate(&mut call)?;
    for (i, y) in outputs.into_iter().enumerate() {
        call.g.output(i as u32 as usize, y)?;
    }
    let inputs: Vec<Tensor> = call.given.iter().map(|&(i, _)| case.tensor(i).expect("asked for").clone()).collect();
    Function::new(device, &call.g)?.call(&inputs)
}

/// What a layer of these weights makes of a batch.
pub fn by_layer(device: &Device, layer: impl Layer + 'static, x: &Tensor, weights: &[&Tensor]) -> Result<Tensor> {
    let input = Input::new(x.shape()[1..].to_vec());
    let mut model = Sequential::new().add(input).add(layer).device(device.clone());
    model.set_weights(&weights.iter().copied().cloned().collect::<Vec<_>>())?;
    model.predict(x)
}

impl Call<'_> {
    /// An input, which is there.
    pub fn x(&mut self, i: usize) -> Id {
        if let Some(&(_, id)) = self.given.iter().find(|(known, _)| *known == i) {
            return id;
        }
        let tensor = self.case.tensor(i).expect("an input that is not left out");
        let shape = tensor.shape().clone();
        let ty = if tensor.dtype() == DType::U32 { Type::u32(shape) } else { Type::float(shape) };
        let id = self.g.leaf(Leaf::Input(self.given.len()), ty);
        self.given.push((i, id));
        id
    }

    pub fn has(&self, i: usize) -> bool {
        self.case.tensor(i).is_some()
    }

    pub fn with(&mut self, op: Binary, a: Id, b: Id) -> Result<Id> {
        self.g.apply(op, &[a, b])
    }

    pub fn number(&mut self, op: Binary, a: Id, number: f64) -> Result<Id> {
        let number = self.g.fill(number, []);
        self.g.apply(op, &[a, number])
    }

    pub fn map(&mut self, op: impl Op, x: Id) -> Result<Id> {
        self.g.apply(op, &[x])
    }

    pub fn shape(&self, x: Id) -> Vec<usize> {
        self.g.shape(x).to_vec()
    }

    pub fn reshaped(&mut self, x: Id, shape: impl Into<Shape>) -> Result<Id> {
        self.map(Reshape(shape.into()), x)
    }

    pub fn transposed(&mut self, x: Id, order: impl Into<Vec<usize>>) -> Result<Id> {
        self.map(Transpose(order.into()), x)
    }

    /// Reduced over some axes, or all, which stay with an extent of 1.
    pub fn reduced(&mut self, how: Aggregation, x: Id, axes: Option<&[isize]>) -> Result<Id> {
        self.g.reduce(how, x, axes, true)
    }

    /// An axis as it is counted from the first.
    pub fn axis(&self, x: Id, axis: isize) -> usize {
        if axis < 0 { (self.shape(x).len() as isize + axis) as usize } else { axis as usize }
    }

    /// What has mean 0 and variance 1 over some axes, then mean and variance, without these.
    pub fn normalized(&mut self, x: Id, axes: &[usize], epsilon: f64) -> Result<[Id; 3]> {
        let rank = self.shape(x).len();
        let kept = (0..rank).filter(|axis| !axes.contains(axis));
        let order: Vec<usize> = kept.chain(axes.iter().copied()).collect();
        let mut back = vec![0; rank];
        order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
        let moved = self.transposed(x, order)?;
        let op = Normalize { axes: rank - axes.len()..rank, epsilon };
        let outputs = self.g.apply_all(std::sync::Arc::new(op), &[moved])?;
        Ok([self.transposed(outputs[0], back)?, outputs[1], outputs[2]])
    }
}
