//! Values in another range, <https://keras.io/api/layers/preprocessing_layers/image_preprocessing/rescaling/>.

use super::{Layer, Numbers};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Config, KerasObject, Scope};
use crate::ops::binary::Binary;

/// y = x scale + offset, each a number or one for each of x's last axis.
///
/// Bytes are divided by 255 when they are batched, before any layer sees them: it takes no `Rescaling` by 1/255 for pictures.
///
/// ```
/// use kiln::nn::layers::Rescaling;
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Rescaling::new(2.0).offset(-1.0)).device(Device::cpu());
/// assert_eq!(model.predict(&Tensor::from([[0.0f32, 0.5, 1.0]]))?, Tensor::from([[-1.0f32, 0.0, 1.0]]));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rescaling {
    scale: Numbers,
    offset: Numbers,
}

impl Rescaling {
    /// Multiplies by this.
    pub fn new(scale: impl Into<Numbers>) -> Self {
        Self { scale: scale.into(), offset: Numbers::from(0.0) }
    }

    /// Sets what is added then; default 0.
    #[must_use]
    pub fn offset(mut self, offset: impl Into<Numbers>) -> Self {
        self.offset = offset.into();
        self
    }

    /// The layer of these settings, taken out of `config`.
    pub(super) fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self { scale: config.take("scale")?, offset: config.take_or("offset", Numbers::from(0.0))? })
    }
}

impl Layer for Rescaling {
    fn kind(&self) -> &'static str {
        "Rescaling"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let mut y = x;
        for (name, numbers, op) in [("scale", &self.scale, Binary::Mul), ("offset", &self.offset, Binary::Add)] {
            numbers.check(scope, name, scope.graph.shape(x))?;
            let numbers = numbers.constant(scope.graph);
            y = scope.graph.apply(op, &[y, numbers])?;
        }
        Ok(vec![y])
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("scale", self.scale.clone()).with("offset", self.offset.clone())
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = KerasObject::layer(self.kind(), name);
        Ok(layer.with("scale", self.scale.clone()).with("offset", self.offset.clone()))
    }
}
