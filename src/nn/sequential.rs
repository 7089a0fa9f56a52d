//! A model of layers one after the other, <https://keras.io/api/models/sequential/>.

mod built;
mod checks;
mod inputs;
mod saving;
mod weights;

use std::sync::OnceLock;

use super::layers::Layer;
use super::optimizer::{self, Optimizer};
use super::summary::{self, Row};
use super::{Loss, Metric, Summary};
use crate::data::{self, Dataset};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::graph::Type;
use crate::plan::Plan;
use crate::tensor::{DType, Shape, Tensor};
use crate::train::feed::Expected;
use crate::train::session::{Session, make_plan};
use crate::train::trace::{Key, Mode, Model, Part, Source};
use crate::train::{Fit, History, Logs, Profile, evaluation, profile, training};
use built::Built;
use checks::Names;
pub(crate) use inputs::{Inputs, range};
pub(crate) use saving::About;
use saving::{Loaded, Reached};

/// Layers one after the other, trained by [`Sequential::fit`].
///
/// ```
/// use kiln::prelude::*;
///
/// // Four points of exclusive or: one hidden layer learns it.
/// let x = Tensor::new([4, 2], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
/// let y = Tensor::new([4], vec![0u32, 1, 1, 0])?;
/// let data = Dataset::new(x, y)?;
/// let mut model = Sequential::new()
///     .add(Dense::new(16).activation(Activation::Tanh))
///     .add(Dense::new(2).activation(Activation::Softmax))
///     .device(Device::cpu());
/// model.compile(Adam { learning_rate: 0.05, ..Adam::default() }, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
/// model.fit(&data, Fit::new().epochs(200).batch_size(4).verbose(0))?;
/// assert_eq!(model.evaluate(&data)?.get("accuracy"), Some(1.0));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Debug)]
pub struct Sequential {
    about: About,
    layers: Vec<(String, Box<dyn Layer>)>,
    names: Names,
    device: Option<Device>,
    /// The shape of one sample, and what it gives rise to; made by [`Sequential::build`] or, from the shape that the
    /// first layer gives, where it is asked for.
    built: OnceLock<Built>,
    compiled: Option<Compiled>,
    session: Option<Session>,
    /// Whether the session is on a device that was left since.
    moved: bool,
    pub(crate) reached: Reached,
    /// What a file or another device had for the session, until that is opened.
    loaded: Option<Loaded>,
    /// What the model was at the end of the last epoch of a run, where that keeps it: see [`Fit::backup`].
    backup: Option<(Loaded, Reached)>,
}

#[derive(Debug)]
struct Compiled {
    optimizer: Box<dyn Optimizer>,
    loss: Loss,
    metrics: Vec<Metric>,
}

impl Default for Sequential {
    fn default() -> Self {
        Self {
            about: About { name: "sequential".into(), ..About::default() },
            layers: Vec::new(),
            names: Names::default(),
            device: None,
            built: OnceLock::new(),
            compiled: None,
            session: None,
            moved: false,
            reached: Reached::default(),
            loaded: None,
            backup: None,
        }
    }
}

