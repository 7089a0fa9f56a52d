//! Keras' archives, <https://keras.io/api/models/model_saving_apis/model_saving_and_loading/>: `.keras` is a ZIP with the model's
//! description and its weights.

use std::path::Path;

use super::hdf5::SIGNATURE;
use super::{unpacking, zip};

/// The description of a model: what `model.to_json()` gives.
const CONFIG: &str = "config.json";
/// Who wrote it, and when.
const METADATA: &str = "metadata.json";
/// All weights, as a `.weights.h5` has them.
const WEIGHTS: &str = "model.weights.h5";

/// Whether a path is to be a `.weights.h5`.
pub(crate) fn is_weights(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase());
    name.is_some_and(|name| name.ends_with(".weights.h5"))
}

/// Whether bytes are weights as Keras keeps them, with a model or without.
pub(crate) fn has_weights(bytes: &[u8]) -> bool {
    bytes.starts_with(SIGNATURE) || Archive::is(bytes)
}

/// The parts of an archive.
#[derive(Debug)]
pub(crate) struct Archive {
    pub config: String,
    pub metadata: String,
    pub weights: Vec<u8>,
}

impl Archive {
    /// Whether bytes are an archive of a model.
    pub fn is(bytes: &[u8]) -> bool {
        Self::has_description(bytes, false)
    }

    /// Whether bytes are one, or an archive of which nobody can say what is in it.
    pub fn may_be(bytes: &[u8]) -> bool {
        Self::has_description(bytes, true)
    }

    /// Whether an archive has the description of a model; `unlisted` where it cannot be told what is in it.
    fn has_description(bytes: &[u8], unlisted: bool) -> bool {
        let is_there = |all: Vec<zip::Entry>| all.iter().any(|entry| entry.name == CONFIG);
        bytes.starts_with(b"PK") && zip::list(bytes).map_or(unlisted, is_there)
    }

    /// The parts of an archive in memory.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let entries = zip::list(bytes)?;
        let read = |name: &str| {
            let entry = entries.iter().find(|entry| entry.name == name);
            let entry = entry.ok_or_else(|| match entries.iter().find(|entry| entry.name.ends_with(".npz")) {
                Some(other) if name == WEIGHTS => {
                    format!("keeps its weights as {}; save it with weights_format=\"h5\"", other.name)
                }
                _ => format!("has no {name}, which every .keras has"),
            })?;
            let most = unpacking::most_of_keras(bytes.len());
            if entry.len > most {
                let len = entry.len;
                return Err(format!(
                    "{name}: unpacks to {len} bytes, more than the {most} that it may; Keras packs nothing"
                ));
            }
            zip::read(bytes, entry)
        };
        let text = |name: &str| String::from_utf8(read(name)?).map_err(|_| format!("{name}: is no text in UTF-8"));
        Ok(Self { config: text(CONFIG)?, metadata: text(METADATA)?, weights: read(WEIGHTS)? })
    }

    /// The archive, packed as Keras packs it.
    pub fn pack(self) -> Result<Vec<u8>, String> {
        let files =
            [(METADATA, self.metadata.into_bytes()), (CONFIG, self.config.into_bytes()), (WEIGHTS, self.weights)];
        zip::pack(&files.map(|(name, bytes)| (name.to_string(), bytes)))
    }
}
