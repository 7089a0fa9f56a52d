//! A sample as so many equal steps, <https://keras.io/api/layers/reshaping_layers/repeat_vector/>.

use super::{Config, Id, KerasObject, Layer, Result, Scope};
use crate::ops::expand::Expand;

/// From (batch, features) to (batch, n, features): the sample at each step.
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(RepeatVector::new(2)).device(Device::cpu());
/// assert_eq!(model.predict(&Tensor::from([[1.0f32, 5.0]]))?, Tensor::from([[[1.0f32, 5.0], [1.0, 5.0]]]));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RepeatVector {
    n: usize,
}

impl RepeatVector {
    /// A layer that gives so many steps.
    pub fn new(n: usize) -> Self {
        Self { n }
    }
}

impl Layer for RepeatVector {
    fn kind(&self) -> &'static str {
        "RepeatVector"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let shape = scope.graph.shape(x);
        if shape.rank() != 2 || self.n == 0 {
            let message = format!("makes {} steps of samples (batch, features), was given {shape}", self.n);
            return Err(scope.error(message));
        }
        Ok(vec![scope.graph.apply(Expand { axis: 1, extents: vec![self.n], scale: 1.0 }, &[x])?])
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("n", self.n)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name).with("n", self.n))
    }
}
