//! Convolution of each channel by itself, then of all channels of each pixel,
//! <https://keras.io/api/layers/convolution_layers/separable_convolution2d/>.

use super::depthwise::Depthwise;
use super::{
    Activation, Config, Constraint, Convolution, Id, Initializer, KerasObject, Kind, Layer, OrName, Padding, Pair,
    Regularizer, Result, Scope, Setting, Sliding, Weight, check_some, data_format_setter, weight_setters,
};
use crate::ops::matmul::MatMul;
use crate::ops::reshape::Reshape;

/// What a depthwise convolution makes, mixed pixel by pixel.
#[derive(Clone, Debug)]
struct Separable {
    filters: usize,
    depthwise: Depthwise,
    pointwise: Weight,
}

impl Separable {
    fn new(filters: usize) -> Self {
        Self { filters, depthwise: Depthwise::new(), pointwise: Weight::new(Initializer::GlorotUniform) }
    }
}

impl Kind for Separable {
    const STRIDED_AND_DILATED: bool = true;

    fn from_config(config: &mut Config, spatial: usize) -> Result<Self> {
        let default = Self::new(config.take("filters")?);
        Ok(Self {
            depthwise: Depthwise::from_config(config, spatial)?,
            pointwise: Weight::from_config(config, "pointwise", default.pointwise.initializer)?,
            ..default
        })
    }

    fn settings(&self, spatial: usize) -> Vec<(&'static str, Setting)> {
        [vec![("filters", self.filters.into())], self.depthwise.settings(spatial)].concat()
    }

    fn kernels(&self) -> Vec<(&'static str, &Weight)> {
        [self.depthwise.kernels(), vec![("pointwise", &self.pointwise)]].concat()
    }

    fn apply(&self, sliding: &Sliding, scope: &mut Scope<'_>, images: Id) -> Result<Id> {
        check_some(scope, self.filters, "filters")?;
        let mixed = self.depthwise.applied(sliding, scope, images, "depthwise_kernel")?;
        let matrix = [scope.graph.shape(mixed)[3], self.filters];
        let pointwise =
            self.pointwise.ask(scope, "pointwise_kernel", [&[1; 2][..sliding.spatial], &matrix].concat())?;
        // A kernel of one pixel makes a product of matrices.
        let pointwise = scope.graph.apply(Reshape(matrix.into()), &[pointwise])?;
        scope.graph.apply(MatMul::new(false, false), &[mixed, pointwise])
    }
}

convolution_layer! {
    /// [`DepthwiseConv1D`](super::DepthwiseConv1D) without a bias, then filters that see all channels of each step: from (batch, steps,
    /// channels) to (batch, new steps, filters); then bias and activation.
    ///
    /// The depthwise kernel (kernel_size, channels, depth_multiplier) and the pointwise one (1, channels * depth_multiplier, filters)
    /// start Glorot-uniform, the bias (filters,) at zero, unless told otherwise.
    SeparableConv1D: Separable, 1, usize, Pair::of_steps, "Sets what is added at the edges: `valid`, the default, adds nothing; `same` as much as makes ceil(steps / stride) of them."
}

convolution_layer! {
    /// [`DepthwiseConv2D`](super::DepthwiseConv2D) without a bias, then filters that see all channels of each pixel: from (batch,
    /// height, width, channels) to (batch, new height, new width, filters); then bias and activation.
    ///
    /// The depthwise kernel (height, width, channels, depth_multiplier) and the pointwise one (1, 1, channels * depth_multiplier,
    /// filters) start Glorot-uniform, the bias (filters,) at zero, unless told otherwise.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let model = Sequential::new().add(Input::new([28, 28, 32])).add(SeparableConv2D::new(64, 3).padding("same"));
    /// let summary = model.summary()?;
    /// let row = &summary.rows[0];
    /// assert_eq!((&row.outputs[0][1..], row.parameters), (&[28, 28, 64][..], 3 * 3 * 32 + 32 * 64 + 64));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    SeparableConv2D: Separable, 2, impl Into<Pair>, Into::into,
    "Sets what is added at the edges: `valid`, the default, adds nothing; `same` as much as makes ceil(extent / \
     stride) rows and columns, one more below and to the right where that is odd."
}

macro_rules! setters {
    ($name:ident, $spatial:literal, $given:ty, $sized:expr) => {
        impl $name {
            /// A layer with this many filters and a kernel of this size for each channel, without padding.
            pub fn new(filters: usize, kernel_size: $given) -> Self {
                Self { inner: Convolution::new($spatial, $sized(kernel_size), Separable::new(filters)) }
            }

            /// Sets how many channels the depthwise kernel makes of each; default 1.
            #[must_use]
            pub fn depth_multiplier(mut self, depth_multiplier: usize) -> Self {
                self.inner.kind.depthwise.depth_multiplier = depth_multiplier;
                self
            }

            weight_setters!(inner.kind.depthwise.kernel, inner.sliding.misnamed: "the depthwise kernel", "starts", GlorotUniform
                => depthwise_initializer, depthwise_regularizer, depthwise_constraint);
            weight_setters!(inner.kind.pointwise, inner.sliding.misnamed: "the pointwise kernel", "starts", GlorotUniform
                => pointwise_initializer, pointwise_regularizer, pointwise_constraint);
        }
    };
}
setters!(SeparableConv1D, 1, usize, Pair::of_steps);
setters!(SeparableConv2D, 2, impl Into<Pair>, Into::into);
