//! Images cut to a size: in their middle, <https://keras.io/api/layers/preprocessing_layers/image_preprocessing/center_crop/>, or at
//! random, <https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_crop/>.

use super::{Interpolation, Resizing, cropped};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::layers::Layer;
use crate::nn::layers::data_format::{DataFormat, data_format_setter};
use crate::nn::{Config, KerasObject, Misnamed, Scope, Setting};
use crate::ops::affine::Affine;
use crate::ops::random_map::{Draw, RandomMap};

/// The middle of images (batch, height, width, channels), of a given height and width. Images that are smaller along an axis are
/// brought to the size instead, as [`Resizing`] with `crop_to_aspect_ratio` does.
///
/// ```
/// use kiln::nn::layers::CenterCrop;
/// use kiln::prelude::*;
/// let mut model = Sequential::new().add(CenterCrop::new(1, 2)).device(Device::cpu());
/// let image = Tensor::new([1, 1, 4, 1], vec![1.0f32, 3.0, 5.0, 7.0])?;
/// assert_eq!(model.predict(&image)?.to_vec::<f32>(), [3.0, 5.0]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CenterCrop {
    extents: [usize; 2],
    data_format: DataFormat,
    misnamed: Misnamed,
}

impl CenterCrop {
    /// Of so many rows and columns.
    pub fn new(height: usize, width: usize) -> Self {
        Self { extents: [height, width], data_format: DataFormat::default(), misnamed: Misnamed::default() }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new(config.take("height")?, config.take("width")?);
        Ok(Self { data_format: config.take_or(DataFormat::KEY, default.data_format)?, ..default })
    }

    data_format_setter!();

    /// How many rows and columns images x have more than are left of them; `None` where they are smaller along an axis.
    fn room(&self, scope: &Scope<'_>, x: Id) -> Result<Option<[usize; 2]>> {
        self.misnamed.check_in(scope)?;
        self.data_format.check(scope, x, 2)?;
        let ([height, width], spatial) = (self.extents, self.data_format.spatial(2));
        if self.extents.contains(&0) {
            return Err(scope.error(format!("{height} rows and {width} columns are no image; give 1 or more of each")));
        }
        let own = &scope.graph.shape(x)[spatial];
        Ok(own[0].checked_sub(height).zip(own[1].checked_sub(width)).map(|(rows, columns)| [rows, columns]))
    }

    fn middle(&self, scope: &mut Scope<'_>, x: Id) -> Result<Id> {
        let Some(room) = self.room(scope, x)? else {
            let [height, width] = self.extents;
            let resizing = Resizing::new(height, width).crop_to_aspect_ratio(true).data_format(self.data_format);
            return Ok(resizing.call(scope, &[x])?[0]);
        };
        let edges = room.map(|more| [more / 2, more - more / 2]);
        cropped(scope, x, self.data_format.spatial(2).start, &edges)
    }

    fn config_of(&self, kind: &str) -> Config {
        let [height, width] = self.extents;
        Config::new(kind).with("height", height).with("width", width).with(DataFormat::KEY, self.data_format)
    }

    fn keras_of(&self, kind: &str, name: &str) -> KerasObject {
        let [height, width] = self.extents;
        let layer = KerasObject::layer(kind, name).with(DataFormat::KEY, self.data_format);
        layer.with("height", height).with("width", width)
    }
}

impl Layer for CenterCrop {
    fn kind(&self) -> &'static str {
        "CenterCrop"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        Ok(vec![self.middle(scope, x)?])
    }

    fn config(&self) -> Config {
        self.config_of(self.kind())
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(self.keras_of(self.kind(), name))
    }
}

/// In training a part of each image (batch, height, width, channels), of a given height and width, from a place of its own; elsewhere
/// the middle, as [`CenterCrop`] has it. Images that are smaller along an axis are brought to the size, as there. Keras cuts all
/// images of a batch at one place, and leaves them whole elsewhere, where no layer behind it could take them.
///
/// ```
/// use kiln::nn::layers::RandomCrop;
/// use kiln::prelude::*;
/// let model = Sequential::new().add(Input::new([32, 32, 3])).add(RandomCrop::new(28, 28));
/// assert_eq!(model.summary()?.rows[0].outputs[0][1..], [28, 28, 3]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RandomCrop {
    middle: CenterCrop,
}

impl RandomCrop {
    /// Of so many rows and columns.
    pub fn new(height: usize, width: usize) -> Self {
        Self { middle: CenterCrop::new(height, width) }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self { middle: CenterCrop::from_config(config)? })
    }

    data_format_setter!(middle);
}

impl Layer for RandomCrop {
    fn kind(&self) -> &'static str {
        "RandomCrop"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let (room, salt) = (self.middle.room(scope, x)?, scope.salt());
        let (Some(clock), Some(room)) = (scope.training(), room) else {
            return Ok(vec![self.middle.middle(scope, x)?]);
        };
        let format = self.middle.data_format;
        let (images, batch) = (format.to_images(scope, x, 2)?, scope.graph.shape(x)[0]);
        let maps = scope.graph.apply(RandomMap { batch, draw: Draw::Shift(room), salt }, &[clock])?;
        let moved = Affine { interpolation: Interpolation::Nearest, ..Affine::default() };
        let moved = scope.graph.apply(moved, &[images, maps])?;
        let cut = cropped(scope, moved, 1, &room.map(|more| [0, more]))?;
        Ok(vec![format.of_images(scope, cut, 2)?])
    }

    fn config(&self) -> Config {
        self.middle.config_of(self.kind())
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(self.middle.keras_of(self.kind(), name).with("seed", Setting::Null))
    }
}
