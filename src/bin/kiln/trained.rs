//! A saved model as it is asked: what it takes, and what its outputs say. `kiln predict` and `kiln serve` use it alike.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use kiln::data::NamedSet;
use kiln::device::Device;
use kiln::nn::metric::classes_of;
use kiln::nn::{Loss, Model, Setting};
use kiln::table::{Prediction, Preprocessor};
use kiln::tensor::{Shape, Tensor};
use kiln::train::Predictor;
use serde_json::{Map, Value, json};

use crate::model::DeviceArgs;
use crate::picture::{self, Changes};
use crate::pictures::Pictures;
use crate::saved::{Course, class_names};
use crate::table;

/// What a model is asked about.
pub enum Takes {
    /// Rows of a table, or records with its columns.
    Records(Box<Preprocessor>),
    /// Pictures as those of the folder that it was trained on.
    Pictures(Pictures),
    /// Numbers of the sample's shape.
    Numbers,
}

/// What the outputs of a model are that was trained on no table.
enum Says {
    /// Of each class its probability or, from logits, its score. The names are none where classes are numbers.
    Classes {
        names: Vec<String>,
        logits: bool,
    },
    Values,
}

/// A model to be asked, by several threads at once.
pub struct Trained {
    pub takes: Takes,
    /// The shape of a sample.
    pub sample: Shape,
    /// Whether samples are bytes, such as pixels from 0 to 255.
    pub bytes: bool,
    file: PathBuf,
    says: Says,
    /// The named set of images that it was trained on. All of these are bright on black.
    set: Option<&'static NamedSet>,
    predictor: Predictor,
    outputs: usize,
    max_unpacked: Option<u64>,
}

impl Trained {
    /// The model of a file, on the device that was chosen. `command` asks it.
    pub fn load(file: &Path, place: &DeviceArgs, max_unpacked: Option<u64>, command: &str) -> Result<Self> {
        let mut model = Model::load(file)?.device(Device::choose(&place.device)?.device);
        for (what, names) in [("inputs", model.input_names()), ("outputs", model.output_names())] {
            let (file, count, names) = (file.display(), names.len(), names.join(", "));
            ensure!(
                count == 1,
                "{file}: has {count} {what} ({names}); `kiln {command}` takes models of one: ask this by a program"
            );
        }
        let preprocessor = table::find(&model, file, max_unpacked)?;
        let pictures = Pictures::find(&model, file)?;
        let set = Course::find(&model, file)?.and_then(|course| NamedSet::find_images(&course.set).ok());
        let takes = match (preprocessor, pictures) {
            (Some(preprocessor), _) => Takes::Records(Box::new(preprocessor)),
            (None, Some(pictures)) => Takes::Pictures(pictures),
            (None, None) => Takes::Numbers,
        };
        let names = match (&takes, set) {
            (Takes::Pictures(pictures), _) => pictures.classes.clone(),
            (_, Some(set)) => class_names(set),
            _ => Vec::new(),
        };
        Ok(Self {
            says: Says::of(&model, names)?,
            sample: model.sample_shape()?.clone(),
            bytes: model.trained_on_bytes() == Some(true),
            outputs: model.output_shape()?.len(),
            file: file.into(),
            predictor: model.predictor()?,
            takes,
            set,
            max_unpacked,
        })
    }

    /// The names of the classes by their indices, or of the values where it gives none.
    pub fn names(&self) -> (&'static str, Vec<String>) {
        let numbers = |count: usize| (0..count).map(|number| number.to_string()).collect();
        match (&self.takes, &self.says) {
            (Takes::Records(columns), _) if columns.classes().is_empty() => ("values", columns.targets().to_vec()),
            (Takes::Records(columns), _) => ("classes", columns.classes().to_vec()),
            (_, Says::Values) => ("values", numbers(self.outputs)),
            (_, Says::Classes { names, .. }) if !names.is_empty() => ("classes", names.clone()),
            (..) => ("classes", numbers(self.outputs.max(2))),
        }
    }

    /// Whether classes have names of their own, and are not told by their numbers.
    pub fn has_names(&self) -> bool {
        match (&self.takes, &self.says) {
            (Takes::Records(_), _) => true,
            (_, Says::Classes { names, .. }) => !names.is_empty(),
            (_, Says::Values) => false,
        }
    }

    /// Whether PNG and JPEG pictures are taken.
    pub fn takes_pictures(&self) -> bool {
        match self.takes {
            Takes::Records(_) => false,
            Takes::Pictures(_) => true,
            Takes::Numbers => matches!(*self.sample, [_, _, 3]) || picture::extents(&self.sample).is_some(),
        }
    }

