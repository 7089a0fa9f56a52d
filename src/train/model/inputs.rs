//! How the samples were scaled that a model was trained on, and what others are multiplied by to be alike.

use super::{About, Model};
use crate::data::check_scale;
use crate::error::{Error, Result};
use crate::nn::{Config, Setting};
use crate::tensor::{DType, Shape, Tensor, Values};

/// The samples that a model was trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Inputs {
    /// Whether they were bytes.
    pub bytes: bool,
    /// What they were multiplied by.
    pub scale: f32,
    /// The smallest and the largest before that, where all were at hand.
    pub range: Option<[f32; 2]>,
}

/// The smallest and the largest number; `None` where there is none.
pub(crate) fn range(x: &Tensor) -> Option<[f32; 2]> {
    fn ends<T: Copy + PartialOrd>(values: &[T], float: fn(T) -> f32) -> Option<[f32; 2]> {
        let first = *values.first()?;
        let wider =
            |[least, most]: [T; 2], &x: &T| [if x < least { x } else { least }, if x > most { x } else { most }];
        Some(values.iter().fold([first; 2], wider).map(float))
    }
    match x.values() {
        Values::U8(values) => ends(values, f32::from),
        Values::U32(values) => ends(values, |x| x as f32),
        Values::F32(values) => ends(values, |x| x),
        Values::F64(values) => ends(values, |x| x as f32),
    }
}

/// What stands for full brightness: 1, or 255.
fn full([least, most]: [f32; 2]) -> Option<f32> {
    match most {
        _ if least < 0.0 => None,
        _ if most <= 1.0 => Some(1.0),
        _ if most <= 255.0 => Some(255.0),
        _ => None,
    }
}

impl Inputs {
    /// That of the samples which it was trained on.
    fn full(&self) -> Option<f32> {
        match self.range {
            None => self.bytes.then_some(255.0),
            // Numbers up to 16 are no pixels of which the brightest are missing.
            Some([_, most]) if !self.bytes && most > 1.0 && most < 128.0 => None,
            Some([_, most]) if self.bytes && most > 1.0 => Some(255.0),
            Some(range) => full(range),
        }
    }

    /// What samples are multiplied by. Those of the other type, bytes or not, are brought to the same brightness.
    fn scale_of(&self, x: &Tensor) -> Result<f32> {
        let bytes = x.dtype() == DType::U8;
        let Some(range) = range(x).filter(|_| bytes != self.bytes) else { return Ok(self.scale) };
        let given = if bytes { Some(255.0) } else { full(range) };
        match (self.full(), given) {
            (Some(1.0), _) if bytes && range[1] == 1.0 => {}
            (Some(own), Some(given)) => return Ok(self.scale * (own / given)),
            _ => {}
        }
        let what = |bytes, [least, most]: [f32; 2]| {
            format!("{} from {least} to {most}", if bytes { "bytes" } else { "numbers" })
        };
        let own = self.range.map_or_else(|| "numbers of a range that is not known".into(), |own| what(self.bytes, own));
        let message = format!("the model was trained on {own}, these are {}", what(bytes, range));
        Err(Error::argument("x", format!("{message}: nothing says how they go together; give them in the same form")))
    }

    /// These, of a set of which others were seen before: the range is that of all where they are of one kind.
    fn with(self, before: &Self) -> Self {
        let range = match (self.range, before.range) {
            (Some([a, b]), Some([c, d])) if (self.bytes, self.scale) == (before.bytes, before.scale) => {
                Some([a.min(c), b.max(d)])
            }
            (own, _) => own,
        };
        Self { range, ..self }
    }

    /// Adds what is known to a model's configuration.
    fn keep(&self, config: Config) -> Config {
        let name = if self.bytes { "byte_scale" } else { "input_scale" };
        let config = config.with(name, f64::from(self.scale));
        self.range.iter().fold(config, |config, range| config.with("input_range", range.map(f64::from).to_vec()))
    }

    /// Takes it out of one.
    fn take(config: &mut Config) -> Result<Option<Self>> {
        let bytes = config.take_or("byte_scale", None::<f64>)?;
        let numbers = config.take_or("input_scale", None::<f64>)?;
        let range = config.take_or("input_range", None::<Vec<f64>>)?;
        let (name, scale) = match (bytes, numbers) {
            (Some(scale), _) => ("byte_scale", scale),
            (None, Some(scale)) => ("input_scale", scale),
            (None, None) => return Ok(None),
        };
        let range = match range.as_deref() {
            None => None,
            Some(&[least, most]) if least <= most => Some([least as f32, most as f32]),
            Some(other) => return Err(Error::argument("input_range", format!("{other:?} is no range"))),
        };
        check_scale(name, scale as f32)?;
        Ok(Some(Self { bytes: bytes.is_some(), scale: scale as f32, range }))
    }
}

impl About {
    /// [`Model::input_scale`] of the samples of one of the inputs.
    pub(super) fn scale_of_input(&self, input: usize, x: &Tensor) -> Result<f32> {
        match self.inputs.get(input) {
            Some(inputs) => inputs.scale_of(x),
            None => Ok(if matches!(x.values(), Values::U8(_)) { 1.0 / 255.0 } else { 1.0 }),
        }
    }
}

