//! A densely connected layer, <https://keras.io/api/layers/core_layers/dense/>.

use super::Layer;
use super::weight::{Weight, weight_setters};
use crate::error::Result;
use crate::graph::Id;
use crate::nn::{
    Activation, Config, Constraint, Initializer, KerasObject, Misnamed, OrName, Regularizer, Scope, Setting,
};
use crate::ops::binary::Binary;
use crate::ops::matmul::MatMul;

/// y = activation(x kernel + bias): from (batch, ..., inputs) to (batch, ..., units).
///
/// The kernel (inputs, units) starts Glorot-uniform, the bias (units,) at zero, unless told otherwise.
///
/// ```
/// use kiln::prelude::*;
/// let y = Dense::new(3).activation("relu").apply(Input::new([4]))?;
/// assert_eq!(y.shape().to_string(), "(3,)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dense {
    units: usize,
    activation: Activation,
    kernel: Weight,
    bias: Weight,
    use_bias: bool,
    misnamed: Misnamed,
}

impl Dense {
    /// A layer of this many units, without an activation.
    pub fn new(units: usize) -> Self {
        Self {
            units,
            activation: Activation::Linear,
            kernel: Weight::new(Initializer::GlorotUniform),
            bias: Weight::new(Initializer::Zeros),
            use_bias: true,
            misnamed: Misnamed::default(),
        }
    }

    /// The layer of these settings, taken out of `config`.
    pub(super) fn from_config(config: &mut Config) -> Result<Self> {
        let default = Self::new(config.take("units")?);
        Ok(Self {
            activation: config.take_or("activation", default.activation)?,
            use_bias: config.take_or("use_bias", default.use_bias)?,
            kernel: Weight::from_config(config, "kernel", default.kernel.initializer)?,
            bias: Weight::from_config(config, "bias", default.bias.initializer)?,
            ..default
        })
    }

    /// Sets the activation.
    #[must_use]
    pub fn activation(mut self, activation: impl OrName<Activation>) -> Self {
        self.misnamed.set(&mut self.activation, activation);
        self
    }

    weight_setters!(kernel, misnamed: "the kernel", "starts", GlorotUniform
        => kernel_initializer, kernel_regularizer, kernel_constraint);
    weight_setters!(bias, misnamed: "the bias", "starts", Zeros => bias_initializer, bias_regularizer, bias_constraint);

    /// Whether a bias is added; default true.
    #[must_use]
    pub fn use_bias(mut self, use_bias: bool) -> Self {
        self.use_bias = use_bias;
        self
    }
}

impl Layer for Dense {
    fn kind(&self) -> &'static str {
        "Dense"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        self.misnamed.check_in(scope)?;
        let shape = scope.graph.shape(x).clone();
        if self.units == 0 {
            return Err(scope.error("0 units make nothing; give 1 or more"));
        }
        if shape.rank() < 2 {
            return Err(scope.error("expected samples of one or more axes, was given single numbers"));
        }
        let inputs = shape[shape.rank() - 1];
        let kernel = self.kernel.ask(scope, "kernel", [inputs, self.units])?;
        let mut y = scope.graph.apply(MatMul::new(false, false), &[x, kernel])?;
        if self.use_bias {
            let bias = self.bias.ask(scope, "bias", [self.units])?;
            y = scope.graph.apply(Binary::Add, &[y, bias])?;
        }
        Ok(vec![self.activation.append(scope.graph, y)?])
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = KerasObject::layer(self.kind(), name)
            .with("units", self.units)
            .with("activation", self.activation.keras()?)
            .with("use_bias", self.use_bias);
        let layer = Weight::keras_all(layer, &[("kernel", &self.kernel), ("bias", &self.bias)]);
        Ok(layer.with("quantization_config", Setting::Null))
    }

    fn supports_masking(&self) -> bool {
        true
    }

    fn config(&self) -> Config {
        let config = Config::new(self.kind())
            .with("units", self.units)
            .with("activation", self.activation)
            .with("use_bias", self.use_bias);
        Weight::keep_all(config, &[("kernel", &self.kernel), ("bias", &self.bias)])
    }
}
