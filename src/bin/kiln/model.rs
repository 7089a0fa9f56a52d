//! What `train`, `plan`, `tune` and `compare` share: the options of the model and the model itself.

use clap::Args;
use kiln::data::{NamedSet, Split};
use kiln::device::Device;
use kiln::nn::optimizer::{self, Optimizer};
use kiln::nn::{Chain, Setting, activation};
use kiln::plan::Plan;
use kiln::prelude::*;

use crate::data::Bar;
use crate::rate::Rate;

/// A perceptron, dense layers, the last one with a unit for each class; or layers of any kind.
#[derive(Args)]
pub struct ModelArgs {
    /// The data set: mnist or fashion-mnist; `train` takes a folder of pictures, a table, FILE.csv or FILE.tsv, and arrays, FILE.npz, too; `compare --model` takes synthetic
    #[arg(value_name = "DATASET")]
    pub set: String,

    /// Units of the hidden layers, first to last: 512, or 512,256, or none for the output layer alone
    #[arg(long, value_name = "UNITS", value_delimiter = ',', default_value = "512", value_parser = units)]
    hidden: Vec<Option<usize>>,

    /// All layers, with commas between: each by Keras' name, its first settings, then any by name: "conv2d 32 3 relu, max_pooling2d 2, flatten, dropout 0.5, dense 10 softmax"
    #[arg(long, value_name = "LAYERS", conflicts_with_all = ["hidden", "activation"])]
    layers: Option<String>,

    #[arg(long, value_name = "NAME", default_value = "relu", help = format!("Of the hidden layers: {}", activations()))]
    activation: String,

    /// Set this share of the hidden layers' outputs to 0 in training, others each time, against overfitting
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, conflicts_with = "layers")]
    dropout: Option<f64>,

    /// Add this much of the sum of the squares of the layers' kernels to the loss, against overfitting, such as 0.0001
    #[arg(long, value_name = "FACTOR", allow_negative_numbers = true, conflicts_with = "layers")]
    l2: Option<f64>,

    /// With Keras' defaults: sgd, rmsprop, adam, adamw, adagrad, adadelta, adamax, nadam or lion
    #[arg(long, value_name = "NAME", default_value = "rmsprop")]
    optimizer: String,

    /// What training lowers, where numbers are predicted: mean_squared_error, mean_absolute_error, huber or log_cosh [default: mean_squared_error; of classes it is sparse_categorical_crossentropy]
    #[arg(long, value_name = "NAME", value_parser = Loss::by_name)]
    loss: Option<Loss>,

    /// What is measured beside accuracy or, of numbers, their errors: Keras' names with commas between, such as f1_score,auc
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Metric::by_name)]
    metrics: Vec<Metric>,

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

    /// Samples a step; the last one of an epoch may have fewer [default: 128; `train` takes 32 of a table]
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
}

/// Samples a step, where neither an option nor the kind of data says.
pub const BATCH_SIZE: usize = 128;

/// What a model predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// One of so many classes.
    Classes(usize),
    /// So many numbers.
    Values(usize),
}

impl Task {
    /// The numbers that the model gives for a sample.
    fn outputs(self) -> usize {
        match self {
            Self::Classes(count) | Self::Values(count) => count,
        }
    }

    /// What training lowers: what the option says, where it does.
    fn loss(self, told: Option<Loss>) -> Result<Loss> {
        let (fit, what) = match self {
            Self::Classes(_) => (&[Loss::SparseCategoricalCrossentropy][..], "classes"),
            Self::Values(_) => {
                (&[Loss::MeanSquaredError, Loss::MeanAbsoluteError, Loss::Huber, Loss::LogCosh][..], "numbers")
            }
        };
        let loss = told.unwrap_or(fit[0]);
        if fit.contains(&loss) {
            return Ok(loss);
        }
        let names = fit.iter().map(|loss| loss.name()).collect::<Vec<_>>().join(", ");
        Err(Error::argument("loss", format!("{} is not for what is predicted here, {what}; give {names}", loss.name())))
    }

    /// What is measured beside the loss.
    fn metrics(self) -> &'static [Metric] {
        match self {
            Self::Classes(_) => &[Metric::Accuracy],
            Self::Values(_) => &[Metric::Loss(Loss::MeanAbsoluteError), Metric::RootMeanSquaredError, Metric::R2Score],
        }
    }

    fn output_layer(self) -> Dense {
        match self {
            Self::Classes(classes) => Dense::new(classes).activation(Activation::Softmax),
            Self::Values(values) => Dense::new(values),
        }
    }
}

