//! A preprocessor in the file of a model.

use super::Preprocessor;
use crate::error::Result;
use crate::nn::{Config, Model};

/// The name of the note.
const NOTE: &str = "table";

impl Preprocessor {
    /// Keeps it with a model, in its file, too.
    pub fn keep(&self, model: &mut Model) {
        let config = Config::new(NOTE)
            .with("encoding", self.encoding.clone())
            .with("fill", self.fill.clone())
            .with("scaler", self.scaler.clone())
            .with("class_weight", self.class_weight.clone())
            .with("test_split", self.test_split)
            .with("seed", self.split_seed)
            .with("rows", self.rows)
            .with("crc", self.crc);
        model.set_note(NOTE, config);
    }

    /// That of a model; `None` where it was trained on no table.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] for a note that is damaged.
    pub fn of(model: &Model) -> Result<Option<Self>> {
        let Some(mut config) = model.note::<Config>(NOTE)? else { return Ok(None) };
        let kept = Self {
            encoding: config.take("encoding")?,
            fill: config.take_or("fill", None)?,
            scaler: config.take("scaler")?,
            class_weight: config.take("class_weight")?,
            test_split: config.take("test_split")?,
            split_seed: config.take("seed")?,
            rows: config.take("rows")?,
            crc: config.take("crc")?,
        };
        kept.checked().map(Some)
    }
}
