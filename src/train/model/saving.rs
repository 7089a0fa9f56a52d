//! Models in files: the configuration as JSON beside the tensors, all in one safetensors file.

use std::path::Path;

use super::text::TEXT;
use super::weight_files::{tensors, weights_file};
use super::{Compiled, Inputs, Loss, Model, inputs, targets};
use crate::data::{Scaler, TextVectorization};
use crate::device::Device;
use crate::device::blocking::block_on;
use crate::error::{Error, Result};
use crate::io::{Ending, TensorFile, ends_in, json, whole};
use crate::nn::matching::OPTIMIZER;
use crate::nn::network::{CHAIN, FUNCTIONAL, Network};
use crate::nn::optimizer::{self, Optimizer, State};
use crate::nn::{Config, CustomObjects, FromSetting, KerasObject, Objective, Parameter, Setting};
use crate::tensor::{Shape, Tensor};
use crate::train::position::Position;
use crate::train::session::Session;
use crate::train::trace::Definition;

/// The key of the configuration in the file's metadata.
const KEY: &str = "kiln";
/// The key of what Keras' `model.to_json()` gives of the network, where every layer is one of Keras'. Nothing is read from it.
const KERAS: &str = "keras";
/// Of the configuration. A change that this reader would misread takes the next number.
const VERSION: u64 = 1;
/// Where weights are their averages.
const AVERAGED: &str = "averaged";

/// What is said of a model beside what it computes.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub name: String,
    pub seed: u64,
    /// What each input was trained on; nothing before that.
    pub inputs: Vec<Inputs>,
    /// Of each output, what its targets are scaled by in training; nothing where none is.
    pub targets: Vec<Option<Scaler>>,
    /// How its texts became tokens.
    pub text: Option<TextVectorization>,
    pub notes: Vec<(String, Setting)>,
}

impl About {
    /// Takes what is said of the data and the notes out of a configuration.
    fn take(&mut self, config: &mut Config) -> Result<()> {
        self.inputs = inputs::take(config)?;
        self.targets = targets::take(config)?;
        self.text = config.take_or(TEXT, None)?;
        if let Setting::Map(notes) = config.take_or("notes", Setting::Null)? {
            self.notes = notes;
        }
        Ok(())
    }

    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        Error::Model { model: format!("model {:?}", self.name), message: message.into() }
    }
}

/// How far a model was trained since it was compiled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached {
    /// Steps.
    pub iteration: u64,
    /// Whole epochs.
    pub epoch: usize,
    /// Where within the next epoch, if it was begun.
    pub position: Option<Position>,
    /// Whether the model has the averages of its weights for weights: see [`crate::train::Run::use_averages`].
    pub averaged: bool,
}

impl Reached {
    /// Adds it to a configuration.
    fn keep(&self, config: Config) -> Config {
        let config = config.with("iteration", self.iteration).with("epoch", self.epoch);
        // An older version, which would begin the epoch anew, or train the averages, refuses it.
        let config = match &self.position {
            Some(position) => config.with("position", position.clone()),
            None => config,
        };
        if self.averaged { config.with(AVERAGED, true) } else { config }
    }

    /// Takes it out of the configuration of a class.
    fn take(config: &mut Config, class: &str) -> Result<Self> {
        let (iteration, epoch) = (counted(config, "iteration")?, counted(config, "epoch")?);
        let epoch = usize::try_from(epoch).map_err(|e| Error::argument("epoch", e.to_string()))?;
        let position: Option<Position> = config.take_or("position", None)?;
        if let Some(Position { step, .. }) = position.as_ref().filter(|position| position.step as u64 > iteration) {
            let message = format!("is less than the {step} steps of its last epoch");
            return Err(Error::argument(format!("setting \"iteration\" of {class}, {iteration},"), message));
        }
        Ok(Self { iteration, epoch, position, averaged: config.take_or(AVERAGED, false)? })
    }
}

/// What a file, or the device before, had for the device, until there is one.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub weights: Vec<Tensor>,
    pub moments: Vec<Vec<Tensor>>,
}

