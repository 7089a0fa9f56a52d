//! Layers, one a file. Implement [`Layer`] for a layer of your own, as `examples/custom_op.rs` does.

mod activation;
pub(crate) mod arguments;
mod attention;
mod convolution;
mod data_format;
mod dense;
mod dropout;
mod embedding;
mod flatten;
mod gaussian_dropout;
mod gaussian_noise;
mod image;
mod input;
mod lambda;
mod masking;
mod merge;
mod normalization;
mod numbers;
mod pair;
mod permute;
mod pooling;
mod positions;
mod prelu;
pub(crate) mod recurrent;
mod rescaling;
mod reshape;
mod spatial_dropout;
mod weight;

use std::fmt::Debug;
use std::sync::Arc;

pub use attention::{AdditiveAttention, Attention, MultiHeadAttention};
pub use convolution::{
    Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D,
    SeparableConv2D,
};
use data_format::by_name;
pub use data_format::{DataFormat, Padding};
pub use dense::Dense;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use gaussian_dropout::GaussianDropout;
pub use gaussian_noise::GaussianNoise;
pub use image::{
    CenterCrop, Cropping1D, Cropping2D, Edges, Factor, Fill, Interpolation, RandomBrightness, RandomContrast,
    RandomCrop, RandomFlip, RandomRotation, RandomTranslation, RandomZoom, Resizing, UpSampling1D, UpSampling2D,
    ZeroPadding1D, ZeroPadding2D,
};
pub use input::Input;
pub use lambda::Lambda;
pub use masking::Masking;
pub use merge::{Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract};
pub use normalization::{
    BatchNormalization, GroupNormalization, LayerNormalization, Normalization, RmsNormalization, UnitNormalization,
};
pub use numbers::Numbers;
pub use pair::Pair;
pub use permute::Permute;
pub use pooling::{
    AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveMaxPooling1D, AdaptiveMaxPooling2D, AveragePooling1D,
    AveragePooling2D, GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalMaxPooling1D, GlobalMaxPooling2D,
    MaxPooling1D, MaxPooling2D,
};
pub use positions::{PositionEmbedding, SinePositionEncoding};
pub use prelu::PRelu;
pub use recurrent::{Bidirectional, Gru, IntoRecurrent, Lstm, MergeMode, RepeatVector, SimpleRnn, TimeDistributed};
pub use rescaling::Rescaling;
pub use reshape::Reshape;
pub use spatial_dropout::{SpatialDropout1D, SpatialDropout2D};

use super::keras::Arguments;
use super::nested::Nested;
use super::{Activation, Config, KerasObject, Network, Scope, Setting, Shared, Value, Values};
use crate::error::{Error, Result};
use crate::graph::Id;
use crate::tensor::{Shape, Tensor};

/// A part of a model: from a batch of inputs to a batch of outputs. The [crate's front page](crate#your-own-layers) has one of your own.
pub trait Layer: Debug + Send + Sync {
    /// The layer's type, as the summary prints it: `Dense`.
    fn kind(&self) -> &'static str;

    /// Applies the layer to batches, whose first axis is the samples', and returns what it gives of them.
    /// [`Scope::expect`] takes as many inputs as the layer has.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the layer does not take such an input.
    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>>;

    /// The name that its maker gave it; without one the model makes one from the type, as Keras does: `dense_1`.
    fn name(&self) -> Option<&str> {
        None
    }

    /// The shape of a sample, where the layer is there to give it: [`Input`].
    fn sample_shape(&self) -> Option<&Shape> {
        None
    }

    /// What a saved model keeps of the layer, from which it is made again; unless told otherwise, its type alone.
    fn config(&self) -> Config {
        Config::new(self.kind())
    }

    /// The layer as Keras serializes one of this name; unless told otherwise, Keras has none like it.
    ///
    /// # Errors
    /// [`Error::Argument`] that names what Keras has nothing like.
    fn keras(&self, name: &str) -> Result<KerasObject> {
        let message = format!("is a {}, which is none of Keras' layers", self.kind());
        Err(Error::argument(format!("layer {name:?}"), message))
    }

    /// The path in Keras of a weight of the layer, which is of this name here, behind the layer's own path.
    #[doc(hidden)]
    fn keras_weight(&self, name: &str) -> String {
        name.into()
    }

