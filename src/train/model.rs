//! The type that trains: a network with weights, an optimizer and a device. Every front makes one.

mod averages;
mod batches;
mod bytes;
mod confusion;
mod description;
mod gate;
mod inputs;
mod keras;
#[cfg(feature = "keras")]
mod keras_file;
#[cfg(feature = "keras")]
mod keras_writing;
mod masks;
mod nested;
#[cfg(feature = "onnx")]
mod onnx;
mod plans;
#[cfg(feature = "plot")]
mod plot;
mod prediction;
mod predictor;
mod saving;
mod targets;
mod text;
mod transfer;
mod weight_files;
mod weights;

use std::sync::OnceLock;

use crate::data::{self, Dataset};
use crate::device::Device;
use crate::device::blocking::block_on;
use crate::error::{Error, Result};
use crate::nn::network::{Built, Network};
use crate::nn::optimizer::{self, Optimizer};
use crate::nn::summary;
use crate::nn::{IntoMetrics, Loss, Objective, OrName, Summary, Values};
use crate::tensor::Shape;
use crate::train::feed::Expected;
use crate::train::session::Session;
use crate::train::trace::{Definition, Logged};
use crate::train::{Fit, History, Logs, Profile, evaluation, profile, training};
pub(super) use bytes::MEMORY;
pub(crate) use inputs::{Inputs, range};
#[cfg(feature = "plot")]
pub use plot::{ModelPlot, plot_model};
pub use predictor::Predictor;
pub(crate) use saving::About;
use saving::{Loaded, Reached};
pub use text::Generation;

/// A network that is trained by [`Model::fit`]: what [`super::Sequential`] is, too.
///
/// ```
/// use kiln::prelude::*;
/// // Two inputs, and a connection that skips a layer.
/// let (a, b) = (Input::new([4]).named("a"), Input::new([4]).named("b"));
/// let inner = Dense::new(4).activation("relu").apply(&a)?;
/// let sum = Add.apply([&inner, &b.value()])?;
/// let mut model = Model::new((&a, &b), Dense::new(1).apply(&sum)?)?.device(Device::cpu());
/// model.compile("adam", "mse", ["mae"])?;
/// let ones = || Tensor::new([6, 4], vec![1.0f32; 24]);
/// let data = Dataset::new([("a", ones()?), ("b", ones()?)], Tensor::new([6, 1], vec![0.5f32; 6])?)?;
/// model.fit(&data, Fit::new().verbose(0))?;
/// assert_eq!(model.predict_all(&[&ones()?, &ones()?])?[0].shape().to_string(), "(6, 1)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Debug)]
pub struct Model {
    about: About,
    pub(super) network: Network,
    device: Option<Device>,
    /// What the network gives rise to for samples of given shapes; made by [`Model::build`] or, from the shapes that the
    /// inputs give, where it is asked for.
    built: OnceLock<Built>,
    compiled: Option<Compiled>,
    /// Why a model that was compiled elsewhere is not here.
    uncompiled: Option<String>,
    session: Option<Session>,
    /// Whether the session is on a device that was left since.
    moved: bool,
    pub(crate) reached: Reached,
    /// How many steps go to the device at once, if that is given.
    steps_per_submit: Option<usize>,
    /// What a file or another device had for the session, until that is opened.
    loaded: Option<Loaded>,
    /// What the model was at the end of the last epoch of a run, where that keeps it: see [`Fit::backup`].
    backup: Option<(Loaded, Reached)>,
}

#[derive(Debug)]
struct Compiled {
    optimizer: Box<dyn Optimizer>,
    /// What each output is trained for.
    objectives: Vec<Objective>,
}

impl Model {
    /// The model from some inputs to some values that layers made of them, named `functional`. The inputs give their shapes,
    /// so that it needs no [`Model::build`]. Layers without a name of their own are numbered in the order in which they were
    /// first applied.
    ///
    /// # Errors
    /// [`Error::Model`] where an output needs an [`crate::nn::layers::Input`] that is not among the inputs, an input is none or is needed by no
    /// output, or two layers have one name.
    pub fn new(inputs: impl Into<Values>, outputs: impl Into<Values>) -> Result<Self> {
        let model = Self::of_network("functional", Network::between(inputs.into(), outputs.into())?);
        model.built()?;
        Ok(model)
    }