impl Loaded {
    /// What a session has.
    pub async fn of(session: &mut Session, optimizer: Option<&dyn Optimizer>) -> Result<Self> {
        let (weights, mut moments) = (session.weights().await?, Vec::new());
        for moment in 0..optimizer.map_or(0, |optimizer| optimizer::states(optimizer).len()) {
            moments.push(session.moment(moment).await?);
        }
        Ok(Self { weights, moments })
    }

    pub async fn write(&self, session: &mut Session) -> Result<()> {
        session.set_weights(&self.weights).await?;
        session.set_moments(&self.moments).await
    }
}

/// The name of a tensor of the optimizer's state: `optimizer/hidden/kernel/velocity`.
fn state_path(parameter: &Parameter, state: &State) -> String {
    format!("{OPTIMIZER}{}/{}", parameter.path(), state.name)
}

/// The file of a model.
fn file(parameters: &[Parameter], tensors: Loaded, model: &Definition<'_>, reached: &Reached) -> TensorFile {
    let mut file = weights_file(parameters, tensors.weights);
    if let Some(optimizer) = model.optimizer {
        for (state, tensors) in optimizer::states(optimizer).iter().zip(tensors.moments) {
            for (parameter, tensor) in parameters.iter().zip(tensors) {
                file = file.with(state_path(parameter, state), tensor);
            }
        }
    }
    let file = file.with_metadata(KEY, json::write(&configuration(model, reached).into()));
    match described(model) {
        Ok(object) => file.with_metadata(KERAS, object.to_json()),
        Err(_) => file,
    }
}

/// The network as Keras serializes it, with the samples that it was built for; an error names the layer that Keras has nothing like.
pub(super) fn described(model: &Definition<'_>) -> Result<KerasObject> {
    let mut network = model.network.clone();
    network.inputs.iter_mut().zip(model.samples).for_each(|(port, sample)| port.shape = Some(sample.clone()));
    network.keras(&model.about.name)
}

fn configuration(model: &Definition<'_>, reached: &Reached) -> Config {
    let about = model.about;
    let mut config = Config::new(model.network.class())
        .with("version", VERSION)
        .with("kiln", env!("CARGO_PKG_VERSION"))
        .with("name", about.name.as_str())
        .with("seed", about.seed);
    config = model.network.keep(config, Some(model.samples));
    if let Some(optimizer) = model.optimizer {
        config = config.with("optimizer", optimizer.config());
        config = match model.objectives {
            [only] => only.keep(config),
            several => {
                let each = several.iter().map(|objective| Setting::from(objective.keep(Config::new(OBJECTIVE))));
                config.with("objectives", each.collect::<Vec<_>>())
            }
        };
        config = reached.keep(config);
    }
    keep_about(about, config)
}

/// Adds what is said of the data and the notes.
fn keep_about(about: &About, config: Config) -> Config {
    let config = targets::keep(&about.targets, inputs::keep(&about.inputs, config));
    let config = about.text.iter().fold(config, |config, text| config.with(TEXT, text.clone()));
    config.with("notes", Setting::Map(about.notes.clone()))
}

/// Adds to a configuration what Keras' files have no place for.
#[cfg(feature = "keras")]
pub(super) fn beside(config: Config, model: &Definition<'_>, reached: &Reached) -> Config {
    keep_about(model.about, reached.keep(config.with("seed", model.about.seed)))
}

/// More than any run reaches: what counts on from there would wrap in the end.
pub(super) const MOST_COUNTED: u64 = 1 << 53;

/// Takes out of a model's configuration what counts epochs or steps.
fn counted(config: &mut Config, name: &str) -> Result<u64> {
    match config.take::<u64>(name)? {
        count if count <= MOST_COUNTED => Ok(count),
        count => Err(Error::argument(name, format!("{count} is more than any run reaches"))),
    }
}

/// The class of what an output of several is trained for.
const OBJECTIVE: &str = "Objective";

impl Objective {
    /// Adds it to a configuration.
    fn keep(&self, config: Config) -> Config {
        let config = config.with("loss", self.loss).with("metrics", self.metrics.clone());
        if self.loss_weight == 1.0 { config } else { config.with("loss_weight", self.loss_weight) }
    }

