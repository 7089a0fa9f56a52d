//! Numbers that a layer is given: one, a list, or lists of lists.

use crate::config::{FromSetting, Setting};
use crate::error::Result;
use crate::graph::{Graph, Id};
use crate::nn::Scope;
use crate::tensor::{DType, Shape, Tensor};

/// A number for all, or a tensor of them: `0.5`, `[0.5, 0.25]`, a `Vec` or a [`Tensor`].
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers(Tensor);

impl Numbers {
    /// Their shape; that of a single number has no axes.
    pub fn shape(&self) -> &Shape {
        self.0.shape()
    }

    /// The numbers, in row-major order.
    pub fn values(&self) -> Vec<f64> {
        self.0.values().to_f64()
    }

    /// The same numbers, each changed.
    pub(super) fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        let values: Vec<f64> = self.values().into_iter().map(change).collect();
        Self(Tensor::new(self.shape().clone(), values).expect("as many as before"))
    }

    /// The same numbers in another shape of as many.
    pub(super) fn reshaped(&self, shape: &[usize]) -> Self {
        Self(Tensor::new(shape, self.values()).expect("as many as before"))
    }

    /// That they go with a value of this shape along its last axes, and are numbers.
    pub(super) fn check(&self, scope: &Scope<'_>, name: &str, x: &Shape) -> Result<()> {
        if let Some(number) = self.values().into_iter().find(|number| !number.is_finite()) {
            return Err(scope.error(format!("{name} has {number}; give finite numbers")));
        }
        let own = self.shape();
        let fits = own.rank() <= x.rank() && own.iter().rev().zip(x.iter().rev()).all(|(own, x)| [1, *x].contains(own));
        if fits {
            return Ok(());
        }
        Err(scope
            .error(format!("{name} of {own} does not go with {x}; give one number, or one for each of its last axes")))
    }

    /// Their value in a graph.
    pub(super) fn constant(&self, graph: &mut Graph) -> Id {
        match self.values()[..] {
            [number] => graph.fill(number, []),
            _ => graph.constant(&self.0),
        }
    }
}

impl From<f64> for Numbers {
    fn from(number: f64) -> Self {
        Self(Tensor::new([], vec![number]).expect("one number"))
    }
}

impl From<Vec<f64>> for Numbers {
    fn from(numbers: Vec<f64>) -> Self {
        Self(Tensor::new([numbers.len()], numbers).expect("as many as there are"))
    }
}

impl<const N: usize> From<[f64; N]> for Numbers {
    fn from(numbers: [f64; N]) -> Self {
        Vec::from(numbers).into()
    }
}

impl From<Tensor> for Numbers {
    fn from(numbers: Tensor) -> Self {
        Self(numbers.astype(DType::F64))
    }
}

/// A number, or lists as deep as there are axes: Keras' form.
impl From<Numbers> for Setting {
    fn from(numbers: Numbers) -> Self {
        let values = numbers.values().into_iter().map(Self::from).collect();
        let mut items: Vec<Self> = values;
        for &extent in numbers.shape().iter().rev() {
            items = items.chunks(extent.max(1)).map(|items| Self::List(items.to_vec())).collect();
        }
        items.pop().unwrap_or_else(|| Self::List(Vec::new()))
    }
}

impl FromSetting for Numbers {
    fn from_setting(setting: &Setting) -> Result<Self, String> {
        let Setting::List(items) = setting else { return f64::from_setting(setting).map(Self::from) };
        let items = items.iter().map(Self::from_setting).collect::<Result<Vec<_>, _>>()?;
        let Some(shape) = items.first().map(|item| item.shape().clone()) else {
            return Err("found an empty list".into());
        };
        if items.iter().any(|item| *item.shape() != shape) {
            return Err("found lists of several lengths side by side".into());
        }
        let values: Vec<f64> = items.iter().flat_map(Self::values).collect();
        let shape = [&[items.len()], &*shape].concat();
        Tensor::new(shape, values).map(Self).map_err(|e| e.to_string())
    }
}