    /// The group of Keras' files, within the layer's own, that has a weight of this name: `cell` of recurrent layers.
    #[doc(hidden)]
    fn keras_group(&self, _name: &str) -> String {
        String::new()
    }

    /// The arguments of a call on these values in Keras: those by place, and those by name.
    #[doc(hidden)]
    fn keras_call(&self, mut values: Vec<Setting>) -> Arguments {
        let all = if values.len() == 1 { values.remove(0) } else { values.into() };
        [vec![("", all)], Vec::new()]
    }

    /// The network that the layer is, where a model is a layer of another one.
    #[doc(hidden)]
    fn nested(&self) -> Option<&Nested> {
        None
    }

    /// The weights and states that the layer brings along, by their names: they take the place of what initializers would make.
    /// [`Normalization::adapt`] makes such.
    fn carried(&self) -> Vec<(String, Tensor)> {
        self.nested().map(Nested::weights).unwrap_or_default()
    }

    /// Whether outputs for which [`Layer::call`] sets no mask have the masks of the inputs of the same position, as Keras'
    /// `supports_masking` says. Of any other layer the outputs have none: see [`Scope::mask`].
    fn supports_masking(&self) -> bool {
        false
    }

    /// How many rows the table has, where the layer takes its input's numbers as rows of one, as [`Embedding`] does. Samples that
    /// are none are refused before a run, where the layer reads an input of the model itself.
    fn input_dim(&self) -> Option<usize> {
        None
    }

    /// Whether a file can keep the layer, by its class and its [`Layer::config`].
    fn is_saved(&self) -> bool {
        true
    }

    /// Whether its weights are trained: see [`Layer::trainable`].
    fn is_trainable(&self) -> bool {
        true
    }

    /// The layer of which [`Layer::trainable`] says so, where that made this one.
    #[doc(hidden)]
    fn untold(&self) -> Option<&Arc<dyn Layer>> {
        None
    }

    /// The same layer, whose weights are trained, as is the default, or keep their values to the bit: Keras' `trainable`.
    /// For weights that are not trained no gradient is computed, and neither penalty nor weight decay counts, as in Keras.
    /// See also [`super::Model::set_trainable`].
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let frozen = Dense::new(4).trainable(false);
    /// let model = Sequential::new().add(Input::new([3])).add(frozen).add(Dense::new(2));
    /// assert_eq!(model.summary()?.non_trainable(), 3 * 4 + 4);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    fn trainable(self, trainable: bool) -> Trainable
    where
        Self: Sized + 'static,
    {
        Trainable::new(Arc::new(self), trainable)
    }

    /// What the layer makes of values: the front of networks that are no chain. A clone that is applied is another layer, with
    /// weights of its own; [`Layer::shared`] has the same ones each time.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let x = Input::new([28, 28]);
    /// let flat = Flatten.apply(&x)?;
    /// assert_eq!(flat.shape().to_string(), "(784,)");
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the layer does not take such values, or gives several: [`Layer::apply_all`].
    fn apply(self, inputs: impl Into<Values>) -> Result<Value>
    where
        Self: Sized + 'static,
    {
        self.shared().apply(inputs)
    }

    /// [`Layer::apply`] of a layer that gives several values.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the layer does not take such values.
    fn apply_all(self, inputs: impl Into<Values>) -> Result<Vec<Value>>
    where
        Self: Sized + 'static,
    {
        self.shared().apply_all(inputs)
    }

    /// The layer, to be applied as often as wanted with the same weights each time.
    fn shared(self) -> Shared
    where
        Self: Sized + 'static,
    {
        Shared::new(Arc::new(self))
    }

    /// Gives the layer a name.
    fn named(self, name: impl Into<String>) -> Named<Self>
    where
        Self: Sized,
    {
        Named { layer: self, name: name.into() }
    }
}

