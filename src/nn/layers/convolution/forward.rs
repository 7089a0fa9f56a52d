//! Convolution, <https://keras.io/api/layers/convolution_layers/convolution2d/>.

use super::{
    Activation, Config, Constraint, Convolution, Id, Initializer, KerasObject, Kind, Layer, OrName, Padding, Pair,
    Regularizer, Result, Scope, Setting, Sliding, Weight, check_some, data_format_setter, weight_setters,
};
use crate::ops::conv::Conv;

/// Each filter at each place of the kernel, over the channels of the filter's group.
#[derive(Clone, Debug)]
struct Forward {
    filters: usize,
    groups: usize,
    kernel: Weight,
}

impl Forward {
    fn new(filters: usize) -> Self {
        Self { filters, groups: 1, kernel: Weight::new(Initializer::GlorotUniform) }
    }
}

impl Kind for Forward {
    const CAUSAL: bool = true;

    fn from_config(config: &mut Config, _: usize) -> Result<Self> {
        let default = Self::new(config.take("filters")?);
        Ok(Self {
            groups: config.take_or("groups", default.groups)?,
            kernel: Weight::from_config(config, "kernel", default.kernel.initializer)?,
            ..default
        })
    }

    fn settings(&self, _: usize) -> Vec<(&'static str, Setting)> {
        vec![("filters", self.filters.into()), ("groups", self.groups.into())]
    }

    fn kernels(&self) -> Vec<(&'static str, &Weight)> {
        vec![("kernel", &self.kernel)]
    }

    fn apply(&self, sliding: &Sliding, scope: &mut Scope<'_>, images: Id) -> Result<Id> {
        let Self { filters, groups, .. } = *self;
        check_some(scope, filters, "filters")?;
        let channels = scope.graph.shape(images)[3];
        for (count, what) in [(channels, "channels"), (filters, "filters")] {
            if groups == 0 || !count.is_multiple_of(groups) {
                return Err(scope.error(format!("{count} {what} are not cut into {groups} groups of one size")));
            }
        }
        let window = sliding.window(scope, images)?;
        let kernel = sliding.kernel(scope, "kernel", &self.kernel, [channels / groups, filters])?;
        scope.graph.apply(Conv::new(window, groups), &[images, kernel])
    }
}

convolution_layer! {
    /// y = activation(x * kernel + bias), where * slides the kernel over the steps of sequences: from (batch, steps, channels) to
    /// (batch, new steps, filters).
    ///
    /// The kernel (kernel_size, channels / groups, filters) starts Glorot-uniform, the bias (filters,) at zero, unless told otherwise.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let convolution = Conv1D::new(8, 3).padding("causal").activation("relu");
    /// let model = Sequential::new().add(Input::new([100, 2])).add(convolution).add(Conv1D::new(4, 5).strides(2));
    /// assert_eq!(model.summary()?.rows[1].outputs[0][1..], [48, 4]);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    Conv1D: Forward, 1, usize, Pair::of_steps,
    "Sets what is added at the edges: `valid`, the default, adds nothing; `same` as much as makes ceil(steps / stride) of \
     them; `causal` as much, before the sequence alone, so that no output sees a later \
     step."
}

convolution_layer! {
    /// y = activation(x * kernel + bias), where * slides the kernel over images: from (batch, height, width, channels) to
    /// (batch, new height, new width, filters).
    ///
    /// The kernel (height, width, channels / groups, filters) starts Glorot-uniform, the bias (filters,) at zero, unless told otherwise.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let model = Sequential::new()
    ///     .add(Input::new([28, 28, 1]))
    ///     .add(Conv2D::new(32, 3).activation("relu"))
    ///     .add(Conv2D::new(64, [5, 3]).strides(2).padding("same"));
    /// let rows = model.summary()?.rows;
    /// assert_eq!(rows[1].outputs[0][1..], [13, 13, 64]);
    /// assert_eq!(rows[1].parameters, 5 * 3 * 32 * 64 + 64);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    Conv2D: Forward, 2, impl Into<Pair>, Into::into,
    "Sets what is added at the edges: `valid`, the default, adds nothing; `same` as much as makes ceil(extent / \
     stride) rows and columns, one more below and to the right where that is odd."
}

macro_rules! setters {
    ($name:ident, $spatial:literal, $given:ty, $sized:expr) => {
        impl $name {
            /// A layer with this many filters and a kernel of this size, without padding.
            pub fn new(filters: usize, kernel_size: $given) -> Self {
                Self { inner: Convolution::new($spatial, $sized(kernel_size), Forward::new(filters)) }
            }

            /// Sets into how many groups channels and filters are cut; default 1. Filters see the channels of their own group alone.
            #[must_use]
            pub fn groups(mut self, groups: usize) -> Self {
                self.inner.kind.groups = groups;
                self
            }

            weight_setters!(inner.kind.kernel, inner.sliding.misnamed: "the kernel", "starts", GlorotUniform
                => kernel_initializer, kernel_regularizer, kernel_constraint);
        }
    };
}
setters!(Conv1D, 1, usize, Pair::of_steps);
setters!(Conv2D, 2, impl Into<Pair>, Into::into);
