//! A vocabulary and how texts are read, in saved models.

use super::tokens::{Tokenizer, Widths};
use super::{Standardize, TextOutput, TextSplit, TextVectorization};
use crate::config::{Config, Configured, Setting};
use crate::error::{Error, Result};

const CLASS: &str = "TextVectorization";

impl Configured for TextVectorization {
    /// Named as in Keras' `get_config`; words without padding and the unknown.
    fn config(&self) -> Config {
        let Tokenizer { standardize, split, ngrams } = self.tokenizer.clone();
        let ngrams = match ngrams {
            None => Setting::Null,
            Some(Widths::UpTo(most)) => most.into(),
            Some(Widths::Of(widths)) => widths.into(),
        };
        let weights = self.idf_weights.as_ref().map(|all| all.iter().copied().map(f64::from).collect::<Vec<_>>());
        Config::new(CLASS)
            .with("max_tokens", self.max_tokens)
            .with("standardize", standardize)
            .with("split", split)
            .with("ngrams", ngrams)
            .with("output_mode", self.output_mode)
            .with("output_sequence_length", self.output_sequence_length)
            .with("pad_to_max_tokens", self.pad_to_max_tokens)
            .with("vocabulary", self.words.clone())
            .with("idf_weights", weights)
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        if config.class() != CLASS {
            return Err(Error::argument(config.class(), format!("is no {CLASS}")));
        }
        for name in ["ragged", "sparse"] {
            if config.take_or(name, false)? {
                let message = "is not supported: tensors are dense; texts are filled up to output_sequence_length";
                return Err(Error::argument(format!("setting {name:?} of {CLASS}"), message));
            }
        }
        let encoding = config.take_or("encoding", "utf-8".to_string())?;
        if !encoding.eq_ignore_ascii_case("utf-8") {
            return Err(Error::argument("encoding", format!("{encoding:?} is not supported: texts are utf-8")));
        }
        let (standardize, split) = (Standardize::default(), TextSplit::default());
        let mut made = Self::new()
            .max_tokens(config.take_or("max_tokens", None::<usize>)?)
            .standardize(config.take_or("standardize", Some(standardize))?)
            .split(config.take_or("split", Some(split))?)
            .output_mode(config.take_or("output_mode", TextOutput::Int)?)
            .output_sequence_length(config.take_or("output_sequence_length", None::<usize>)?)
            .pad_to_max_tokens(config.take_or("pad_to_max_tokens", false)?);
        made = match config.take_or("ngrams", Setting::Null)? {
            Setting::Null => made,
            Setting::Int(most) => made.ngrams(usize::try_from(most).unwrap_or(0)),
            widths => made.ngrams_of(widths.read::<Vec<usize>>().map_err(|e| Error::argument("ngrams", e))?),
        };
        let words = config.take_or("vocabulary", None::<Vec<String>>)?;
        let weights = config.take_or("idf_weights", None::<Vec<f64>>)?;
        made.set_words_to(words);
        made.idf_weights = weights.map(|all| all.into_iter().map(|weight| weight as f32).collect());
        made.checked()
    }
}
