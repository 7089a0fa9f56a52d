//! A table's columns in saved models.

use super::encoding::{Encoding, Feature};
use super::{Csv, Missing, Targets};
use crate::config::{Config, Configured};
use crate::error::{Error, Result};

impl Configured for Missing {
    fn config(&self) -> Config {
        match *self {
            Self::Error => Config::new("error"),
            Self::DropRow => Config::new("drop_row"),
            Self::Fill(number) => Config::new("fill").with("number", f64::from(number)),
            Self::Nan => Config::new("nan"),
        }
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        match config.class() {
            "error" => Ok(Self::Error),
            "drop_row" => Ok(Self::DropRow),
            "fill" => Ok(Self::Fill(config.take::<f64>("number")? as f32)),
            "nan" => Ok(Self::Nan),
            other => {
                let known = ["error", "drop_row", "fill", "nan"];
                Err(Error::argument("missing", crate::suggest::unknown(other, &known)))
            }
        }
    }
}

/// The column's name as the class; a column of numbers is its bare name.
impl Configured for Feature {
    fn config(&self) -> Config {
        let config = Config::new(&self.name);
        self.words.iter().fold(config, |config, words| config.with("words", borrowed(words)))
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        Ok(Self { name: config.class().into(), words: config.take_or("words", None)? })
    }
}

const CLASS: &str = "columns";

/// What the columns became; how the file that was trained on was told apart is not kept.
impl Configured for Encoding {
    fn config(&self) -> Config {
        let config = Config::new(CLASS)
            .with("separator", usize::from(self.csv.separator))
            .with("header", self.csv.header)
            .with("missing", self.csv.missing)
            .with("drops_unlabelled", self.csv.drops_unlabelled)
            .with("features", self.features.clone())
            .with("classes", borrowed(&self.classes))
            .with("sample_weight", self.csv.sample_weight.as_deref())
            .with("without", borrowed(&self.csv.without))
            .with("numbers", borrowed(&self.csv.numbers))
            .with("missing_values", borrowed(&self.csv.missing_values));
        match &self.csv.targets {
            Targets::Label(name) => {
                config.with("label", name.as_str()).with("label_is_text", self.csv.words.contains(name))
            }
            Targets::Values(names) => config.with("targets", borrowed(names)),
        }
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        if config.class() != CLASS {
            return Err(Error::argument(config.class(), format!("is no table's, which is kept as {CLASS}")));
        }
        let separator = config.take::<usize>("separator")?;
        let separator = u8::try_from(separator);
        let separator = separator.map_err(|e| Error::argument("separator", format!("is no byte: {e}")))?;
        let csv = Csv::new().separator(separator).header(config.take("header")?).missing(config.take("missing")?);
        let weight = config.take_or("sample_weight", None::<String>)?;
        let csv = csv.numbers(config.take_or("numbers", Vec::<String>::new())?);
        let csv = csv.without(config.take_or("without", Vec::<String>::new())?);
        let csv = csv.missing_values(config.take_or("missing_values", super::strings(super::MISSING_VALUES))?);
        let csv = weight.into_iter().fold(csv, Csv::sample_weight);
        let csv = match config.take_or("label", None::<String>)? {
            Some(name) if config.take_or("label_is_text", false)? => csv.words([&name]).label(name),
            Some(name) => csv.label(name),
            None => csv.targets(config.take::<Vec<String>>("targets")?),
        };
        let csv = Csv { drops_unlabelled: config.take_or("drops_unlabelled", false)?, ..csv };
        csv.check()?;
        Self { csv, features: config.take("features")?, classes: config.take("classes")? }.checked()
    }
}

impl Encoding {
    /// One that was kept, if it is such as a table makes.
    fn checked(self) -> Result<Self> {
        let refused = |name: &str, message: &str| Err(Error::argument(name, message));
        if self.features.is_empty() {
            return refused("features", "there are none; samples are made of one or more");
        }
        if self.features.iter().any(|feature| feature.words.as_ref().is_some_and(Vec::is_empty)) {
            return refused("features", "a column of words has none");
        }
        if matches!(self.csv.targets, Targets::Label(_)) && self.classes.is_empty() {
            return refused("classes", "there are none; a label is one of them");
        }
        Ok(self)
    }
}

fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}