/// The layer of this class, with the settings taken out of `config`; `None` where the class is none of these.
pub(crate) fn from_config(config: &mut Config) -> Result<Option<Box<dyn Layer>>> {
    Ok(Some(match config.class() {
        "InputLayer" => Box::new(Input::new(config.take::<Vec<usize>>("shape")?)),
        "Dense" => Box::new(Dense::from_config(config)?),
        "Activation" => Box::new(config.take::<Activation>("activation")?),
        "Add" => Box::new(Add),
        "Average" => Box::new(Average),
        "BatchNormalization" => Box::new(BatchNormalization::from_config(config)?),
        "Cropping1D" => Box::new(Cropping1D::from_config(config)?),
        "Cropping2D" => Box::new(Cropping2D::from_config(config)?),
        "UpSampling1D" => Box::new(UpSampling1D::from_config(config)?),
        "UpSampling2D" => Box::new(UpSampling2D::from_config(config)?),
        "ZeroPadding1D" => Box::new(ZeroPadding1D::from_config(config)?),
        "ZeroPadding2D" => Box::new(ZeroPadding2D::from_config(config)?),
        "Concatenate" => Box::new(Concatenate::from_config(config)?),
        "Dot" => Box::new(Dot::from_config(config)?),
        "GroupNormalization" => Box::new(GroupNormalization::from_config(config)?),
        "LayerNormalization" => Box::new(LayerNormalization::from_config(config)?),
        "RMSNormalization" => Box::new(RmsNormalization::from_config(config)?),
        "UnitNormalization" => Box::new(UnitNormalization::from_config(config)?),
        "Normalization" => Box::new(Normalization::from_config(config)?),
        "Masking" => Box::new(Masking::new(config.take_or("mask_value", 0.0)?)),
        "Maximum" => Box::new(Maximum),
        "Minimum" => Box::new(Minimum),
        "Multiply" => Box::new(Multiply),
        "Subtract" => Box::new(Subtract),
        "Dropout" => Box::new(Dropout::new(config.take("rate")?)),
        "Embedding" => Box::new(Embedding::from_config(config)?),
        "Flatten" => Box::new(Flatten),
        "GaussianDropout" => Box::new(GaussianDropout::new(config.take("rate")?)),
        "PositionEmbedding" => Box::new(PositionEmbedding::from_config(config)?),
        "SinePositionEncoding" => Box::new(SinePositionEncoding::from_config(config)?),
        "PReLU" => Box::new(PRelu::from_config(config)?),
        "SpatialDropout1D" => Box::new(SpatialDropout1D::new(config.take("rate")?)),
        "SpatialDropout2D" => Box::new(SpatialDropout2D::new(config.take("rate")?)),
        "GaussianNoise" => Box::new(GaussianNoise::new(config.take("stddev")?)),
        "Permute" => Box::new(Permute::new(config.take::<Vec<usize>>("dims")?)),
        "CenterCrop" => Box::new(CenterCrop::from_config(config)?),
        "RandomBrightness" => Box::new(RandomBrightness::from_config(config)?),
        "RandomContrast" => Box::new(RandomContrast::from_config(config)?),
        "RandomCrop" => Box::new(RandomCrop::from_config(config)?),
        "RandomFlip" => Box::new(RandomFlip::from_config(config)?),
        "RandomRotation" => Box::new(RandomRotation::from_config(config)?),
        "RandomTranslation" => Box::new(RandomTranslation::from_config(config)?),
        "RandomZoom" => Box::new(RandomZoom::from_config(config)?),
        "Rescaling" => Box::new(Rescaling::from_config(config)?),
        "Resizing" => Box::new(Resizing::from_config(config)?),
        "Reshape" => Box::new(Reshape::new(config.take::<Vec<isize>>("target_shape")?)),
        _ => {
            for of in [attention::from_config, convolution::from_config, pooling::from_config, recurrent::from_config] {
                if let Some(layer) = of(config)? {
                    return Ok(Some(layer));
                }
            }
            return Ok(None);
        }
    }))
}

/// A layer with a name: see [`Layer::named`].
#[derive(Clone, Debug)]
pub struct Named<L> {
    layer: L,
    name: String,
}

