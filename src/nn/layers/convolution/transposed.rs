//! Transposed convolution, <https://keras.io/api/layers/convolution_layers/convolution2d_transpose/>.

use super::{
    Activation, Config, Constraint, Convolution, Id, Initializer, KerasObject, Kind, Layer, OrName, Padding, Pair,
    Regularizer, Result, Scope, Setting, Sliding, TOO_MANY, Weight, check_some, data_format_setter, weight_setters,
};
use crate::ops::conv::Conv;
use crate::ops::window::Window;

/// What a convolution from filters to channels does to the gradient of its output.
#[derive(Clone, Debug)]
struct Transposed {
    filters: usize,
    /// Of sequences, the rows' is 0.
    output_padding: Option<Pair>,
    kernel: Weight,
}

impl Transposed {
    fn new(filters: usize) -> Self {
        Self { filters, output_padding: None, kernel: Weight::new(Initializer::GlorotUniform) }
    }

    /// The window of the convolution of which this is the transpose, and what is made of an image of this extent.
    fn window(&self, sliding: &Sliding, scope: &Scope<'_>, image: [usize; 2]) -> Result<(Window, [usize; 2])> {
        let (mut window, mut made) = (sliding.bare(), [0; 2]);
        for axis in 0..2 {
            let (reach, stride) = (window.reach(axis), window.strides[axis]);
            let padding = self.output_padding.map(|padding| padding.0[axis]);
            // What the kernels at all places cover, from the first one's first pixel on.
            let apart = image[axis].saturating_sub(1).saturating_mul(stride);
            let covered = apart.saturating_add(reach);
            let before;
            (made[axis], before) = match sliding.padding {
                Padding::Same => {
                    let (extent, cut) = match padding {
                        None => (apart.saturating_add(stride), stride + reach - 2),
                        Some(padding) => (apart.saturating_add(reach % 2 + padding), reach + reach % 2 + padding - 2),
                    };
                    (extent, (reach - 1).saturating_sub(cut.div_ceil(2)))
                }
                _ => (covered.saturating_add(padding.unwrap_or(stride.saturating_sub(reach))), 0),
            };
            if made[axis] == 0 || made[axis] >= TOO_MANY {
                let (extent, size) = (image[axis], sliding.kernel_size.said(sliding.spatial));
                let message = format!("makes {} pixels or steps of {extent} by kernel_size {size}", made[axis]);
                return Err(scope.error(message));
            }
            window.pads[axis] = [before, covered.saturating_sub(made[axis] + before)];
        }
        Ok((window, made))
    }

    /// That what is added to the output goes with the strides.
    fn check(&self, sliding: &Sliding, scope: &Scope<'_>) -> Result<()> {
        let Some(padding) = self.output_padding else { return Ok(()) };
        if (0..2).all(|axis| padding.0[axis] < sliding.strides.0[axis]) {
            return Ok(());
        }
        let [padding, strides] = [padding, sliding.strides].map(|size| size.said(sliding.spatial));
        Err(scope.error(format!("output_padding {padding} is not below the strides {strides}")))
    }
}

/// What is added to the output of a transposed convolution of sequences.
fn of_steps(steps: usize) -> Pair {
    Pair([0, steps])
}

impl Kind for Transposed {
    fn from_config(config: &mut Config, spatial: usize) -> Result<Self> {
        let default = Self::new(config.take("filters")?);
        let padding = Pair::taken_if(config, "output_padding", spatial)?;
        Ok(Self {
            output_padding: padding.map(|padding| if spatial == 1 { of_steps(padding.0[1]) } else { padding }),
            kernel: Weight::from_config(config, "kernel", default.kernel.initializer)?,
            ..default
        })
    }

    fn settings(&self, spatial: usize) -> Vec<(&'static str, Setting)> {
        let padding = self.output_padding.map(|padding| padding.kept(spatial));
        vec![("filters", self.filters.into()), ("output_padding", padding.into())]
    }

    fn kernels(&self) -> Vec<(&'static str, &Weight)> {
        vec![("kernel", &self.kernel)]
    }

    fn apply(&self, sliding: &Sliding, scope: &mut Scope<'_>, images: Id) -> Result<Id> {
        check_some(scope, self.filters, "filters")?;
        self.check(sliding, scope)?;
        let &[_, rows, columns, channels] = &scope.graph.shape(images)[..] else {
            unreachable!("images have four axes")
        };
        let (window, made) = self.window(sliding, scope, [rows, columns])?;
        let kernel = sliding.kernel(scope, "kernel", &self.kernel, [self.filters, channels])?;
        scope.graph.apply(Conv::transposed(window, 1, made), &[images, kernel])
    }
}

convolution_layer! {
    /// The transpose of a convolution, which upsamples with weights that are learned. Each step of sequences (batch, steps, channels)
    /// adds its multiple of the kernel to (batch, new steps, filters), at places that lie `strides` apart; then bias and activation.
    ///
    /// The kernel (kernel_size, filters, channels) starts Glorot-uniform, the bias (filters,) at zero, unless told otherwise.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let model = Sequential::new().add(Input::new([50, 4])).add(Conv1DTranspose::new(2, 3).strides(2).padding("same"));
    /// assert_eq!(model.summary()?.rows[0].outputs[0][1..], [100, 2]);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    Conv1DTranspose: Transposed, 1, usize, Pair::of_steps,
    "Sets how long the output is: of `valid`, the default, as far as the kernels at all steps reach, and a stride for each step at \
     least; of `same` steps * stride."
}

convolution_layer! {
    /// The transpose of a convolution, which upsamples with weights that are learned. Each pixel of images (batch, height, width,
    /// channels) adds its multiple of the kernel to (batch, new height, new width, filters), at places that lie `strides` apart; then
    /// bias and activation.
    ///
    /// The kernel (height, width, filters, channels) starts Glorot-uniform, the bias (filters,) at zero, unless told otherwise.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let up = Conv2DTranspose::new(16, 3).strides(2).padding("same").activation("relu");
    /// let model = Sequential::new().add(Input::new([7, 7, 32])).add(up);
    /// assert_eq!(model.summary()?.rows[0].outputs[0][1..], [14, 14, 16]);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    Conv2DTranspose: Transposed, 2, impl Into<Pair>, Into::into,
    "Sets how large the output is: of `valid`, the default, as far as the kernels at all pixels reach, and a stride for each pixel at \
     least; of `same` extent * stride."
}

macro_rules! setters {
    ($name:ident, $spatial:literal, $given:ty, $sized:expr, $added:expr) => {
        impl $name {
            /// A layer with this many filters and a kernel of this size.
            pub fn new(filters: usize, kernel_size: $given) -> Self {
                Self { inner: Convolution::new($spatial, $sized(kernel_size), Transposed::new(filters)) }
            }

            /// Sets by how much the output is larger than its least size, which must be less than the strides. The least size is
            /// (extent - 1) * stride + the kernel's reach; where padding is `same`, it is (extent - 1) * stride, and one more for a
            /// kernel of odd reach. Without this setting `padding` alone says how large the output is.
            #[must_use]
            pub fn output_padding(mut self, output_padding: $given) -> Self {
                self.inner.kind.output_padding = Some($added(output_padding));
                self
            }

            weight_setters!(inner.kind.kernel, inner.sliding.misnamed: "the kernel", "starts", GlorotUniform
                => kernel_initializer, kernel_regularizer, kernel_constraint);
        }
    };
}
setters!(Conv1DTranspose, 1, usize, Pair::of_steps, of_steps);
setters!(Conv2DTranspose, 2, impl Into<Pair>, Into::into, Into::into);
