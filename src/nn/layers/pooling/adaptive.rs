//! Pooling to a given size, whatever the size of the input.

use super::data_format::data_format_setter;
use super::window::required;
use super::{Area, DataFormat, Layer, Pair, Pooling};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Config, KerasObject, Misnamed, Scope, Setting};
use crate::ops::window::Window;

macro_rules! adaptive_layers {
    ($($(#[$doc:meta])* $name:ident: $spatial:literal, $pooling:ident, $given:ty, $sized:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug)]
            pub struct $name {
                output_size: Pair,
                data_format: DataFormat,
                misnamed: Misnamed,
            }

            impl $name {
                /// A layer that gives this size, whatever the size of the input. Along an axis of E pixels window i of n has those
                /// from floor(i E / n) up to below ceil((i + 1) E / n).
                pub fn new(output_size: $given) -> Self {
                    Self {
                        output_size: $sized(output_size),
                        data_format: DataFormat::default(),
                        misnamed: Misnamed::default(),
                    }
                }

                data_format_setter!();

                pub(super) fn from_config(config: &mut Config) -> Result<Self> {
                    let output_size = required(config, "output_size", $spatial)?;
                    let data_format = config.take_or(DataFormat::KEY, DataFormat::default())?;
                    Ok(Self { output_size, data_format, misnamed: Misnamed::default() })
                }

                fn settings(&self) -> [(&'static str, Setting); 2] {
                    [("output_size", self.output_size.kept($spatial)), (DataFormat::KEY, self.data_format.into())]
                }
            }

            impl Layer for $name {
                kept_by_settings!($name);

                fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
                    let [x] = scope.expect(inputs)?;
                    self.misnamed.check_in(scope)?;
                    let output = self.output_size.0;
                    if output.contains(&0) {
                        let message = format!("output_size {} is none: give 1 or more", self.output_size.said($spatial));
                        return Err(scope.error(message));
                    }
                    let images = self.data_format.to_images(scope, x, $spatial)?;
                    let y = pooled(scope, images, output, Pooling::$pooling)?;
                    Ok(vec![self.data_format.of_images(scope, y, $spatial)?])
                }
            }
        )*
    };
}

adaptive_layers! {
    /// Pools images (batch, height, width, channels) to a given height and width, by means.
    AdaptiveAveragePooling2D: 2, Average, impl Into<Pair>, Into::into;
    /// Pools images (batch, height, width, channels) to a given height and width, by the largest numbers.
    AdaptiveMaxPooling2D: 2, Max, impl Into<Pair>, Into::into;
    /// Pools sequences (batch, steps, channels) to a given number of steps, by means.
    AdaptiveAveragePooling1D: 1, Average, usize, Pair::of_steps;
    /// Pools sequences (batch, steps, channels) to a given number of steps, by the largest numbers.
    AdaptiveMaxPooling1D: 1, Max, usize, Pair::of_steps;
}

/// Images as so many rows and columns.
fn pooled(scope: &mut Scope<'_>, images: Id, output: [usize; 2], pooling: Pooling) -> Result<Id> {
    let shape = scope.graph.shape(images);
    let image = [shape[1], shape[2]];
    // A mean of all may be of more pixels than a window has.
    if output == [1, 1] && pooling == Pooling::Average {
        return scope.graph.reduce(pooling.aggregation(), images, Some(&[1, 2]), true);
    }
    let size = [0, 1].map(|axis| image[axis] / output[axis]);
    let area = match [0, 1].iter().all(|&axis| size[axis] * output[axis] == image[axis]) {
        true => Window { strides: size, ..Window::new(size) }.into(),
        false => Area::Adaptive(output),
    };
    pooling.applied(scope.graph, images, area)
}
