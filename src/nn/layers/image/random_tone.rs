//! Images made brighter and darker at random,
//! <https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_brightness/>, and of other contrast,
//! <https://keras.io/api/layers/preprocessing_layers/image_augmentation/random_contrast/>.

use super::Factor;
use crate::error::Result;
use crate::graph::{Aggregation, Graph, Id};
use crate::nn::layers::Layer;
use crate::nn::layers::data_format::{DataFormat, data_format_setter};
use crate::nn::{Config, KerasObject, Misnamed, Scope, Setting};
use crate::ops::affine::UNIT;
use crate::ops::binary::Binary;
use crate::ops::cast::Cast;
use crate::ops::random_map::{Draw, RandomMap};
use crate::ops::reshape::Reshape;
use crate::ops::slice::{Cut, Slice};

/// What both layers have.
#[derive(Clone, Debug)]
struct Tone {
    factor: Factor,
    value_range: [f64; 2],
    data_format: DataFormat,
    misnamed: Misnamed,
}

impl Tone {
    fn new(factor: Factor) -> Self {
        let misnamed = Misnamed::default();
        Self { factor, value_range: [0.0, 255.0], data_format: DataFormat::default(), misnamed }
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new(config.take("factor")?);
        let [low, high] = default.value_range;
        let value_range = config.take_or("value_range", Factor::Between([low, high]))?.ends();
        Ok(Self { value_range, data_format: config.take_or(DataFormat::KEY, default.data_format)?, ..default })
    }

    fn config(&self, kind: &str) -> Config {
        let config = Config::new(kind).with("factor", self.factor).with("value_range", self.value_range.to_vec());
        config.with(DataFormat::KEY, self.data_format)
    }

    /// With the ends that Keras keeps.
    fn keras(&self, kind: &str, name: &str, ends: [f64; 2]) -> KerasObject {
        let layer =
            KerasObject::layer(kind, name).with(DataFormat::KEY, self.data_format).with("factor", ends.to_vec());
        layer.with("value_range", self.value_range.to_vec()).with("seed", Setting::Null)
    }

    /// That the settings are such, and x images.
    fn check(&self, scope: &Scope<'_>, x: Id) -> Result<()> {
        self.misnamed.check_in(scope)?;
        self.data_format.check(scope, x, 2)?;
        self.factor.check(scope, "the factor", "from -1 to 1", |end| (-1.0..=1.0).contains(&end))?;
        match self.value_range {
            [low, high] if low < high && (high - low).is_finite() => Ok(()),
            [low, high] => Err(scope.error(format!("value_range is {low} to {high}; give the lower end first"))),
        }
    }

    /// Values cut off at the ends of the range.
    fn within(&self, graph: &mut Graph, x: Id) -> Result<Id> {
        let [low, high] = self.value_range.map(|end| graph.fill(end, []));
        let x = graph.apply(Binary::Max, &[x, low])?;
        graph.apply(Binary::Min, &[x, high])
    }
}

/// A number for each image, (batch, 1, 1, 1), drawn evenly between two: as the factor of a zoom is, so that all devices draw the same.
fn drawn(scope: &mut Scope<'_>, batch: usize, [low, high]: [f64; 2], clock: Id, salt: u32) -> Result<Id> {
    let graph = &mut *scope.graph;
    let maps = graph.apply(RandomMap { batch, draw: Draw::Zoom([0.0, 1.0], None), salt }, &[clock])?;
    let maps = graph.apply(Cast::ToFloat, &[maps])?;
    let shares = graph.apply(Slice(vec![Cut::new(0, batch), Cut::new(0, 1)]), &[maps])?;
    let shares = graph.apply(Reshape([batch, 1, 1, 1].into()), &[shares])?;
    let step = graph.fill((high - low) / f64::from(UNIT), []);
    let above = graph.apply(Binary::Mul, &[shares, step])?;
    let low = graph.fill(low, []);
    graph.apply(Binary::Add, &[above, low])
}

/// The setters of a layer that has a [`Tone`] as `tone`.
macro_rules! tone_setters {
    () => {
        /// Between which two values pixels are, at which what is made of them is cut off; default 0 and 255, as in Keras. **Bytes are
        /// divided by 255 when they are batched: give `[0.0, 1.0]` for pictures.**
        #[must_use]
        pub fn value_range(mut self, range: impl Into<[f64; 2]>) -> Self {
            self.tone.value_range = range.into();
            self
        }

        data_format_setter!(tone);
    };
}

