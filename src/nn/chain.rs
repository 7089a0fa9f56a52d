//! Chains of layers written as text.

mod value;

use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use super::layers::arguments::ARGUMENTS;
use super::layers::{self, Layer};
use super::network::{Names, snake_case};
use super::{Activation, Config, CustomObjects, Setting};
use crate::error::{Error, Result};
use crate::suggest;
use value::{is_name, pieces, value};

/// Layers one after the other, written as text: what `kiln train --layers` takes. [`super::Sequential::from_text`] makes a model of it.
///
/// Layers stand between commas, each by its class in Keras' snake case, as Keras numbers layers: `max_pooling2d`. Behind it stand its
/// first settings in the order of Keras' constructor, then any by name. A number for several axes is the same along each; others are
/// written `3x5` or `(3, 5)`. What has settings of its own has them in brackets: `activation=leaky_relu(negative_slope=0.1)`.
///
/// ```
/// use kiln::nn::Chain;
/// let chain: Chain = "flatten, dense 128 relu use_bias=false, dropout 0.5 name=drop, dense 10 softmax".parse()?;
/// assert_eq!(chain.names().collect::<Vec<_>>(), ["flatten", "dense", "drop", "dense_1"]);
/// let said = "flatten, dens 10".parse::<Chain>().unwrap_err().to_string();
/// assert!(said.contains("\"dens\" is unknown; did you mean \"dense\"?"));
/// assert!(said.ends_with("\n  flatten, dens 10\n           ^^^^"));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Chain {
    text: String,
    links: Vec<Link>,
}

/// A layer, and where it stands in the text.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub name: String,
    pub layer: Arc<dyn Layer>,
    at: Range<usize>,
}

/// What is wrong with a part of the text.
struct Fault {
    at: Range<usize>,
    message: String,
}

fn fault<T>(at: Range<usize>, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { at, message: message.into() })
}

impl FromStr for Chain {
    type Err = Error;

    /// # Errors
    /// [`Error::Argument`] with the text and a line of carets under the word that is wrong.
    fn from_str(text: &str) -> Result<Self> {
        let mut names = Names::default();
        let parts = pieces(text, 0..text.len(), |c| c == ',');
        let links = parts.and_then(|parts| parts.into_iter().map(|part| link(text, part, &mut names)).collect());
        Ok(Self { links: links.map_err(|fault| pointed(text, &fault))?, text: text.into() })
    }
}

impl Chain {
    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// The names of the layers, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.links.iter().map(|link| link.name.as_str())
    }

    /// The same error with the text and carets under the layer that it is of, where it is of one of these.
    #[must_use]
    pub fn explain(&self, error: Error) -> Error {
        match &error {
            Error::Shape { op, message } => match self.names().find(|name| *op == format!("layer {name:?}")) {
                Some(name) => self.refuse(name, format!("{op}: {message}")),
                None => error,
            },
            _ => error,
        }
    }

    /// An error of the layer of a name, with the text and carets under that.
    pub fn refuse(&self, name: &str, message: impl Into<String>) -> Error {
        let at = self.links.iter().find(|link| link.name == name).map_or(0..0, |link| link.at.clone());
        pointed(&self.text, &Fault { at, message: message.into() })
    }
}

/// How much of a long line is shown on either side of a word.
const SHOWN: usize = 50;

/// The error with the line of the text, and carets under the part that it is about.
fn pointed(text: &str, Fault { at, message }: &Fault) -> Error {
    let start = text[..at.start].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at.start..].find('\n').map_or(text.len(), |newline| at.start + newline);
    let [before, word, after] =
        [start..at.start, at.start..at.end.min(end), at.end.min(end)..end].map(|part| &text[part]);
    let plain = |text: &str| text.replace(char::is_control, " ");
    let count = |text: &str| text.chars().count();
    let head = match count(before).checked_sub(SHOWN) {
        Some(cut) if cut > 0 => before.chars().skip(cut).fold("…".to_string(), |head, c| head + &c.to_string()),
        _ => before.to_string(),
    };
    let tail: String = after.chars().take(SHOWN).chain((count(after) > SHOWN).then_some('…')).collect();
    let (space, carets) = (" ".repeat(count(&head)), "^".repeat(count(word).max(1)));
    let shown = plain(&format!("{head}{word}{tail}"));
    Error::argument("layers", format!("{message}\n  {shown}\n  {space}{carets}"))
}

