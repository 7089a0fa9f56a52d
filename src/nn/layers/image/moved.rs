//! What layers share that move each image by a random map of its own.

use super::{Fill, Interpolation};
use crate::config::{FromSetting, Setting};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::layers::data_format::DataFormat;
use crate::nn::layers::expect_images;
use crate::nn::{Config, KerasObject, Misnamed, Scope};
use crate::ops::affine::Affine;
use crate::ops::random_map::{Draw, RandomMap};

/// Between which two numbers something is drawn: `0.2` stands for -0.2 to 0.2, `[0.1, 0.3]` or `(0.1, 0.3)` for these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Factor {
    /// As far in either direction.
    Within(f64),
    /// From one to the other.
    Between([f64; 2]),
}

impl Factor {
    /// The lower end and the upper one.
    pub fn ends(self) -> [f64; 2] {
        match self {
            Self::Within(factor) => [-factor.abs(), factor.abs()],
            Self::Between([a, b]) => [a.min(b), a.max(b)],
        }
    }

    /// That both ends are within what a layer takes, whose bounds `range` says in words.
    pub(super) fn check(self, scope: &Scope<'_>, name: &str, range: &str, takes: impl Fn(f64) -> bool) -> Result<()> {
        let given = match self {
            Self::Within(factor) => [factor; 2],
            Self::Between(ends) => ends,
        };
        match given.into_iter().find(|end| !takes(*end)) {
            None => Ok(()),
            Some(end) => Err(scope.error(format!("{name} is {end}; give numbers {range}"))),
        }
    }
}

impl From<f64> for Factor {
    fn from(factor: f64) -> Self {
        Self::Within(factor)
    }
}

impl From<[f64; 2]> for Factor {
    fn from(ends: [f64; 2]) -> Self {
        Self::Between(ends)
    }
}

impl From<(f64, f64)> for Factor {
    fn from((lower, upper): (f64, f64)) -> Self {
        Self::Between([lower, upper])
    }
}

/// A number or a list of two, as Keras has it.
impl From<Factor> for Setting {
    fn from(factor: Factor) -> Self {
        match factor {
            Factor::Within(factor) => factor.into(),
            Factor::Between(ends) => ends.to_vec().into(),
        }
    }
}

impl FromSetting for Factor {
    fn from_setting(setting: &Setting) -> Result<Self, String> {
        let Setting::List(_) = setting else { return f64::from_setting(setting).map(Self::Within) };
        let ends: [f64; 2] = Vec::from_setting(setting)?
            .try_into()
            .map_err(|ends: Vec<f64>| format!("expected two numbers, found {}", ends.len()))?;
        Ok(Self::Between(ends))
    }
}

/// How images are moved, and what stands beyond their edges.
#[derive(Clone, Debug, Default)]
pub(super) struct Moved {
    pub fill_mode: Fill,
    pub fill_value: f64,
    pub interpolation: Interpolation,
    pub data_format: DataFormat,
    pub misnamed: Misnamed,
}

impl Moved {
    /// The settings taken out of `config`.
    pub fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::default();
        Ok(Self {
            fill_mode: config.take_or("fill_mode", default.fill_mode)?,
            fill_value: config.take_or("fill_value", default.fill_value)?,
            interpolation: config.take_or("interpolation", default.interpolation)?,
            data_format: config.take_or(DataFormat::KEY, default.data_format)?,
            misnamed: default.misnamed,
        })
    }

    pub fn keep(&self, config: Config) -> Config {
        config
            .with("fill_mode", self.fill_mode)
            .with("fill_value", self.fill_value)
            .with("interpolation", self.interpolation)
            .with(DataFormat::KEY, self.data_format)
    }

    /// What a layer that Keras has keeps of it.
    pub fn keras(&self, layer: KerasObject) -> KerasObject {
        layer
            .with(DataFormat::KEY, self.data_format)
            .with("fill_mode", self.fill_mode)
            .with("fill_value", self.fill_value)
            .with("interpolation", self.interpolation)
            .with("seed", Setting::Null)
    }

    /// Images, each moved as is drawn for it where the model is trained.
    pub fn applied(&self, scope: &mut Scope<'_>, x: Id, draw: Draw) -> Result<Id> {
        self.misnamed.check_in(scope)?;
        let is_first = self.data_format == DataFormat::ChannelsFirst;
        if is_first { self.data_format.check(scope, x, 2) } else { expect_images(scope, x) }?;
        let salt = scope.salt();
        let Some(clock) = scope.training() else { return Ok(x) };
        let images = if is_first { self.data_format.to_images(scope, x, 2)? } else { x };
        let batch = scope.graph.shape(x)[0];
        let maps = scope.graph.apply(RandomMap { batch, draw, salt }, &[clock])?;
        let Self { fill_mode: fill, fill_value, interpolation, .. } = *self;
        let y = scope.graph.apply(Affine { fill, fill_value, interpolation }, &[images, maps])?;
        if is_first { self.data_format.of_images(scope, y, 2) } else { Ok(y) }
    }
}

/// The setters of a layer that has a [`Moved`] as `moved`.
macro_rules! moved_setters {
    () => {
        /// What stands beyond the edges; default [`Fill::Reflect`].
        #[must_use]
        pub fn fill_mode(mut self, fill: impl OrName<Fill>) -> Self {
            self.moved.misnamed.set(&mut self.moved.fill_mode, fill);
            self
        }

        /// The number that stands there with [`Fill::Constant`]; default 0.
        #[must_use]
        pub fn fill_value(mut self, value: f64) -> Self {
            self.moved.fill_value = value;
            self
        }

        /// How values between pixels are made; default [`Interpolation::Bilinear`].
        #[must_use]
        pub fn interpolation(mut self, interpolation: impl OrName<Interpolation>) -> Self {
            self.moved.misnamed.set(&mut self.moved.interpolation, interpolation);
            self
        }

        $crate::nn::layers::data_format::data_format_setter!(moved);
    };
}
pub(super) use moved_setters;
