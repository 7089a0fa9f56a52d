//! A window that goes over images or sequences.

use super::data_format::{Padding, data_format_setter};
use super::{DataFormat, Layer, Pair, Pooling};
use crate::error::{Error, Result};
use crate::graph::Id;
use crate::nn::{Config, KerasObject, Misnamed, OrName, Scope, Setting};
use crate::ops::window::Window;

/// A size of so many spatial axes out of `config` that has to be there.
pub(super) fn required(config: &mut Config, key: &str, spatial: usize) -> Result<Pair> {
    let size = Pair::taken_if(config, key, spatial)?;
    size.ok_or_else(|| Error::argument(format!("setting {key:?} of {}", config.class()), "is missing"))
}

macro_rules! window_layers {
    ($($(#[$doc:meta])* $name:ident: $spatial:literal, $pooling:ident, $given:ty, $sized:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug)]
            pub struct $name {
                pool_size: Pair,
                strides: Option<Pair>,
                padding: Padding,
                data_format: DataFormat,
                misnamed: Misnamed,
            }

            impl $name {
                /// A layer with windows of this size, whose strides are the same.
                pub fn new(pool_size: $given) -> Self {
                    Self {
                        pool_size: $sized(pool_size),
                        strides: None,
                        padding: Padding::Valid,
                        data_format: DataFormat::default(),
                        misnamed: Misnamed::default(),
                    }
                }

                /// Sets the strides: how far the window moves at a time; default its size.
                #[must_use]
                pub fn strides(mut self, strides: $given) -> Self {
                    self.strides = Some($sized(strides));
                    self
                }

                /// Sets the padding. `valid`, the default, keeps windows inside; `same` gives ceil(extent / stride) outputs, for
                /// which only pixels of the image count.
                #[must_use]
                pub fn padding(mut self, padding: impl OrName<Padding>) -> Self {
                    self.misnamed.set(&mut self.padding, padding);
                    self
                }

                data_format_setter!();

                pub(super) fn from_config(config: &mut Config) -> Result<Self> {
                    let pool_size = match Pooling::$pooling {
                        // Keras' size.
                        Pooling::Max => Pair::taken_if(config, "pool_size", $spatial)?.unwrap_or(if $spatial == 1 { Pair::of_steps(2) } else { Pair::from(2) }),
                        Pooling::Average => required(config, "pool_size", $spatial)?,
                    };
                    Ok(Self {
                        pool_size,
                        strides: Pair::taken_if(config, "strides", $spatial)?,
                        padding: config.take_or("padding", Padding::Valid)?,
                        data_format: config.take_or(DataFormat::KEY, DataFormat::default())?,
                        misnamed: Misnamed::default(),
                    })
                }

                fn settings(&self) -> [(&'static str, Setting); 4] {
                    [
                        ("pool_size", self.pool_size.kept($spatial)),
                        ("strides", self.strides.unwrap_or(self.pool_size).kept($spatial)),
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
                    let images = self.data_format.to_images(scope, x, $spatial)?;
                    let strides = self.strides.unwrap_or(self.pool_size);
                    let window = window(scope, images, $spatial, [self.pool_size, strides], self.padding)?;
                    let y = Pooling::$pooling.applied(scope.graph, images, window.into())?;
                    Ok(vec![self.data_format.of_images(scope, y, $spatial)?])
                }
            }
        )*
    };
}

window_layers! {
    /// The largest number of each channel under each window over images (batch, height, width, channels).
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
    /// The mean of each channel under each window over images (batch, height, width, channels).
    AveragePooling2D: 2, Average, impl Into<Pair>, Into::into;
    /// The largest number of each channel under each window over sequences (batch, steps, channels).
    MaxPooling1D: 1, Max, usize, Pair::of_steps;
    /// The mean of each channel under each window over sequences (batch, steps, channels).
    AveragePooling1D: 1, Average, usize, Pair::of_steps;
}

/// With Keras' default size, 2.
impl Default for MaxPooling2D {
    fn default() -> Self {
        Self::new(2)
    }
}

/// With Keras' default size, 2.
impl Default for MaxPooling1D {
    fn default() -> Self {
        Self::new(2)
    }
}

/// A window of this size and these strides over images, or sequences, of so many spatial axes.
fn window(
    scope: &Scope<'_>,
    images: Id,
    spatial: usize,
    [size, strides]: [Pair; 2],
    padding: Padding,
) -> Result<Window> {
    for (what, numbers) in [("pool_size", size), ("strides", strides)] {
        if numbers.0.iter().any(|&n| n == 0 || n > u32::MAX as usize) {
            return Err(scope.error(format!("{what} {} is none: give 1 or more", numbers.said(spatial))));
        }
    }
    if padding == Padding::Causal {
        return Err(scope.error("padding is \"valid\" or \"same\"; \"causal\" is for convolutions of sequences"));
    }
    let shape = scope.graph.shape(images);
    let image = [shape[1], shape[2]];
    if padding == Padding::Valid && size.0.iter().zip(image).any(|(&size, extent)| size > extent) {
        let message = format!(
            "a window of pool_size {} does not fit {} {}; take a smaller one, or padding \"same\"",
            size.said(spatial),
            if spatial == 1 { "sequences of length" } else { "images of" },
            Pair(image).said(spatial)
        );
        return Err(scope.error(message));
    }
    Ok(Window { strides: strides.0, ..Window::new(size.0) }.padded(padding, image))
}