impl Sequential {
    /// A model without layers, named `sequential`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.about.name = name.into();
        self
    }

    /// The seed of the initial weights and, unless [`Fit::seed`] is given, of the order of samples; default 0.
    /// One seed on one device gives the same weights to the bit.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.about.seed = seed;
        self
    }

    /// Where to train; default [`Device::auto`]. A model that was trained elsewhere moves there at the next call that needs
    /// the device, with its weights and the optimizer's state, as through a file; gradients start at zeros, and
    /// [`Sequential::set_steps_per_submit`] is to be called again.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        (self.device, self.moved) = (Some(device), self.session.is_some());
        self
    }

    /// Adds a layer at the end. Without a name of its own it gets its type's, with a number from the second on.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "Keras' name; no arithmetic is meant")]
    pub fn add(mut self, layer: impl Layer + 'static) -> Self {
        let name = self.names.of(&layer);
        self.layers.push((name, Box::new(layer)));
        self
    }

    /// Makes the weights for samples of a shape. [`Sequential::fit`] does it by itself, from the data; a model that begins
    /// with [`super::layers::Input`] needs neither.
    ///
    /// # Errors
    /// [`Error::Shape`] that names the layer that does not take its input, or both shapes where the model was built for
    /// another one; [`Error::Model`] that names what two layers are called, or where a layer was added since.
    pub fn build(&mut self, sample: impl Into<Shape>) -> Result<()> {
        let sample = sample.into();
        if self.built.get().is_some() || self.input().is_some() {
            let built = self.built()?;
            if built.sample == sample {
                return Ok(());
            }
            let message = format!("the model was built for samples of {}, these are {sample}", built.sample);
            return Err(Error::shape(format!("model {:?}", self.about.name), message));
        }
        self.built = self.traced(sample)?.into();
        Ok(())
    }

    /// The shape of a sample, where the first layer gives it.
    fn input(&self) -> Option<&Shape> {
        self.layers.first()?.1.sample_shape()
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        Error::Model { model: format!("model {:?}", self.about.name), message: message.into() }
    }

    fn built(&self) -> Result<&Built> {
        if let (None, Some(sample)) = (self.built.get(), self.input()) {
            let built = self.traced(sample.clone())?;
            self.built.get_or_init(|| built);
        }
        match self.built.get() {
            Some(built) if built.outputs.len() == self.layers.len() => Ok(built),
            Some(_) => Err(self.error("a layer was added after the model was built; add all layers first")),
            None => {
                Err(self.error("not built yet: begin with an Input, call build with the shape of a sample, or fit"))
            }
        }
    }

    /// The model's table: layers, output shapes and numbers of parameters.
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built.
    pub fn summary(&self) -> Result<Summary> {
        let built = self.built()?;
        let counts = summary::counts(&built.parameters);
        let layers = self.layers.iter().zip(&built.outputs).filter(|((_, layer), _)| layer.sample_shape().is_none());
        let rows = layers.map(|((name, layer), output)| {
            let (parameters, non_trainable) = counts.get(name.as_str()).copied().unwrap_or_default();
            Row { name: name.clone(), kind: layer.kind(), output: output.clone(), parameters, non_trainable }
        });
        Ok(Summary { model: self.about.name.clone(), rows: rows.collect() })
    }

    /// Sets how to train: again, to change it; weights stay, the optimizer starts anew.
    ///
    /// # Errors
    /// [`Error::Argument`] where a setting of the optimizer, the loss or a metric is out of its range.
    pub fn compile(
        &mut self,
        optimizer: impl Optimizer + 'static,
        loss: Loss,
        metrics: impl IntoIterator<Item = Metric>,
    ) -> Result<()> {
        optimizer::check(&optimizer)?;
        loss.check()?;
        let metrics: Vec<Metric> = metrics.into_iter().collect();
        metrics.iter().try_for_each(|metric| metric.check())?;
        self.compiled = Some(Compiled { optimizer: Box::new(optimizer), loss, metrics });
        self.reached = Reached::default();
        if let Some(loaded) = &mut self.loaded {
            loaded.moments.clear();
        }
        match (&mut self.session, &self.compiled) {
            (Some(session), Some(compiled)) => session.reset_moments(&*compiled.optimizer),
            _ => Ok(()),
        }
    }

    /// Trains on samples and targets, and returns what was measured.
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not compiled, [`Error::Argument`] for settings that do not fit the data,
    /// [`Error::Shape`] for samples that do not fit the model, [`Error::NotFinite`] where the loss is lost and
    /// [`Fit::check_finite`] is not off, and what the device reports.
    pub fn fit(&mut self, data: &dyn data::Source, options: Fit<'_>) -> Result<History> {
        pollster::block_on(self.fit_async(data, options))
    }

    /// [`Sequential::fit`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Sequential::fit`].
    pub async fn fit_async(&mut self, data: &dyn data::Source, options: Fit<'_>) -> Result<History> {
        self.check_source(data)?;
        if let Some(validation) = options.validation_data {
            self.check_source(validation)?;
        }
        self.open()?;
        let seed = options.seed.unwrap_or(self.about.seed);
        let result = training::fit(self, data, options, seed).await;
        let lost = self.session.as_ref().is_some_and(Session::is_lost);
        let failed = lost || matches!(result, Err(Error::Device { .. } | Error::Memory { .. }));
        if let (Some((loaded, reached)), true) = (self.backup.take(), failed) {
            (self.session, self.moved) = (None, false);
            (self.loaded, self.reached) = (Some(loaded), reached);
        }
        result
    }

    /// Loss and metrics on samples and targets.
    ///
    /// # Errors
    /// As [`Sequential::fit`].
    pub fn evaluate(&mut self, data: &dyn data::Source) -> Result<Logs> {
        pollster::block_on(self.evaluate_async(data))
    }

    /// [`Sequential::evaluate`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Sequential::fit`].
    pub async fn evaluate_async(&mut self, data: &dyn data::Source) -> Result<Logs> {
        self.check_source(data)?;
        self.open()?;
        let expected = self.expected()?;
        let (session, model) = self.parts();
        evaluation::evaluate(session, &model, data, expected).await
    }

    /// The model's output for each sample: (samples, ...), of `f32`, or of `f64` on the reference. Samples are scaled as those
    /// were that [`Sequential::fit`] had, by [`Sequential::input_scale`].
    ///
    /// # Errors
    /// As [`Sequential::fit`] and [`Sequential::input_scale`].
    pub fn predict(&mut self, x: &Tensor) -> Result<Tensor> {
        pollster::block_on(self.predict_async(x))
    }

    /// [`Sequential::predict`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Sequential::fit`].
    pub async fn predict_async(&mut self, x: &Tensor) -> Result<Tensor> {
        let scale = self.input_scale(x)?;
        self.predict_scaled(x, scale).await
    }

    /// [`Sequential::predict`] of samples that are multiplied by a number.
    pub(super) async fn predict_scaled(&mut self, x: &Tensor, scale: f32) -> Result<Tensor> {
        if x.shape().is_scalar() || x.shape().is_empty() {
            return Err(Error::shape("predict", format!("expected one or more samples, was given {}", x.shape())));
        }
        data::check_scale("with_scale", scale)?;
        self.build(x.shape()[1..].to_vec())?;
        self.open()?;
        let (session, model) = self.parts();
        evaluation::predict(session, &model, (x, scale)).await
    }

    /// How many steps go to the device at once; the default, `None`, lets it choose. The result is the same to the bit.
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built.
    pub fn set_steps_per_submit(&mut self, steps: Option<usize>) -> Result<()> {
        self.open()?.executor().set_steps_per_submit(steps);
        Ok(())
    }

    /// The plan of a training step on `rows` samples in batches: see `kiln plan`.
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built or compiled, [`Error::Shape`] where layers do not fit,
    /// [`Error::Argument`] where there are no samples.
    pub fn training_plan(&self, batch: usize, rows: usize) -> Result<Plan> {
        if batch == 0 || rows == 0 {
            return Err(Error::argument(
                "batch",
                format!("{batch} of {rows} samples are no step; give 1 or more of each"),
            ));
        }
        let built = self.built()?;
        let model = model(&self.about, built, &self.layers, self.compiled.as_ref());
        let loss = model.loss.ok_or_else(|| self.not_compiled())?;
        let x = Type { shape: [&[rows], &built.sample[..]].concat().into(), dtype: DType::U8 };
        let y = loss.targets(rows, built.output());
        let source = Source { column: 0, x, y, weighted: false, scale: (1.0f64 / 255.0).to_bits() };
        let steps = rows.div_ceil(batch);
        let key = Key { mode: Mode::Train, part: Part::All, source, batch, rows, steps, updates: true };
        make_plan(&model, &mut built.parameters.clone(), &key)
    }

    /// Trains for some steps, in the order of the data, and times each op of each on the device: see `kiln profile`.
    ///
    /// # Errors
    /// As [`Sequential::fit`]; [`Error::Device`] where the adapter times no kernels.
    pub fn profile(&mut self, data: &Dataset, batch_size: usize, steps: usize) -> Result<Profile> {
        self.check_data(data)?;
        self.open()?;
        let target = self.device.as_ref().filter(|device| device.is_gpu()).map(Device::target);
        let (session, model) = self.parts();
        profile(session, &model, data, (batch_size, steps), target.as_ref())
    }

    /// That the model is compiled and takes these samples and targets; of those that are not in memory, the first.
    fn check_source(&mut self, data: &dyn data::Source) -> Result<()> {
        // Orders of rows are of 32 bits.
        if u32::try_from(data.len()).is_err() {
            return Err(
                self.error(format!("{} samples are more than the 2^32 - 1 of an epoch; give parts", data.len()))
            );
        }
        let first;
        let known = match data.resident() {
            Some(set) => set,
            None if data.len() == 0 => return Err(self.error("the source has no samples")),
            None => {
                first = data.read(&[0])?;
                &first
            }
        };
        self.check_data(known)
    }

    fn check_data(&mut self, data: &Dataset) -> Result<()> {
        if self.compiled.is_none() {
            return Err(self.not_compiled());
        }
        if data.is_empty() {
            return Err(self.error("the data set has no samples"));
        }
        data::check_scale("with_scale", data.scale())?;
        self.build(data.sample_shape())?;
        self.expected()?.check(data)
    }

    /// What targets must be for a compiled and built model.
    pub(crate) fn expected(&self) -> Result<Expected> {
        let loss = self.compiled.as_ref().ok_or_else(|| self.not_compiled())?.loss;
        Ok(Expected { loss, output: self.built()?.output().to_vec(), class_weight: None })
    }

    fn not_compiled(&self) -> Error {
        self.error("not compiled yet: call compile with an optimizer and a loss")
    }

    /// The session, made at the first call and after each move.
    fn open(&mut self) -> Result<&mut Session> {
        if let (true, Some(left)) = (self.moved, &mut self.session) {
            let optimizer = self.compiled.as_ref().map(|compiled| &*compiled.optimizer);
            self.loaded = Some(pollster::block_on(Loaded::of(left, optimizer))?);
            (self.session, self.moved) = (None, false);
        }
        if self.session.is_none() {
            let device = match &self.device {
                Some(device) => device.clone(),
                None => self.device.insert(Device::auto()?).clone(),
            };
            let mut session = Session::new(&device, &self.built()?.parameters, self.about.seed)?;
            let optimizer = self.compiled.as_ref().map(|compiled| &*compiled.optimizer);
            optimizer.map_or(Ok(()), |optimizer| session.reset_moments(optimizer))?;
            if let Some(loaded) = &self.loaded {
                loaded.write(&mut session)?;
            }
            self.loaded = None;
            self.session = Some(session);
        }
        Ok(self.session.as_mut().expect("just made"))
    }

    /// The session, which must be open, and the model as a step needs it.
    pub(crate) fn parts(&mut self) -> (&mut Session, Model<'_>) {
        let built = self.built.get().expect("built before the session was opened");
        let model = model(&self.about, built, &self.layers, self.compiled.as_ref());
        (self.session.as_mut().expect("opened before"), model)
    }

    /// The metrics of a compiled model.
    pub(crate) fn metrics(&self) -> &[Metric] {
        &self.compiled.as_ref().expect("compiled before").metrics
    }

    /// The optimizer of a compiled model.
    pub(crate) fn training_optimizer(&self) -> &dyn Optimizer {
        &*self.compiled.as_ref().expect("compiled before").optimizer
    }

    /// The optimizer of a compiled model, to change its learning rate.
    pub(crate) fn optimizer_mut(&mut self) -> &mut dyn Optimizer {
        &mut *self.compiled.as_mut().expect("compiled before").optimizer
    }
}

fn model<'a>(
    about: &'a About,
    built: &'a Built,
    layers: &'a [(String, Box<dyn Layer>)],
    compiled: Option<&'a Compiled>,
) -> Model<'a> {
    Model {
        about,
        sample: &built.sample,
        layers,
        loss: compiled.map(|c| c.loss),
        metrics: compiled.map_or(&[], |c| &c.metrics),
        output: built.output(),
        optimizer: compiled.map(|c| &*c.optimizer),
    }
}

/// `Dense` as `dense`, `MaxPooling2D` as `max_pooling2d`: as Keras names layers.
fn snake_case(kind: &str) -> String {
    let mut name = String::new();
    let mut lower_before = false;
    for c in kind.chars() {
        if c.is_uppercase() && lower_before {
            name.push('_');
        }
        lower_before = c.is_lowercase();
        name.extend(c.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_named_as_keras_names_them() {
        assert_eq!(["Dense", "MaxPooling2D", "LSTM"].map(snake_case), ["dense", "max_pooling2d", "lstm"]);
    }
}
