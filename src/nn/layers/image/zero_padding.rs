//! Zeros around images and sequences, <https://keras.io/api/layers/reshaping_layers/zero_padding2d/>.

use super::{Edges, padded};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::layers::data_format::{DataFormat, data_format_setter};
use crate::nn::layers::{Layer, Pair};
use crate::nn::{Config, KerasObject, Misnamed, Scope};

/// Adds zeros before and behind the steps of sequences (batch, steps, channels).
///
/// ```
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(ZeroPadding1D::new([1, 0])).device(Device::cpu());
/// assert_eq!(model.predict(&Tensor::from([[[1.0f32], [2.0]]]))?, Tensor::from([[[0.0f32], [1.0], [2.0]]]));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ZeroPadding1D {
    padding: Pair,
    data_format: DataFormat,
    misnamed: Misnamed,
}

impl Default for ZeroPadding1D {
    /// One step at either end.
    fn default() -> Self {
        Self::new(1)
    }
}

impl ZeroPadding1D {
    /// Adds this many steps at both ends: `2`, or `[1, 2]` before and behind.
    pub fn new(padding: impl Into<Pair>) -> Self {
        Self { padding: padding.into(), data_format: DataFormat::default(), misnamed: Misnamed::default() }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new(config.take_or("padding", Pair::from(1))?);
        Ok(Self { data_format: config.take_or(DataFormat::KEY, default.data_format)?, ..default })
    }

    data_format_setter!();
}

impl Layer for ZeroPadding1D {
    fn kind(&self) -> &'static str {
        "ZeroPadding1D"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        self.misnamed.check_in(scope)?;
        self.data_format.check(scope, x, 1)?;
        Ok(vec![padded(scope, x, self.data_format.spatial(1).start, &[self.padding.0], 0.0)?])
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("padding", self.padding).with(DataFormat::KEY, self.data_format)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = KerasObject::layer(self.kind(), name);
        Ok(layer.with("padding", self.padding).with(DataFormat::KEY, self.data_format))
    }
}

/// Adds rows and columns of zeros around images (batch, height, width, channels).
///
/// ```
/// use kiln::nn::layers::ZeroPadding2D;
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(ZeroPadding2D::new([[0, 0], [1, 2]])).device(Device::cpu());
/// let image = Tensor::new([1, 1, 2, 1], vec![5.0f32, 6.0])?;
/// assert_eq!(model.predict(&image)?.to_vec::<f32>(), [0.0, 5.0, 6.0, 0.0, 0.0]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ZeroPadding2D {
    padding: Edges,
    data_format: DataFormat,
    misnamed: Misnamed,
}

impl Default for ZeroPadding2D {
    /// One row or column at each edge.
    fn default() -> Self {
        Self::new(1)
    }
}

impl ZeroPadding2D {
    /// Adds this many at each edge: `1`, `[rows, columns]` or `[[top, bottom], [left, right]]`.
    pub fn new(padding: impl Into<Edges>) -> Self {
        Self { padding: padding.into(), data_format: DataFormat::default(), misnamed: Misnamed::default() }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new(config.take_or("padding", Edges::from(1))?);
        Ok(Self { data_format: config.take_or(DataFormat::KEY, default.data_format)?, ..default })
    }

    data_format_setter!();
}

impl Layer for ZeroPadding2D {
    fn kind(&self) -> &'static str {
        "ZeroPadding2D"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        self.misnamed.check_in(scope)?;
        self.data_format.check(scope, x, 2)?;
        Ok(vec![padded(scope, x, self.data_format.spatial(2).start, &self.padding.0, 0.0)?])
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("padding", self.padding).with(DataFormat::KEY, self.data_format)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = KerasObject::layer(self.kind(), name);
        Ok(layer.with("padding", self.padding).with(DataFormat::KEY, self.data_format))
    }
}