    /// The model of a network, not yet compiled.
    pub(super) fn of_network(name: &str, network: Network) -> Self {
        Self {
            about: About { name: name.into(), ..About::default() },
            network,
            device: None,
            built: OnceLock::new(),
            compiled: None,
            uncompiled: None,
            session: None,
            moved: false,
            steps_per_submit: None,
            reached: Reached::default(),
            loaded: None,
            backup: None,
        }
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
    /// the device, with its weights and the optimizer's state, as through a file; gradients start at zeros.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        (self.device, self.moved) = (Some(device), self.session.is_some());
        self
    }

    /// Makes the weights for samples of a shape. [`Model::fit`] does it by itself, from the data; a model whose
    /// inputs give their shapes, such as one that begins with [`crate::nn::layers::Input`], needs neither.
    ///
    /// # Errors
    /// [`Error::Shape`] that names the layer that does not take its input, or both shapes where the model was built for
    /// another one; [`Error::Model`] that names what two layers are called, or where a layer was added since.
    pub fn build(&mut self, sample: impl Into<Shape>) -> Result<()> {
        self.build_for(vec![sample.into()])
    }

    /// [`Model::build`] for samples of each input's shape.
    fn build_for(&mut self, samples: Vec<Shape>) -> Result<()> {
        if self.built.get().is_some() || self.network.samples().is_some() {
            return prediction::check_shapes(&self.about, self.built()?, &samples);
        }
        self.built = self.traced(samples)?.into();
        Ok(())
    }

    /// What samples of these shapes give rise to.
    fn traced(&self, samples: Vec<Shape>) -> Result<Built> {
        match self.network.refusal(&samples) {
            Some(refusal) => Err(self.error(refusal)),
            None => self.network.build(samples),
        }
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        self.about.error(message)
    }

    pub(super) fn built(&self) -> Result<&Built> {
        if let (None, Some(samples)) = (self.built.get(), self.network.samples()) {
            let built = self.traced(samples)?;
            self.built.get_or_init(|| built);
        }
        match self.built.get() {
            Some(built) if built.shapes.len() == self.network.calls.len() => Ok(built),
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
        Ok(summary::of(&self.about.name, &self.network, self.built()?))
    }

    /// Sets how to train: again, to change it; weights stay, the optimizer starts anew. Of several outputs each is trained for
    /// this loss and measured by these metrics: see [`Model::compile_with`]. Keras' names stand for Keras' defaults.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let mut model = Sequential::new().add(Dense::new(1));
    /// model.compile("adam", "mse", ["mae"])?;
    /// model.compile(Adam::new(0.01), Loss::Huber { delta: 2.0 }, [Metric::MeanAbsoluteError, Metric::R2Score])?;
    /// model.compile("sgd", Loss::MeanSquaredError, [])?;
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] where a name is none, which says the likeliest one, or a setting of the optimizer, the loss or a
    /// metric is out of its range.
    pub fn compile(
        &mut self,
        optimizer: impl OrName<Box<dyn Optimizer>>,
        loss: impl OrName<Loss>,
        metrics: impl IntoMetrics,
    ) -> Result<()> {
        let objective = Objective::new(loss).metrics(metrics);
        self.set_compiled(optimizer.given()?, vec![objective; self.network.outputs.len()])
    }