/// A setting as it is given.
struct Given {
    name: String,
    at: Range<usize>,
    /// What it may stand for: a number is the same along each axis where the layer takes several.
    readings: Vec<Setting>,
}

/// The layer of a part of the text.
fn link(text: &str, part: Range<usize>, names: &mut Names) -> Result<Link, Fault> {
    let words = pieces(text, part.clone(), char::is_whitespace)?;
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let [word, rest @ ..] = &words[..] else {
        return fault(part, "expected a layer here, such as `dense 10 softmax`");
    };
    let (class, arguments) = class(&text[word.clone()]).map_err(|message| Fault { at: word.clone(), message })?;
    let mut given = settings(text, class, arguments, rest)?;
    let mut name = None;
    if let Some(own) = given.iter().position(|setting| setting.name == "name") {
        name = Some(text[given.remove(own).at].trim_start_matches("name=").to_string());
    }
    let missing = |argument: &&str| !argument.starts_with('[') && given.iter().all(|set| set.name != bare(argument));
    if let Some(missing) = arguments.split(' ').filter(|argument| !argument.is_empty()).find(missing) {
        return fault(word.clone(), format!("{} is missing; write `{}`", bare(missing), usage(class, arguments)));
    }
    let layer = made(class, word, &given)?;
    let at = word.start..words.last().map_or(word.end, |last| last.end);
    Ok(Link { name: names.of(name.as_deref().or(layer.name()), class), layer, at })
}

/// An argument's name alone.
fn bare(argument: &str) -> &str {
    argument.trim_matches(['[', ']', '.'])
}

/// How a layer is written: `dense UNITS [ACTIVATION]`.
fn usage(class: &str, arguments: &str) -> String {
    format!("{} {}", written(class), arguments.to_uppercase()).trim_end().into()
}

/// A class as it is written.
fn written(class: &str) -> String {
    if class == "InputLayer" { "input".into() } else { snake_case(class) }
}

/// The class of a name, and its arguments.
fn class(word: &str) -> Result<(&'static str, &'static str), String> {
    let same = |name: &str| name.replace('_', "").eq_ignore_ascii_case(&word.replace('_', ""));
    let is_made = |class: &str| !matches!(layers::from_config(&mut Config::new(class)), Ok(None));
    let named = |class: &str| same(class) || same(&written(class));
    if let Some(&found) = ARGUMENTS.iter().find(|(class, _)| named(class) && is_made(class)) {
        return Ok(found);
    }
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("{word:?} is no layer; values for several axes are written 3x5 or (3, 5)"));
    }
    if Activation::by_name(word).is_ok() {
        return Err(format!("{word:?} is an activation; as a layer it is `activation {word}`"));
    }
    let known: Vec<String> =
        ARGUMENTS.iter().filter(|(class, _)| is_made(class)).map(|(class, _)| written(class)).collect();
    Err(suggest::unknown(word, &known))
}

/// The settings that stand behind a layer's class.
fn settings(text: &str, class: &str, arguments: &str, words: &[Range<usize>]) -> Result<Vec<Given>, Fault> {
    let mut given: Vec<Given> = Vec::new();
    let mut unnamed = arguments.split(' ').filter(|argument| !argument.is_empty());
    let mut is_named = false;
    for at in words.iter().cloned() {
        let word = &text[at.clone()];
        let refused = |message: String| Fault { at: at.clone(), message };
        if let Some((name, text)) = word.split_once('=').filter(|(name, _)| is_name(name)) {
            is_named = true;
            if given.iter().any(|other| other.name == name) {
                return Err(refused(format!("{name} is given a second time")));
            }
            let readings = readings(class, value(text).map_err(refused)?);
            given.push(Given { name: name.into(), at, readings });
            continue;
        }
        if is_named {
            return Err(refused("a value without a name stands before those with one".into()));
        }
        let value = value(word).map_err(refused)?;
        match unnamed.next() {
            Some(argument) if argument.ends_with("...") && !matches!(value, Setting::List(_)) => {
                given.push(Given { name: bare(argument).into(), at, readings: vec![Setting::List(vec![value])] });
            }
            Some(argument) => given.push(Given { name: bare(argument).into(), at, readings: readings(class, value) }),
            None => match (arguments.ends_with("..."), given.last_mut().map(|last| &mut last.readings[0])) {
                (true, Some(Setting::List(values))) => values.push(value),
                _ => {
                    let usage = usage(class, arguments);
                    let message =
                        format!("{word:?} is one value too many for `{usage}`; others are given by name, NAME=VALUE");
                    return Err(refused(message));
                }
            },
        }
    }
    Ok(given)
}

