//! What something of a model was made with, as a saved file keeps it: a class and its settings by name.

use crate::error::{Error, Result};

/// The value of a setting: what JSON has, with whole numbers and others apart.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Setting {
    /// No value.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Words.
    Text(String),
    /// Values in order.
    List(Vec<Setting>),
    /// Values by name, in the order in which they are written.
    Map(Vec<(String, Setting)>),
}

impl Setting {
    /// What a value that is not of the kind expected is called in errors.
    fn refused(&self, expected: &str) -> String {
        let found = match self {
            Self::Null => "null".into(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(text) => format!("{text:?}"),
            Self::List(_) => "a list".into(),
            Self::Map(_) => "a group of settings".into(),
        };
        format!("expected {expected}, found {found}")
    }

    /// What it stands for.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub(crate) fn read<T: FromSetting>(&self) -> Result<T, String> {
        T::from_setting(self)
    }

    /// The value of this name in a map.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// What is made from a [`Setting`].
pub trait FromSetting: Sized {
    /// The value.
    ///
    /// # Errors
    /// What was expected and what was found.
    fn from_setting(setting: &Setting) -> Result<Self, String>;
}

impl FromSetting for Setting {
    fn from_setting(setting: &Setting) -> Result<Self, String> {
        Ok(setting.clone())
    }
}

impl<T: Into<Self>> From<Option<T>> for Setting {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Null is none.
impl<T: FromSetting> FromSetting for Option<T> {
    fn from_setting(setting: &Setting) -> Result<Self, String> {
        if *setting == Setting::Null { Ok(None) } else { T::from_setting(setting).map(Some) }
    }
}

macro_rules! whole_numbers {
    ($($t:ty),*) => {$(
        impl From<$t> for Setting {
            fn from(value: $t) -> Self {
                // No number of these types is beyond i128.
                Self::Int(value as i128)
            }
        }

        impl FromSetting for $t {
            fn from_setting(setting: &Setting) -> Result<Self, String> {
                let refused = || setting.refused(&format!("a whole number from {} to {}", <$t>::MIN, <$t>::MAX));
                let Setting::Int(value) = setting else { return Err(refused()) };
                (*value).try_into().map_err(|_| refused())
            }
        }
    )*};
}
whole_numbers!(u32, usize, isize, u64);

impl From<bool> for Setting {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl FromSetting for bool {
    fn from_setting(setting: &Setting) -> Result<Self, String> {
        let Setting::Bool(value) = setting else { return Err(setting.refused("true or false")) };
        Ok(*value)
    }
}

impl From<f64> for Setting {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl FromSetting for f64 {
    fn from_setting(setting: &Setting) -> Result<Self, String> {
        match setting {
            Setting::Float(value) => Ok(*value),
            Setting::Int(value) => Ok(*value as Self),
            // As they are written, JSON having no numbers for them.
            Setting::Text(text) if ["inf", "-inf", "NaN"].contains(&text.as_str()) => {
                Ok(text.parse().expect("Rust reads what it writes"))
            }
            other => Err(other.refused("a number")),
        }
    }
}

impl From<&str> for Setting {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Setting {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl FromSetting for String {
    fn from_setting(setting: &Setting) -> Result<Self, String> {
        let Setting::Text(text) = setting else { return Err(setting.refused("text")) };
        Ok(text.clone())
    }
}

impl<T: Into<Self>> From<Vec<T>> for Setting {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: FromSetting> FromSetting for Vec<T> {
    fn from_setting(setting: &Setting) -> Result<Self, String> {
        let Setting::List(values) = setting else { return Err(setting.refused("a list")) };
        values.iter().map(T::from_setting).collect()
    }
}

/// Keras' names of an option's values.
macro_rules! named {
    ($type:ident: $($name:literal = $value:ident),*) => {
        impl From<$type> for $crate::config::Setting {
            fn from(value: $type) -> Self {
                match value { $($type::$value => $name,)* }.into()
            }
        }

        impl $crate::config::FromSetting for $type {
            fn from_setting(setting: &$crate::config::Setting) -> Result<Self, String> {
                match <String as $crate::config::FromSetting>::from_setting(setting)?.as_str() {
                    $($name => Ok(Self::$value),)*
                    other => Err($crate::suggest::unknown(other, &[$($name),*])),
                }
            }
        }
    };
}
pub(crate) use named;

/// A class and its settings. A class without settings is kept as its bare name.
///
/// ```
/// use kiln::nn::Config;
/// let mut config = Config::new("Scale").with("by", 0.5);
/// let by: f64 = config.take("by")?;
/// assert_eq!((config.class(), by), ("Scale", 0.5));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    class: String,
    settings: Vec<(String, Setting)>,
}

/// The key of the class among the settings.
const CLASS: &str = "class";

impl Config {
    /// A class without settings.
    pub fn new(class: impl Into<String>) -> Self {
        Self { class: class.into(), settings: Vec::new() }
    }