    /// [`Model::compile`] with an objective for each output, by the outputs' names: those of the layers that give them. The
    /// loss is the sum of all, each multiplied by its weight. Logs have it as `loss`, that of an output named `age` as `age_loss`,
    /// and its metrics as `age_mean_absolute_error`, as Keras does.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let x = Input::new([4]);
    /// let kind = Dense::new(3).activation(Activation::Softmax).named("kind").apply(&x)?;
    /// let age = Dense::new(1).named("age").apply(&x)?;
    /// let mut model = Model::new(&x, [kind, age])?.device(Device::cpu());
    /// model.compile_with(Adam::default(), [
    ///     ("kind", Objective::new(Loss::SparseCategoricalCrossentropy).metrics([Metric::Accuracy])),
    ///     ("age", Objective::new(Loss::MeanSquaredError).loss_weight(0.1)),
    /// ])?;
    /// let kinds = Tensor::from([0u32, 2]);
    /// let ages = Tensor::from([[31.0f32], [4.0]]);
    /// let data = Dataset::new(Tensor::new([2, 4], vec![0.5f32; 8])?, [("age", ages), ("kind", kinds)])?;
    /// let history = model.fit(&data, Fit::new().verbose(0))?;
    /// assert!(history.get("age_loss")[0] > 0.0 && history.get("kind_accuracy")[0] <= 1.0);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::compile`]; [`Error::Argument`] where an output has no objective, or there is none of a name.
    pub fn compile_with<S: Into<String>>(
        &mut self,
        optimizer: impl OrName<Box<dyn Optimizer>>,
        objectives: impl IntoIterator<Item = (S, Objective)>,
    ) -> Result<()> {
        let (names, mut given): (Vec<String>, Vec<_>) =
            objectives.into_iter().map(|(name, objective)| (name.into(), Some(objective))).unzip();
        let wanted = self.network.output_names();
        let names: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
        if let ([Some(name)], [only]) = (&names[..], &wanted[..])
            && name != only
        {
            return Err(Error::argument("objectives", crate::suggest::unknown(name, &[only])));
        }
        let places = data::places("objectives", &names, &wanted)?;
        let objectives = places.into_iter().map(|place| given[place].take().expect("each has its own")).collect();
        self.set_compiled(optimizer.given()?, objectives)
    }