/// The methods of [`Layer`] that one which holds another leaves to it.
macro_rules! forwarded {
    ($this:ident => $layer:expr) => {
        fn kind(&self) -> &'static str {
            let $this = self;
            $layer.kind()
        }

        fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
            let $this = self;
            $layer.call(scope, inputs)
        }

        fn sample_shape(&self) -> Option<&Shape> {
            let $this = self;
            $layer.sample_shape()
        }

        fn nested(&self) -> Option<&Nested> {
            let $this = self;
            $layer.nested()
        }

        fn carried(&self) -> Vec<(String, Tensor)> {
            let $this = self;
            $layer.carried()
        }

        fn keras_weight(&self, name: &str) -> String {
            let $this = self;
            $layer.keras_weight(name)
        }

        fn keras_call(&self, values: Vec<Setting>) -> Arguments {
            let $this = self;
            $layer.keras_call(values)
        }

        fn keras_group(&self, name: &str) -> String {
            let $this = self;
            $layer.keras_group(name)
        }

        fn supports_masking(&self) -> bool {
            let $this = self;
            $layer.supports_masking()
        }

        fn input_dim(&self) -> Option<usize> {
            let $this = self;
            $layer.input_dim()
        }

        fn is_saved(&self) -> bool {
            let $this = self;
            $layer.is_saved()
        }
    };
}

/// A layer that is chosen as the program runs: `let layer: Box<dyn Layer> = if deep { Box::new(a) } else { Box::new(b) };`.
macro_rules! pointers {
    ($($pointer:ident),*) => {$(
        impl<L: Layer + ?Sized> Layer for $pointer<L> {
            forwarded!(this => (**this));

            fn name(&self) -> Option<&str> {
                (**self).name()
            }

            fn config(&self) -> Config {
                (**self).config()
            }

            fn keras(&self, name: &str) -> Result<KerasObject> {
                (**self).keras(name)
            }

            fn is_trainable(&self) -> bool {
                (**self).is_trainable()
            }

            fn untold(&self) -> Option<&Arc<dyn Layer>> {
                (**self).untold()
            }
        }
    )*};
}
pointers!(Box, Arc);

impl<L: Layer> Layer for Named<L> {
    forwarded!(this => this.layer);

    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn config(&self) -> Config {
        self.layer.config()
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        self.layer.keras(name)
    }

    fn is_trainable(&self) -> bool {
        self.layer.is_trainable()
    }
}

/// A layer that says whether its weights are trained: see [`Layer::trainable`].
#[derive(Debug)]
pub struct Trainable {
    layer: Arc<dyn Layer>,
    trainable: bool,
}

impl Trainable {
    /// A layer of which it is said, and of all layers inside it, as Keras does.
    pub(crate) fn new(layer: Arc<dyn Layer>, trainable: bool) -> Self {
        let all = |network: &mut Network| {
            for (_, layer) in &mut network.layers {
                *layer = Arc::new(Self::new(Arc::clone(layer), trainable));
            }
        };
        match layer.nested().map(|nested| nested.with(all)) {
            Some(nested) => Self::around(Arc::new(nested), trainable),
            None => Self::around(layer, trainable),
        }
    }

    /// A layer of which it is said alone, in place of what was said before.
    pub(crate) fn around(layer: Arc<dyn Layer>, trainable: bool) -> Self {
        let untold = layer.untold().cloned();
        Self { layer: untold.unwrap_or(layer), trainable }
    }
}

impl Layer for Trainable {
    forwarded!(this => this.layer);

    fn name(&self) -> Option<&str> {
        self.layer.name()
    }

    fn config(&self) -> Config {
        self.layer.config().with(TRAINABLE, self.trainable)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let layer = self.layer.keras(name)?;
        // Keras' layers that have no weights leave it out, some of them.
        Ok(if layer.get(TRAINABLE).is_some() { layer.with(TRAINABLE, self.trainable) } else { layer })
    }

    fn is_trainable(&self) -> bool {
        self.trainable
    }

    fn untold(&self) -> Option<&Arc<dyn Layer>> {
        Some(&self.layer)
    }
}

/// The setting of [`Trainable`] beside those of its layer.
pub(crate) const TRAINABLE: &str = "trainable";

/// That a layer's input is a batch of images.
fn expect_images(scope: &Scope<'_>, x: Id) -> Result<()> {
    let shape = scope.graph.shape(x);
    if shape.rank() >= 3 {
        return Ok(());
    }
    Err(scope.error(format!("takes images (batch, height, width, ...), was given {shape}; put it before a Flatten")))
}
