//! The settings of `fit`.

use std::time::Duration;

use super::callbacks::{Callback, LambdaCallback};
use super::{CheckFinite, Logs};
use crate::data::Source;
use crate::error::{Error, Result};

/// The settings of [`Model::fit`](crate::nn::Model::fit), with Keras' names and defaults.
///
/// ```
/// use kiln::prelude::*;
/// let data = Dataset::new(Tensor::new([8, 1], vec![1.0f32; 8])?, Tensor::new([8, 1], vec![2.0f32; 8])?)?;
/// let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
/// model.compile("sgd", "mse", [])?;
/// let stop = EarlyStopping::new().patience(3);
/// let fit = Fit::new().epochs(20).batch_size(4).validation_split(0.25).verbose(0).callback(stop);
/// let history = model.fit(&data, fit)?;
/// assert!(history.get("val_loss").len() <= 20);
/// # Ok::<(), kiln::Error>(())
/// ```
pub struct Fit<'a> {
    pub(crate) initial_epoch: usize,
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    pub(crate) shuffle: bool,
    pub(crate) validation_split: f64,
    pub(crate) validation_data: Option<&'a dyn Source>,
    pub(crate) class_weight: Vec<(u32, f32)>,
    pub(crate) seed: Option<u64>,
    pub(crate) verbose: u8,
    pub(crate) check_finite: CheckFinite,
    /// How often within an epoch, beside its end.
    pub(crate) backup: Option<Duration>,
    pub(crate) callbacks: Vec<Box<dyn Callback + 'a>>,
    pub(crate) on_first_step: Option<FirstStep<'a>>,
}

/// Called once.
pub(super) type FirstStep<'a> = Box<dyn FnOnce() + 'a>;

impl Default for Fit<'_> {
    fn default() -> Self {
        Self {
            initial_epoch: 0,
            epochs: 1,
            batch_size: 32,
            shuffle: true,
            validation_split: 0.0,
            validation_data: None,
            class_weight: Vec::new(),
            seed: None,
            verbose: 1,
            check_finite: CheckFinite::default(),
            backup: None,
            callbacks: Vec::new(),
            on_first_step: None,
        }
    }
}

impl<'a> Fit<'a> {
    /// One epoch in batches of 32, shuffled, without validation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Epochs that earlier runs did of this one's; default 0. The first is numbered one more, the last is
    /// [`Fit::epochs`]: with [`Model::epoch`](crate::nn::Model::epoch) of a loaded model, its run goes on.
    ///
    /// A model that was saved within an epoch, by
    /// [`SaveFreq::Steps`](crate::train::callbacks::SaveFreq::Steps), goes on after the step that it was saved after, where
    /// this is its [`Model::epoch`](crate::nn::Model::epoch) and the number of samples, the batch size, the order
    /// and its seed are the same; where they are not, it is an error. The epoch's values are those of all its steps;
    /// [`History::batch_losses`](super::History::batch_losses) has those of this run alone. With another `initial_epoch` a
    /// new epoch is begun.
    #[must_use]
    pub fn initial_epoch(mut self, done: usize) -> Self {
        self.initial_epoch = done;
        self
    }

    /// How often the whole set is gone through, earlier runs counted; default 1.
    #[must_use]
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Samples a step; default 32. The last batch of an epoch may be smaller, and is the only one where there are no more
    /// samples than that.
    #[must_use]
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Whether each epoch takes the samples in an order of its own; default true.
    #[must_use]
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// The share of the samples, the last ones, that is kept for validation; default 0.
    #[must_use]
    pub fn validation_split(mut self, share: f64) -> Self {
        self.validation_split = share;
        self
    }

    /// A set to validate on after each epoch; overrides [`Fit::validation_split`].
    #[must_use]
    pub fn validation_data(mut self, data: &'a dyn Source) -> Self {
        self.validation_data = Some(data);
        self
    }

    /// What the loss of each class' samples is multiplied by in training; a class that is not named has 1. Weights for the
    /// samples themselves are the set's: [`Dataset::with_sample_weight`](crate::data::Dataset::with_sample_weight); it is an
    /// error to give both. Validation takes no notice, and nor do metrics, as in Keras.
    ///
    /// A target is a class index, a one-hot row, whose largest value counts, or one value, which is rounded.
    #[must_use]
    pub fn class_weight(mut self, weights: impl IntoIterator<Item = (u32, f32)>) -> Self {
        self.class_weight = weights.into_iter().collect();
        self
    }

    /// The seed of the order of samples; default the model's.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// 0 prints nothing, 1 a bar on a terminal and a line an epoch elsewhere, 2 a line an epoch; default 1.
    #[must_use]
    pub fn verbose(mut self, verbose: u8) -> Self {
        self.verbose = verbose;
        self
    }

    /// When to look whether the loss is still finite; default [`CheckFinite::Epoch`]. A loss that is not stops the run.
    #[must_use]
    pub fn check_finite(mut self, when: CheckFinite) -> Self {
        self.check_finite = when;
        self
    }

    /// Whether the host keeps a copy of the weights and the optimizer's state, made at each epoch's end and every 30 s within
    /// one, for where the device is lost or fails; default false. `fit` returns the error then, and the model is that of the
    /// copy: it can be saved, and trains on with another [`Model::device`](crate::nn::Model::device). Without a copy
    /// it is lost with the device. The CPU is not lost and has no copy made. No bit changes by it.
    #[must_use]
    pub fn backup(mut self, backup: bool) -> Self {
        self.backup = backup.then_some(Duration::from_secs(30));
        self
    }

    /// Called when the first step has run, for which kernels are compiled and the data sent to the device. It runs alone
    /// and is waited for; the result is the same to the bit.
    #[must_use]
    pub fn on_first_step(mut self, call: impl FnOnce() + 'a) -> Self {
        self.on_first_step = Some(Box::new(call));
        self
    }

    /// Adds a callback; give it as `&mut` to ask it something after the run. They are called in the order added.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// [`Fit::callback`] of each.
    #[must_use]
    pub fn callbacks<C: Callback + 'a>(self, callbacks: impl IntoIterator<Item = C>) -> Self {
        callbacks.into_iter().fold(self, Self::callback)
    }

    /// Adds a call after each epoch with its number, from 1, and its values.
    #[must_use]
    pub fn on_epoch_end(self, mut call: impl FnMut(usize, &Logs) + 'a) -> Self {
        self.callback(LambdaCallback::new().on_epoch_end(move |run| {
            call(run.epoch(), run.logs());
            Ok(())
        }))
    }

    /// How many samples train and how many are held back, with every setting checked.
    pub(super) fn split(&self, samples: usize) -> Result<(usize, usize)> {
        let share = self.validation_split;
        if !(0.0..1.0).contains(&share) {
            return Err(Error::argument(
                "validation_split",
                format!("{share} is no share; give 0 or more and less than 1"),
            ));
        }
        // Keras takes the last part, before shuffling, and rounds the training part down.
        let held_back = self.validation_data.is_none() && share > 0.0;
        let count = if held_back { (samples as f64 * (1.0 - share)).floor() as usize } else { samples };
        if count == 0 {
            let message = format!("{share} of {} samples leaves none to train on; give less", samples);
            return Err(Error::argument("validation_split", message));
        }
        if self.batch_size == 0 {
            return Err(Error::argument("batch_size", "a step of no samples is none; give 1 or more"));
        }
        Ok((count, samples - count))
    }
}
