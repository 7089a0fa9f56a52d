//! Images moved at random,
//! <https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_translation/>.

use super::Fill;
use crate::error::Result;
use crate::graph::Id;
use crate::nn::layers::{Layer, expect_images};
use crate::nn::{Config, KerasObject, Misnamed, OrName, Scope, Setting};
use crate::ops::translate::Translate;

/// In training each image (height, width, ...) is moved by an offset of its own, up or down and left or right, with values
/// between pixels interpolated; elsewhere y = x. Offsets are multiples of 1/256 of a pixel.
///
/// ```
/// use kiln::prelude::*;
/// let y = RandomTranslation::new(0.1, 0.1).apply(Input::new([8, 8, 3]))?;
/// assert_eq!(y.shape().to_string(), "(8, 8, 3)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RandomTranslation {
    reach: [f64; 2],
    fill: Fill,
    misnamed: Misnamed,
}

impl RandomTranslation {
    /// By up to these shares of the height and the width, 0 to 1, in either direction; the image mirrored at its edges
    /// stands beyond them.
    pub fn new(height_factor: f64, width_factor: f64) -> Self {
        Self { reach: [height_factor, width_factor], fill: Fill::default(), misnamed: Misnamed::default() }
    }

    /// What stands beyond the edges; default [`Fill::Reflect`].
    #[must_use]
    pub fn fill_mode(mut self, fill: impl OrName<Fill>) -> Self {
        self.misnamed.set(&mut self.fill, fill);
        self
    }
}

impl RandomTranslation {
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        let factors = Self::new(config.take("height_factor")?, config.take("width_factor")?);
        let fill = config.take_or("fill_mode", factors.fill)?;
        Ok(factors.fill_mode(fill))
    }
}

impl Layer for RandomTranslation {
    fn kind(&self) -> &'static str {
        "RandomTranslation"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        self.misnamed.check_in(scope)?;
        expect_images(scope, x)?;
        if let Some(factor) = self.reach.iter().find(|factor| !(0.0..=1.0).contains(*factor)) {
            return Err(scope.error(format!("the factor {factor} is not in 0..=1: it is a share of the image")));
        }
        let op = Translate { reach: self.reach, fill: self.fill, salt: scope.salt(), transposed: false };
        match scope.training() {
            Some(clock) => Ok(vec![scope.graph.apply(op, &[x, clock])?]),
            None => Ok(vec![x]),
        }
    }

    fn config(&self) -> Config {
        let [height_factor, width_factor] = self.reach;
        let config = Config::new(self.kind()).with("height_factor", height_factor).with("width_factor", width_factor);
        config.with("fill_mode", self.fill)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let [height_factor, width_factor] = self.reach;
        Ok(KerasObject::layer(self.kind(), name)
            .with("data_format", "channels_last")
            .with("height_factor", height_factor)
            .with("width_factor", width_factor)
            .with("fill_mode", self.fill)
            .with("interpolation", "bilinear")
            .with("seed", Setting::Null)
            .with("fill_value", 0.0))
    }
}