/// In training one number is added to all values of an image, a share of the range of values that is drawn for each image; elsewhere
/// y = x.
///
/// ```
/// use kiln::nn::layers::RandomBrightness;
/// use kiln::prelude::*;
/// let model = Sequential::new().add(Input::new([28, 28, 1])).add(RandomBrightness::new(0.2).value_range([0.0, 1.0]));
/// assert_eq!(model.summary()?.rows[0].outputs[0][1..], [28, 28, 1]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RandomBrightness {
    tone: Tone,
}

impl RandomBrightness {
    /// By up to this share of the range, 0 to 1, in either direction, or between two shares, -1 to 1: from black to white at most.
    pub fn new(factor: impl Into<Factor>) -> Self {
        Self { tone: Tone::new(factor.into()) }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self { tone: Tone::from_config(config)? })
    }

    tone_setters!();
}

impl Layer for RandomBrightness {
    fn kind(&self) -> &'static str {
        "RandomBrightness"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        self.tone.check(scope, x)?;
        let (batch, salt) = (scope.graph.shape(x)[0], scope.salt());
        let Some(clock) = scope.training() else { return Ok(vec![x]) };
        let [low, high] = self.tone.value_range;
        let more = drawn(scope, batch, self.tone.factor.ends().map(|end| end * (high - low)), clock, salt)?;
        let y = scope.graph.apply(Binary::Add, &[x, more])?;
        Ok(vec![self.tone.within(scope.graph, y)?])
    }

    fn config(&self) -> Config {
        self.tone.config(self.kind())
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(self.tone.keras(self.kind(), name, self.tone.factor.ends()))
    }
}

/// In training y = (x - mean) f + mean, with the mean of each channel over the image and a factor f that is drawn for each image;
/// elsewhere y = x.
///
/// ```
/// use kiln::nn::layers::RandomContrast;
/// use kiln::prelude::*;
/// let contrast = RandomContrast::new([0.2, 0.3]).value_range([0.0, 1.0]);
/// let model = Sequential::new().add(Input::new([28, 28, 1])).add(contrast);
/// assert_eq!(model.summary()?.rows[0].outputs[0][1..], [28, 28, 1]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RandomContrast {
    tone: Tone,
}

impl RandomContrast {
    /// Of `[a, b]` the factor lies between 1 - a and 1 + b. A number b stands for `[0, b]`, as Keras reads it, which makes the contrast
    /// larger alone.
    pub fn new(factor: impl Into<Factor>) -> Self {
        Self { tone: Tone::new(factor.into()) }
    }

    /// The layer of these settings, taken out of `config`.
    pub(in crate::nn::layers) fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self { tone: Tone::from_config(config)? })
    }

    tone_setters!();

    /// How far below 1 and above it.
    fn ends(&self) -> [f64; 2] {
        let [low, high] = self.tone.factor.ends();
        if let Factor::Within(_) = self.tone.factor { [0.0, high] } else { [low, high] }
    }
}

impl Layer for RandomContrast {
    fn kind(&self) -> &'static str {
        "RandomContrast"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        self.tone.check(scope, x)?;
        let ([low, high], salt) = (self.ends(), scope.salt());
        if low + high < 0.0 {
            return Err(scope.error(format!("the factor is from 1 - {low} to 1 + {high}; give the lower end first")));
        }
        let (batch, axes) = (scope.graph.shape(x)[0], self.tone.data_format.spatial(2));
        let Some(clock) = scope.training() else { return Ok(vec![x]) };
        let factor = drawn(scope, batch, [1.0 - low, 1.0 + high], clock, salt)?;
        let axes: Vec<isize> = axes.map(|axis| axis as isize).collect();
        let graph = &mut *scope.graph;
        let mean = graph.reduce(Aggregation::Mean, x, Some(&axes), true)?;
        let off = graph.apply(Binary::Sub, &[x, mean])?;
        let off = graph.apply(Binary::Mul, &[off, factor])?;
        let y = graph.apply(Binary::Add, &[off, mean])?;
        Ok(vec![self.tone.within(graph, y)?])
    }

    fn config(&self) -> Config {
        self.tone.config(self.kind())
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        Ok(self.tone.keras(self.kind(), name, self.ends()))
    }
}
