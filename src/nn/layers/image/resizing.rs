//! Images of a size, <https://keras.io/api/layers/preprocessing_layers/image_preprocessing/resizing/>.

use super::{Interpolation, cropped, padded, resized};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::layers::Layer;
use crate::nn::layers::data_format::{DataFormat, data_format_setter};
use crate::nn::{Config, KerasObject, Misnamed, OrName, Scope};

/// Brings images (batch, height, width, channels) to a given size. Values between pixels are interpolated; as Keras' default has it,
/// without `antialias`.
///
/// ```
/// use kiln::nn::layers::Resizing;
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(Resizing::new(1, 2)).device(Device::cpu());
/// let image = Tensor::new([1, 1, 4, 1], vec![1.0f32, 3.0, 5.0, 7.0])?;
/// assert_eq!(model.predict(&image)?.to_vec::<f32>(), [2.0, 6.0]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Resizing {
    extents: [usize; 2],
    interpolation: Interpolation,
    crop_to_aspect_ratio: bool,
    pad_to_aspect_ratio: bool,
    fill_value: f64,
    data_format: DataFormat,
    misnamed: Misnamed,
}

/// Keras' only `fill_mode` here.
const FILL_MODE: &str = "constant";

impl Resizing {
    /// Brings images to this many rows and columns.
    pub fn new(height: usize, width: usize) -> Self {
        Self {
            extents: [height, width],
            interpolation: Interpolation::Bilinear,
            crop_to_aspect_ratio: false,
            pad_to_aspect_ratio: false,
            fill_value: 0.0,
            data_format: DataFormat::default(),
            misnamed: Misnamed::default(),
        }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new(config.take("height")?, config.take("width")?);
        Ok(Self {
            interpolation: config.take_or("interpolation", default.interpolation)?,
            crop_to_aspect_ratio: config.take_or("crop_to_aspect_ratio", false)?,
            pad_to_aspect_ratio: config.take_or("pad_to_aspect_ratio", false)?,
            fill_value: config.take_or("fill_value", 0.0)?,
            data_format: config.take_or(DataFormat::KEY, default.data_format)?,
            ..default
        })
    }

    /// How values between pixels are made; default [`Interpolation::Bilinear`].
    #[must_use]
    pub fn interpolation(mut self, interpolation: impl OrName<Interpolation>) -> Self {
        self.misnamed.set(&mut self.interpolation, interpolation);
        self
    }

    /// Whether images of another ratio of height and width are cropped about their middle first, so that nothing is distorted; default
    /// false.
    #[must_use]
    pub fn crop_to_aspect_ratio(mut self, crop: bool) -> Self {
        self.crop_to_aspect_ratio = crop;
        self
    }

    /// Whether images of another ratio are padded at both ends first, so that nothing is distorted; default false.
    #[must_use]
    pub fn pad_to_aspect_ratio(mut self, pad: bool) -> Self {
        self.pad_to_aspect_ratio = pad;
        self
    }

    /// What they are padded with; default 0.
    #[must_use]
    pub fn fill_value(mut self, value: f64) -> Self {
        self.fill_value = value;
        self
    }

    data_format_setter!();

    /// Height and width of an image of these extents that has the ratio, as long as the others allow: Keras' rounding.
    fn of_the_ratio(&self, [height, width]: [usize; 2]) -> [usize; 2] {
        let [to_height, to_width] = self.extents.map(|extent| extent as f64);
        [(width as f64 * to_height / to_width) as usize, (height as f64 * to_width / to_height) as usize]
    }

    /// x of the ratio of height and width that is wanted, where it is to keep its own.
    fn of_ratio(&self, scope: &mut Scope<'_>, x: Id, first: usize) -> Result<Id> {
        let own = [0, 1].map(|axis| scope.graph.shape(x)[first + axis]);
        let wanted = self.of_the_ratio(own);
        if self.crop_to_aspect_ratio {
            let edges = [0, 1].map(|axis| {
                let extent = wanted[axis].clamp(1, own[axis]);
                let before = (own[axis] - extent) / 2;
                [before, own[axis] - extent - before]
            });
            return cropped(scope, x, first, &edges);
        }
        let [rows, columns] = [0, 1].map(|axis| wanted[axis].saturating_sub(own[axis]) / 2);
        // As in Keras the same at both ends, and columns only where no rows are added.
        let columns = if rows > 0 { 0 } else { columns };
        padded(scope, x, first, &[[rows; 2], [columns; 2]], self.fill_value)
    }
}

impl Layer for Resizing {
    fn kind(&self) -> &'static str {
        "Resizing"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [mut x] = scope.expect(inputs)?;
        self.misnamed.check_in(scope)?;
        self.data_format.check(scope, x, 2)?;
        if self.extents.contains(&0) {
            let [height, width] = self.extents;
            return Err(scope.error(format!("{height} rows and {width} columns are no image; give 1 or more of each")));
        }
        if self.crop_to_aspect_ratio && self.pad_to_aspect_ratio {
            return Err(scope.error("is to crop and to pad to the aspect ratio; choose one"));
        }
        let first = self.data_format.spatial(2).start;
        if self.crop_to_aspect_ratio || self.pad_to_aspect_ratio {
            x = self.of_ratio(scope, x, first)?;
        }
        Ok(vec![resized(scope.graph, x, first, &self.extents, self.interpolation)?])
    }

    fn config(&self) -> Config {
        let [height, width] = self.extents;
        Config::new(self.kind())
            .with("height", height)
            .with("width", width)
            .with("interpolation", self.interpolation)
            .with("crop_to_aspect_ratio", self.crop_to_aspect_ratio)
            .with("pad_to_aspect_ratio", self.pad_to_aspect_ratio)
            .with("fill_value", self.fill_value)
            .with(DataFormat::KEY, self.data_format)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let [height, width] = self.extents;
        Ok(KerasObject::layer(self.kind(), name)
            .with(DataFormat::KEY, self.data_format)
            .with("height", height)
            .with("width", width)
            .with("interpolation", self.interpolation)
            .with("crop_to_aspect_ratio", self.crop_to_aspect_ratio)
            .with("pad_to_aspect_ratio", self.pad_to_aspect_ratio)
            .with("fill_mode", FILL_MODE)
            .with("fill_value", self.fill_value)
            .with("antialias", false))
    }
}
