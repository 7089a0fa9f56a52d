//! Kiln trains neural networks with compute shaders: on any GPU that Vulkan, Metal, DX12 or WebGPU reaches, and on the CPU.
//!
//! A model is built from layers under Keras' names, compiled with an optimizer, a loss and metrics, and fitted to arrays:
//!
//! ```
//! use kiln::prelude::*;
//!
//! // Four points, and whether one coordinate alone is 1.
//! let x = Tensor::from([[0.0f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]);
//! let y = Tensor::from([[0.0f32], [1.0], [1.0], [0.0]]);
//! let mut model = Sequential::new()
//!     .add(Input::new([2]))
//!     .add(Dense::new(8).activation("tanh"))
//!     .add(Dense::new(1).activation("sigmoid"))
//!     .device(Device::cpu())
//!     .seed(1);
//! model.compile(Adam::new(0.1), "binary_crossentropy", ["accuracy"])?;
//! model.fit(&Dataset::new(x.clone(), y)?, Fit::new().epochs(100).verbose(0))?;
//! let wanted = [false, true, true, false];
//! assert!(model.predict(&x)?.to_vec::<f32>().iter().zip(wanted).all(|(&p, yes)| (p > 0.5) == yes));
//! # Ok::<(), kiln::Error>(())
//! ```
//!
//! - **Networks**: [`Sequential`](nn::Sequential) for chains; [`Model`](nn::Model) with [`Input`](nn::layers::Input) and
//!   [`Layer::apply`](nn::layers::Layer::apply) for several inputs and outputs, skip connections and shared weights. [`nn::layers`] has all layers.
//! - **Data**: [`Dataset`](data::Dataset) pairs arrays in memory, a [`Source`](data::Source) streams what is larger; [`data`] reads IDX,
//!   `.npz`, tables and pictures, and fetches the named sets, such as MNIST.
//! - **Devices**: [`Device`](device::Device) chooses a GPU, the CPU or the f64 reference; the fastest there is unless told otherwise.
//! - **Training**: [`Fit`](train::Fit) holds epochs, batch size and callbacks ([`train::callbacks`]); [`History`](train::History) what each epoch came to.
//! - **Files**: `save` and `load` of a model keep weights, optimizer and position, so that training goes on to the same bits.
//! - **Your own**: a closure as an activation, a loss or a metric, a [`Layer`](nn::layers::Layer), or an op with its kernel: `examples/custom_op.rs`.
//!
//! Modules that this documentation does not show serve the command and the tests, and may change with any version.
#![warn(missing_docs)]

#[doc(hidden)]
pub mod bench;
mod cache;
pub mod check;
mod clock;
mod config;
pub mod data;
pub mod device;
pub mod error;
pub mod graph;
pub mod io;
mod kernel;
mod memory;
pub mod nn;
pub mod ops;
#[doc(hidden)]
pub mod plan;
#[cfg(feature = "plot")]
pub mod plot;
mod printable;
pub mod random;
mod rewrite;
mod suggest;
#[cfg(feature = "csv")]
pub mod table;
pub mod tensor;
mod threads;
pub mod train;

/// The programs in the documents, which the tests compile.
#[cfg(all(doctest, feature = "cli", feature = "images"))]
mod documents {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/from-keras.md")]
    mod from_keras {}
}

pub use error::{Error, Result};
pub use tensor::{DType, Shape, Tensor, Values};

/// Everything that a program that trains needs.
pub mod prelude {
    pub use crate::data::Dataset;
    pub use crate::device::Device;
    pub use crate::error::{Error, Result};
    pub use crate::nn::layers::{
        AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveMaxPooling1D, AdaptiveMaxPooling2D, Add,
        AdditiveAttention, Attention, AveragePooling1D, AveragePooling2D, BatchNormalization, Bidirectional,
        CenterCrop, Concatenate, Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, Cropping1D, Cropping2D, Dense,
        DepthwiseConv1D, DepthwiseConv2D, Dot, Dropout, Embedding, Flatten, GaussianDropout, GaussianNoise,
        GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalMaxPooling1D, GlobalMaxPooling2D, GroupNormalization,
        Gru, Input, Layer, LayerNormalization, Lstm, Masking, MaxPooling1D, MaxPooling2D, Maximum, Minimum,
        MultiHeadAttention, Multiply, Normalization, PRelu, Permute, PositionEmbedding, RandomBrightness,
        RandomContrast, RandomCrop, RandomFlip, RandomRotation, RandomTranslation, RandomZoom, RepeatVector, Rescaling,
        Reshape, Resizing, RmsNormalization, SeparableConv1D, SeparableConv2D, SimpleRnn, SinePositionEncoding,
        SpatialDropout1D, SpatialDropout2D, Subtract, TimeDistributed, UnitNormalization, UpSampling1D, UpSampling2D,
        ZeroPadding1D, ZeroPadding2D,
    };
    pub use crate::nn::metric::{AucCurve, Average, ClassAggregation, ConfusionMatrix};
    pub use crate::nn::optimizer::{Adadelta, Adagrad, Adam, Adamax, Lion, Nadam, Optimizer, RmsProp, Sgd};
    pub use crate::nn::schedule::{
        CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay,
        Schedule, Scheduled,
    };
    pub use crate::nn::{Activation, Constraint, Initializer, Loss, Metric, Model, Objective, Regularizer, Sequential};
    pub use crate::tensor::{Shape, Tensor};
    pub use crate::train::callbacks::{
        Callback, CsvLogger, EarlyStopping, LambdaCallback, LearningRateScheduler, ModelCheckpoint, ReduceLrOnPlateau,
        SwapEmaWeights, TensorBoard, TerminateOnNan,
    };
    pub use crate::train::{CheckFinite, Fit, History, Logs, Run};
}