/// Whether a model was trained on numbers, not on classes.
pub fn predicts_values(model: &Model) -> bool {
    let of_values = |loss: Loss| ["mean_", "huber", "log_cosh"].iter().any(|start| loss.name().starts_with(start));
    model.target_scaler(0).is_some() || model.loss().is_some_and(of_values)
}

/// The names of the activations, in a sentence.
fn activations() -> String {
    let names = activation::NAMES.map(|(name, _)| name);
    let (last, others) = names.split_last().expect("there are some");
    format!("{} or {last}", others.join(", "))
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
    /// The model for a named set, compiled; without `--layers` it is built from the data.
    pub fn model(&self, set: &NamedSet, device: Device, learning_rate: Option<f64>) -> Result<Model> {
        self.network((set.name, Task::Classes(set.classes)), &image(set), device, learning_rate)
    }

    /// The samples of a named set, with a bar where they have to be fetched: with `--layers` as images with a channel.
    pub fn load(&self, set: &NamedSet) -> Result<Split> {
        let Split { train, test } = Bar::load(set)?;
        let shaped = |data| if self.layers.is_some() { shaped(data, &image(set)) } else { Ok(data) };
        Ok(Split { train: shaped(train)?, test: shaped(test)? })
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

    /// The model of this name for a task; with `--layers` it is built for samples of this shape.
    pub fn network(
        &self,
        (name, task): (&str, Task),
        sample: &Shape,
        device: Device,
        learning_rate: Option<f64>,
    ) -> Result<Model> {
        let model = match &self.layers {
            Some(layers) => built(&layers.parse()?, sample, (name, task))?,
            None => self.perceptron(task)?,
        };
        self.compiled_for(task, model.named(name).into_model().device(device), learning_rate.into())
    }

    /// Dense layers as the options say, the last one as the task asks for.
    fn perceptron(&self, task: Task) -> Result<Sequential> {
        self.check_layers()?;
        let activation = Activation::by_name(&self.activation)?;
        let regularized = |dense: Dense| match self.l2 {
            Some(l2) => dense.kernel_regularizer(Regularizer::l2(l2)),
            None => dense,
        };
        let mut model = Sequential::new().add(Flatten);
        for units in self.hidden()? {
            model = model.add(regularized(Dense::new(units)).activation(activation));
            model = self.dropout.iter().fold(model, |model, &rate| model.add(Dropout::new(rate)));
        }
        Ok(model.add(regularized(task.output_layer())))
    }

    /// That the options of the layers are in their ranges.
    fn check_layers(&self) -> Result<()> {
        if let Some(share) = self.dropout.filter(|share| !(0.0..1.0).contains(share)) {
            return Err(Error::argument("dropout", format!("{share} is no share; give 0 or more, less than 1")));
        }
        match self.l2.filter(|factor| !(*factor >= 0.0 && factor.is_finite())) {
            Some(factor) => {
                Err(Error::argument("l2", format!("{factor} is no penalty; give 0 or more, such as 0.0001")))
            }
            None => Ok(()),
        }
    }

    /// The model, to be trained on classes as the options say.
    pub fn compiled(&self, model: Model, rate: Rate) -> Result<Model> {
        self.compiled_for(Task::Classes(0), model, rate)
    }

    /// The model, to be trained for a task as the options say.
    pub fn compiled_for(&self, task: Task, mut model: Model, rate: Rate) -> Result<Model> {
        let mut optimizer = self.clipped(rate.of(optimizer::by_name(&self.optimizer)?));
        if let Some(steps) = self.gradient_accumulation_steps {
            optimizer = Box::new(optimizer.gradient_accumulation_steps(steps));
        }
        let metrics = task.metrics();
        let more = self.metrics.iter().filter(|metric| !metrics.contains(metric)).copied();
        let metrics: Vec<Metric> = metrics.iter().copied().chain(more).collect();
        model.compile(optimizer, task.loss(self.loss)?, metrics)?;
        Ok(model)
    }

    /// What the output layer takes in training: weights, gradients and the optimizer's moments; what it gives for a step, a
    /// batch of the evaluation and all predictions of one, and their gradients.
    /// Nothing with `--layers`, which say themselves how many units there are.
    pub fn output_bytes(&self, sample_len: usize, classes: usize) -> Result<u64> {
        if self.layers.is_some() {
            return Ok(0);
        }
        let inputs = self.hidden()?.last().copied().unwrap_or(sample_len);
        let moments = optimizer::by_name(&self.optimizer)?.moments();
        let numbers = (inputs as u128 + 1) * (2 + moments as u128) + 2 * (self.batch_size().min(500) as u128 + 500);
        Ok(u64::try_from(4 * numbers * classes as u128).unwrap_or(u64::MAX))
    }

    /// The plan of a training step; it takes no data.
    pub fn training_plan(&self, device: &Device) -> Result<Plan> {
        let set = NamedSet::find_images(&self.set)?;
        let (samples, sample_len) = extents(set);
        let batch = self.batch(samples)?;
        let mut model = self.model(set, device.clone(), None)?;
        if self.layers.is_none() {
            model.build([sample_len])?;
        }
        model.training_plan(batch, samples)
    }

    /// The plan of a training step of a model that was saved; its layers and its optimizer are its own.
    pub fn plan_of(&self, model: Model) -> Result<Plan> {
        if self.layers.is_some() {
            return Err(Error::argument("layers", "the model in the file has layers; leave --layers out"));
        }
        model.training_plan(self.batch_size(), self.batch_size())
    }

    /// Samples a step, of what is no table.
    pub fn batch_size(&self) -> usize {
        self.batch_size.unwrap_or(BATCH_SIZE)
    }

    /// Samples a step: the whole set, where it has fewer than the batch.
    pub fn batch(&self, samples: usize) -> Result<usize> {
        match self.batch_size().min(samples) {
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

/// The model of a chain for samples of a shape, which must give what the task of a set asks for.
fn built(chain: &Chain, sample: &Shape, (set, task): (&str, Task)) -> Result<Sequential> {
    let mut model = Sequential::from(chain);
    let images = |e| match (e, &sample[..]) {
        (Error::Shape { op, message }, [height, width]) => {
            let hint = format!("where images are meant, begin with `reshape {height} {width} 1`");
            Error::shape(op, format!("{message}; samples are {sample}: {hint}"))
        }
        (e, _) => e,
    };
    model.build(sample.clone()).map_err(|e| chain.explain(images(e)))?;
    let (output, name) = (model.output_shape()?, model.output_names().remove(0));
    let (count, what, end) = match task {
        Task::Classes(count) => (count, "classes", "softmax"),
        Task::Values(count) => (count, "numbers to predict", "linear"),
    };
    if output[..] != [task.outputs()] {
        let advice = match output[..] {
            [_, .., last] if last == count => "put `flatten` before it".into(),
            _ => format!("end with `dense {count} {end}`"),
        };
        let message = format!("the last layer gives {output} for each sample, {set} has {count} {what}: {advice}");
        return Err(chain.refuse(&name, message));
    }
    let told = |name: &str| model.layer(name).and_then(|layer| layer.config().take_or("activation", Setting::Null));
    for (name, activation) in chain.names().map(|name| (name, told(name))).collect::<Vec<_>>().into_iter().rev() {
        let bounded = match activation? {
            Setting::Null => continue,
            Setting::Text(known) => known == "softmax" || known == "sigmoid",
            _ => false,
        };
        let message = match task {
            Task::Classes(_) if !bounded => {
                "gives numbers of any size, classes need probabilities: let it end with softmax"
            }
            Task::Values(_) if bounded => {
                "gives numbers from 0 to 1, those to predict are of any size: let it end with linear"
            }
            _ => break,
        };
        return Err(chain.refuse(name, message));
    }
    Ok(model)
}

/// The shape of a named set's samples as images: height, width and one channel. They are squares.
pub fn image(set: &NamedSet) -> Shape {
    let side = extents(set).1.isqrt();
    [side, side, 1].into()
}

/// The set with samples of this shape, where that has one channel and theirs has no axis for it, or the other way about, or where it
/// is one axis of all their numbers.
pub fn shaped(data: Dataset, sample: &Shape) -> Result<Dataset> {
    let own = data.sample_shape();
    let plain = |shape: &Shape| shape.strip_suffix(&[1]).unwrap_or(shape).to_vec();
    let is_flat = sample.rank() == 1 && sample.len() == own.len();
    if own == *sample || (plain(&own) != plain(sample) && !is_flat) {
        return Ok(data);
    }
    let extents: Vec<isize> = [data.len()].iter().chain(&**sample).map(|&extent| extent as isize).collect();
    Ok(Dataset::new(data.x().reshape(&extents)?, data.y().clone())?.with_scale(data.scale()))
}

/// How many training samples the set has and how many bytes each: the lengths of its files tell, so that a plan needs
/// no data. An IDX file has 4 bytes, then 4 an axis, then one byte an element.
fn extents(set: &NamedSet) -> (usize, usize) {
    let [images, labels] = [0, 1].map(|at: usize| set.files[at].len as usize);
    let samples = labels - 8;
    (samples, (images - 16) / samples)
}