impl Model {
    /// The names of the inputs, in their order: by them [`crate::data::Dataset::new`] may be given arrays.
    pub fn input_names(&self) -> Vec<String> {
        self.network.input_names()
    }

    /// What samples are multiplied by when they are predicted: as those were that [`Model::fit`] had, whatever their
    /// type. Bytes for a model that was trained on other numbers, and other numbers for one of bytes, are brought to the same
    /// brightness, where 0 to 1 or 0 to 255 is plain. Before any training it is 1/255 for bytes, else 1.
    ///
    /// # Errors
    /// [`Error::Argument`] where it cannot be told how these samples go together with those that the model was trained on.
    pub fn input_scale(&self, x: &Tensor) -> Result<f32> {
        self.about.scale_of_input(0, x)
    }

    /// Whether the samples that the model was trained on were bytes, such as pixels from 0 to 255, which [`Model::predict`] takes as they
    /// are; of several inputs the first. `None` before any training.
    pub fn trained_on_bytes(&self) -> Option<bool> {
        self.about.inputs.first().map(|inputs| inputs.bytes)
    }

    /// The shape of a sample of each input and, where its numbers are rows of a table, how many that has.
    pub(crate) fn samples(&self) -> Result<Vec<(Shape, Option<usize>)>> {
        let rows = self.network.tables().into_iter().map(|table| table.map(|table| table.rows));
        Ok(self.built()?.samples.iter().cloned().zip(rows).collect())
    }

    /// Remembers what a run's samples are, of each input.
    pub(crate) fn set_inputs(&mut self, inputs: Vec<Inputs>) {
        self.about.inputs = inputs;
    }

    /// Remembers what a batch's samples are, of each input, beside those of the batches before.
    pub(crate) fn widen_inputs(&mut self, mut inputs: Vec<Inputs>) {
        for (inputs, before) in inputs.iter_mut().zip(&self.about.inputs) {
            *inputs = inputs.with(before);
        }
        self.about.inputs = inputs;
    }
}

/// Adds what is known of each input to a model's configuration.
pub(super) fn keep(inputs: &[Inputs], config: Config) -> Config {
    match inputs {
        [] => config,
        [only] => only.keep(config),
        several => {
            let each = several.iter().map(|inputs| Setting::from(inputs.keep(Config::new(INPUT)))).collect::<Vec<_>>();
            config.with(FORMS, each)
        }
    }
}

/// Takes it out of one.
pub(super) fn take(config: &mut Config) -> Result<Vec<Inputs>> {
    let Some(several) = config.take_or(FORMS, None::<Vec<Setting>>)? else {
        return Ok(Inputs::take(config)?.into_iter().collect());
    };
    let one = |setting: &Setting| {
        let mut config: Config = setting.read().map_err(|e| Error::argument(FORMS, e))?;
        let inputs = Inputs::take(&mut config)?.ok_or_else(|| Error::argument(FORMS, "one has no scale"))?;
        config.end().map(|()| inputs)
    };
    several.iter().map(one).collect()
}

/// Of several inputs, what is known of each.
const FORMS: &str = "input_forms";
const INPUT: &str = "Input";

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: Inputs = Inputs { bytes: true, scale: 1.0 / 255.0, range: Some([0.0, 255.0]) };

    fn numbers(least: f32, most: f32) -> Inputs {
        Inputs { bytes: false, scale: 1.0, range: Some([least, most]) }
    }

    #[test]
    fn samples_come_to_the_brightness_that_was_trained_on() {
        let (bytes, shares) = (Tensor::from([0u8, 51, 204]), Tensor::from([0.0f32, 0.2, 0.8]));
        let pixels = Tensor::from([0.0f32, 51.0, 204.0]);
        for (inputs, x, scale) in [
            (BYTES, &bytes, 1.0 / 255.0),
            (BYTES, &shares, 1.0),
            (BYTES, &pixels, 1.0 / 255.0),
            (Inputs { range: None, ..BYTES }, &pixels, 1.0 / 255.0),
            (Inputs { range: Some([0.0, 1.0]), ..BYTES }, &shares, 1.0 / 255.0),
            (numbers(0.0, 255.0), &bytes, 1.0),
            (numbers(0.0, 1.0), &bytes, 1.0 / 255.0),
            (Inputs { scale: 0.5, ..numbers(0.0, 1.0) }, &bytes, 0.5 / 255.0),
            (Inputs { scale: 0.5, ..numbers(-3.0, 9.0) }, &shares, 0.5),
        ] {
            assert_eq!(inputs.scale_of(x).unwrap(), scale, "{inputs:?}, {x:?}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let (bytes, standard) = (Tensor::from([0u8, 51]), Tensor::from([-1.5f32, 2.0]));
        for (inputs, x, part) in [
            (BYTES, &standard, "trained on bytes from 0 to 255, these are numbers from -1.5 to 2"),
            (numbers(-1.0, 1.0), &bytes, "trained on numbers from -1 to 1, these are bytes from 0 to 51"),
            (numbers(0.0, 16.0), &bytes, "trained on numbers from 0 to 16"),
            (numbers(0.0, 1.0), &Tensor::from([0u8, 1]), "these are bytes from 0 to 1"),
            (Inputs { range: None, ..numbers(0.0, 1.0) }, &bytes, "a range that is not known"),
        ] {
            let text = inputs.scale_of(x).unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
        }
    }
}
