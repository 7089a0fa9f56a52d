//! Images turned over at random, <https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_flip/>.

use crate::error::{Error, Result};
use crate::graph::Id;
use crate::nn::layers::{Layer, expect_images};
use crate::nn::{Config, KerasObject, Scope, Setting};
use crate::ops::flip::Flip;

/// In training each image (height, width, ...) is flipped with probability 1/2, along each axis by itself; elsewhere
/// y = x.
///
/// ```
/// use kiln::prelude::*;
/// let y = RandomFlip::horizontal().apply(Input::new([8, 8, 3]))?;
/// assert_eq!(y.shape().to_string(), "(8, 8, 3)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RandomFlip {
    axes: &'static [usize],
}

/// Keras' name of each mode, and the axes that it flips along.
const MODES: [(&str, &[usize]); 3] = [("horizontal", &[2]), ("vertical", &[1]), ("horizontal_and_vertical", &[1, 2])];

impl RandomFlip {
    /// The layer of Keras' mode.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        let mode = config.take_or("mode", Self::horizontal_and_vertical().mode().to_string())?;
        let known = MODES.into_iter().find(|(name, _)| *name == mode);
        let unknown = || Error::argument("mode", crate::suggest::unknown(&mode, &MODES.map(|(name, _)| name)));
        known.map(|(_, axes)| Self { axes }).ok_or_else(unknown)
    }

    /// Left to right, as Keras' mode `horizontal`.
    pub fn horizontal() -> Self {
        Self { axes: &[2] }
    }

    /// Upside down, as Keras' mode `vertical`.
    pub fn vertical() -> Self {
        Self { axes: &[1] }
    }

    /// Both, as Keras' mode `horizontal_and_vertical`.
    pub fn horizontal_and_vertical() -> Self {
        Self { axes: &[1, 2] }
    }
}

impl RandomFlip {
    fn mode(self) -> &'static str {
        MODES.into_iter().find(|(_, axes)| *axes == self.axes).expect("made with these").0
    }
}

impl Layer for RandomFlip {
    fn kind(&self) -> &'static str {
        "RandomFlip"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        expect_images(scope, x)?;
        let (clock, salt) = (scope.training(), scope.salt());
        let flipped = self.axes.iter().try_fold(x, |x, &axis| match clock {
            Some(clock) => scope.graph.apply(Flip { axis, salt }, &[x, clock]),
            None => Ok(x),
        });
        Ok(vec![flipped?])
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("mode", self.mode())
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer =
            KerasObject::layer(self.kind(), name).with("data_format", "channels_last").with("seed", Setting::Null);
        Ok(layer.with("mode", self.mode()))
    }
}
