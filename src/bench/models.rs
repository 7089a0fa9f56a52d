//! Whole training steps of named models.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::ROUNDS;
use crate::clock::Instant;
use crate::data::Dataset;
use crate::device::Device;
use crate::error::Result;
use crate::nn::layers::{Add, BatchNormalization, Conv2D, Dense, GlobalAveragePooling2D, Input, Layer};
use crate::nn::{self, Activation, Loss, Metric, Sequential, Value};
use crate::random::stream;
use crate::tensor::Tensor;
use crate::train::{Fit, Profile};

/// A classifier of 28x28 pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Inputs, units and classes of a dense net, the name of another.
    pub name: &'static str,
    /// Samples a step.
    pub batch: usize,
    /// Keras' name of the optimizer, which has Keras' defaults.
    pub optimizer: &'static str,
    net: Net,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Net {
    /// The layers, as [`crate::nn::Chain`] has them.
    Chain(&'static str),
    ResNet,
}

/// The models that others are compared by: two dense nets, the CNN of the notes, LeNet-5 and a small residual network.
pub const STANDARD: [Model; 5] = [
    Model {
        name: "784-512-10",
        batch: 128,
        optimizer: "rmsprop",
        net: Net::Chain("flatten, dense 512 relu, dense 10 softmax"),
    },
    Model {
        name: "784-100-10",
        batch: 32,
        optimizer: "rmsprop",
        net: Net::Chain("flatten, dense 100 relu, dense 10 softmax"),
    },
    Model {
        name: "cnn",
        batch: 200,
        optimizer: "adam",
        net: Net::Chain(
            "conv2d 32 3 relu, conv2d 64 3 relu, max_pooling2d 2, dropout 0.25, flatten, dense 128 relu, dropout 0.5, \
             dense 10 softmax",
        ),
    },
    Model {
        name: "lenet",
        batch: 128,
        optimizer: "adam",
        net: Net::Chain(
            "conv2d 6 5 relu padding=same, max_pooling2d 2, conv2d 16 5 relu, max_pooling2d 2, flatten, dense 120 relu, \
             dense 84 relu, dense 10 softmax",
        ),
    },
    Model { name: "resnet", batch: 128, optimizer: "adam", net: Net::ResNet },
];

/// What training a [`Model`] took.
#[derive(Clone, Debug)]
pub struct ModelTime {
    /// From the model without weights to its first finished step: weights, data and kernels included.
    pub first_step: Duration,
    /// The median over epochs of a step's time.
    pub step: Duration,
    /// Floating-point operations a step.
    pub flops: u64,
}

/// Steps of a round: as many as it takes time for, within these bounds.
const STEPS: RangeInclusive<usize> = 2..=100;

/// Pixels with something to learn in them: each class has a pattern of its own, under noise. Pixels without any would
/// leave most units of the hidden layer dead, and a dead unit's gradients cost some processors less, some more.
///
/// # Panics
/// Where there are no samples.
pub fn synthetic(samples: usize) -> Dataset {
    let mut rng = stream(0, "bench", 0);
    let mut bytes = |n: usize| -> Vec<u8> {
        let mut bytes = vec![0; n];
        rand::Rng::fill_bytes(&mut rng, &mut bytes);
        bytes
    };
    // A fifth of the pixels are lit, as in handwriting.
    let patterns: Vec<Vec<u8>> = (0..10).map(|_| bytes(784)).collect();
    let noise = bytes(samples * 784);
    let pixel = |i: usize| {
        let lit = patterns[i / 784 % 10][i % 784] < 51;
        if lit { 128 + noise[i] / 2 } else { noise[i] / 8 }
    };
    let x = Tensor::new([samples, 28, 28, 1], (0..samples * 784).map(pixel).collect::<Vec<u8>>());
    let y = Tensor::new([samples], (0..samples).map(|i| (i % 10) as u8).collect::<Vec<u8>>());
    Dataset::new(x.expect("a pixel an element"), y.expect("a label a sample")).expect("there are samples")
}

/// Three stages of two blocks with batch normalization: of 16, 32 and 64 filters, the images half as large at each.
fn resnet() -> Result<nn::Model> {
    let conv = |x: &Value, filters, kernel, strides| {
        Conv2D::new(filters, kernel).strides(strides).padding("same").use_bias(false).apply(x)
    };
    let normalized = |x: &Value, filters, strides| BatchNormalization::new().apply(conv(x, filters, 3, strides)?);
    let pixels = Input::new([28, 28, 1]);
    let mut x = Activation::Relu.apply(normalized(&pixels.value(), 16, 1)?)?;
    for (filters, strides) in [(16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1)] {
        let inner = Activation::Relu.apply(normalized(&x, filters, strides)?)?;
        let inner = normalized(&inner, filters, 1)?;
        let short = if strides == 1 { x } else { conv(&x, filters, 1, strides)? };
        x = Activation::Relu.apply(Add.apply([short, inner])?)?;
    }
    let features = GlobalAveragePooling2D::new().apply(x)?;
    nn::Model::new(&pixels, Dense::new(10).activation(Activation::Softmax).apply(features)?)
}

impl Model {
    /// The model with its first weights, compiled.
    ///
    /// # Errors
    /// None that a test has not ruled out.
    pub fn untrained(self, device: &Device) -> Result<nn::Model> {
        let model = match self.net {
            Net::Chain(layers) => Sequential::from_text(layers)?.into_model(),
            Net::ResNet => resnet()?,
        };
        let mut model = model.device(device.clone());
        model.build([28, 28, 1])?;
        model.compile(self.optimizer, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
        Ok(model)
    }

    /// Trains it on a device, in rounds that take about so long each.
    ///
    /// # Errors
    /// What the device reports.
    pub fn time(self, device: &Device, round: Duration) -> Result<ModelTime> {
        let quiet = || Fit::new().batch_size(self.batch).verbose(0);
        let one = synthetic(self.batch);
        let start = Instant::now();
        let mut model = self.untrained(device)?;
        model.fit(&one, quiet())?;
        let first_step = start.elapsed();
        let start = Instant::now();
        model.fit(&one, quiet())?;
        let steps = round.as_secs_f64() / start.elapsed().as_secs_f64().max(1e-6);
        let steps = (steps.ceil() as usize).clamp(*STEPS.start(), *STEPS.end());
        let mut ends = vec![];
        let epochs = quiet().epochs(ROUNDS + 1).on_epoch_end(|_, _| ends.push(Instant::now()));
        model.fit(&synthetic(steps * self.batch), epochs)?;
        let mut epochs: Vec<Duration> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
        epochs.sort_unstable();
        let step = epochs[ROUNDS / 2] / steps as u32;
        Ok(ModelTime { first_step, step, flops: model.training_plan(self.batch, steps * self.batch)?.flops() })
    }

    /// Times each kernel of its step.
    ///
    /// # Errors
    /// What the device reports.
    pub fn profile(self, device: &Device, steps: usize) -> Result<Profile> {
        let rows = self.batch * (steps + ROUNDS);
        self.untrained(device)?.profile(&synthetic(rows), self.batch, steps)
    }
}
