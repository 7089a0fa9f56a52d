//! Layers from what Keras serializes: Kiln's layer of the class is made of the settings, and what it serializes as is compared with
//! what was read, so that no setting is dropped without a word.

use std::sync::Arc;

use super::{KerasObject, same};
use crate::nn::layers::{self, Layer, TRAINABLE};
use crate::nn::network::snake_case;
use crate::nn::{Config, Setting};

/// Settings that every layer has, which are no arguments of its class.
const COMMON: [&str; 3] = ["name", TRAINABLE, "dtype"];

/// Layers that have one axis or several.
const AXES: [&str; 4] = ["LayerNormalization", "RMSNormalization", "UnitNormalization", "Normalization"];

impl KerasObject {
    /// The layer that it stands for, with the settings `told` beside those of the object: what Keras tells at a call and Kiln in a
    /// layer. A network is none of these.
    pub(crate) fn to_layer(&self, told: &[(&str, Setting)]) -> Result<Arc<dyn Layer>, String> {
        self.check_code()?;
        self.check_dtype()?;
        let mut config = self.to_config()?.with_all(told.iter().cloned());
        let made = layers::from_config(&mut config).map_err(|e| e.to_string())?;
        let layer = made.ok_or_else(|| format!("{} is none of Kiln's layers", self.class_name))?;
        if self.to_activation()?.is_none() {
            let again = layer.keras(self.name()).map_err(|e| e.to_string())?;
            match same::difference(self, &again) {
                Some(difference) => return Err(difference),
                None => config_end(&config, told)?,
            }
        }
        let layer: Arc<dyn Layer> = layer.into();
        Ok(if self.is_trainable() { layer } else { Arc::new(layers::Trainable::around(layer, false)) })
    }

    /// The name in its config, or none.
    pub(crate) fn name(&self) -> &str {
        match self.get("name") {
            Some(Setting::Text(name)) => name,
            _ => "",
        }
    }

    /// Whether its weights are trained, as it says.
    pub(crate) fn is_trainable(&self) -> bool {
        self.get(TRAINABLE) != Some(&Setting::Bool(false))
    }

    /// Its settings without those that every layer has: what a layer of somebody's own is made with.
    pub(crate) fn own_settings(&self) -> impl Iterator<Item = (&str, Setting)> {
        let is_own = |(key, _): &&(String, Setting)| {
            !COMMON.contains(&key.as_str()) && !["class", FUNCTION].contains(&key.as_str())
        };
        self.config.iter().filter(is_own).map(|(key, value)| (key.as_str(), value.clone()))
    }

    /// Whether it is of one of Keras' modules, by what it says.
    pub(crate) fn is_of_keras(&self) -> bool {
        self.module == "keras" || self.module.starts_with("keras.")
    }

    /// The name of the class, or of the function that it is.
    pub(crate) fn name_of_class(&self) -> &str {
        match self.get(FUNCTION) {
            Some(Setting::Text(function)) => function,
            _ => &self.class_name,
        }
    }

    /// That it is a class of Keras', and holds no program.
    pub(crate) fn check_code(&self) -> Result<(), String> {
        if ["Lambda", "__lambda__"].contains(&self.class_name.as_str()) {
            return Err(format!("is a {}, which holds a Python program; Kiln runs none", self.class_name));
        }
        match self.registered_name.as_deref().filter(|name| name.contains('>')) {
            Some(name) => Err(format!("is {name}, a class of somebody's own, whose program no file has")),
            None if self.is_of_keras() && !self.module.contains(".ops.") => Ok(()),
            None => Err(format!("is {} of {}, which Kiln has no layer for", self.class_name, self.module)),
        }
    }

    fn check_dtype(&self) -> Result<(), String> {
        let policy = match self.get("dtype") {
            Some(Setting::Map(_)) => self.get("dtype").and_then(|dtype| dtype.get("config")?.get("name")),
            other => other,
        };
        match policy {
            None | Some(Setting::Null) => Ok(()),
            Some(Setting::Text(name)) if name == "float32" => Ok(()),
            Some(other) => Err(format!("computes in {}; Kiln's layers compute in float32", same::shown(other))),
        }
    }

    /// The object as a class with settings, as Kiln's own files have them.
    fn to_config(&self) -> Result<Config, String> {
        if let Some(activation) = self.to_activation()? {
            return Ok(Config::new("Activation").with("activation", activation));
        }
        let mut config = Config::new(self.class_name.clone());
        // What is not given has Kiln's default, which is compared later; what is free may have any.
        let is_given =
            |(key, value): &&(String, Setting)| *value != Setting::Null && !same::FREE.contains(&key.as_str());
        for (key, value) in self.config.iter().filter(is_given) {
            // A setting of this name would stand in the place of the class.
            if key == "class" {
                return Err("has a setting \"class\", which none of Keras' layers has".into());
            }
            match (key.as_str(), value) {
                // Kiln's recurrent layers know the rows whose states they keep.
                ("stateful", Setting::Bool(false)) => {}
                // Of axes Kiln has lists.
                ("axis", axis @ Setting::Int(_)) if AXES.contains(&config.class()) => {
                    config = config.with("axis", Setting::List(vec![axis.clone()]));
                }
                ("axes", axis @ Setting::Int(_)) => config = config.with("axes", Setting::List(vec![axis.clone(); 2])),
                ("stateful", _) => config = config.with("stateful", self.rows()?),
                _ => config = config.with(key, setting(value).map_err(|e| format!("its {key} {e}"))?),
            }
        }
        // Null says something here.
        Ok(match self.get("merge_mode") {
            Some(Setting::Null) => config.with("merge_mode", "none"),
            _ => config,
        })
    }

