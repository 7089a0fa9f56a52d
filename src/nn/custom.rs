//! A user's own classes, so that saved models that have them can be loaded.

use std::fmt;
use std::sync::Arc;

use super::layers::{self, Layer, Trainable};
use super::nested::Nested;
use super::network::{CHAIN, FUNCTIONAL};
use super::optimizer::{self, Optimizer, Options};
use super::{Config, FromSetting, KerasObject, Loss, Metric, Setting};
use crate::error::{Error, Result};

/// Makes what a class stands for, with the settings that it takes out of the config.
type Make<'a, T> = Box<dyn Fn(&mut Config) -> Result<Box<T>> + 'a>;

/// Layers, optimizers, losses and metrics that are not Kiln's, by class or name: see [`crate::nn::Model::load_with`].
///
/// ```
/// use kiln::nn::CustomObjects;
/// use kiln::ops::binary::Binary;
/// use kiln::prelude::*;
/// let quartic = || Loss::custom("quartic", |g, predicted, targets| {
///     let error = g.apply(Binary::Sub, &[predicted, targets])?;
///     let four = g.fill(4.0, []);
///     let power = g.apply(Binary::Pow, &[error, four])?;
///     g.reduce(kiln::graph::Aggregation::Mean, power, Some(&[-1]), false)
/// });
/// let mut model = Sequential::new().add(Input::new([1])).add(Dense::new(1)).device(Device::cpu());
/// model.compile("sgd", quartic(), [])?;
/// let bytes = model.to_bytes()?;
/// let again = Sequential::from_bytes_with(bytes, &CustomObjects::new().loss(quartic()))?;
/// assert_eq!(again.loss(), Some(quartic()));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Default)]
pub struct CustomObjects<'a> {
    layers: Vec<(String, Make<'a, dyn Layer>)>,
    optimizers: Vec<(String, Make<'a, dyn Optimizer>)>,
    losses: Vec<Loss>,
    metrics: Vec<Metric>,
}

/// What is done about a class of one's own.
const LOAD_WITH: &str =
    "load it by load_with and CustomObjects that have it, or build the model in code and call load_weights";

impl<'a> CustomObjects<'a> {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer: `make` gives the one whose [`Layer::config`] it is given.
    #[must_use]
    pub fn layer<L: Layer + 'static>(
        mut self,
        class: impl Into<String>,
        make: impl Fn(&mut Config) -> Result<L> + 'a,
    ) -> Self {
        self.layers.push((class.into(), Box::new(move |config| Ok(Box::new(make(config)?)))));
        self
    }

    /// Adds an optimizer: `make` gives the one whose [`Optimizer::config`] it is given.
    #[must_use]
    pub fn optimizer<O: Optimizer + 'static>(
        mut self,
        class: impl Into<String>,
        make: impl Fn(&mut Config) -> Result<O> + 'a,
    ) -> Self {
        self.optimizers.push((class.into(), Box::new(move |config| Ok(Box::new(make(config)?)))));
        self
    }

    /// Adds a loss of [`Loss::custom`], which a model may have as a metric, too.
    #[must_use]
    pub fn loss(mut self, loss: Loss) -> Self {
        self.losses.push(loss);
        self
    }

    /// Adds a metric of [`Metric::custom`].
    #[must_use]
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metrics.push(metric);
        self
    }

    pub(crate) fn make_metric(&self, setting: &Setting) -> Result<Metric, String> {
        let losses = self.losses.iter().map(|&loss| Metric::Loss(loss));
        plain(setting, self.metrics.iter().copied().chain(losses), Metric::name, Metric::by_name)
    }

    pub(crate) fn make_loss(&self, setting: &Setting) -> Result<Loss, String> {
        plain(setting, self.losses.iter().copied(), Loss::name, Loss::by_name)
    }

    pub(crate) fn make_layer(&self, setting: &Setting) -> Result<Arc<dyn Layer>> {
        let mut config: Config = setting.read().map_err(|e| Error::argument("layer", e))?;
        let trainable = config.take_or(layers::TRAINABLE, None)?;
        let layer: Arc<dyn Layer> = match config.class() {
            CHAIN | FUNCTIONAL => {
                let nested = Nested::take(&mut config, self)?;
                config.end()?;
                Arc::new(nested)
            }
            _ => made("layer", config, &self.layers, layers::from_config)?.into(),
        };
        Ok(match trainable {
            Some(trainable) => Arc::new(Trainable::around(layer, trainable)),
            None => layer,
        })
    }

    /// The name under which one's own classes and functions have what Keras serialized: the one that Keras registered it by,
    /// `package>Class`, or what stands behind the package.
    pub(crate) fn name_of<'o>(&self, object: &'o KerasObject) -> Option<&'o str> {
        let layers = self.layers.iter().map(|(class, _)| class.as_str());
        let optimizers = self.optimizers.iter().map(|(class, _)| class.as_str());
        let functions =
            self.losses.iter().map(|loss| loss.name()).chain(self.metrics.iter().map(|metric| metric.name()));
        let known: Vec<&str> = layers.chain(optimizers).chain(functions).collect();
        let registered = object.registered_name().unwrap_or_default();
        let class = object.name_of_class();
        if object.is_of_keras() && !registered.contains('>') && !class.contains('>') {
            return None;
        }
        let short = |name: &'o str| name.rsplit_once('>').map_or(name, |(_, short)| short);
        [registered, short(registered), class, short(class)].into_iter().find(|name| known.contains(name))
    }

    /// What Keras serialized as a setting of Kiln's: that of a class or function of one's own, or else what `of_keras` makes of it.
    pub(crate) fn keras_setting(
        &self,
        setting: &Setting,
        of_keras: impl FnOnce(&Setting) -> Result<Setting, String>,
    ) -> Result<Setting, String> {
        if let Ok(object) = setting.read::<KerasObject>()
            && let Some(name) = self.name_of(&object)
        {
            return Ok(Config::new(name).with_all(object.own_settings()).into());
        }
        of_keras(setting)
    }

    /// The layer that Keras serialized, if it is of a class of one's own.
    pub(crate) fn keras_layer(&self, object: &KerasObject) -> Option<Result<Arc<dyn Layer>>> {
        let name = self.name_of(object)?;
        let (_, make) = self.layers.iter().find(|(class, _)| class == name)?;
        let mut config = Config::new(name).with_all(object.own_settings());
        let made = make(&mut config).and_then(|layer| config.end().map(|()| layer));
        Some(made.map(|layer| {
            let layer: Arc<dyn Layer> = layer.into();
            if object.is_trainable() { layer } else { Arc::new(Trainable::around(layer, false)) }
        }))
    }

    pub(crate) fn make_optimizer(&self, setting: &Setting) -> Result<Box<dyn Optimizer>> {
        let mut config: Config = setting.read().map_err(|e| Error::argument("optimizer", e))?;
        let options = Options::take(&mut config)?;
        let made = made("optimizer", config, &self.optimizers, optimizer::from_config)?;
        Ok(options.applied_to(made))
    }
}

