//! Dropout of whole channels, <https://keras.io/api/layers/regularization_layers/spatial_dropout2d/>.

use super::Layer;
use super::dropout::check_rate;
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{Config, KerasObject, Scope, Setting};
use crate::ops::binary::Binary;
use crate::ops::dropout::Dropout;

macro_rules! spatial_dropouts {
    ($($(#[$doc:meta])* $name:ident: $axes:literal, $samples:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name {
                rate: f64,
            }

            impl $name {
                /// A layer that drops this share of the channels, 0 to below 1.
                pub fn new(rate: f64) -> Self {
                    Self { rate }
                }
            }

            impl Layer for $name {
                fn kind(&self) -> &'static str {
                    stringify!($name)
                }

                fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
                    let [x] = scope.expect(inputs)?;
                    let rank = scope.graph.shape(x).rank();
                    if rank != $axes {
                        let message = format!("takes {}, was given {}", $samples, scope.graph.shape(x));
                        return Err(scope.error(message));
                    }
                    Ok(vec![dropped(scope, x, self.rate)?])
                }

                fn keras(&self, name: &str) -> Result<KerasObject> {
                    let layer = KerasObject::new("keras.layers", self.kind());
                    let layer = layer.with("rate", self.rate).with("seed", Setting::Null);
                    let layer = layer.with("name", name).with("dtype", "float32");
                    Ok(if $axes > 3 { layer.with("data_format", "channels_last") } else { layer })
                }

                fn supports_masking(&self) -> bool {
                    true
                }

                fn config(&self) -> Config {
                    Config::new(self.kind()).with("rate", self.rate)
                }
            }
        )*
    };
}

spatial_dropouts! {
    /// In training each channel of a sample is zero with probability `rate`, at all its steps, and the others grow by
    /// 1 / (1 - rate); elsewhere y = x. For (batch, steps, channels).
    SpatialDropout1D: 3, "sequences (batch, steps, channels)";
    /// In training each channel of a sample is zero with probability `rate`, everywhere, and the others grow by 1 / (1 - rate);
    /// elsewhere y = x. For (batch, height, width, channels).
    SpatialDropout2D: 4, "images (batch, height, width, channels)";
}

/// x times a mask with one number for each sample and channel.
fn dropped(scope: &mut Scope<'_>, x: Id, rate: f64) -> Result<Id> {
    check_rate(scope, rate)?;
    let (Some(clock), salt) = (scope.training(), scope.salt()) else { return Ok(x) };
    let mut extents = scope.graph.shape(x).to_vec();
    let last = extents.len() - 1;
    extents[1..last].fill(1);
    let ones = scope.graph.fill(1.0, extents);
    let mask = scope.graph.apply(Dropout::new(rate, salt), &[ones, clock])?;
    scope.graph.apply(Binary::Mul, &[x, mask])
}