    /// The rows of the batches that it was built for.
    fn rows(&self) -> Result<Setting, String> {
        let shape = self.get_beside("build_config").and_then(|built| built.get("input_shape"));
        match shape {
            Some(Setting::List(shape)) => match shape.first() {
                Some(rows @ Setting::Int(_)) => Ok(rows.clone()),
                _ => Err("is stateful for batches of any size; give the size in Keras, by the batch_shape".into()),
            },
            _ => Err("is stateful, and the file does not say for how many rows".into()),
        }
    }

    /// The activation that it is, where it is a layer that is one.
    fn to_activation(&self) -> Result<Option<Setting>, String> {
        let number = |key: &str, default: f64| match self.get(key) {
            None | Some(Setting::Null) => Ok(default),
            Some(value) => value.read::<f64>().map_err(|e| format!("its {key}: {e}")),
        };
        Ok(Some(match self.class_name.as_str() {
            "ReLU" => {
                let (most, slope) = (number("max_value", f64::INFINITY)?, number("negative_slope", 0.0)?);
                match (most, slope, number("threshold", 0.0)?) {
                    (f64::INFINITY, 0.0, 0.0) => "relu".into(),
                    (6.0, 0.0, 0.0) => "relu6".into(),
                    (f64::INFINITY, _, 0.0) => leaky_relu(slope),
                    _ => return Err("is a ReLU of a max_value or threshold, which no activation of Kiln's has".into()),
                }
            }
            "LeakyReLU" => leaky_relu(number("negative_slope", 0.3)?),
            "ELU" => Config::new("elu").with("alpha", number("alpha", 1.0)?).into(),
            "Softmax" => match self.get("axis") {
                None | Some(Setting::Int(-1)) => "softmax".into(),
                Some(axis) => {
                    return Err(format!("is a Softmax of axis {}; Kiln's is of the last, -1", same::shown(axis)));
                }
            },
            _ => return Ok(None),
        }))
    }
}

fn leaky_relu(negative_slope: f64) -> Setting {
    Config::new("leaky_relu").with("negative_slope", negative_slope).into()
}

/// That what was told beside the object was taken. What is left of the object itself was compared already.
fn config_end(config: &Config, told: &[(&str, Setting)]) -> Result<(), String> {
    let left = |key: &&(&str, Setting)| config.clone().take_or(key.0, None::<Setting>).is_ok_and(|left| left.is_some());
    match told.iter().find(left) {
        Some((key, _)) => Err(format!("is told {key}, which Kiln's {} does not know", config.class())),
        None => Ok(()),
    }
}

/// A setting of Keras' as Kiln's own files have it.
fn setting(value: &Setting) -> Result<Setting, String> {
    Ok(match value {
        // A lambda among a layer's settings is its marshalled program alone.
        Setting::Map(_) if value.get("class_name").is_none() && value.get("value").is_some() => {
            return Err("is a lambda, which holds a Python program; Kiln runs none".into());
        }
        Setting::Map(_) => object(&value.read()?)?,
        Setting::List(values) => Setting::List(values.iter().map(setting).collect::<Result<_, _>>()?),
        plain => plain.clone(),
    })
}

/// An object within a layer's settings as Kiln's own files have it.
fn object(object: &KerasObject) -> Result<Setting, String> {
    if object.class_name == "function" {
        return match object.get(FUNCTION) {
            Some(name @ Setting::Text(_)) if object.registered_name.as_deref().is_none_or(|n| !n.contains('>')) => {
                Ok(name.clone())
            }
            _ => Err("is a function of somebody's own, whose program no file has".into()),
        };
    }
    object.check_code()?;
    let is_given =
        |(key, value): &&(String, Setting)| *value != Setting::Null && key != "seed" && !COMMON.contains(&key.as_str());
    let given = || object.config.iter().filter(is_given).map(|(key, value)| (key.as_str(), value.clone()));
    Ok(match object.module.rsplit('.').next() {
        _ if object.module.contains("initializers") => {
            Config::new(snake_case(&object.class_name)).with_all(named(given())?).into()
        }
        _ if object.module.contains("regularizers") => {
            if !["L1", "L2", "L1L2"].contains(&object.class_name.as_str()) {
                return Err(format!("is {}, none of Kiln's; L1, L2 and L1L2 are", object.class_name));
            }
            Config::new("L1L2").with_all(named(given())?).into()
        }
        _ if object.module.contains("constraints") => {
            let renamed = named(given())?.into_iter().map(|(key, value)| match (key, value) {
                ("axis", axes @ Setting::List(_)) => ("axes", axes),
                ("axis", axis) => ("axes", Setting::List(vec![axis])),
                other => other,
            });
            Config::new(object.class_name.clone()).with_all(renamed).into()
        }
        _ => match object.to_activation()? {
            Some(activation) => activation,
            None => object.to_config()?.into(),
        },
    })
}

/// Settings of which none stands in the place of the class.
fn named<'a>(given: impl Iterator<Item = (&'a str, Setting)>) -> Result<Vec<(&'a str, Setting)>, String> {
    let given: Vec<_> = given.collect();
    if given.iter().any(|(key, _)| *key == "class") { Err("has a setting \"class\"".into()) } else { Ok(given) }
}

/// Where the name of a function stands.
pub(super) const FUNCTION: &str = "";