    /// Takes it out of the configuration of a class.
    fn take(config: &mut Config, custom: &CustomObjects<'_>, class: &str) -> Result<Self> {
        let (loss, metrics): (Setting, Vec<Setting>) = (config.take("loss")?, config.take("metrics")?);
        let loss = custom.make_loss(&loss).map_err(|e| Error::argument(format!("setting \"loss\" of {class}"), e))?;
        let metrics = metrics.iter().map(|metric| custom.make_metric(metric)).collect::<Result<Vec<_>, _>>();
        let metrics = metrics.map_err(|e| Error::argument(format!("setting \"metrics\" of {class}"), e))?;
        Ok(Self::new(loss).loss_weight(config.take_or("loss_weight", 1.0)?).metrics(metrics))
    }

    /// One of several.
    fn of(setting: &Setting, custom: &CustomObjects<'_>) -> Result<Self> {
        let mut config: Config = setting.read().map_err(|e| Error::argument("objectives", e))?;
        let objective = Self::take(&mut config, custom, OBJECTIVE)?;
        config.end().map(|()| objective)
    }
}

impl Model {
    /// Writes the model to one safetensors file, which [`Model::load`] makes it from again: layers, weights and, where
    /// it was compiled, optimizer, loss, metrics, the optimizer's state and how far it was trained. A run that goes on
    /// from the file, with the same data and the same [`crate::train::Fit`], ends with the same weights, to the bit on one
    /// device, as one that was never stopped. A file that is written within an epoch has the place, too, and the run goes on
    /// there: see [`crate::train::Fit::initial_epoch`].
    ///
    /// Weights are named as [`Model::parameter_paths`] has them, the optimizer's state `optimizer/dense/kernel/velocity`;
    /// the rest is JSON under the metadata's key `kiln`. Beside it, under `keras`, stands what Keras' `model_from_json` takes, where
    /// every layer is one of Keras'. The file is put in place whole: a run that is killed leaves the
    /// one that was there before.
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built; [`Error::Io`] where the system refuses; [`Error::Format`] where
    /// the name ends in `.npz`, which holds weights alone; and what the device reports.
    pub fn save(&mut self, path: impl AsRef<Path>) -> Result<()> {
        block_on(self.save_async(path))
    }

    /// [`Model::save`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Model::save`].
    pub async fn save_async(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match Ending::of(path)? {
            #[cfg(feature = "keras")]
            Ending::Keras => {
                let archive = self.archive(path).await?;
                whole::write(path, &[&archive])
            }
            _ => self.whole_file().await?.write(path),
        }
    }

    /// That every layer is one that files keep.
    pub(super) fn check_saved(&self) -> Result<()> {
        match self.network.leaves().iter().find(|(_, layer)| !layer.is_saved()) {
            Some((name, layer)) => {
                let message = format!("layer {name:?} is a {}, which no file keeps; call save_weights", layer.kind());
                Err(self.error(message))
            }
            None => Ok(()),
        }
    }

    /// What the model's file holds.
    pub(super) async fn whole_file(&mut self) -> Result<TensorFile> {
        self.check_saved()?;
        let tensors = self.tensors().await?;
        let built = self.built()?;
        let model = super::definition(&self.about, &self.network, built, self.compiled.as_ref());
        Ok(file(&built.parameters, tensors, &model, &self.reached))
    }

    /// The tensors of the model's file: from the device, unless they still wait for one.
    pub(super) async fn tensors(&mut self) -> Result<Loaded> {
        let states = self.optimizer().map_or(0, |optimizer| optimizer::states(optimizer).len());
        match &self.loaded {
            Some(loaded) if self.session.is_none() && loaded.moments.len() == states => Ok(loaded.clone()),
            _ => {
                self.open().await?;
                let (session, model) = self.parts();
                Loaded::of(session, model.optimizer).await
            }
        }
    }

