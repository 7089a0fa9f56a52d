//! Optimizers, losses and metrics as Keras serializes them, from what Kiln's own files have.

use super::KerasObject;
use crate::nn::schedule::{CONSTANT, SCHEDULED};
use crate::nn::{Config, FromSetting, Setting};

/// Kiln's classes of optimizers and Keras'.
const OPTIMIZERS: [(&str, &str); 8] = [
    ("sgd", "SGD"),
    ("rmsprop", "RMSprop"),
    ("adam", "Adam"),
    ("adagrad", "Adagrad"),
    ("adadelta", "Adadelta"),
    ("adamax", "Adamax"),
    ("nadam", "Nadam"),
    ("lion", "Lion"),
];

/// Settings that every optimizer of Keras' has, by Kiln's names and Keras', and what they are where Kiln's file has none.
const OPTIONS: [(&str, &str, Setting); 9] = [
    ("weight_decay", "weight_decay", Setting::Null),
    ("clip_norm", "clipnorm", Setting::Null),
    ("global_clip_norm", "global_clipnorm", Setting::Null),
    ("clip_value", "clipvalue", Setting::Null),
    ("use_ema", "use_ema", Setting::Bool(false)),
    ("ema_momentum", "ema_momentum", Setting::Float(0.99)),
    ("ema_overwrite_frequency", "ema_overwrite_frequency", Setting::Null),
    ("loss_scale_factor", "loss_scale_factor", Setting::Null),
    ("gradient_accumulation_steps", "gradient_accumulation_steps", Setting::Null),
];

/// The settings of a config by name.
fn settings(config: Config) -> Vec<(String, Setting)> {
    match Setting::from(config) {
        Setting::Map(settings) => settings.into_iter().filter(|(name, _)| name != "class").collect(),
        _ => Vec::new(),
    }
}

/// The optimizer of a config.
pub(crate) fn optimizer(config: &Config) -> Result<KerasObject, String> {
    let mut config = config.clone();
    let mut rate = None;
    if config.class() == SCHEDULED {
        rate = Some(schedule(taken(&mut config, "schedule")?));
        config = taken(&mut config, "optimizer")?;
    }
    let found = OPTIMIZERS.iter().find(|(kiln, _)| *kiln == config.class());
    let (_, class) = found.ok_or_else(|| format!("the optimizer {:?} is none of Keras'", config.class()))?;
    let own = settings(config);
    if own.iter().any(|(name, _)| name == "exclude_from_weight_decay") {
        return Err("Keras' files do not keep exclude_from_weight_decay; leave it out before the model is saved".into());
    }
    let given = |name: &str| own.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let rate = rate.or_else(|| given("learning_rate")).unwrap_or(Setting::Null);
    let object =
        KerasObject::new("keras.optimizers", *class).with("name", class.to_lowercase()).with("learning_rate", rate);
    let object = OPTIONS.iter().fold(object, |object, (kiln, keras, default)| {
        let value = given(kiln).filter(|value| *value != Setting::Float(0.0));
        object.with(keras, value.unwrap_or_else(|| default.clone()))
    });
    let is_own =
        |(name, _): &&(String, Setting)| name != "learning_rate" && OPTIONS.iter().all(|(kiln, _, _)| kiln != name);
    Ok(object.with_all(own.iter().filter(is_own).cloned()))
}

fn taken<T: FromSetting>(config: &mut Config, name: &str) -> Result<T, String> {
    config.take(name).map_err(|e| e.to_string())
}

fn schedule(config: Config) -> Setting {
    let class = config.class().to_string();
    let mut own = settings(config);
    if class == CONSTANT {
        return own.pop().map_or(Setting::Null, |(_, rate)| rate);
    }
    KerasObject::new("keras.optimizers.schedules", class.clone()).with_all(own).with("name", class).into()
}

/// The loss of a config: its name, where that says all.
pub(crate) fn loss(config: Config) -> Setting {
    let (name, is_of_scores, own) = measured(config);
    if own.is_empty() && !is_of_scores {
        return name.into();
    }
    let object = KerasObject::new("keras.losses", class(&name)).with("name", name);
    let object = if is_of_scores { object.with("from_logits", true) } else { object };
    object.with_all(own).into()
}

/// The metric of a config.
pub(crate) fn metric(config: Config) -> Result<Setting, String> {
    let (name, is_of_scores, own) = measured(config);
    if own.is_empty() && !is_of_scores {
        return Ok(name.into());
    }
    if name == "huber" {
        return Err("Keras has no metric huber of another delta than 1".into());
    }
    let renamed = own.into_iter().map(|(key, value)| match key.as_str() {
        "threshold" if ["precision", "recall"].contains(&name.as_str()) => ("thresholds".to_string(), value),
        _ => (key, value),
    });
    let object = KerasObject::new("keras.metrics", class(&name)).with("name", name.as_str());
    let object = if is_of_scores { object.with("from_logits", true) } else { object };
    Ok(object.with_all(renamed).into())
}

/// A name without what says that it is of scores, whether that was said, and the settings that say something.
fn measured(config: Config) -> (String, bool, Vec<(String, Setting)>) {
    let name = config.class().to_string();
    let (name, is_of_scores) = match name.strip_suffix("_from_logits") {
        Some(name) => (name.to_string(), true),
        None => (name, false),
    };
    let says = |(key, value): &(String, Setting)| {
        let default = match key.as_str() {
            "label_smoothing" => Setting::Float(0.0),
            "delta" => Setting::Float(1.0),
            _ => Setting::Null,
        };
        *value != default
    };
    (name, is_of_scores, settings(config).into_iter().filter(says).collect())
}

/// The class of a name: `F1Score` of `f1_score`.
fn class(name: &str) -> String {
    match name {
        "auc" => return "AUC".into(),
        "kl_divergence" => return "KLDivergence".into(),
        _ => {}
    }
    let word = |word: &str| {
        let (first, rest) = word.split_at(1);
        format!("{}{rest}", first.to_uppercase())
    };
    name.split('_').filter(|part| !part.is_empty()).map(word).collect()
}
