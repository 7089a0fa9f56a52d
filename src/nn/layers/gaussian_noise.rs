//! Normal noise, <https://keras.io/api/layers/regularization_layers/gaussian_noise/>.

use super::Layer;
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Config, KerasObject, Scope, Setting};
use crate::ops;

/// In training each element is y = x + normal noise; elsewhere y = x.
///
/// ```
/// use kiln::prelude::*;
/// let y = GaussianNoise::new(0.1).apply(Input::new([4]))?;
/// assert_eq!(y.shape().to_string(), "(4,)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GaussianNoise {
    stddev: f64,
}

impl GaussianNoise {
    /// A layer that adds noise of this standard deviation, 0 or more.
    pub fn new(stddev: f64) -> Self {
        Self { stddev }
    }
}

impl Layer for GaussianNoise {
    fn kind(&self) -> &'static str {
        "GaussianNoise"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        if !(0.0..f64::INFINITY).contains(&self.stddev) {
            let message = format!("the standard deviation {} is not 0 or more, and finite", self.stddev);
            return Err(scope.error(message));
        }
        let op = ops::gaussian_noise::GaussianNoise { stddev: self.stddev, salt: scope.salt() };
        match scope.training() {
            Some(clock) => Ok(vec![scope.graph.apply(op, &[x, clock])?]),
            None => Ok(vec![x]),
        }
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name).with("stddev", self.stddev).with("seed", Setting::Null))
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("stddev", self.stddev)
    }
}
