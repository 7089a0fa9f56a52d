//! Layers whose kernels go over sequences and images, <https://keras.io/api/layers/convolution_layers/>.

/// A layer of a kind and of so many spatial axes, with the setters that all have: how sizes are given, what makes a [`Pair`] of them,
/// and what the docs say of paddings.
macro_rules! convolution_layer {
    ($(#[$doc:meta])* $name:ident: $kind:ident, $spatial:literal, $given:ty, $sized:expr, $padding:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            inner: Convolution<$kind>,
        }

        impl $name {
            pub(super) fn from_config(config: &mut Config) -> Result<Self> {
                Ok(Self { inner: Convolution::from_config(config, $spatial)? })
            }

            /// Sets the strides: how far the kernel moves at a time; default 1.
            #[must_use]
            pub fn strides(mut self, strides: $given) -> Self {
                self.inner.sliding.strides = $sized(strides);
                self
            }

            #[doc = $padding]
            #[must_use]
            pub fn padding(mut self, padding: impl OrName<Padding>) -> Self {
                self.inner.sliding.misnamed.set(&mut self.inner.sliding.padding, padding);
                self
            }

            data_format_setter!(inner.sliding);

            /// Sets the dilation rate: how far apart the kernel's neighbouring pixels, or steps, lie; default 1.
            #[must_use]
            pub fn dilation_rate(mut self, dilation_rate: $given) -> Self {
                self.inner.sliding.dilation_rate = $sized(dilation_rate);
                self
            }

            /// Sets the activation.
            #[must_use]
            pub fn activation(mut self, activation: impl OrName<Activation>) -> Self {
                self.inner.sliding.misnamed.set(&mut self.inner.sliding.activation, activation);
                self
            }

            /// Whether a bias is added, one number a filter; default true.
            #[must_use]
            pub fn use_bias(mut self, use_bias: bool) -> Self {
                self.inner.sliding.use_bias = use_bias;
                self
            }

            weight_setters!(inner.sliding.bias, inner.sliding.misnamed: "the bias", "starts", Zeros
                => bias_initializer, bias_regularizer, bias_constraint);
        }

        impl Layer for $name {
            fn kind(&self) -> &'static str {
                stringify!($name)
            }

            fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
                let [x] = scope.expect(inputs)?;
                Ok(vec![self.inner.call(scope, x)?])
            }

            fn config(&self) -> Config {
                self.inner.config(self.kind())
            }

            fn keras(&self, name: &str) -> Result<KerasObject> {
                self.inner.keras(KerasObject::layer(self.kind(), name))
            }
        }
    };
}

mod depthwise;
mod forward;
mod separable;
mod transposed;

pub use depthwise::{DepthwiseConv1D, DepthwiseConv2D};
pub use forward::{Conv1D, Conv2D};
pub use separable::{SeparableConv1D, SeparableConv2D};
pub use transposed::{Conv1DTranspose, Conv2DTranspose};

use super::Layer;
use super::data_format::{DataFormat, Padding, data_format_setter};
use super::pair::Pair;
use super::weight::{Weight, weight_setters};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{
    Activation, Config, Constraint, Initializer, KerasObject, Misnamed, OrName, Regularizer, Scope, Setting,
};
use crate::ops::binary::Binary;
use crate::ops::reshape::Reshape;
use crate::ops::window::Window;

/// The layer of this class, with the settings taken out of `config`; `None` where the class is none of these.
pub(super) fn from_config(config: &mut Config) -> Result<Option<Box<dyn Layer>>> {
    Ok(Some(match config.class() {
        "Conv1D" => Box::new(Conv1D::from_config(config)?),
        "Conv1DTranspose" => Box::new(Conv1DTranspose::from_config(config)?),
        "Conv2D" => Box::new(Conv2D::from_config(config)?),
        "Conv2DTranspose" => Box::new(Conv2DTranspose::from_config(config)?),
        "DepthwiseConv1D" => Box::new(DepthwiseConv1D::from_config(config)?),
        "DepthwiseConv2D" => Box::new(DepthwiseConv2D::from_config(config)?),
        "SeparableConv1D" => Box::new(SeparableConv1D::from_config(config)?),
        "SeparableConv2D" => Box::new(SeparableConv2D::from_config(config)?),
        _ => return Ok(None),
    }))
}

/// What all convolution layers have: how a kernel goes over sequences or images, and what is done to its output.
#[derive(Clone, Debug)]
struct Sliding {
    /// How many axes it goes along.
    spatial: usize,
    kernel_size: Pair,
    strides: Pair,
    dilation_rate: Pair,
    padding: Padding,
    data_format: DataFormat,
    activation: Activation,
    use_bias: bool,
    bias: Weight,
    misnamed: Misnamed,
}

