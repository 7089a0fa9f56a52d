//! Where the channels of images and sequences are: Keras' setting `data_format`, for all layers that have it.

use std::ops::Range;

use crate::config::named;
use crate::error::Result;
use crate::graph::Id;
use crate::nn::Scope;
use crate::ops::reshape::Reshape;
use crate::ops::transpose::Transpose;
pub use crate::ops::window::Padding;

/// Where the channels of images and sequences are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataFormat {
    /// (batch, height, width, channels), (batch, steps, channels): Keras' `channels_last`.
    #[default]
    ChannelsLast,
    /// (batch, channels, height, width), (batch, channels, steps): Keras' `channels_first`. Kernels want channels last: the layer
    /// transposes its input, and its output back.
    ChannelsFirst,
}

named!(DataFormat: "channels_last" = ChannelsLast, "channels_first" = ChannelsFirst);
named!(Padding: "valid" = Valid, "same" = Same, "causal" = Causal);

macro_rules! by_name {
    ($($type:ident: $setting:literal),*) => {$(
        impl $type {
            /// The one that Keras gives this name.
            ///
            /// # Errors
            /// [`Error::Argument`](crate::error::Error::Argument) that lists the names.
            pub fn by_name(name: &str) -> $crate::error::Result<Self> {
                <Self as $crate::config::FromSetting>::from_setting(&name.into())
                    .map_err(|why| $crate::error::Error::argument($setting, why))
            }
        }
    )*};
}
pub(super) use by_name;
by_name!(DataFormat: "data_format", Padding: "padding");

impl DataFormat {
    /// The setting's key in configs, Kiln's and Keras'.
    pub(super) const KEY: &str = "data_format";

    /// `x` of so many spatial axes, 1 or 2, as images (batch, height, width, channels). A sequence is an image of height 1.
    ///
    /// # Errors
    /// [`Error::Shape`] where `x` has another number of axes.
    pub(super) fn to_images(self, scope: &mut Scope<'_>, x: Id, spatial: usize) -> Result<Id> {
        self.check(scope, x, spatial)?;
        let last = match self {
            Self::ChannelsLast => x,
            Self::ChannelsFirst => scope
                .graph
                .apply(Transpose([&[0], &*self.spatial(spatial).collect::<Vec<_>>(), &[1]].concat()), &[x])?,
        };
        if spatial == 2 {
            return Ok(last);
        }
        let [batch, steps, channels] = scope.graph.shape(last)[..] else { unreachable!("a sequence has three axes") };
        scope.graph.apply(Reshape([batch, 1, steps, channels].into()), &[last])
    }

    /// What a layer made of [`DataFormat::to_images`], as the layer gives it.
    ///
    /// # Errors
    /// [`Error::Shape`] where `y` is no batch of images.
    pub(super) fn of_images(self, scope: &mut Scope<'_>, y: Id, spatial: usize) -> Result<Id> {
        let &[batch, height, width, channels] = &scope.graph.shape(y)[..] else {
            return Err(scope.error(format!("made {}, which are no images", scope.graph.shape(y))));
        };
        let last = match spatial {
            2 => y,
            _ => scope.graph.apply(Reshape([batch, height * width, channels].into()), &[y])?,
        };
        match self {
            Self::ChannelsLast => Ok(last),
            Self::ChannelsFirst => {
                let order = [&[0, spatial + 1], &*(1..=spatial).collect::<Vec<_>>()].concat();
                scope.graph.apply(Transpose(order), &[last])
            }
        }
    }

    /// Which axes of the layer's input are spatial, given how many.
    pub(super) fn spatial(self, spatial: usize) -> Range<usize> {
        match self {
            Self::ChannelsLast => 1..1 + spatial,
            Self::ChannelsFirst => 2..2 + spatial,
        }
    }

    /// Checks that the layer's input has this many spatial axes beside those of the batch and of the channels.
    ///
    /// # Errors
    /// [`Error::Shape`] of the layer that says what it takes and what it was given.
    pub(super) fn check(self, scope: &Scope<'_>, x: Id, spatial: usize) -> Result<()> {
        let shape = scope.graph.shape(x);
        if shape.rank() == spatial + 2 {
            return Ok(());
        }
        let wanted = match (spatial, self) {
            (1, Self::ChannelsLast) => "sequences (batch, steps, channels)",
            (1, Self::ChannelsFirst) => "sequences (batch, channels, steps)",
            (_, Self::ChannelsLast) => "images (batch, height, width, channels)",
            (_, Self::ChannelsFirst) => "images (batch, channels, height, width)",
        };
        let hint =
            if shape.rank() == spatial + 1 { "; a Reshape before it gives them an axis of one channel" } else { "" };
        Err(scope.error(format!("takes {wanted}, was given {shape}{hint}")))
    }
}

/// The setter of a layer that has the field `data_format`, and `misnamed`, itself or in a field of these names.
macro_rules! data_format_setter {
    ($($at:ident).*) => {
        /// Where the channels are; default `channels_last`.
        #[must_use]
        pub fn data_format(mut self, data_format: impl $crate::nn::OrName<$crate::nn::layers::DataFormat>) -> Self {
            self.$($at.)*misnamed.set(&mut self.$($at.)*data_format, data_format);
            self
        }
    };
}
pub(super) use data_format_setter;
