//! Images and sequences without their edges, <https://keras.io/api/layers/reshaping_layers/cropping2d/>.

use super::{Edges, cropped};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::layers::data_format::{DataFormat, data_format_setter};
use crate::nn::layers::{Layer, Pair};
use crate::nn::{Config, KerasObject, Misnamed, Scope};

/// Cuts steps off the beginning and the end of sequences (batch, steps, channels).
///
/// ```
/// use kiln::prelude::*;
/// let y = Cropping1D::new([1, 2]).apply(Input::new([10, 3]))?;
/// assert_eq!(y.shape().to_string(), "(7, 3)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Cropping1D {
    cropping: Pair,
}

impl Default for Cropping1D {
    /// One step at either end.
    fn default() -> Self {
        Self::new(1)
    }
}

impl Cropping1D {
    /// Cuts this many steps off both ends: `2`, or `[1, 2]` at the beginning and at the end.
    pub fn new(cropping: impl Into<Pair>) -> Self {
        Self { cropping: cropping.into() }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self::new(config.take_or("cropping", Pair::from(1))?))
    }
}

impl Layer for Cropping1D {
    fn kind(&self) -> &'static str {
        "Cropping1D"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        DataFormat::ChannelsLast.check(scope, x, 1)?;
        Ok(vec![cropped(scope, x, 1, &[self.cropping.0])?])
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("cropping", self.cropping)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name).with("cropping", self.cropping))
    }
}

/// Cuts rows and columns off the edges of images (batch, height, width, channels).
///
/// ```
/// use kiln::nn::layers::Cropping2D;
/// use kiln::prelude::*;
/// let model = Sequential::new().add(Input::new([28, 28, 3])).add(Cropping2D::new([2, 4]));
/// assert_eq!(model.summary()?.rows[0].outputs[0][1..], [24, 20, 3]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cropping2D {
    cropping: Edges,
    data_format: DataFormat,
    misnamed: Misnamed,
}

impl Default for Cropping2D {
    /// Cuts nothing off.
    fn default() -> Self {
        Self::new(0)
    }
}

impl Cropping2D {
    /// Cuts this many off each edge: `1`, `[rows, columns]` or `[[top, bottom], [left, right]]`.
    pub fn new(cropping: impl Into<Edges>) -> Self {
        Self { cropping: cropping.into(), data_format: DataFormat::default(), misnamed: Misnamed::default() }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new(config.take_or("cropping", Edges::from(0))?);
        Ok(Self { data_format: config.take_or(DataFormat::KEY, default.data_format)?, ..default })
    }

    data_format_setter!();
}

impl Layer for Cropping2D {
    fn kind(&self) -> &'static str {
        "Cropping2D"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        self.misnamed.check_in(scope)?;
        self.data_format.check(scope, x, 2)?;
        Ok(vec![cropped(scope, x, self.data_format.spatial(2).start, &self.cropping.0)?])
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("cropping", self.cropping).with(DataFormat::KEY, self.data_format)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = KerasObject::layer(self.kind(), name);
        Ok(layer.with("cropping", self.cropping).with(DataFormat::KEY, self.data_format))
    }
}
