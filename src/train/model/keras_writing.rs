//! Models as Keras' own files.

use std::path::Path;

use super::{Model, definition};
use crate::config::Setting;
use crate::error::{Error, Result};
use crate::io::hdf5;
use crate::io::json;
use crate::io::keras::Archive;
use crate::nn::keras::compiled;
use crate::nn::optimizer::{self, Optimizer};
use crate::nn::schedule::SCHEDULED;
use crate::nn::{Config, Configured, Objective, Parameter};
use crate::tensor::Tensor;
use crate::train::model::keras_file::VARIABLES;
use crate::train::model::saving::{Loaded, beside, described};

/// The version of Keras whose files these are.
const KERAS: &str = "3.15.1";
/// The key in the metadata of what Keras has no place for, which Kiln takes out of it again.
pub(super) const OWN: &str = "kiln";

impl Model {
    /// The bytes of a `.keras`: what [`Model::save`] writes under such a name.
    pub(super) async fn archive(&mut self, path: &Path) -> Result<Vec<u8>> {
        if self.reached.averaged {
            let message = "has the averages of its weights for weights, and the weights themselves beside them, of which a .keras \
                           keeps one; save it as .safetensors";
            return Err(self.error(message));
        }
        self.check_saved()?;
        let tensors = self.tensors().await?;
        let built = self.built()?;
        let model = definition(&self.about, &self.network, built, self.compiled.as_ref());
        let mut object = described(&model)?;
        if let Some(compiled) = &self.compiled {
            let config = compile_config(&*compiled.optimizer, &compiled.objectives).map_err(|e| self.error(e))?;
            object = object.with_beside("compile_config", config);
        }
        let iteration = self.reached.iteration;
        let optimizer = self.optimizer();
        let variables =
            self.network.keras_variables(&built.parameters).into_iter().zip(tensors.weights.iter().cloned());
        let mut variables: Vec<(String, Tensor)> = variables.collect();
        if let Some(optimizer) = optimizer {
            variables.extend(state(optimizer, &built.parameters, &tensors, iteration)?);
        }
        let own: Setting = beside(Config::new(OWN), &model, &self.reached).into();
        let metadata = [("keras_version", Setting::from(KERAS)), ("date_saved", "".into()), (OWN, own)];
        let metadata = metadata.map(|(key, value)| (key.to_string(), value));
        let archive = Archive {
            config: object.to_json(),
            metadata: json::write(&Setting::Map(metadata.into())),
            weights: hdf5::pack(&variables).map_err(|e| Error::format(path, e))?,
        };
        archive.pack().map_err(|e| Error::format(path, e))
    }

    /// The bytes of a `.weights.h5`.
    pub(super) async fn variables_file(&mut self, path: &Path) -> Result<Vec<u8>> {
        let weights = self.open().await?.weights().await?;
        let paths = self.network.keras_variables(&self.built()?.parameters);
        let variables: Vec<(String, Tensor)> = paths.into_iter().zip(weights).collect();
        hdf5::pack(&variables).map_err(|e| Error::format(path, e))
    }
}

/// What a model was compiled with, as Keras keeps it.
fn compile_config(optimizer: &dyn Optimizer, objectives: &[Objective]) -> Result<Setting, String> {
    let losses: Vec<Setting> = objectives.iter().map(|objective| compiled::loss(objective.loss.config())).collect();
    let metrics = objectives.iter().map(|objective| {
        let metrics = objective.metrics.iter().map(|metric| compiled::metric(metric.config()));
        Ok(Setting::List(metrics.collect::<Result<_, String>>()?))
    });
    let metrics = metrics.collect::<Result<Vec<Setting>, String>>()?;
    let weights: Vec<f64> = objectives.iter().map(|objective| objective.loss_weight).collect();
    let weights = if weights.iter().all(|&weight| weight == 1.0) { Setting::Null } else { weights.into() };
    let of_one = |mut all: Vec<Setting>| if all.len() == 1 { all.remove(0) } else { Setting::List(all) };
    let entries = [
        ("optimizer", compiled::optimizer(&optimizer.config())?.into()),
        ("loss", of_one(losses)),
        ("loss_weights", weights),
        ("metrics", of_one(metrics)),
    ];
    Ok(Setting::Map(entries.map(|(key, value)| (key.to_string(), value)).into()))
}

/// The variables of an optimizer, in Keras' order.
fn state(
    optimizer: &dyn Optimizer,
    parameters: &[Parameter],
    tensors: &Loaded,
    iteration: u64,
) -> Result<Vec<(String, Tensor)>> {
    let config = optimizer.config();
    // Keras counts steps in 32 bits.
    let steps = u32::try_from(iteration).map_err(|_| Error::argument("iteration", "is more than Keras counts"))?;
    let mut values = vec![Tensor::from(steps)];
    if config.class() != SCHEDULED {
        values.push(Tensor::from(optimizer.learning_rate() as f32));
    }
    for slot in optimizer::keras_slots(optimizer, parameters) {
        values.push(tensors.moments[slot.state][slot.parameter].clone());
    }
    if let Some(product) = optimizer::nadam_product(optimizer, iteration) {
        values.push(Tensor::from(product as f32));
    }
    Ok(values.into_iter().enumerate().map(|(i, value)| (format!("{VARIABLES}{i}"), value)).collect())
}
