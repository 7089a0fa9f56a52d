//! Noise by multiplication, <https://keras.io/api/layers/regularization_layers/gaussian_dropout/>.

use super::Layer;
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Config, KerasObject, Scope, Setting};
use crate::ops::binary::Binary;
use crate::ops::gaussian_noise::GaussianNoise;

/// In training each element is multiplied by normal noise of mean 1 and variance rate / (1 - rate), that of dropout; elsewhere
/// y = x.
///
/// ```
/// use kiln::prelude::*;
/// let y = GaussianDropout::new(0.3).apply(Input::new([4]))?;
/// assert_eq!(y.shape().to_string(), "(4,)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GaussianDropout {
    rate: f64,
}

impl GaussianDropout {
    /// A layer of the noise of [`super::Dropout`] with this rate, 0 to below 1.
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }
}

impl Layer for GaussianDropout {
    fn kind(&self) -> &'static str {
        "GaussianDropout"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        if !(0.0..1.0).contains(&self.rate) {
            return Err(scope.error(format!("the rate {} is not in 0..1", self.rate)));
        }
        let (Some(clock), salt) = (scope.training(), scope.salt()) else { return Ok(vec![x]) };
        let ones = scope.graph.fill(1.0, scope.graph.shape(x).clone());
        let stddev = (self.rate / (1.0 - self.rate)).sqrt();
        let noise = scope.graph.apply(GaussianNoise { stddev, salt }, &[ones, clock])?;
        Ok(vec![scope.graph.apply(Binary::Mul, &[x, noise])?])
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name).with("rate", self.rate).with("seed", Setting::Null))
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("rate", self.rate)
    }
}
