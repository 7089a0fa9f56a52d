//! All steps of a sequence, or all pixels of an image, as one number.

use super::data_format::data_format_setter;
use super::{DataFormat, Layer, Pooling};
use crate::error::Result;
use crate::graph::{Aggregation, Id};
use crate::nn::{Config, KerasObject, Misnamed, Scope, Setting, mask};
use crate::ops::binary::Binary;
use crate::ops::reshape::Reshape;

macro_rules! global_layers {
    ($($(#[$doc:meta])* $name:ident: $spatial:literal, $pooling:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default)]
            pub struct $name {
                keepdims: bool,
                data_format: DataFormat,
                misnamed: Misnamed,
            }

            impl $name {
                /// A layer that gives (batch, channels).
                pub fn new() -> Self {
                    Self::default()
                }

                /// Whether the pooled axes stay, with an extent of 1; default false.
                #[must_use]
                pub fn keepdims(mut self, keepdims: bool) -> Self {
                    self.keepdims = keepdims;
                    self
                }

                data_format_setter!();

                pub(super) fn from_config(config: &mut Config) -> Result<Self> {
                    Ok(Self {
                        keepdims: config.take_or("keepdims", false)?,
                        data_format: config.take_or(DataFormat::KEY, DataFormat::default())?,
                        misnamed: Misnamed::default(),
                    })
                }

                fn settings(&self) -> [(&'static str, Setting); 2] {
                    [(DataFormat::KEY, self.data_format.into()), ("keepdims", self.keepdims.into())]
                }
            }

            impl Layer for $name {
                kept_by_settings!($name);

                fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
                    let [x] = scope.expect(inputs)?;
                    self.misnamed.check_in(scope)?;
                    self.data_format.check(scope, x, $spatial)?;
                    let axes: Vec<isize> = self.data_format.spatial($spatial).map(|axis| axis as isize).collect();
                    // The largest takes no mask: it does not ask for one.
                    let takes_masks = matches!(($spatial, Pooling::$pooling), (1, Pooling::Average));
                    if let Some(mask) = takes_masks.then(|| scope.mask(x)).flatten() {
                        return Ok(vec![masked_mean(scope, [x, mask], axes[0], self.keepdims)?]);
                    }
                    let aggregation = Pooling::$pooling.aggregation();
                    Ok(vec![scope.graph.reduce(aggregation, x, Some(&axes), self.keepdims)?])
                }
            }
        )*
    };
}

global_layers! {
    /// The mean of each channel over images (batch, height, width, channels), as (batch, channels).
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let model = Sequential::new().add(Input::new([7, 7, 64])).add(GlobalAveragePooling2D::new());
    /// assert!(model.summary()?.to_string().contains("(None, 64)"));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    GlobalAveragePooling2D: 2, Average;
    /// The largest number of each channel over images (batch, height, width, channels), as (batch, channels).
    GlobalMaxPooling2D: 2, Max;
    /// The mean of each channel over the steps of sequences (batch, steps, channels), as (batch, channels). Under a mask
    /// only the steps that it keeps count.
    GlobalAveragePooling1D: 1, Average;
    /// The largest number of each channel over the steps of sequences (batch, steps, channels), as (batch, channels).
    GlobalMaxPooling1D: 1, Max;
}

/// The mean of x over an axis of steps, of those that a mask (batch, steps) lets count; as in Keras, NaN where it lets none.
fn masked_mean(scope: &mut Scope<'_>, [x, mask]: [Id; 2], axis: isize, keepdims: bool) -> Result<Id> {
    let graph = &mut *scope.graph;
    let &[batch, steps] = &graph.shape(mask)[..] else {
        return Err(scope.error(format!("takes a mask (batch, steps), was given {}", scope.graph.shape(mask))));
    };
    // (batch, steps, 1), or (batch, 1, steps) where the channels are first.
    let shape = if axis == 1 { [batch, steps, 1] } else { [batch, 1, steps] };
    let mask = graph.apply(Reshape(shape.into()), &[mask])?;
    let zero = graph.fill(0.0, []);
    let counted = mask::chosen(graph, mask, [x, zero])?;
    let sum = graph.reduce(Aggregation::Sum, counted, Some(&[axis]), keepdims)?;
    let count = graph.reduce(Aggregation::Sum, mask, Some(&[axis]), keepdims)?;
    graph.apply(Binary::Div, &[sum, count])
}