    fn set_compiled(&mut self, optimizer: Box<dyn Optimizer>, objectives: Vec<Objective>) -> Result<()> {
        optimizer::check(&*optimizer)?;
        objectives.iter().try_for_each(Objective::check)?;
        (self.compiled, self.uncompiled) = (Some(Compiled { optimizer, objectives }), None);
        self.reached = Reached::default();
        if let Some(loaded) = &mut self.loaded {
            loaded.moments.clear();
        }
        match (&mut self.session, &self.compiled) {
            (Some(session), Some(compiled)) => block_on(session.reset_moments(&*compiled.optimizer)),
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
        block_on(self.fit_async(data, options))
    }

    /// [`Model::fit`] for callers that cannot block: the future waits for a GPU without holding its thread up, under any executor.
    /// What hooks of callbacks read from the device by [`crate::train::Run`] blocks even so, and what streams is read by the
    /// thread that polls. Where the future is dropped the run ends, after the steps that the device was given.
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub async fn fit_async(&mut self, data: &dyn data::Source, options: Fit<'_>) -> Result<History> {
        self.check_source(data)?;
        if let Some(validation) = options.validation_data {
            self.check_source(validation)?;
        }
        self.open().await?;
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
    /// As [`Model::fit`].
    pub fn evaluate(&mut self, data: &dyn data::Source) -> Result<Logs> {
        block_on(self.evaluate_async(data))
    }

    /// [`Model::evaluate`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub async fn evaluate_async(&mut self, data: &dyn data::Source) -> Result<Logs> {
        self.check_source(data)?;
        self.open().await?;
        let expected = self.expected()?;
        let (session, model) = self.parts();
        evaluation::evaluate(session, &model, data, expected).await
    }

    /// The names of the outputs, in their order.
    pub fn output_names(&self) -> Vec<String> {
        self.network.output_names()
    }

    /// How many steps go to the device at once; the default, `None`, lets it choose. The result is the same to the bit.
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built.
    pub fn set_steps_per_submit(&mut self, steps: Option<usize>) -> Result<()> {
        self.built()?;
        self.steps_per_submit = steps;
        if let Some(session) = &mut self.session {
            session.executor().set_steps_per_submit(steps);
        }
        Ok(())
    }

    /// Trains for some steps, in the order of the data, and times each op of each on the device: see `kiln profile`.
    ///
    /// # Errors
    /// As [`Model::fit`]; [`Error::Device`] where the adapter times no kernels.
    pub fn profile(&mut self, data: &Dataset, batch_size: usize, steps: usize) -> Result<Profile> {
        block_on(self.profile_async(data, batch_size, steps))
    }

    /// [`Model::profile`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::profile`].
    pub async fn profile_async(&mut self, data: &Dataset, batch_size: usize, steps: usize) -> Result<Profile> {
        self.check_data(data)?;
        self.open().await?;
        let target = self.device.as_ref().filter(|device| device.is_gpu()).map(Device::target);
        let expected = self.expected()?;
        let (session, model) = self.parts();
        profile(session, &model, (data, expected), (batch_size, steps), target.as_ref()).await
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
        let inputs = data::ordered("inputs", data.inputs(), &self.network.input_names())?;
        self.build_for(inputs.iter().map(|column| column.tensor().shape()[1..].to_vec().into()).collect())?;
        self.expected()?.check(data)
    }

    /// What samples and targets must be for a compiled and built model.
    pub(crate) fn expected(&self) -> Result<Expected> {
        let compiled = self.compiled.as_ref().ok_or_else(|| self.not_compiled())?;
        let losses = compiled.objectives.iter().map(|objective| objective.loss);
        let outputs = self.network.output_names().into_iter().zip(losses).zip(&self.built()?.outputs);
        let outputs = outputs.map(|((name, loss), shape)| (name, loss, shape.clone())).collect();
        Ok(Expected { inputs: self.network.input_names(), tables: self.network.tables(), outputs, class_weight: None })
    }

    fn not_compiled(&self) -> Error {
        match &self.uncompiled {
            Some(why) => self.error(format!("not compiled, for {why}; call compile with what Kiln has")),
            None => self.error("not compiled yet: call compile with an optimizer and a loss"),
        }
    }

    /// The session, made at the first call and after each move.
    async fn open(&mut self) -> Result<&mut Session> {
        if let (true, Some(left)) = (self.moved, &mut self.session) {
            let optimizer = self.compiled.as_ref().map(|compiled| &*compiled.optimizer);
            self.loaded = Some(Loaded::of(left, optimizer).await?);
            (self.session, self.moved) = (None, false);
        }
        if self.session.is_none() {
            let device = match &self.device {
                Some(device) => device.clone(),
                None => self.device.insert(Device::choose_async("auto").await?.device).clone(),
            };
            let mut session = Session::new(&device, &self.built()?.parameters, self.about.seed).await?;
            session.executor().set_steps_per_submit(self.steps_per_submit);
            if let Some(compiled) = &self.compiled {
                session.reset_moments(&*compiled.optimizer).await?;
            }
            match &self.loaded {
                Some(loaded) => loaded.write(&mut session).await?,
                None => session.set_some(&self.network.carried()).await?,
            }
            self.loaded = None;
            self.session = Some(session);
        }
        Ok(self.session.as_mut().expect("just made"))
    }

    /// The session, which must be open, and the model as a step needs it.
    pub(crate) fn parts(&mut self) -> (&mut Session, Definition<'_>) {
        let built = self.built.get().expect("built before the session was opened");
        let model = definition(&self.about, &self.network, built, self.compiled.as_ref());
        (self.session.as_mut().expect("opened before"), model)
    }

    /// What a compiled and built model logs.
    pub(crate) fn logged(&self) -> Vec<Logged> {
        let built = self.built.get().expect("built before");
        definition(&self.about, &self.network, built, self.compiled.as_ref()).logged()
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

fn definition<'a>(
    about: &'a About,
    network: &'a Network,
    built: &'a Built,
    compiled: Option<&'a Compiled>,
) -> Definition<'a> {
    Definition {
        about,
        network,
        samples: &built.samples,
        objectives: compiled.map_or(&[], |c| &c.objectives),
        outputs: &built.outputs,
        masked: &built.masked,
        optimizer: compiled.map(|c| &*c.optimizer),
        at_once: evaluation::at_once(built),
    }
}
