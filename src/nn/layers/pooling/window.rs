//! A window that goes over images or sequences.

use super::data_format::{Padding, data_format_setter};
use super::{DataFormat, Layer, Pair, Pooling};
use crate::error::{Error, Result};
use crate::graph::Id;
use crate::nn::{Config, KerasObject, Misnamed, OrName, Scope, Setting};
use crate::ops::window::Window;

/// The sizes of a window for layers of one and of two spatial axes; of one, the rows are 1.
type Size = Pair;

/// One number, for the steps of sequences.
pub(super) fn of_steps(steps: usize) -> Size {
    Pair([1, steps])
}

/// A size as layers of so many spatial axes keep it: as Keras has it, a list of one or two numbers.
pub(super) fn kept(Pair(size): Size, spatial: usize) -> Setting {
    size[2 - spatial..].to_vec().into()
}

/// A size of so many spatial axes out of `config`, if it is there: a number for all axes, or a list with one for each.
pub(super) fn taken(config: &mut Config, key: &str, spatial: usize) -> Result<Option<Size>> {
    if spatial == 2 {
        return config.take_or(key, None);
    }
    let Some(setting) = config.take_or::<Option<Setting>>(key, None)? else { return Ok(None) };
    let steps = match &setting {
        Setting::List(one) if one.len() == 1 => one[0].read(),
        Setting::List(all) => Err(format!("expected one number, found {}", all.len())),
        other => other.read(),
    };
    let steps = steps.map_err(|why| Error::argument(format!("setting {key:?} of {}", config.class()), why))?;
    Ok(Some(of_steps(steps)))
}

/// A size that has to be there.
pub(super) fn required(config: &mut Config, key: &str, spatial: usize) -> Result<Size> {
    let size = taken(config, key, spatial)?;
    size.ok_or_else(|| Error::argument(format!("setting {key:?} of {}", config.class()), "is missing"))
}

macro_rules! window_layers {
    ($($(#[$doc:meta])* $name:ident: $spatial:literal, $pooling:ident, $given:ty, $sized:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug)]
            pub struct $name {
                pool_size: Size,
                strides: Option<Size>,
                padding: Padding,
                data_format: DataFormat,
                misnamed: Misnamed,
            }

            impl $name {
                /// A window of this size, which goes on by its own size.
                pub fn new(pool_size: $given) -> Self {
                    Self {
                        pool_size: $sized(pool_size),
                        strides: None,
                        padding: Padding::Valid,
                        data_format: DataFormat::default(),
                        misnamed: Misnamed::default(),
                    }
                }

                /// How far the window goes at once; default its size.
                #[must_use]
                pub fn strides(mut self, strides: $given) -> Self {
                    self.strides = Some($sized(strides));
                    self
                }

                /// `valid`, the default, keeps the window inside; `same` gives ceil(extent / stride) outputs, of pixels of the
                /// image alone.
                #[must_use]
                pub fn padding(mut self, padding: impl OrName<Padding>) -> Self {
                    self.misnamed.set(&mut self.padding, padding);
                    self
                }

                data_format_setter!();

                pub(super) fn from_config(config: &mut Config) -> Result<Self> {
                    let pool_size = match Pooling::$pooling {
                        // Keras' size.
                        Pooling::Max => taken(config, "pool_size", $spatial)?.unwrap_or(if $spatial == 1 { of_steps(2) } else { Pair([2, 2]) }),
                        Pooling::Average => required(config, "pool_size", $spatial)?,
                    };
                    Ok(Self {
                        pool_size,
                        strides: taken(config, "strides", $spatial)?,
                        padding: config.take_or("padding", Padding::Valid)?,
                        data_format: config.take_or(DataFormat::KEY, DataFormat::default())?,
                        misnamed: Misnamed::default(),
                    })
                }

                fn settings(&self) -> [(&'static str, Setting); 4] {
                    [
                        ("pool_size", kept(self.pool_size, $spatial)),
                        ("strides", kept(self.strides.unwrap_or(self.pool_size), $spatial)),
                        ("padding", self.padding.into()),
                        (DataFormat::KEY, self.data_format.into()),
                    ]
                }
            }

            impl Layer for $name {
                kept_by_settings!($name);

                fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
                    let [x] = scope.expect(inputs)?;
                    self.misnamed.check_in(scope)?;
                    self.data_format.check(scope, x, $spatial)?;
                    let axes = self.data_format.spatial($spatial);
                    let extents = scope.graph.shape(x)[axes].to_vec();
                    let strides = self.strides.unwrap_or(self.pool_size);
                    let window = window(scope, [self.pool_size, strides], self.padding, &extents)?;
                    let images = self.data_format.to_images(scope, x, $spatial)?;
                    let y = Pooling::$pooling.applied(scope.graph, images, window.into())?;
                    Ok(vec![self.data_format.of_images(scope, y, $spatial)?])
                }
            }
        )*
    };
}

window_layers! {
    /// Of each window over images (batch, height, width, channels) the largest number of each channel.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let model = Sequential::new().add(Input::new([24, 24, 64])).add(MaxPooling2D::new(2));
    /// assert!(model.summary()?.to_string().contains("(None, 12, 12, 64)"));
    /// let wide = MaxPooling2D::new([3, 5]).strides([1, 2]).padding("same");
    /// # let _ = (model, wide);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    MaxPooling2D: 2, Max, impl Into<Pair>, Into::into;
    /// Of each window over images (batch, height, width, channels) the mean of each channel.
    AveragePooling2D: 2, Average, impl Into<Pair>, Into::into;
    /// Of each window over sequences (batch, steps, channels) the largest number of each channel.
    MaxPooling1D: 1, Max, usize, of_steps;
    /// Of each window over sequences (batch, steps, channels) the mean of each channel.
    AveragePooling1D: 1, Average, usize, of_steps;
}

/// Keras' size.
impl Default for MaxPooling2D {
    fn default() -> Self {
        Self::new(2)
    }
}

/// Keras' size.
impl Default for MaxPooling1D {
    fn default() -> Self {
        Self::new(2)
    }
}

/// A size in words.
pub(super) fn said(size: &[usize]) -> String {
    match size {
        [steps] => steps.to_string(),
        several => format!("{several:?}"),
    }
}

/// A window of this size and these strides over images, or sequences, of these extents.
fn window(scope: &Scope<'_>, [size, strides]: [Size; 2], padding: Padding, extents: &[usize]) -> Result<Window> {
    let spatial = extents.len();
    let [own, by] = [&size.0[2 - spatial..], &strides.0[2 - spatial..]];
    for (what, numbers) in [("pool_size", own), ("strides", by)] {
        if numbers.iter().any(|&n| n == 0 || n > u32::MAX as usize) {
            return Err(scope.error(format!("{what} {} is none: give 1 or more", said(numbers))));
        }
    }
    if padding == Padding::Causal {
        return Err(scope.error("padding is \"valid\" or \"same\"; \"causal\" is for convolutions of sequences"));
    }
    if padding == Padding::Valid && own.iter().zip(extents).any(|(size, extent)| size > extent) {
        let message = format!(
            "a window of pool_size {} does not fit {} {}; take a smaller one, or padding \"same\"",
            said(own),
            if spatial == 1 { "sequences of length" } else { "images of" },
            said(extents)
        );
        return Err(scope.error(message));
    }
    let image = if spatial == 1 { [1, extents[0]] } else { [extents[0], extents[1]] };
    Ok(Window { strides: if spatial == 1 { [1, by[0]] } else { strides.0 }, ..Window::new(size.0) }
        .padded(padding, image))
}
