//! What `train`, `plan`, `tune` and `compare` share: the options of the model and the model itself.

use clap::Args;
use kiln::data::NamedSet;
use kiln::device::Device;
use kiln::nn::optimizer::{self, Optimizer};
use kiln::plan::Plan;
use kiln::prelude::*;

/// A perceptron: dense layers, the last one with a unit for each class.
#[derive(Args)]
pub struct ModelArgs {
    /// The data set: mnist or fashion-mnist; `train` takes a table, FILE.csv or FILE.tsv, and arrays, FILE.npz, too
    #[arg(value_name = "DATASET")]
    pub set: String,

    /// Units of the hidden layers, first to last: 512, or 512,256, or none for the output layer alone
    #[arg(long, value_name = "UNITS", value_delimiter = ',', default_value = "512", value_parser = units)]
    hidden: Vec<Option<usize>>,

    /// Of the hidden layers: linear, relu, sigmoid, tanh or softmax
    #[arg(long, value_name = "NAME", default_value = "relu")]
    activation: String,

    /// With Keras' defaults: sgd, rmsprop, adam, adamw, adagrad, adadelta, adamax, nadam or lion
    #[arg(long, value_name = "NAME", default_value = "rmsprop")]
    optimizer: String,

    /// Update at every Nth step only, by the mean of the gradients since the last update
    #[arg(long, value_name = "N")]
    gradient_accumulation_steps: Option<u64>,

    /// Clip each element of each gradient to this size
    #[arg(long, value_name = "LIMIT", allow_negative_numbers = true)]
    clip_value: Option<f64>,

    /// Scale the gradient of each weight to this norm, where its norm is larger
    #[arg(long, value_name = "LIMIT", allow_negative_numbers = true, conflicts_with = "clip_value")]
    clip_norm: Option<f64>,

    /// Scale all gradients to this norm together, where it is larger
    #[arg(long, value_name = "LIMIT", allow_negative_numbers = true, conflicts_with_all = ["clip_value", "clip_norm"])]
    global_clip_norm: Option<f64>,

    /// Samples a step; the last one of an epoch may have fewer
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub batch_size: usize,
}

/// A layer's units, or that there is no layer.
fn units(text: &str) -> Result<Option<usize>, String> {
    let number = || text.parse().map_err(|_| "give a number of units, or `none`".to_string());
    if text == "none" { Ok(None) } else { number().map(Some) }
}

/// Where to run.
#[derive(Args)]
pub struct DeviceArgs {
    /// auto, gpu, cpu, reference, or one of `kiln devices` by index or part of its name
    #[arg(long, default_value = "auto")]
    pub device: String,
}

impl ModelArgs {
    /// The model for a named set, compiled; it is built from the data.
    pub fn model(&self, set: &NamedSet, device: Device, learning_rate: Option<f64>) -> Result<Model> {
        self.classifier((set.name, set.classes), device, learning_rate)
    }

    /// Clips gradients as the options say.
    fn clipped(&self, optimizer: Box<dyn Optimizer>) -> Box<dyn Optimizer> {
        match (self.clip_value, self.clip_norm, self.global_clip_norm) {
            (Some(limit), ..) => Box::new(optimizer.clip_value(limit)),
            (_, Some(limit), _) => Box::new(optimizer.clip_norm(limit)),
            (.., Some(limit)) => Box::new(optimizer.global_clip_norm(limit)),
            _ => optimizer,
        }
    }

    /// The model of this name for so many classes.
    pub fn classifier(
        &self,
        (name, classes): (&str, usize),
        device: Device,
        learning_rate: Option<f64>,
    ) -> Result<Model> {
        let activation = Activation::by_name(&self.activation)?;
        let mut optimizer: Box<dyn Optimizer> = optimizer::by_name(&self.optimizer)?;
        if let Some(learning_rate) = learning_rate {
            optimizer.set_learning_rate(learning_rate);
        }
        optimizer = self.clipped(optimizer);
        if let Some(steps) = self.gradient_accumulation_steps {
            optimizer = Box::new(optimizer.gradient_accumulation_steps(steps));
        }
        let layers = self.hidden()?.into_iter().map(|units| Dense::new(units).activation(activation));
        let output = Dense::new(classes).activation(Activation::Softmax);
        let model = layers.chain([output]).fold(Sequential::new().named(name).add(Flatten), Sequential::add);
        let mut model = model.into_model().device(device);
        model.compile(optimizer, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
        Ok(model)
    }

    /// What the output layer takes in training: weights, gradients and the optimizer's moments; what it gives for a step, a
    /// batch of the evaluation and all predictions of one, and their gradients.
    pub fn output_bytes(&self, sample_len: usize, classes: usize) -> Result<u64> {
        let inputs = self.hidden()?.last().copied().unwrap_or(sample_len);
        let moments = optimizer::by_name(&self.optimizer)?.moments();
        let numbers = (inputs as u128 + 1) * (2 + moments as u128) + 2 * (self.batch_size.min(500) as u128 + 500);
        Ok(u64::try_from(4 * numbers * classes as u128).unwrap_or(u64::MAX))
    }

    /// The plan of a training step; it takes no data.
    pub fn training_plan(&self, device: &Device) -> Result<Plan> {
        let set = NamedSet::find(&self.set)?;
        let (samples, sample_len) = extents(set);
        let batch = self.batch(samples)?;
        let mut model = self.model(set, device.clone(), None)?;
        model.build([sample_len])?;
        model.training_plan(batch, samples)
    }

    /// Samples a step: the whole set, where it has fewer than the batch.
    pub fn batch(&self, samples: usize) -> Result<usize> {
        match self.batch_size.min(samples) {
            0 => Err(Error::argument("batch_size", "a step of no samples is none; give 1 or more")),
            batch => Ok(batch),
        }
    }

    fn hidden(&self) -> Result<Vec<usize>> {
        let hidden: Vec<usize> = self.hidden.iter().copied().flatten().collect();
        if hidden.is_empty() || hidden.len() == self.hidden.len() {
            return Ok(hidden);
        }
        Err(Error::argument("hidden", "`none` stands beside units; give one or the other"))
    }
}

/// How many training samples the set has and how many bytes each: the lengths of its files tell, so that a plan needs
/// no data. An IDX file has 4 bytes, then 4 an axis, then one byte an element.
fn extents(set: &NamedSet) -> (usize, usize) {
    let [images, labels, ..] = set.files.map(|file| file.len as usize);
    let samples = labels - 8;
    (samples, (images - 16) / samples)
}
