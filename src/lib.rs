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
//! # Networks
//!
//! [`Sequential`](nn::Sequential) is for chains. [`Model`](nn::Model) is for networks with several inputs and outputs, skip connections
//! and shared weights: an [`Input`](nn::layers::Input) is a value, and [`Layer::apply`](nn::layers::Layer::apply) makes the next one.
//! [`nn::layers`] has all layers; a chain may be [text](nn::Sequential::from_text), too.
//!
//! ```
//! use kiln::prelude::*;
//!
//! let pixels = Input::new([28, 28]).named("pixels");
//! let age = Input::new([1]).named("age");
//! let seen = Dense::new(64).activation("relu").apply(Flatten.apply(&pixels)?)?;
//! let both = Concatenate::new().apply((&seen, &age))?;
//! let model = Model::new((&pixels, &age), Dense::new(1).apply(&both)?)?;
//! assert_eq!(model.summary()?.parameters(), 784 * 64 + 64 + 65 + 1);
//! # Ok::<(), kiln::Error>(())
//! ```
//!
//! # Data
//!
//! A [`Dataset`](data::Dataset) pairs samples with targets. Bytes are divided by 255 as they are batched.
//!
//! | from | by |
//! |---|---|
//! | arrays, `Vec`s | [`Tensor::from`], [`Tensor::new`], [`Dataset::new`](data::Dataset::new) |
//! | a named set | [`data::mnist`], [`data::fashion_mnist`], [`data::airline`], [`data::moby_dick`] |
//! | tables | `data::Csv`; `table` does all that the command does with one (feature `csv`) |
//! | folders of pictures | `data::ImageFolder` (feature `images`) |
//! | NumPy's `.npz`, IDX files | [`data::Npz`], [`data::read_idx`] |
//! | texts, series | [`data::TextVectorization`], [`data::TimeseriesDataset`] |
//! | what does not fit in memory | a [`Source`](data::Source) of your own, which `fit` takes in a set's place |
//!
//! [`Scaler`](data::Scaler) brings features to one scale; [`Dataset::train_test_split`](data::Dataset::train_test_split) and
//! [`KFold`](data::KFold) hold samples back.
//!
//! # Training
//!
//! [`Fit`](train::Fit) holds epochs, batch size, validation and [callbacks](train::callbacks);
//! [`History`](train::History) says what each epoch came to.
//!
//! ```
//! use kiln::prelude::*;
//!
//! let x = Tensor::new([64, 1], (0..64).map(|i| i as f32 / 64.0).collect::<Vec<f32>>())?;
//! let y = &(2.0 * &x) + &Tensor::from([1.0f32]);
//! let data = Dataset::new(x, y)?.train_test_split(0.25, 0)?;
//! let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
//! model.compile(Adam::new(0.1), "mse", ["r2_score"])?;
//! let stop = EarlyStopping::new().patience(20).restore_best_weights(true);
//! let fit = Fit::new().epochs(200).batch_size(8).validation_data(&data.test).verbose(0).callback(stop);
//! let history = model.fit(&data.train, fit)?;
//! assert!(history.epochs().len() <= 200);
//! assert!(model.evaluate(&data.test)?.get("r2_score").unwrap() > 0.99);
//! # Ok::<(), kiln::Error>(())
//! ```
//!
//! # Devices
//!
//! [`Device::auto`](device::Device::auto), the default, takes a hardware GPU if there is one, else the CPU;
//! [`Device::choose`](device::Device::choose) takes a name as the command's `--device` does, and says why it took what it took.
//! [`Device::reference`](device::Device::reference) computes in f64, which every kernel is checked against. Two runs on one device
//! with one seed are the same to the bit.
//!
//! # Saving
//!
//! ```
//! use kiln::prelude::*;
//!
//! let mut model = Sequential::new().add(Input::new([2])).add(Dense::new(1)).device(Device::cpu());
//! model.compile("adam", "mse", [])?;
//! let path = std::env::temp_dir().join(format!("kiln-front-page-{}.safetensors", std::process::id()));
//! model.save(&path)?;
//! let mut again = Sequential::load(&path)?;
//! let x = Tensor::from([[1.0f32, 2.0]]);
//! assert_eq!(again.predict(&x)?, model.predict(&x)?);
//! # std::fs::remove_file(path).unwrap();
//! # Ok::<(), kiln::Error>(())
//! ```
//!
//! The file keeps weights, the optimizer's state and the position in the run, so that training goes on to the same bits. The path's
//! ending decides the format: `.safetensors`, Keras' own `.keras` (feature `keras`), and ONNX by `export` (feature `onnx`).
//! [`load_weights_from`](nn::Model::load_weights_from) takes weights that Keras and PyTorch wrote. A
//! [`Predictor`](nn::Model::predictor) answers from many threads at once.
//!
//! # Your own layers
//!
//! A layer adds ops to a graph; gradients follow by themselves.
//!
//! ```
//! use kiln::graph::Id;
//! use kiln::nn::Scope;
//! use kiln::ops::binary::Binary;
//! use kiln::prelude::*;
//!
//! #[derive(Debug)]
//! struct Scale;
//!
//! impl Layer for Scale {
//!     fn kind(&self) -> &'static str {
//!         "Scale"
//!     }
//!
//!     fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
//!         let [x] = scope.expect(inputs)?;
//!         let by = scope.parameter("by", [1], "ones")?;
//!         Ok(vec![scope.graph.apply(Binary::Mul, &[x, by])?])
//!     }
//! }
//!
//! let mut model = Sequential::new().add(Scale).device(Device::cpu());
//! assert_eq!(model.predict(&Tensor::from([[3.0f32]]))?, Tensor::from([[3.0f32]]));
//! # Ok::<(), kiln::Error>(())
//! ```
//!
//! [`Loss::custom`](nn::Loss::custom) and [`Metric::custom`](nn::Metric::custom) take functions;
//! an op with a kernel of its own implements [`ops::Op`] and is checked by [`check::items_of`].
//!
//! # More
//!
//! A short book, from the first run to kernels of your own, is in the repository's `docs/` folder, and `docs/from-keras.md` says what
//! stands here for each of Keras' calls. On devices that must not be waited for, such as a browser's, each call that waits has a twin:
//! [`fit_async`](nn::Model::fit_async) for `fit`.
//!
//! Modules that this documentation does not show serve the command and the tests, and may change with any version.
#![warn(missing_docs)]

pub mod auto;
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
    #[doc = include_str!("../docs/book/getting-started.md")]
    mod getting_started {}
    #[doc = include_str!("../docs/book/tables.md")]
    mod tables {}
    #[doc = include_str!("../docs/book/use.md")]
    mod using_a_model {}
    #[doc = include_str!("../docs/book/pictures.md")]
    mod pictures {}
    #[doc = include_str!("../docs/book/sequences.md")]
    mod sequences {}
    #[doc = include_str!("../docs/book/own-layers.md")]
    mod own_layers {}
    #[doc = include_str!("../docs/book/own-ops.md")]
    mod own_ops {}
    #[doc = include_str!("../docs/book/gpu.md")]
    mod gpu {}
    #[doc = include_str!("../docs/book/trust.md")]
    mod trust {}
    #[doc = include_str!("../docs/book/measure.md")]
    mod measure {}
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