/// What a layer makes of images with its kernels, before bias and activation.
trait Kind: Sized {
    /// Whether sequences may have `causal` padding.
    const CAUSAL: bool = false;
    /// Whether strides and dilation may both be above 1.
    const STRIDED_AND_DILATED: bool = false;

    /// The kind of these settings, taken out of `config`.
    fn from_config(config: &mut Config, spatial: usize) -> Result<Self>;

    /// Its settings by Keras' keys.
    fn settings(&self, spatial: usize) -> Vec<(&'static str, Setting)>;

    /// Its kernels by what the keys of their settings begin with.
    fn kernels(&self) -> Vec<(&'static str, &Weight)>;

    /// What it makes of images (batch, height, width, channels).
    fn apply(&self, sliding: &Sliding, scope: &mut Scope<'_>, images: Id) -> Result<Id>;
}

/// A layer of a kind.
#[derive(Clone, Debug)]
struct Convolution<K> {
    sliding: Sliding,
    kind: K,
}

impl<K: Kind> Convolution<K> {
    fn new(spatial: usize, kernel_size: Pair, kind: K) -> Self {
        Self { sliding: Sliding::new(spatial, kernel_size), kind }
    }

    fn from_config(config: &mut Config, spatial: usize) -> Result<Self> {
        Ok(Self { sliding: Sliding::from_config(config, spatial)?, kind: K::from_config(config, spatial)? })
    }

    fn call(&self, scope: &mut Scope<'_>, x: Id) -> Result<Id> {
        self.sliding.check(scope, K::CAUSAL, K::STRIDED_AND_DILATED)?;
        let images = self.sliding.data_format.to_images(scope, x, self.sliding.spatial)?;
        let y = self.kind.apply(&self.sliding, scope, images)?;
        self.sliding.finish(scope, y)
    }

    /// The settings that files and Keras have alike.
    fn settings(&self) -> Vec<(&'static str, Setting)> {
        let mut settings = self.kind.settings(self.sliding.spatial);
        settings.extend(self.sliding.settings());
        settings
    }

    fn weights(&self) -> Vec<(&'static str, &Weight)> {
        let mut weights = self.kind.kernels();
        weights.push(("bias", &self.sliding.bias));
        weights
    }

    fn config(&self, class: &str) -> Config {
        let config = Config::new(class).with_all(self.settings()).with("activation", self.sliding.activation);
        Weight::keep_all(config, &self.weights())
    }

    fn keras(&self, layer: KerasObject) -> Result<KerasObject> {
        let layer = layer.with_all(self.settings()).with("activation", self.sliding.activation.keras()?);
        Ok(Weight::keras_all(layer, &self.weights()).with("activity_regularizer", Setting::Null))
    }
}

/// The largest setting: more than any image has rows, and small enough that 32-bit numbers count with it.
const TOO_MANY: usize = 1 << 30;

impl Sliding {
    fn new(spatial: usize, kernel_size: Pair) -> Self {
        Self {
            spatial,
            kernel_size,
            strides: Pair([1, 1]),
            dilation_rate: Pair([1, 1]),
            padding: Padding::Valid,
            data_format: DataFormat::default(),
            activation: Activation::Linear,
            use_bias: true,
            bias: Weight::new(Initializer::Zeros),
            misnamed: Misnamed::default(),
        }
    }

    fn from_config(config: &mut Config, spatial: usize) -> Result<Self> {
        let default = Self::new(spatial, Pair::taken(config, "kernel_size", spatial)?);
        Ok(Self {
            strides: Pair::taken_if(config, "strides", spatial)?.unwrap_or(default.strides),
            dilation_rate: Pair::taken_if(config, "dilation_rate", spatial)?.unwrap_or(default.dilation_rate),
            padding: config.take_or("padding", default.padding)?,
            data_format: config.take_or(DataFormat::KEY, default.data_format)?,
            activation: config.take_or("activation", default.activation)?,
            use_bias: config.take_or("use_bias", default.use_bias)?,
            bias: Weight::from_config(config, "bias", default.bias.initializer)?,
            ..default
        })
    }

    fn settings(&self) -> [(&'static str, Setting); 6] {
        [
            ("kernel_size", self.kernel_size.kept(self.spatial)),
            ("strides", self.strides.kept(self.spatial)),
            ("padding", self.padding.into()),
            (DataFormat::KEY, self.data_format.into()),
            ("dilation_rate", self.dilation_rate.kept(self.spatial)),
            ("use_bias", self.use_bias.into()),
        ]
    }

    /// Checks that the settings are legal.
    fn check(&self, scope: &Scope<'_>, causal: bool, strided_and_dilated: bool) -> Result<()> {
        self.misnamed.check_in(scope)?;
        let sizes =
            [("kernel_size", self.kernel_size), ("strides", self.strides), ("dilation_rate", self.dilation_rate)];
        for (what, size) in sizes {
            if size.0.iter().any(|&n| n == 0 || n >= TOO_MANY) {
                return Err(scope.error(format!("{what} {} is none: give 1 or more", size.said(self.spatial))));
            }
        }
        let [size, strides, dilation] = sizes.map(|(_, size)| size);
        let said = |what: Pair| what.said(self.spatial);
        if (0..2).any(|axis| size.0[axis].saturating_mul(dilation.0[axis]) >= TOO_MANY) {
            let message = format!("kernel_size {} at dilation_rate {} is too large", said(size), said(dilation));
            return Err(scope.error(message));
        }
        let above = |size: Pair| size.0.iter().any(|&n| n > 1);
        if !strided_and_dilated && above(strides) && above(dilation) {
            let message = format!(
                "strides {} and dilation_rate {} do not go together; leave one of them 1",
                said(strides),
                said(dilation)
            );
            return Err(scope.error(message));
        }
        if self.padding == Padding::Causal && !(causal && self.spatial == 1) {
            return Err(scope.error("padding is \"valid\" or \"same\"; \"causal\" is for Conv1D"));
        }
        Ok(())
    }

    /// The kernel's window, with nothing added.
    fn bare(&self) -> Window {
        Window { strides: self.strides.0, dilation: self.dilation_rate.0, ..Window::new(self.kernel_size.0) }
    }

    /// How the kernel goes over images.
    fn window(&self, scope: &Scope<'_>, images: Id) -> Result<Window> {
        let shape = scope.graph.shape(images);
        let (window, image) = (self.bare(), [shape[1], shape[2]]);
        if self.padding == Padding::Valid && (0..2).any(|axis| window.reach(axis) > image[axis]) {
            let dilated = match self.dilation_rate {
                Pair([1, 1]) => String::new(),
                rate => format!(" at dilation_rate {}", rate.said(self.spatial)),
            };
            let message = format!(
                "a kernel of kernel_size {}{dilated} does not fit {} {}; take a smaller one, or padding \"same\"",
                self.kernel_size.said(self.spatial),
                if self.spatial == 1 { "sequences of length" } else { "images of" },
                Pair(image).said(self.spatial)
            );
            return Err(scope.error(message));
        }
        Ok(window.padded(self.padding, image))
    }

    /// A kernel of Keras' shape, (rows, columns, a, b), or (steps, a, b) of sequences, as (rows, columns, a, b).
    fn kernel(&self, scope: &mut Scope<'_>, name: &str, weight: &Weight, [a, b]: [usize; 2]) -> Result<Id> {
        let kernel = weight.ask(scope, name, [self.kernel_size.given(self.spatial), &[a, b]].concat())?;
        let [rows, columns] = self.kernel_size.0;
        reshaped(scope, kernel, [rows, columns, a, b])
    }

    /// Images with the bias and the activation, as the layer gives them.
    fn finish(&self, scope: &mut Scope<'_>, mut y: Id) -> Result<Id> {
        if self.use_bias {
            let filters = scope.graph.shape(y)[3];
            let bias = self.bias.ask(scope, "bias", [filters])?;
            y = scope.graph.apply(Binary::Add, &[y, bias])?;
        }
        // Before images are transposed, where a convolution does it as it stores them; one of rows is of those that the layer gives.
        if self.activation.is_of_rows() {
            let y = self.data_format.of_images(scope, y, self.spatial)?;
            return self.activation.append(scope.graph, y);
        }
        let y = self.activation.append(scope.graph, y)?;
        self.data_format.of_images(scope, y, self.spatial)
    }
}

/// The same numbers in another shape.
fn reshaped(scope: &mut Scope<'_>, x: Id, shape: [usize; 4]) -> Result<Id> {
    if **scope.graph.shape(x) == shape { Ok(x) } else { scope.graph.apply(Reshape(shape.into()), &[x]) }
}

/// Checks that a layer has at least one of its filters or channels.
fn check_some(scope: &Scope<'_>, count: usize, what: &str) -> Result<()> {
    if count > 0 { Ok(()) } else { Err(scope.error(format!("0 {what} make nothing; give 1 or more"))) }
}