/// A loss or a metric: one of the user's by its name, else one of Kiln's.
fn plain<T: Copy + FromSetting>(
    setting: &Setting,
    mut own: impl Iterator<Item = T>,
    name: fn(T) -> &'static str,
    by_name: fn(&str) -> Result<T>,
) -> Result<T, String> {
    let config: Config = setting.read()?;
    match own.find(|&one| name(one) == config.class()) {
        Some(one) => config.end().map(|()| one).map_err(|e| e.to_string()),
        None => match by_name(config.class()) {
            Ok(_) => setting.read(),
            Err(e) => Err(format!("{e}; if it is one of your own, {LOAD_WITH}")),
        },
    }
}

/// By the user's classes, else by Kiln's.
fn made<T: ?Sized>(
    what: &str,
    mut config: Config,
    own: &[(String, Make<'_, T>)],
    known: impl Fn(&mut Config) -> Result<Option<Box<T>>>,
) -> Result<Box<T>> {
    let made = match own.iter().find(|(class, _)| class == config.class()) {
        Some((_, make)) => Some(make(&mut config)?),
        None => known(&mut config)?,
    };
    let unknown = || Error::argument(what, format!("its class {:?} is not Kiln's; {LOAD_WITH}", config.class()));
    let made = made.ok_or_else(unknown)?;
    config.end()?;
    Ok(made)
}

impl fmt::Debug for CustomObjects<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = self.layers.iter().map(|(class, _)| class);
        let optimizers = self.optimizers.iter().map(|(class, _)| class);
        let classes = layers.chain(optimizers).map(String::as_str);
        let plain = self.losses.iter().map(|loss| loss.name()).chain(self.metrics.iter().map(|metric| metric.name()));
        f.debug_set().entries(classes.chain(plain)).finish()
    }
}
