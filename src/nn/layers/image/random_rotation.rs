//! Images turned at random,
//! <https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_rotation/>.

use super::moved::{Factor, Moved, moved_setters};
use super::{Fill, Interpolation};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::layers::Layer;
use crate::nn::{Config, KerasObject, OrName, Scope};
use crate::ops::random_map::Draw;

/// In training each image (height, width, ...) is turned about its middle by an angle of its own, with values between pixels
/// interpolated; elsewhere y = x. All devices draw the same angles, in whole numbers.
///
/// ```
/// use kiln::nn::layers::RandomRotation;
/// use kiln::prelude::*;
/// let model = Sequential::new()
///     .add(Input::new([28, 28, 1]))
///     // By up to 36 degrees in either direction.
///     .add(RandomRotation::new(0.1).fill_mode("nearest"))
///     .add(Flatten)
///     .add(Dense::new(10));
/// # model.summary()?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RandomRotation {
    factor: Factor,
    moved: Moved,
}

impl RandomRotation {
    /// By up to this share of a whole turn in either direction, 0 to 1, or between two shares, -1 to 1. The images mirrored at their
    /// edges stand beyond these.
    pub fn new(factor: impl Into<Factor>) -> Self {
        Self { factor: factor.into(), moved: Moved::default() }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self { factor: config.take("factor")?, moved: Moved::from_config(config)? })
    }

    moved_setters!();
}

impl Layer for RandomRotation {
    fn kind(&self) -> &'static str {
        "RandomRotation"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let is_share = |share: f64| (-1.0..=1.0).contains(&share);
        self.factor.check(scope, "the factor", "from -1 to 1: they are shares of a whole turn", is_share)?;
        Ok(vec![self.moved.applied(scope, x, Draw::Rotation(self.factor.ends()))?])
    }

    fn config(&self) -> Config {
        self.moved.keep(Config::new(self.kind()).with("factor", self.factor))
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = KerasObject::layer(self.kind(), name).with("factor", self.factor.ends().to_vec());
        Ok(self.moved.keras(layer))
    }
}
