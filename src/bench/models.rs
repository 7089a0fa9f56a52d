//! Whole training steps of named models.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::ROUNDS;
use super::nets::{self, LENGTH, synthetic, waves, words};
use crate::clock::Instant;
use crate::data::Dataset;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::{self, Loss, Metric, Sequential};
use crate::printable::printable;
use crate::tensor::Shape;
use crate::train::{Fit, Profile};

/// A classifier, and the samples that it is timed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Inputs, units and classes of a dense net, the name of another.
    pub name: &'static str,
    /// Samples a step.
    pub batch: usize,
    /// Keras' name of the optimizer, which has Keras' defaults.
    pub optimizer: &'static str,
    samples: Samples,
    net: Net,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Net {
    /// The layers, as [`crate::nn::Chain`] has them.
    Chain(&'static str),
    Residual,
    Transformer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Samples {
    /// 28x28 with one channel, of ten classes.
    Pixels,
    /// So many steps of so many numbers, of ten classes.
    Series([usize; 2]),
    /// Tokens, each with the next one as its class.
    Words,
}

/// A model of 28x28 pixels that Adam trains.
const fn images(name: &'static str, batch: usize, net: Net) -> Model {
    Model { name, batch, optimizer: "adam", samples: Samples::Pixels, net }
}

/// A dense net of 28x28 pixels.
const fn dense(name: &'static str, batch: usize, layers: &'static str) -> Model {
    Model { optimizer: "rmsprop", ..images(name, batch, Net::Chain(layers)) }
}

/// The models that others are compared by: two dense nets, the CNN of the notes, LeNet-5 and a small residual network; the recurrent
/// layers over the rows of an image, an LSTM over a longer series, and a transformer of two blocks.
pub const STANDARD: [Model; 10] = [
    dense("784-512-10", 128, "flatten, dense 512 relu, dense 10 softmax"),
    dense("784-100-10", 32, "flatten, dense 100 relu, dense 10 softmax"),
    images(
        "cnn",
        200,
        Net::Chain(
            "conv2d 32 3 relu, conv2d 64 3 relu, max_pooling2d 2, dropout 0.25, flatten, dense 128 relu, dropout 0.5, \
             dense 10 softmax",
        ),
    ),
    images(
        "lenet",
        128,
        Net::Chain(
            "conv2d 6 5 relu padding=same, max_pooling2d 2, conv2d 16 5 relu, max_pooling2d 2, flatten, dense 120 relu, \
             dense 84 relu, dense 10 softmax",
        ),
    ),
    images("resnet", 128, Net::Residual),
    images("lstm", 128, Net::Chain("reshape 28 28, lstm 128, dense 10 softmax")),
    images("gru", 128, Net::Chain("reshape 28 28, gru 128, dense 10 softmax")),
    images("simple_rnn", 128, Net::Chain("reshape 28 28, simple_rnn 128, dense 10 softmax")),
    Model { samples: Samples::Series([50, 64]), ..images("lstm50", 64, Net::Chain("lstm 128, dense 10 softmax")) },
    Model { samples: Samples::Words, ..images("transformer", 32, Net::Transformer) },
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

impl Model {
    /// The one of [`STANDARD`] that has this name.
    ///
    /// # Errors
    /// [`Error::Argument`] where none has, with the names there are.
    pub fn by_name(name: &str) -> Result<Self> {
        let known = STANDARD.map(|model| model.name);
        STANDARD.into_iter().find(|model| model.name == name).ok_or_else(|| {
            Error::argument("model", format!("there is no {}; give one of {}", printable(name), known.join(", ")))
        })
    }

    /// The shape of the samples that it takes.
    pub fn sample_shape(self) -> Shape {
        match self.samples {
            Samples::Pixels => [28, 28, 1].into(),
            Samples::Series(extents) => extents.into(),
            Samples::Words => [LENGTH].into(),
        }
    }

    /// Samples of its own with something to learn in them.
    ///
    /// # Panics
    /// Where there are none.
    pub fn data(self, samples: usize) -> Dataset {
        match self.samples {
            Samples::Pixels => synthetic(samples),
            Samples::Series(extents) => waves(samples, extents),
            Samples::Words => words(samples),
        }
    }

    /// The net with its first weights, for samples of its shape.
    ///
    /// # Errors
    /// None that a test has not ruled out.
    pub fn network(self, device: &Device) -> Result<nn::Model> {
        let model = match self.net {
            Net::Chain(layers) => Sequential::from_text(layers)?.into_model(),
            Net::Residual => nets::resnet()?,
            Net::Transformer => nets::transformer()?,
        };
        let mut model = model.device(device.clone());
        model.build(self.sample_shape())?;
        Ok(model)
    }

    /// [`Model::network`], compiled.
    ///
    /// # Errors
    /// None that a test has not ruled out.
    pub fn untrained(self, device: &Device) -> Result<nn::Model> {
        let mut model = self.network(device)?;
        model.compile(self.optimizer, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
        Ok(model)
    }

    /// Trains it on a device, in rounds that take about so long each.
    ///
    /// # Errors
    /// What the device reports.
    pub fn time(self, device: &Device, round: Duration) -> Result<ModelTime> {
        let quiet = || Fit::new().batch_size(self.batch).verbose(0);
        let one = self.data(self.batch);
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
        model.fit(&self.data(steps * self.batch), epochs)?;
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
        self.untrained(device)?.profile(&self.data(rows), self.batch, steps)
    }
}