    /// Keeps what the model is now, for where its device is lost: see [`crate::train::Fit::backup`].
    pub(crate) async fn back_up(&mut self) -> Result<()> {
        let reached = self.reached.clone();
        self.backup = Some((self.tensors().await?, reached));
        Ok(())
    }

    pub(crate) fn is_on_gpu(&self) -> bool {
        self.device.as_ref().is_some_and(Device::is_gpu)
    }

    /// The model of a file that [`Model::save`] wrote, ready to predict or to be trained further. Where to run it is
    /// not in the file: [`Model::device`].
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let path = std::env::temp_dir().join("kiln-load.safetensors");
    /// let mut model = Sequential::new().add(Input::new([3])).add(Dense::new(2)).device(Device::cpu());
    /// model.save(&path)?;
    /// let mut again = Sequential::load(&path)?.device(Device::cpu());
    /// assert_eq!(again.weights()?, model.weights()?);
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] where the system refuses; [`Error::Format`] that says what is wrong with the file: it is none of
    /// Kiln's or damaged, a layer's class is unknown, or a tensor is missing, of another shape or no float.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, &CustomObjects::new())
    }

    /// [`Model::load`] of a model that has layers, an optimizer, losses or metrics of one's own.
    ///
    /// # Errors
    /// As [`Model::load`], and what the makers of one's own return.
    pub fn load_with(path: impl AsRef<Path>, custom: &CustomObjects<'_>) -> Result<Self> {
        let path = path.as_ref();
        Self::of_content(&whole::read(path)?, path, custom)
    }

    /// The model of a file's bytes: Kiln's own or, by what they begin with, Keras'.
    pub(super) fn of_content(bytes: &[u8], path: &Path, custom: &CustomObjects<'_>) -> Result<Self> {
        #[cfg(feature = "keras")]
        if crate::io::keras::Archive::may_be(bytes) {
            return Self::of_archive(bytes, path, custom);
        }
        #[cfg(feature = "keras")]
        if bytes.starts_with(crate::io::hdf5::SIGNATURE) {
            let message = "holds weights, and no model; build the model, or load its .keras, and call load_weights";
            return Err(Error::format(path, message));
        }
        if ends_in(path, "json") {
            let text = std::str::from_utf8(bytes).map_err(|_| Error::format(path, "is no text in UTF-8"))?;
            let read = || Self::of_keras(json::parse_of_keras(text)?, custom);
            return read().map_err(|e| Error::format(path, e));
        }
        Self::of_file(&TensorFile::parse(bytes, path)?, custom)
    }

    /// The model of what a file holds.
    pub(super) fn of_file(file: &TensorFile, custom: &CustomObjects<'_>) -> Result<Self> {
        let Some(text) = file.metadata(KEY) else {
            return Err(file.error("holds tensors, and no model; build the model in code and call load_weights"));
        };
        let setting = json::parse(text).map_err(|e| file.error(format!("its metadata {KEY:?} is no JSON: {e}")))?;
        let read = || -> Result<Self> {
            let config = setting.read().map_err(|e| Error::argument(KEY, e))?;
            let mut model = Self::of(config, custom)?;
            model.take_tensors(file)?;
            Ok(model)
        };
        read().map_err(|e| if matches!(e, Error::Format { .. }) { e } else { file.error(e.to_string()) })
    }

    /// The model of a configuration, without its tensors.
    fn of(mut config: Config, custom: &CustomObjects<'_>) -> Result<Self> {
        let (found, class) = (config.take::<u64>("version")?, config.class().to_string());
        if found > VERSION || ![CHAIN, FUNCTIONAL].contains(&class.as_str()) {
            let by = config.take_or("kiln", "a later version".to_string())?;
            let message = format!(
                "was saved by Kiln {by} as {class} {found}; this version reads {CHAIN} {VERSION} and {FUNCTIONAL} {VERSION}"
            );
            return Err(Error::argument("version", message));
        }
        let _: String = config.take("kiln")?;
        let (name, seed): (String, _) = (config.take("name")?, config.take("seed")?);
        let network = Network::take(&mut config, custom)?;
        if network.samples().is_none() {
            // Of a chain, where it was not taken: the error says so.
            config.take::<Vec<usize>>("sample_shape")?;
        }
        let mut model = Self::of_network(&name, network).seed(seed);
        if let Some(optimizer) = config.take_or("optimizer", None::<Setting>)? {
            let optimizer = custom.make_optimizer(&optimizer)?;
            let objectives = match config.take_or("objectives", None::<Vec<Setting>>)? {
                None => vec![Objective::take(&mut config, custom, &class)?],
                Some(several) => several.iter().map(|setting| Objective::of(setting, custom)).collect::<Result<_>>()?,
            };
            if objectives.len() != model.network.outputs.len() {
                let message = format!("{} for {} outputs", objectives.len(), model.network.outputs.len());
                return Err(Error::argument("objectives", message));
            }
            model.set_compiled(optimizer, objectives)?;
            model.reached = Reached::take(&mut config, &class)?;
            if model.reached.averaged {
                model
                    .average()
                    .map_err(|e| Error::argument(format!("setting {AVERAGED:?} of {class}"), e.to_string()))?;
            }
        }
        model.about.take(&mut config)?;
        config.end()?;
        model.built()?;
        Ok(model)
    }

    /// Takes what [`beside`] kept.
    #[cfg(feature = "keras")]
    pub(super) fn take_beside(&mut self, mut config: Config) -> Result<()> {
        self.about.seed = config.take("seed")?;
        let iteration = self.reached.iteration;
        let reached = Reached::take(&mut config, "the model")?;
        if self.compiled.is_some() && reached.iteration == iteration {
            self.reached = reached;
        }
        self.about.take(&mut config)?;
        config.end()
    }

    fn take_tensors(&mut self, file: &TensorFile) -> Result<()> {
        let parameters = &self.built()?.parameters;
        let weights = tensors(file, parameters, Parameter::path)?;
        let mut moments = Vec::new();
        if let Some(Compiled { optimizer, .. }) = &self.compiled {
            for state in optimizer::states(&**optimizer) {
                moments.push(tensors(file, parameters, |p| state_path(p, &state))?);
            }
        }
        self.loaded = Some(Loaded { weights, moments });
        Ok(())
    }

    /// Steps trained since [`Model::compile`].
    pub fn iteration(&self) -> u64 {
        self.reached.iteration
    }

    /// Epochs trained since [`Model::compile`]: what [`crate::train::Fit::initial_epoch`] takes where a run goes on.
    pub fn epoch(&self) -> usize {
        self.reached.epoch
    }

    /// The shape of one sample, without the batch's axis.
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built.
    pub fn sample_shape(&self) -> Result<&Shape> {
        Ok(&self.built()?.samples[0])
    }

    /// The shape of what the model gives for one sample, without the batch's axis; of several outputs the first one's.
    ///
    /// # Errors
    /// [`Error::Model`] where the model was not built.
    pub fn output_shape(&self) -> Result<&Shape> {
        Ok(&self.built()?.outputs[0])
    }

    /// The optimizer, where the model was compiled.
    pub fn optimizer(&self) -> Option<&dyn Optimizer> {
        self.compiled.as_ref().map(|compiled| &*compiled.optimizer)
    }

    /// The loss, where the model was compiled; of several outputs the first one's.
    pub fn loss(&self) -> Option<Loss> {
        self.compiled.as_ref().map(|compiled| compiled.objectives[0].loss)
    }

    /// Keeps something of one's own with the model, in its file too.
    pub fn set_note(&mut self, name: impl Into<String>, value: impl Into<Setting>) {
        let name = name.into();
        self.about.notes.retain(|(known, _)| *known != name);
        self.about.notes.push((name, value.into()));
    }

    /// What was kept by [`Model::set_note`]; `None` where nothing was.
    ///
    /// # Errors
    /// [`Error::Argument`] where it is of another kind.
    pub fn note<T: FromSetting>(&self, name: &str) -> Result<Option<T>> {
        let found = self.about.notes.iter().find(|(known, _)| known == name);
        let read = found.map(|(_, setting)| setting.read().map_err(|e| Error::argument(format!("note {name:?}"), e)));
        read.transpose()
    }
}
