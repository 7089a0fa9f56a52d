//! Images made larger or smaller at random,
//! <https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_zoom/>.

use super::moved::{Factor, Moved, moved_setters};
use super::{Fill, Interpolation};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::layers::Layer;
use crate::nn::{Config, KerasObject, OrName, Scope};
use crate::ops::random_map::Draw;

/// In training what is shown of each image (height, width, ...) is made larger or smaller about its middle by factors of its own,
/// with values between pixels interpolated; elsewhere y = x. All devices draw the same factors, in whole numbers.
///
/// ```
/// use kiln::prelude::*;
/// let y = RandomZoom::new(0.2).apply(Input::new([8, 8, 3]))?;
/// assert_eq!(y.shape().to_string(), "(8, 8, 3)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RandomZoom {
    height_factor: Factor,
    width_factor: Option<Factor>,
    moved: Moved,
}

impl RandomZoom {
    /// By a factor within this of 1 in either direction, 0 to 1, or between 1 and two numbers more, above -1 and up to 1: 0.2 shows
    /// 20% more of the image, which it makes smaller, -0.2 20% less. The width goes with the height, so that images keep their ratio.
    /// The images mirrored at their edges stand beyond these.
    pub fn new(height_factor: impl Into<Factor>) -> Self {
        Self { height_factor: height_factor.into(), width_factor: None, moved: Moved::default() }
    }

    /// Draws the width's factor by itself, as the height's.
    #[must_use]
    pub fn width_factor(mut self, factor: impl Into<Factor>) -> Self {
        self.width_factor = Some(factor.into());
        self
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self {
            height_factor: config.take("height_factor")?,
            width_factor: config.take_or("width_factor", None)?,
            moved: Moved::from_config(config)?,
        })
    }

    moved_setters!();
}

impl Layer for RandomZoom {
    fn kind(&self) -> &'static str {
        "RandomZoom"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        for (name, factor) in [("height_factor", Some(self.height_factor)), ("width_factor", self.width_factor)] {
            let takes = |more: f64| more > -1.0 && more <= 1.0;
            factor.map_or(Ok(()), |factor| factor.check(scope, name, "above -1 and up to 1", takes))?;
        }
        let factors = |factor: Factor| factor.ends().map(|more| 1.0 + more);
        let draw = Draw::Zoom(factors(self.height_factor), self.width_factor.map(factors));
        Ok(vec![self.moved.applied(scope, x, draw)?])
    }

    fn config(&self) -> Config {
        let config = Config::new(self.kind()).with("height_factor", self.height_factor);
        self.moved.keep(config.with("width_factor", self.width_factor))
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = KerasObject::layer(self.kind(), name).with("height_factor", self.height_factor);
        Ok(self.moved.keras(layer.with("width_factor", self.width_factor)))
    }
}