/// What a value may stand for.
fn readings(class: &str, value: Setting) -> Vec<Setting> {
    let (Setting::Int(_) | Setting::Float(_)) = value else { return vec![value] };
    let list = |value: &Setting, times: usize| Setting::List(vec![value.clone(); times]);
    let two = list(&value, 2);
    let four = list(&two, 2);
    let one = list(&value, 1);
    if class.contains("2D") { vec![value, two, four] } else { vec![value, one, two] }
}

/// The layer of these settings, each in the first reading that the class takes.
fn made(class: &str, word: &Range<usize>, given: &[Given]) -> Result<Arc<dyn Layer>, Fault> {
    if let Some(reserved) = given.iter().find(|setting| setting.name == "class") {
        return fault(reserved.at.clone(), "the class stands before its settings");
    }
    let mut chosen = vec![0; given.len()];
    let mut first: Option<(usize, String)> = None;
    loop {
        let with = |config: Config, (given, &reading): (&Given, &usize)| {
            config.with(&given.name, given.readings[reading].clone())
        };
        let config = given.iter().zip(&chosen).fold(Config::new(class), with);
        let (of, message) = match CustomObjects::new().make_layer(&config.into()) {
            Ok(layer) => return Ok(layer),
            Err(Error::Argument { name, message }) => (name, message),
            Err(other) => (class.into(), other.to_string()),
        };
        let is_of = |given: &Given| of == format!("setting {:?} of {class}", given.name) || of == given.name;
        let Some(at) = given.iter().position(is_of) else {
            return fault(word.clone(), format!("{of}: {message}"));
        };
        let Given { name, at: place, readings } = &given[at];
        if message.starts_with("is unknown") {
            // What else there is was read before: a layer of that alone tells what Keras' has beside it.
            let arguments = given.iter().zip(&chosen).filter(|(given, _)| is_argument(class, &given.name));
            let message = suggest::unknown(name, &known(&arguments.fold(Config::new(class), with)));
            return fault(place.clone(), format!("{} has no such setting: {message}", written(class)));
        }
        if first.as_ref().is_none_or(|(other, _)| *other != at) {
            first = Some((at, message));
        }
        chosen[at] += 1;
        if chosen[at] == readings.len() {
            let message = first.map_or_else(String::new, |(_, message)| message);
            return fault(place.clone(), format!("{name} of {}: {message}", written(class)));
        }
    }
}

fn is_argument(class: &str, setting: &str) -> bool {
    let arguments = ARGUMENTS.iter().find(|(known, _)| *known == class).map_or("", |(_, arguments)| arguments);
    arguments.split(' ').any(|argument| bare(argument) == setting)
}

/// The settings that a class has: those of Keras' that it takes, and those of every layer.
fn known(arguments: &Config) -> Vec<String> {
    let layer = layers::from_config(&mut arguments.clone()).ok().flatten();
    let keras = layer.and_then(|layer| layer.keras("layer").ok()).map_or(Vec::new(), |object| object.config().to_vec());
    let takes = |key: &str, value: &Setting| {
        let mut config = arguments.clone().with(key, value.clone());
        layers::from_config(&mut config).is_ok() && config.end().is_ok()
    };
    let taken = keras.iter().filter(|(key, value)| takes(key, value)).map(|(key, _)| key.as_str());
    taken.chain(["name", "trainable"]).map(String::from).collect()
}
