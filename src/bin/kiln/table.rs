//! What `train` trains on: a named set, or a table of one's own.

use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;
use kiln::data::{Csv, Missing, NamedSet, Scaler, Split};

use crate::data::Bar;

/// How a table is read.
#[derive(Args)]
pub struct TableArgs {
    /// Of a table: the column of labels
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,

    /// Of a table: columns that are left out, such as names
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    without: Vec<String>,

    /// Of a table: leave rows with missing fields out
    #[arg(long)]
    drop_missing: bool,

    /// Of a table: share of the rows to measure on, the same of each class
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, allow_negative_numbers = true)]
    test_split: f64,

    /// Of a table: bring each column to mean 0 and standard deviation 1
    #[arg(long)]
    standardize: bool,
}

/// A data set, loaded when it is wanted.
pub enum Set {
    Named(&'static NamedSet),
    Table { name: String, classes: usize, split: Box<Split> },
}

impl Set {
    /// The set of this name or, where it has an ending such as `.csv`, in this file.
    pub fn find(name: &str, args: &TableArgs, seed: u64) -> Result<Self> {
        let path = Path::new(name);
        let Some(ending) = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()) else {
            if args.label.is_some() {
                bail!("label: {name} is no table; give a file whose name ends in .csv or .tsv");
            }
            return Ok(Self::Named(NamedSet::find(name)?));
        };
        let Some(label) = &args.label else {
            bail!("label: name the column of {name} that holds the labels, by --label");
        };
        let separator = if ["tsv", "tab"].contains(&ending.as_str()) { b'\t' } else { b',' };
        let missing = if args.drop_missing { Missing::DropRow } else { Missing::Error };
        let csv = Csv::new().separator(separator).label(label).without(&args.without).missing(missing);
        let table = csv.read(path)?;
        let mut split = table.data.stratified_split(args.test_split, seed)?;
        if args.standardize {
            let scaler = Scaler::standardize(&split.train);
            split = Split { train: scaler.apply(&split.train)?, test: scaler.apply(&split.test)? };
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self::Table { name, classes: table.classes.len(), split: Box::new(split) })
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Named(set) => set.name,
            Self::Table { name, .. } => name,
        }
    }

    pub fn classes(&self) -> usize {
        match self {
            Self::Named(set) => set.classes,
            Self::Table { classes, .. } => *classes,
        }
    }

    /// The samples, with a bar where they have to be fetched.
    pub fn load(self) -> Result<Split> {
        match self {
            Self::Named(set) => Ok(Bar::load(set)?),
            Self::Table { split, .. } => Ok(*split),
        }
    }
}
