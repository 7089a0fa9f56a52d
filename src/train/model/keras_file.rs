//! Models in Keras' own files.

use std::path::Path;

use super::{Loaded, Model, Reached};
use crate::error::{Error, Result};
use crate::io::hdf5::Hdf5;
use crate::io::json;
use crate::io::keras::Archive;
use crate::nn::optimizer::{self, Optimizer};
use crate::nn::schedule::SCHEDULED;
use crate::nn::{CustomObjects, Parameter};
use crate::tensor::Tensor;
use crate::train::model::keras_writing::OWN;
use crate::train::model::saving::MOST_COUNTED;

/// Where Keras keeps the optimizer's variables.
pub(super) const VARIABLES: &str = "optimizer/vars/";
/// The first of them: how many steps were trained.
const ITERATIONS: &str = "optimizer/vars/0";

impl Model {
    /// The model of the bytes of a `.keras`; `path` stands in errors.
    pub(super) fn of_archive(bytes: &[u8], path: &Path, custom: &CustomObjects<'_>) -> Result<Self> {
        let read = || -> Result<Self, String> {
            let archive = Archive::parse(bytes)?;
            let config =
                json::parse_of_keras(&archive.config).map_err(|e| format!("its config.json is no JSON: {e}"))?;
            let mut model = Self::of_keras(config, custom)?;
            model.take_variables(&Hdf5::parse(archive.weights, bytes.len())?)?;
            let metadata =
                json::parse_of_keras(&archive.metadata).map_err(|e| format!("its metadata.json is no JSON: {e}"))?;
            if let Some(own) = metadata.get(OWN) {
                let taken = own.read().and_then(|own| model.take_beside(own).map_err(|e| e.to_string()));
                taken.map_err(|e| format!("its metadata.json, {OWN}: {e}"))?;
            }
            Ok(model)
        };
        read().map_err(|e| Error::format(path, e))
    }

    /// Takes weights and the optimizer's state out of a file. Where the state is not that of the optimizer, the weights are taken and
    /// the model is not compiled.
    fn take_variables(&mut self, file: &Hdf5) -> Result<(), String> {
        let built = self.built().map_err(|e| e.to_string())?;
        let weights = self.network.keras_weights(file, &built.parameters)?;
        let mut reached = Reached::default();
        let moments = match &self.compiled {
            Some(compiled) => moments(file, &*compiled.optimizer, &built.parameters, &mut reached),
            None => Ok(Vec::new()),
        };
        match moments {
            Ok(moments) => {
                self.loaded = Some(Loaded { weights, moments });
                self.reached = reached;
            }
            Err(why) => {
                self.loaded = Some(Loaded { weights, moments: Vec::new() });
                self.compiled = None;
                self.uncompiled = Some(why);
            }
        }
        Ok(())
    }

    /// The weights of a `.weights.h5`, or of the one in a `.keras`, in the order of the parameters.
    pub(super) fn variables(&self, bytes: Vec<u8>, path: &Path) -> Result<Vec<Tensor>> {
        let parameters = &self.built()?.parameters;
        let read = || {
            let stored = bytes.len();
            let bytes = if Archive::is(&bytes) { Archive::parse(&bytes)?.weights } else { bytes };
            self.network.keras_weights(&Hdf5::parse(bytes, stored)?, parameters)
        };
        read().map_err(|e| Error::format(path, e))
    }
}

/// The optimizer's state by its moments, and how far it was trained.
fn moments(
    file: &Hdf5,
    optimizer: &dyn Optimizer,
    parameters: &[Parameter],
    reached: &mut Reached,
) -> Result<Vec<Vec<Tensor>>, String> {
    let states = optimizer::states(optimizer);
    let fill = |state: &optimizer::State| -> Result<Vec<Tensor>, String> {
        let filled = |p: &Parameter| Tensor::new(p.shape.clone(), vec![state.initial as f32; p.shape.len()]);
        parameters.iter().map(filled).collect::<Result<_>>().map_err(|e| e.to_string())
    };
    let mut moments = states.iter().map(fill).collect::<Result<Vec<_>, _>>()?;
    let found = file.paths().filter(|path| path.starts_with(VARIABLES)).count();
    if found == 0 {
        return Ok(moments);
    }
    match file.count(ITERATIONS)? {
        count if count <= MOST_COUNTED => reached.iteration = count,
        count => return Err(format!("{ITERATIONS}: {count} is more than any run reaches")),
    }
    let slots = optimizer::keras_slots(optimizer, parameters);
    // A learning rate that a schedule sets is no variable; Nadam keeps a product, which follows from the steps.
    let first = if optimizer.config().class() == SCHEDULED { 1 } else { 2 };
    let behind = usize::from(optimizer::nadam_product(optimizer, 0).is_some());
    if found == first {
        return Ok(moments);
    }
    if found != first + slots.len() + behind {
        let wanted = first + slots.len() + behind;
        return Err(format!("its optimizer has {found} variables in the file, where one of its settings has {wanted}"));
    }
    for (place, slot) in slots.iter().enumerate() {
        let path = format!("{VARIABLES}{}", first + place);
        moments[slot.state][slot.parameter] = file.tensor(&path, &parameters[slot.parameter].shape)?;
    }
    Ok(moments)
}
