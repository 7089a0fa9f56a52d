//! What Keras compiled a model with: optimizer, losses and metrics, as Kiln's own files have them.

use super::{KerasObject, layer, same};
use crate::nn::network::snake_case;
use crate::nn::schedule::SCHEDULED;
use crate::nn::{Config, Setting};

/// Settings of Keras' losses and metrics that mean nothing else than what Kiln does anyway.
const DEFAULTS: [(&str, Setting); 8] = [
    ("axis", Setting::Int(-1)),
    ("num_regressors", Setting::Int(0)),
    ("multi_label", Setting::Bool(false)),
    ("from_logits", Setting::Bool(false)),
    ("label_smoothing", Setting::Int(0)),
    ("label_smoothing", Setting::Float(0.0)),
    ("use_ema", Setting::Bool(false)),
    ("normalize", Setting::Bool(false)),
];

/// Whether a setting says nothing.
fn is_default(key: &str, value: &Setting) -> bool {
    *value == Setting::Null || DEFAULTS.iter().any(|(known, default)| *known == key && default == value)
}

/// The optimizer of an object of Keras', or of a name.
pub(crate) fn optimizer(setting: &Setting) -> Result<Setting, String> {
    if let Setting::Text(name) = setting {
        return Ok(name.to_lowercase().into());
    }
    let object: KerasObject = setting.read()?;
    object.check_code()?;
    let is_averaged = object.get("use_ema") == Some(&Setting::Bool(true));
    let (mut config, mut schedule) = (Config::new(object.class_name.to_lowercase()), None);
    for (key, value) in &object.config {
        let kiln = match key.as_str() {
            "name" | "class" => continue,
            "ema_momentum" | "ema_overwrite_frequency" if !is_averaged => continue,
            "clipnorm" => "clip_norm",
            "global_clipnorm" => "global_clip_norm",
            "clipvalue" => "clip_value",
            other => other,
        };
        match value {
            _ if is_default(key, value) => {}
            Setting::Map(_) if key == "learning_rate" => schedule = Some(value.read::<KerasObject>()?),
            plain => config = config.with(kiln, plain.clone()),
        }
    }
    let Some(schedule) = schedule else { return Ok(config.into()) };
    schedule.check_code()?;
    let settings = schedule.config.iter().filter(|(key, _)| !["name", "class"].contains(&key.as_str()));
    let schedule = Config::new(schedule.class_name.clone()).with_all(settings.cloned());
    Ok(Config::new(SCHEDULED).with("optimizer", config).with("schedule", schedule).into())
}

/// The loss of an object of Keras', or of a name.
pub(crate) fn loss(setting: &Setting) -> Result<Setting, String> {
    let Some(object) = object(setting)? else { return Ok(by_name(setting)) };
    match object.get("reduction") {
        None | Some(Setting::Null) => {}
        Some(Setting::Text(mean)) if ["sum_over_batch_size", "auto"].contains(&mean.as_str()) => {}
        Some(other) => {
            return Err(format!("is reduced by {}; Kiln's losses by sum_over_batch_size", same::shown(other)));
        }
    }
    measured(&object, "reduction")
}

/// The metric of an object of Keras', or of a name.
pub(crate) fn metric(setting: &Setting) -> Result<Setting, String> {
    let Some(object) = object(setting)? else { return Ok(by_name(setting)) };
    match object.get("summation_method") {
        None | Some(Setting::Null) => {}
        Some(Setting::Text(method)) if method == "interpolation" => {}
        Some(other) => return Err(format!("sums by {}; Kiln's auc by interpolation", same::shown(other))),
    }
    measured(&object, "summation_method")
}

/// An object, unless it is a name, or a function by its name.
fn object(setting: &Setting) -> Result<Option<KerasObject>, String> {
    match setting {
        Setting::Map(_) => setting.read().map(Some),
        _ => Ok(None),
    }
}

/// Keras knows losses and metrics by the names of their classes, too.
fn by_name(setting: &Setting) -> Setting {
    match setting {
        Setting::Text(name) if name.chars().any(char::is_uppercase) => snake_case(name).into(),
        other => other.clone(),
    }
}

/// A loss or a metric, without the setting that was looked at already.
fn measured(object: &KerasObject, seen: &str) -> Result<Setting, String> {
    object.check_code()?;
    if let Some(Setting::Text(function)) = object.get(layer::FUNCTION) {
        return Ok(function.as_str().into());
    }
    let mut name = snake_case(&object.class_name);
    let mut config = Vec::new();
    for (key, value) in &object.config {
        let key = key.as_str();
        if is_default(key, value) || ["name", "dtype", "class", seen].contains(&key) {
            continue;
        }
        match key {
            // Kiln's metric of scores has a setting for it, a loss a name.
            "from_logits" if name != "auc" => name.push_str("_from_logits"),
            "thresholds" => config.push(("threshold", value.clone())),
            key => config.push((key, value.clone())),
        }
    }
    Ok(Config::new(name).with_all(config).into())
}
