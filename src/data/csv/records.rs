//! Records that a program gives, a value for each name, as rows of a table.

use std::collections::HashMap;

use ::csv::StringRecord;

use super::encoding::Encoding;
use super::lines::{Row, Source, record};
use crate::error::{Error, Result};
use crate::suggest;
use crate::tensor::{Tensor, Values};

/// The field of a column: its text as a file would have it. An empty one is missing.
pub(crate) type Field = (String, String);

impl Encoding {
    /// The samples of records, `(n, features)`, each with a field for every column that samples are made of, in any order. Columns of
    /// targets, weights and those left out may be there and are passed over.
    pub(crate) fn records(&self, records: &[Vec<Field>]) -> Result<Tensor> {
        let width = self.width();
        let mut x = Vec::with_capacity(records.len() * width);
        for (fields, number) in records.iter().zip(1..) {
            self.record(fields, number, &mut x)?;
        }
        Tensor::new([records.len(), width], Values::F32(x))
    }

    fn record(&self, fields: &[Field], number: usize, x: &mut Vec<f32>) -> Result<()> {
        let refused = |message: String| Err(Error::argument(record(number), message));
        let columns: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
        let mut places = HashMap::with_capacity(columns.len());
        for (at, name) in columns.iter().enumerate() {
            if places.insert(name.as_str(), at).is_some() {
                return refused(format!("column {name:?} is there twice; give each once"));
            }
        }
        let row = Row {
            record: fields.iter().map(|(_, field)| field.trim()).collect::<StringRecord>(),
            order: None,
            source: Source::Record(number),
            columns: &columns,
            csv: &self.csv,
            numbers: &self.csv.are_numbers(&columns),
        };
        let mut absent = Vec::new();
        for feature in &self.features {
            match places.remove(feature.name.as_str()) {
                Some(column) => feature.encode(&row, column, self.csv.missing, x)?,
                None => absent.push(feature.name.as_str()),
            }
        }
        let others = || self.csv.targets.columns().iter().chain(&self.csv.sample_weight).chain(&self.csv.without);
        others().for_each(|name| _ = places.remove(name.as_str()));
        // A name that is misspelt is unknown and leaves one out: the first says more.
        if let Some(unknown) = columns.iter().find(|name| places.contains_key(name.as_str())) {
            let names: Vec<&str> = self.features.iter().map(|feature| feature.name.as_str()).collect();
            return refused(format!("column {}", suggest::unknown(unknown, &names)));
        }
        if absent.is_empty() {
            return Ok(());
        }
        let names = absent.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let (columns, are) = if absent.len() == 1 { ("column", "is") } else { ("columns", "are") };
        refused(format!(
            "{columns} {names} {are} not there; give a value for each column, or an empty one if it is not known"
        ))
    }
}
