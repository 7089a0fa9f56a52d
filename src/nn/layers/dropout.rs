//! Dropout, <https://keras.io/api/layers/regularization_layers/dropout/>.

use super::Layer;
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Config, KerasObject, Scope, Setting};
use crate::ops;

/// In training each element is zero with probability `rate`, and the others grow by 1 / (1 - rate); elsewhere y = x.
///
/// ```
/// use kiln::prelude::*;
/// // In prediction it changes nothing.
/// let mut model = Sequential::new().add(Dropout::new(0.5)).device(Device::cpu());
/// assert_eq!(model.predict(&Tensor::from([[1.0f32, 2.0]]))?, Tensor::from([[1.0f32, 2.0]]));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    rate: f64,
}

impl Dropout {
    /// A layer that drops this share, 0 to below 1.
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }
}

/// That a share may be dropped.
pub(super) fn check_rate(scope: &Scope<'_>, rate: f64) -> Result<()> {
    if (0.0..1.0).contains(&rate) {
        return Ok(());
    }
    Err(scope.error(format!("the rate {rate} is not in 0..1: it is the share that is dropped")))
}

impl Layer for Dropout {
    fn kind(&self) -> &'static str {
        "Dropout"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        check_rate(scope, self.rate)?;
        let Some(clock) = scope.training() else { return Ok(vec![x]) };
        let op = ops::dropout::Dropout::new(self.rate, scope.salt());
        Ok(vec![scope.graph.apply(op, &[x, clock])?])
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name)
            .with("rate", self.rate)
            .with("seed", Setting::Null)
            .with("noise_shape", Setting::Null))
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("rate", self.rate)
    }
}
