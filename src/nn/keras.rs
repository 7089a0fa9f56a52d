//! Layers and what they are made with as Keras serializes them:
//! <https://keras.io/api/models/model_saving_apis/serialization_utils/>.

#[cfg(feature = "keras")]
pub(crate) mod compiled;
mod layer;
mod same;
pub(crate) mod training;

use super::{FromSetting, Setting};
use crate::io::json;

/// Settings of an object, at most: they are looked for one after the other.
const MOST_SETTINGS: usize = 1000;

/// What `keras.saving.serialize_keras_object` makes of an object of Keras': its module, its class, and under Keras' keys the values
/// that its `get_config` gives. What Kiln has no setting for has Keras' default.
///
/// ```
/// use kiln::prelude::*;
/// let dense = Dense::new(3).activation(Activation::Relu).keras("hidden")?;
/// assert_eq!((dense.module(), dense.class_name()), ("keras.layers", "Dense"));
/// assert_eq!(dense.get("units"), Some(&3usize.into()));
/// assert!(dense.to_json().starts_with("{\"module\":\"keras.layers\",\"class_name\":\"Dense\",\"config\":{\"name\":\"hidden\""));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct KerasObject {
    module: String,
    class_name: String,
    config: Vec<(String, Setting)>,
    registered_name: Option<String>,
    /// What stands beside the config: how a layer was built, what a network calls it on.
    beside: Vec<(String, Setting)>,
}

impl KerasObject {
    /// One of a module, `keras.initializers`, with nothing in its config.
    pub fn new(module: impl Into<String>, class_name: impl Into<String>) -> Self {
        let (module, class_name) = (module.into(), class_name.into());
        Self { module, class_name, config: Vec::new(), registered_name: None, beside: Vec::new() }
    }

    /// One of `keras.layers`, with what every layer's config has: its name, that it is trained, and Keras' default type of numbers.
    pub fn layer(class_name: impl Into<String>, name: &str) -> Self {
        Self::of_layer("keras.layers", class_name, name)
    }

    /// [`KerasObject::layer`] of another module.
    pub(super) fn of_layer(module: &str, class_name: impl Into<String>, name: &str) -> Self {
        let policy = Self::new("keras", "DTypePolicy").with("name", "float32");
        Self::new(module, class_name).with("name", name).with("trainable", true).with("dtype", policy)
    }

    /// Under the name that Keras' registry has the class by: of one's own that is `package>Class`, as
    /// `keras.saving.register_keras_serializable` gives it.
    #[must_use]
    pub fn registered(self, name: &str) -> Self {
        Self { registered_name: Some(name.into()), ..self }
    }

    /// Adds an entry beside the config.
    pub(super) fn beside(mut self, key: &str, value: impl Into<Setting>) -> Self {
        self.beside.push((key.into(), value.into()));
        self
    }

    /// The same with another entry beside the config, in place of the one of this key.
    #[cfg(feature = "keras")]
    pub(crate) fn with_beside(mut self, key: &str, value: impl Into<Setting>) -> Self {
        self.beside.retain(|(known, _)| known != key);
        self.beside(key, value)
    }

    /// Adds an entry to the config, or replaces the one of this key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Setting>) -> Self {
        let value = value.into();
        match self.config.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = value,
            None => self.config.push((key.into(), value)),
        }
        self
    }

    /// Adds entries to the config by their keys, each as [`KerasObject::with`] does.
    #[must_use]
    pub fn with_all<K: AsRef<str>, V: Into<Setting>>(self, entries: impl IntoIterator<Item = (K, V)>) -> Self {
        entries.into_iter().fold(self, |object, (key, value)| object.with(key.as_ref(), value))
    }

    /// The module: `keras.layers`.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The class: `Dense`.
    pub fn class_name(&self) -> &str {
        &self.class_name
    }

    /// The name that Keras' registry has the class by, where it has one.
    pub fn registered_name(&self) -> Option<&str> {
        self.registered_name.as_deref()
    }

    /// What `get_config` has, in its order.
    pub fn config(&self) -> &[(String, Setting)] {
        &self.config
    }

    /// The config's value of a key.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.config.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// An entry that stands beside the config.
    pub(crate) fn get_beside(&self, key: &str) -> Option<&Setting> {
        self.beside.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// The whole object as JSON.
    pub fn to_json(&self) -> String {
        json::write(&self.clone().into())
    }
}

impl From<KerasObject> for Setting {
    fn from(object: KerasObject) -> Self {
        let mut entries = vec![
            ("module".into(), object.module.into()),
            ("class_name".into(), object.class_name.into()),
            ("config".into(), Self::Map(object.config)),
            ("registered_name".into(), object.registered_name.into()),
        ];
        entries.extend(object.beside);
        Self::Map(entries)
    }
}

/// What Keras serialized. Of a function the name stands in the config, under an empty key.
impl FromSetting for KerasObject {
    fn from_setting(setting: &Setting) -> Result<Self, String> {
        Self::of(setting.clone())
    }
}

impl KerasObject {
    /// What was serialized as this.
    pub(crate) fn of(setting: Setting) -> Result<Self, String> {
        let Setting::Map(entries) = setting else { return Err("is no object of Keras': it has no class_name".into()) };
        let (mut texts, mut given, mut beside) = ([None, None, None], None, Vec::new());
        for (key, value) in entries {
            match (key.as_str(), value) {
                ("config", value) => given = Some(value),
                ("module", Setting::Text(text)) => texts[0] = Some(text),
                ("class_name", Setting::Text(text)) => texts[1] = Some(text),
                ("registered_name", Setting::Text(text)) => texts[2] = Some(text),
                ("module" | "class_name" | "registered_name" | "shared_object_id", _) => {}
                (_, value) => beside.push((key, value)),
            }
        }
        if beside.len() > MOST_SETTINGS || matches!(&given, Some(Setting::Map(config)) if config.len() > MOST_SETTINGS)
        {
            return Err(format!("has more than {MOST_SETTINGS} settings, which no object of Keras' has"));
        }
        let [module, class_name, registered_name] = texts;
        let class_name = class_name.ok_or("is no object of Keras': it has no class_name")?;
        let config = match given {
            Some(Setting::Map(config)) => config,
            Some(Setting::Text(function)) => vec![(layer::FUNCTION.into(), function.into())],
            None | Some(Setting::Null) => Vec::new(),
            Some(_) => return Err(format!("is a {class_name} whose config is no group of settings")),
        };
        Ok(Self { module: module.unwrap_or_else(|| "keras".into()), class_name, config, registered_name, beside })
    }

    /// Takes the config's value of a key out of it.
    pub(super) fn take(&mut self, key: &str) -> Option<Setting> {
        let place = self.config.iter().position(|(known, _)| known == key)?;
        Some(self.config.swap_remove(place).1)
    }
}

/// The arguments of a call in Keras: those by place, whose names are empty, and those by name.
pub type Arguments = [Vec<(&'static str, Setting)>; 2];

/// Axes as Keras has them: one is a number, several are a list.
pub(super) fn axes(axes: &[isize]) -> Setting {
    match axes {
        [axis] => (*axis).into(),
        several => several.to_vec().into(),
    }
}