    /// The bytes of a PNG or a JPEG as one sample, and how bright its border was. `path` stands in the errors only.
    pub fn picture(&self, bytes: &[u8], path: &Path, changes: Changes) -> Result<(Tensor, Option<u8>)> {
        match &self.takes {
            Takes::Records(_) => bail!("{}: was trained on a table, {} is none", self.file.display(), path.display()),
            Takes::Pictures(pictures) => Ok((pictures.sample(bytes, path, changes, self.max_unpacked)?, None)),
            Takes::Numbers => {
                let seen = picture::seen(bytes, path, &self.sample, changes, self.max_unpacked)?;
                Ok((Tensor::new([&[1], &self.sample[..]].concat(), seen.pixels)?, seen.border))
            }
        }
    }

    /// The set whose pictures are bright on black, where a picture's border says that this one is dark on bright.
    pub fn is_negative_of(&self, border: Option<u8>) -> Option<&'static str> {
        self.set.filter(|_| border.is_some_and(|border| border >= 128)).map(|set| set.name)
    }

    /// What the model gives for samples `(n, ...)`, and what that says of each.
    pub fn ask(&self, x: &Tensor) -> Result<(Tensor, Vec<Prediction>)> {
        let y = self.predictor.predict(x)?;
        let said = match (&self.takes, &self.says) {
            (Takes::Records(columns), _) => columns.predictions(&y)?,
            (_, Says::Classes { logits, .. }) => self.classes(&y, *logits)?,
            (_, Says::Values) => {
                let (numbers, names) = (y.values().to_f64(), self.names().1);
                let named = |row: &[f64]| Prediction::Values(names.iter().cloned().zip(row.iter().copied()).collect());
                numbers.chunks(self.outputs).map(named).collect()
            }
        };
        Ok((y, said))
    }

    fn classes(&self, y: &Tensor, logits: bool) -> Result<Vec<Prediction>> {
        let mut shares = y.values().to_f64();
        if logits {
            shares.chunks_mut(self.outputs).for_each(as_probabilities);
        }
        let y = Tensor::new([y.rows(), self.outputs], shares.clone())?;
        let names = self.names().1;
        let of_row = |(row, class): (&[f64], usize)| {
            // One output tells two classes apart.
            let shares = if let [share] = *row { vec![1.0 - share, share] } else { row.to_vec() };
            Prediction::Class {
                class,
                name: names[class].clone(),
                probabilities: names.iter().cloned().zip(shares).collect(),
            }
        };
        Ok(shares.chunks(self.outputs).zip(classes_of(&y)?).map(of_row).collect())
    }
}

/// The shortest text that is the same f32, as an f64.
fn short(number: f64) -> f64 {
    (number as f32).to_string().parse().unwrap_or(number)
}

/// What is said of a sample as JSON's names and values: the class, its probability and those of all, or the values.
pub fn as_json(said: &Prediction) -> Map<String, Value> {
    let numbers = |named: &[(String, f64)]| -> Value {
        named.iter().map(|(name, number)| (name.clone(), json!(short(*number)))).collect::<Map<_, _>>().into()
    };
    let pairs = match said {
        Prediction::Class { class, name, probabilities } => vec![
            ("class", json!(name)),
            ("probability", json!(short(probabilities[*class].1))),
            ("probabilities", numbers(probabilities)),
        ],
        Prediction::Values(values) => vec![("values", numbers(values))],
    };
    pairs.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// Scores of classes as their probabilities: by softmax, or of the second of two classes by the sigmoid.
fn as_probabilities(scores: &mut [f64]) {
    if let [score] = scores {
        *score = 1.0 / (1.0 + (-*score).exp());
        return;
    }
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
    let sum: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}

impl Says {
    /// By the loss that the model was trained for or, where its file names none, by the activation that it ends with.
    fn of(model: &Model, names: Vec<String>) -> Result<Self> {
        let outputs = model.output_shape()?;
        let (is_single, is_list) = (outputs.len() == 1, outputs.rank() == 1);
        let of_classes = match model.loss() {
            Some(Loss::BinaryCrossentropy { .. }) => is_single.then_some(false),
            Some(Loss::BinaryCrossentropyFromLogits { .. }) => is_single.then_some(true),
            Some(Loss::CategoricalCrossentropy { .. } | Loss::SparseCategoricalCrossentropy { .. }) => Some(false),
            Some(
                Loss::CategoricalCrossentropyFromLogits { .. } | Loss::SparseCategoricalCrossentropyFromLogits { .. },
            ) => Some(true),
            Some(Loss::Custom(_)) | None => match (activation(model)?.as_str(), is_single) {
                ("softmax", false) | ("sigmoid", true) => Some(false),
                _ => None,
            },
            Some(_) => None,
        };
        let names = if names.len() == outputs.len().max(2) { names } else { Vec::new() };
        Ok(match of_classes.filter(|_| is_list) {
            Some(logits) => Self::Classes { names, logits },
            None => Self::Values,
        })
    }
}

/// The name of the activation that the model ends with; empty where it has none.
fn activation(model: &Model) -> Result<String> {
    let Some((_, last)) = model.layers().last() else { return Ok(String::new()) };
    Ok(match last.config().take_or("activation", Setting::Null)? {
        Setting::Text(name) => name,
        _ => last.kind().to_lowercase(),
    })
}
