//! Images moved at random,
//! <https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_translation/>.

use super::{Layer, expect_images};
use crate::config::named;
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Config, KerasObject, Scope, Setting};
pub use crate::ops::translate::Fill;
use crate::ops::translate::Translate;

named!(Fill: "reflect" = Reflect, "nearest" = Nearest, "wrap" = Wrap, "constant" = Constant);

/// In training each image (height, width, ...) is moved by an offset of its own, up or down and left or right, with values
/// between pixels interpolated; elsewhere y = x. Offsets are multiples of 1/256 of a pixel.
#[derive(Clone, Copy, Debug)]
pub struct RandomTranslation {
    reach: [f64; 2],
    fill: Fill,
}

impl RandomTranslation {
    /// By up to these shares of the height and the width, 0 to 1, in either direction; the image mirrored at its edges
    /// stands beyond them.
    pub fn new(height_factor: f64, width_factor: f64) -> Self {
        Self { reach: [height_factor, width_factor], fill: Fill::default() }
    }

    /// What stands beyond the edges; default [`Fill::Reflect`].
    #[must_use]
    pub fn fill_mode(mut self, fill: Fill) -> Self {
        self.fill = fill;
        self
    }
}

impl RandomTranslation {
    pub(super) fn from_config(config: &mut Config) -> Result<Self> {
        let factors = Self::new(config.take("height_factor")?, config.take("width_factor")?);
        Ok(factors.fill_mode(config.take_or("fill_mode", factors.fill)?))
    }
}

impl Layer for RandomTranslation {
    fn kind(&self) -> &'static str {
        "RandomTranslation"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
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