    /// The class.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Adds a setting, or replaces the one of this name.
    ///
    /// # Panics
    /// Where the name is `class`, which has a place of its own.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Setting>) -> Self {
        assert_ne!(name, CLASS, "the class has a place of its own");
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Adds settings by name, each as [`Config::with`] does.
    ///
    /// # Panics
    /// As [`Config::with`].
    #[must_use]
    pub fn with_all<K: AsRef<str>, V: Into<Setting>>(self, settings: impl IntoIterator<Item = (K, V)>) -> Self {
        settings.into_iter().fold(self, |config, (name, value)| config.with(name.as_ref(), value))
    }

    /// Takes a setting out.
    ///
    /// # Errors
    /// [`Error::Argument`] that names class and setting, where it is missing or of another kind.
    pub fn take<T: FromSetting>(&mut self, name: &str) -> Result<T> {
        match self.taken(name)? {
            Some(value) => Ok(value),
            None => Err(self.error(name, "is missing")),
        }
    }

    /// Takes a setting out; the default where it is missing.
    ///
    /// # Errors
    /// [`Error::Argument`] that names class and setting, where it is of another kind.
    pub fn take_or<T: FromSetting>(&mut self, name: &str, default: T) -> Result<T> {
        Ok(self.taken(name)?.unwrap_or(default))
    }

    fn taken<T: FromSetting>(&mut self, name: &str) -> Result<Option<T>> {
        let Some(at) = self.settings.iter().position(|(known, _)| known == name) else { return Ok(None) };
        let (_, setting) = self.settings.remove(at);
        T::from_setting(&setting).map(Some).map_err(|why| self.error(name, why))
    }

    fn error(&self, name: &str, message: impl Into<String>) -> Error {
        Error::argument(format!("setting {name:?} of {}", self.class), message)
    }

    /// That every setting was taken out: what this version does not know is not passed over.
    pub(crate) fn end(&self) -> Result<()> {
        match self.settings.first() {
            None => Ok(()),
            Some((name, _)) => Err(self.error(name, "is unknown; a later version of Kiln may know it")),
        }
    }
}

impl From<Config> for Setting {
    fn from(config: Config) -> Self {
        if config.settings.is_empty() {
            return Self::Text(config.class);
        }
        Self::Map([(CLASS.into(), Self::Text(config.class))].into_iter().chain(config.settings).collect())
    }
}

impl FromSetting for Config {
    fn from_setting(setting: &Setting) -> Result<Self, String> {
        if let Setting::Text(class) = setting {
            return Ok(Self::new(class.clone()));
        }
        let refused = || setting.refused("a class, alone or with settings");
        let Setting::Map(settings) = setting else { return Err(refused()) };
        let Some(Setting::Text(class)) = setting.get(CLASS) else { return Err(refused()) };
        let settings = settings.iter().filter(|(name, _)| name != CLASS).cloned().collect();
        Ok(Self { class: class.clone(), settings })
    }
}

/// What is kept as a class with settings, and made from it again.
pub(crate) trait Configured: Sized {
    fn config(&self) -> Config;

    /// Takes out of `config` what it knows.
    fn from_config(config: &mut Config) -> Result<Self>;
}

impl<T: Configured> From<T> for Setting {
    fn from(value: T) -> Self {
        value.config().into()
    }
}

impl<T: Configured> FromSetting for T {
    fn from_setting(setting: &Setting) -> Result<Self, String> {
        let mut config = Config::from_setting(setting)?;
        let made = Self::from_config(&mut config).and_then(|made| config.end().map(|()| made));
        made.map_err(|e| e.to_string())
    }
}
