//! Convolution of each channel by itself, <https://keras.io/api/layers/convolution_layers/depthwise_convolution2d/>.

use super::{
    Activation, Config, Constraint, Convolution, Id, Initializer, KerasObject, Kind, Layer, OrName, Padding, Pair,
    Regularizer, Result, Scope, Setting, Sliding, Weight, check_some, data_format_setter, reshaped, weight_setters,
};
use crate::ops::conv::Conv;

/// Filters for each channel, which see that channel alone.
#[derive(Clone, Debug)]
pub(super) struct Depthwise {
    pub(super) depth_multiplier: usize,
    pub(super) kernel: Weight,
}

impl Depthwise {
    pub(super) fn new() -> Self {
        Self { depth_multiplier: 1, kernel: Weight::new(Initializer::GlorotUniform) }
    }

    /// Images of channels * multiplier channels, by the kernel of this name.
    pub(super) fn applied(&self, sliding: &Sliding, scope: &mut Scope<'_>, images: Id, name: &str) -> Result<Id> {
        check_some(scope, self.depth_multiplier, "filters a channel, which depth_multiplier counts,")?;
        let window = sliding.window(scope, images)?;
        let channels = scope.graph.shape(images)[3];
        let kernel = sliding.kernel(scope, name, &self.kernel, [channels, self.depth_multiplier])?;
        let [rows, columns] = window.size;
        // Its numbers lie as those of a convolution with a group for each channel do.
        let kernel = reshaped(scope, kernel, [rows, columns, 1, channels * self.depth_multiplier])?;
        scope.graph.apply(Conv::new(window, channels), &[images, kernel])
    }
}

impl Kind for Depthwise {
    const STRIDED_AND_DILATED: bool = true;

    fn from_config(config: &mut Config, _: usize) -> Result<Self> {
        let default = Self::new();
        Ok(Self {
            depth_multiplier: config.take_or("depth_multiplier", default.depth_multiplier)?,
            kernel: Weight::from_config(config, "depthwise", default.kernel.initializer)?,
        })
    }

    fn settings(&self, _: usize) -> Vec<(&'static str, Setting)> {
        vec![("depth_multiplier", self.depth_multiplier.into())]
    }

    fn kernels(&self) -> Vec<(&'static str, &Weight)> {
        vec![("depthwise", &self.kernel)]
    }

    fn apply(&self, sliding: &Sliding, scope: &mut Scope<'_>, images: Id) -> Result<Id> {
        self.applied(sliding, scope, images, "kernel")
    }
}

convolution_layer! {
    /// Convolves each channel of sequences (batch, steps, channels) by kernels of its own, adds the bias and applies the activation.
    /// Gives (batch, new steps, channels * depth_multiplier), where what one channel became are neighbours.
    ///
    /// The kernel (kernel_size, channels, depth_multiplier) starts Glorot-uniform, the bias at zero, unless told otherwise.
    DepthwiseConv1D: Depthwise, 1, usize, Pair::of_steps, "Sets what is added at the edges: `valid`, the default, adds nothing; `same` as much as makes ceil(steps / stride) of them."
}

convolution_layer! {
    /// Convolves each channel of images (batch, height, width, channels) by kernels of its own, adds the bias and applies the
    /// activation. Gives (batch, new height, new width, channels * depth_multiplier), where what one channel became are neighbours.
    ///
    /// The kernel (height, width, channels, depth_multiplier) starts Glorot-uniform, the bias at zero, unless told otherwise.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let model = Sequential::new().add(Input::new([28, 28, 8])).add(DepthwiseConv2D::new(3).depth_multiplier(2));
    /// let summary = model.summary()?;
    /// let row = &summary.rows[0];
    /// assert_eq!((&row.outputs[0][1..], row.parameters), (&[26, 26, 16][..], 3 * 3 * 8 * 2 + 16));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    DepthwiseConv2D: Depthwise, 2, impl Into<Pair>, Into::into,
    "Sets what is added at the edges: `valid`, the default, adds nothing; `same` as much as makes ceil(extent / \
     stride) rows and columns, one more below and to the right where that is odd."
}

macro_rules! setters {
    ($name:ident, $spatial:literal, $given:ty, $sized:expr) => {
        impl $name {
            /// A layer with a kernel of this size for each channel, without padding.
            pub fn new(kernel_size: $given) -> Self {
                Self { inner: Convolution::new($spatial, $sized(kernel_size), Depthwise::new()) }
            }

            /// Sets how many filters each channel has; default 1.
            #[must_use]
            pub fn depth_multiplier(mut self, depth_multiplier: usize) -> Self {
                self.inner.kind.depth_multiplier = depth_multiplier;
                self
            }

            weight_setters!(inner.kind.kernel, inner.sliding.misnamed: "the kernel", "starts", GlorotUniform
                => depthwise_initializer, depthwise_regularizer, depthwise_constraint);
        }
    };
}
setters!(DepthwiseConv1D, 1, usize, Pair::of_steps);
setters!(DepthwiseConv2D, 2, impl Into<Pair>, Into::into);
