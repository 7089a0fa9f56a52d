//! Kiln trains neural networks with compute shaders.
#![warn(missing_docs)]

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
pub mod plan;
#[cfg(feature = "plot")]
pub mod plot;
mod printable;
pub mod random;
mod rewrite;
mod suggest;
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
        AveragePooling1D, AveragePooling2D, BatchNormalization, Bidirectional, Concatenate, Conv1D, Conv1DTranspose,
        Conv2D, Conv2DTranspose, Cropping1D, Cropping2D, Dense, DepthwiseConv1D, DepthwiseConv2D, Dot, Dropout,
        Flatten, GaussianDropout, GaussianNoise, GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalMaxPooling1D,
        GlobalMaxPooling2D, GroupNormalization, Gru, Input, Layer, LayerNormalization, Lstm, Masking, MaxPooling1D,
        MaxPooling2D, Maximum, Minimum, Multiply, Normalization, PRelu, Permute, RandomFlip, RandomRotation,
        RandomTranslation, RandomZoom, RepeatVector, Rescaling, Reshape, Resizing, RmsNormalization, SeparableConv1D,
        SeparableConv2D, SimpleRnn, SpatialDropout1D, SpatialDropout2D, Subtract, TimeDistributed, UnitNormalization,
        UpSampling1D, UpSampling2D, ZeroPadding1D, ZeroPadding2D,
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
