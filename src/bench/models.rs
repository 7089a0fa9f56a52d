//! Whole training steps of named models.

use std::time::Duration;

use super::ROUNDS;
use crate::clock::Instant;
use crate::data::Dataset;
use crate::device::Device;
use crate::error::Result;
use crate::nn::layers::{Dense, Flatten};
use crate::nn::optimizer::RmsProp;
use crate::nn::{Activation, Loss, Metric, Sequential};
use crate::random::stream;
use crate::tensor::Tensor;
use crate::train::{Fit, Profile};

/// A classifier of 28x28 pixels with one hidden layer, trained by RMSprop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Inputs, units and classes.
    pub name: &'static str,
    /// Units of the hidden layer.
    pub hidden: usize,
    /// Samples a step.
    pub batch: usize,
}

/// The models that others are compared by.
pub const STANDARD: [Model; 2] =
    [Model { name: "784-512-10", hidden: 512, batch: 128 }, Model { name: "784-100-10", hidden: 100, batch: 32 }];

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

/// Samples that a model is timed on.
const SAMPLES: usize = 12_800;

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
    let x = Tensor::new([samples, 28, 28], (0..samples * 784).map(pixel).collect::<Vec<u8>>());
    let y = Tensor::new([samples], (0..samples).map(|i| (i % 10) as u8).collect::<Vec<u8>>());
    Dataset::new(x.expect("a pixel an element"), y.expect("a label a sample")).expect("there are samples")
}

impl Model {
    fn on(self, device: &Device) -> Result<Sequential> {
        let hidden = Dense::new(self.hidden).activation(Activation::Relu);
        let output = Dense::new(10).activation(Activation::Softmax);
        let mut model = Sequential::new().add(Flatten).add(hidden).add(output).device(device.clone());
        model.compile(RmsProp::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
        Ok(model)
    }

    /// Trains it on a device.
    ///
    /// # Errors
    /// What the device reports.
    pub fn time(self, device: &Device) -> Result<ModelTime> {
        let start = Instant::now();
        let mut model = self.on(device)?;
        let quiet = || Fit::new().batch_size(self.batch).verbose(0);
        model.fit(&synthetic(self.batch), quiet())?;
        let first_step = start.elapsed();
        let mut ends = vec![];
        let epochs = quiet().epochs(ROUNDS + 1).on_epoch_end(|_, _| ends.push(Instant::now()));
        model.fit(&synthetic(SAMPLES), epochs)?;
        let mut epochs: Vec<Duration> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
        epochs.sort_unstable();
        let step = epochs[ROUNDS / 2] / SAMPLES.div_ceil(self.batch) as u32;
        Ok(ModelTime { first_step, step, flops: model.training_plan(self.batch, SAMPLES)?.flops() })
    }

    /// Times each kernel of its step.
    ///
    /// # Errors
    /// What the device reports.
    pub fn profile(self, device: &Device, steps: usize) -> Result<Profile> {
        let rows = self.batch * (steps + super::ROUNDS);
        self.on(device)?.profile(&synthetic(rows), self.batch, steps)
    }
}
