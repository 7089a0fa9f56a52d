//! Models of what Keras says of them in JSON.

use super::Model;
use crate::config::Setting;
use crate::error::{Error, Result};
use crate::io::json;
use crate::nn::keras::training;
use crate::nn::network::Network;
use crate::nn::optimizer::Optimizer;
use crate::nn::{CustomObjects, KerasObject, Metric, Objective};

impl Model {
    /// The model that Keras' `model.to_json()` described: layers and, where it was compiled, optimizer, loss and metrics; its weights
    /// are new.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let described = Sequential::new().add(Input::new([3])).add(Dense::new(2)).to_json()?;
    /// let model = Model::from_json(&described)?;
    /// assert_eq!(model.summary()?.parameters(), 8);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] that says what is no JSON, or which layer Kiln lacks.
    pub fn from_json(json: &str) -> Result<Self> {
        let read = || Self::of_keras(json::parse_of_keras(json)?, &CustomObjects::new());
        read().map_err(|e| Error::argument("json", e))
    }

    /// The model as Keras' `model_from_json` takes it: its layers, without weights and without what it was compiled with.
    ///
    /// # Errors
    /// [`Error::Argument`] that names a layer that Keras has nothing like.
    pub fn to_json(&self) -> Result<String> {
        Ok(self.network.keras(&self.about.name)?.to_json())
    }

    /// The model that Keras serialized, without its weights. What it was compiled with and Kiln lacks leaves it not compiled, which
    /// [`Model::fit`] then says.
    pub(super) fn of_keras(setting: Setting, custom: &CustomObjects<'_>) -> Result<Self, String> {
        let mut object = KerasObject::of(setting)?;
        let network = Network::of_keras(&mut object, custom)?;
        let name = if object.name().is_empty() { "model" } else { object.name() };
        let mut model = Self::of_network(name, network);
        match object.get_beside("compile_config") {
            None | Some(Setting::Null) => {}
            Some(config) if config.get("optimizer").is_none() => {}
            Some(config) => {
                if let Err(why) = model.compile_as(config, custom) {
                    model.uncompiled = Some(why);
                }
            }
        }
        Ok(model)
    }

    fn compile_as(&mut self, config: &Setting, custom: &CustomObjects<'_>) -> Result<(), String> {
        let given = |key: &str| config.get(key).filter(|value| **value != Setting::Null);
        let optimizer = given("optimizer").ok_or("it was compiled without an optimizer")?;
        let optimizer =
            custom.keras_setting(optimizer, training::optimizer).map_err(|e| format!("its optimizer {e}"))?;
        let optimizer: Box<dyn Optimizer> = custom.make_optimizer(&optimizer).map_err(|e| e.to_string())?;
        if given("weighted_metrics").is_some() {
            return Err("it was compiled with weighted_metrics; Kiln has metrics alone".into());
        }
        let outputs = self.network.output_names();
        let losses = each(given("loss"), &outputs, "loss")?;
        let metrics = match given("metrics") {
            // A list for the one output that there is.
            Some(list @ Setting::List(_)) if outputs.len() == 1 => vec![Some(list)],
            other => each(other, &outputs, "metrics")?,
        };
        let weights = each(given("loss_weights"), &outputs, "loss_weights")?;
        let mut objectives = Vec::new();
        for (output, ((loss, metrics), weight)) in outputs.iter().zip(losses.into_iter().zip(metrics).zip(weights)) {
            let objective = objective([loss, metrics, weight], custom);
            objectives.push(objective.map_err(|e| format!("of its output {output:?}, {e}"))?);
        }
        self.set_compiled(optimizer, objectives).map_err(|e| e.to_string())
    }
}

/// What is given for each output: for all of them, by their names, or in their order.
fn each<'s>(given: Option<&'s Setting>, outputs: &[String], what: &str) -> Result<Vec<Option<&'s Setting>>, String> {
    let is_object = |value: &Setting| value.get("class_name").is_some();
    Ok(match given {
        None => vec![None; outputs.len()],
        Some(Setting::Map(named)) if !is_object(given.expect("given")) => {
            if let Some((name, _)) = named.iter().find(|(name, _)| !outputs.contains(name)) {
                return Err(format!("its {what} are for an output {}", crate::suggest::unknown(name, outputs)));
            }
            let of = |name: &String| named.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            outputs.iter().map(of).collect()
        }
        Some(Setting::List(several)) => {
            if several.len() != outputs.len() {
                return Err(format!("its {what} are {} for {} outputs", several.len(), outputs.len()));
            }
            several.iter().map(Some).collect()
        }
        Some(one) => vec![Some(one); outputs.len()],
    })
}

/// What an output is trained for: its loss, its metrics, its loss' weight.
fn objective([loss, metrics, weight]: [Option<&Setting>; 3], custom: &CustomObjects<'_>) -> Result<Objective, String> {
    let loss = loss.filter(|loss| **loss != Setting::Null).ok_or("it was compiled without a loss")?;
    let made = custom.keras_setting(loss, training::loss).and_then(|loss| custom.make_loss(&loss));
    let loss = made.map_err(|e| format!("the loss {e}"))?;
    let metrics = match metrics {
        None | Some(Setting::Null) => &[],
        Some(Setting::List(several)) => &several[..],
        Some(one) => std::slice::from_ref(one),
    };
    let made = |metric: &Setting| -> Result<Metric, String> {
        let made = custom.keras_setting(metric, training::metric).and_then(|metric| custom.make_metric(&metric));
        made.map_err(|e| format!("the metric {e}"))
    };
    let metrics = metrics.iter().map(made).collect::<Result<Vec<_>, _>>()?;
    let objective = Objective::new(loss).metrics(metrics);
    Ok(match weight {
        None | Some(Setting::Null) => objective,
        Some(weight) => objective.loss_weight(weight.read().map_err(|e: String| format!("the loss' weight: {e}"))?),
    })
}
