//! The axes of samples in another order, <https://keras.io/api/layers/reshaping_layers/permute/>.

use super::Layer;
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Config, KerasObject, Scope};
use crate::ops::transpose::Transpose;

/// Axis i of a sample becomes what axis `dims[i]` was; counted from 1, the batch's axis stays where it is.
///
/// ```
/// use kiln::prelude::*;
/// let y = Permute::new([2, 1]).apply(Input::new([4, 3]))?;
/// assert_eq!(y.shape().to_string(), "(3, 4)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Permute {
    dims: Vec<usize>,
}

impl Permute {
    /// To this order: `Permute::new([2, 1])` turns (batch, 10, 64) into (batch, 64, 10).
    pub fn new(dims: impl Into<Vec<usize>>) -> Self {
        Self { dims: dims.into() }
    }
}

impl Layer for Permute {
    fn kind(&self) -> &'static str {
        "Permute"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let (shape, dims) = (scope.graph.shape(x), &self.dims);
        let mut sorted = dims.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(1..=dims.len()) {
            return Err(scope.error(format!("dims {dims:?} is no order of axes: it has each number from 1 on once")));
        }
        if dims.len() + 1 != shape.rank() {
            let message = format!("dims {dims:?} is for samples of {} axes, was given {shape}", dims.len());
            return Err(scope.error(message));
        }
        let order = [&[0], &dims[..]].concat();
        Ok(vec![scope.graph.apply(Transpose(order), &[x])?])
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("dims", self.dims.clone())
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name).with("dims", self.dims.clone()))
    }
}
