//! Images and sequences several times as large, <https://keras.io/api/layers/reshaping_layers/up_sampling2d/>.

use super::{Interpolation, resized};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::layers::data_format::{DataFormat, data_format_setter};
use crate::nn::layers::{Layer, Pair};
use crate::nn::{Config, KerasObject, Misnamed, OrName, Scope};

/// x with its extents along the axes from `first` on multiplied.
fn enlarged(scope: &mut Scope<'_>, x: Id, first: usize, size: &[usize], interpolation: Interpolation) -> Result<Id> {
    if size.contains(&0) {
        return Err(scope.error(format!("the size {size:?} leaves nothing; give 1 or more")));
    }
    let extents = scope.graph.shape(x)[first..].iter().zip(size).map(|(extent, by)| extent.saturating_mul(*by));
    let extents = extents.collect::<Vec<_>>();
    resized(scope.graph, x, first, &extents, interpolation)
}

/// Repeats each step of sequences (batch, steps, channels).
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(UpSampling1D::new(2)).device(Device::cpu());
/// assert_eq!(model.predict(&Tensor::from([[[1.0f32], [2.0]]]))?, Tensor::from([[[1.0f32], [1.0], [2.0], [2.0]]]));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct UpSampling1D {
    size: usize,
}

impl Default for UpSampling1D {
    /// Each step twice.
    fn default() -> Self {
        Self::new(2)
    }
}

impl UpSampling1D {
    /// Repeats each step this many times.
    pub fn new(size: usize) -> Self {
        Self { size }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self::new(config.take_or("size", 2)?))
    }
}

impl Layer for UpSampling1D {
    fn kind(&self) -> &'static str {
        "UpSampling1D"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        DataFormat::ChannelsLast.check(scope, x, 1)?;
        Ok(vec![enlarged(scope, x, 1, &[self.size], Interpolation::Nearest)?])
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("size", self.size)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(KerasObject::layer(self.kind(), name).with("size", self.size))
    }
}

/// Makes images (batch, height, width, channels) several times as high and as wide: repeats each pixel, or interpolates values
/// between pixels.
///
/// ```
/// use kiln::nn::layers::UpSampling2D;
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(UpSampling2D::new([1, 2])).device(Device::cpu());
/// let image = Tensor::new([1, 1, 2, 1], vec![5.0f32, 6.0])?;
/// assert_eq!(model.predict(&image)?.to_vec::<f32>(), [5.0, 5.0, 6.0, 6.0]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct UpSampling2D {
    size: Pair,
    data_format: DataFormat,
    interpolation: Interpolation,
    misnamed: Misnamed,
}

impl Default for UpSampling2D {
    /// Twice as high and as wide.
    fn default() -> Self {
        Self::new(2)
    }
}

impl UpSampling2D {
    /// Makes images this many times as high and as wide: `2`, or `[2, 3]`.
    pub fn new(size: impl Into<Pair>) -> Self {
        Self {
            size: size.into(),
            data_format: DataFormat::default(),
            interpolation: Interpolation::Nearest,
            misnamed: Misnamed::default(),
        }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new(config.take_or("size", Pair::from(2))?);
        Ok(Self {
            data_format: config.take_or(DataFormat::KEY, default.data_format)?,
            interpolation: config.take_or("interpolation", default.interpolation)?,
            ..default
        })
    }

    data_format_setter!();

    /// How values between pixels are made; default [`Interpolation::Nearest`], which repeats each pixel.
    #[must_use]
    pub fn interpolation(mut self, interpolation: impl OrName<Interpolation>) -> Self {
        self.misnamed.set(&mut self.interpolation, interpolation);
        self
    }
}

impl Layer for UpSampling2D {
    fn kind(&self) -> &'static str {
        "UpSampling2D"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        self.misnamed.check_in(scope)?;
        self.data_format.check(scope, x, 2)?;
        Ok(vec![enlarged(scope, x, self.data_format.spatial(2).start, &self.size.0, self.interpolation)?])
    }

    fn config(&self) -> Config {
        let config = Config::new(self.kind()).with("size", self.size).with(DataFormat::KEY, self.data_format);
        config.with("interpolation", self.interpolation)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = KerasObject::layer(self.kind(), name).with("size", self.size);
        Ok(layer.with(DataFormat::KEY, self.data_format).with("interpolation", self.interpolation))
    }
}
