//! What `train` trains on: a named set, or a table of one's own.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
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

    /// Of a table: the column of what each row counts for in the loss, in training and in the test
    #[arg(long, value_name = "COLUMN")]
    sample_weight: Option<String>,

    /// Of a table: what the rows of a label count for in the loss in training, such as yes=5,no=0.5; others have 1
    #[arg(long, value_name = "LABEL=WEIGHT", value_delimiter = ',', value_parser = class_weight)]
    class_weight: Vec<(String, f32)>,

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

fn class_weight(text: &str) -> Result<(String, f32)> {
    let (label, weight) = text.rsplit_once('=').context("expected LABEL=WEIGHT, such as yes=5")?;
    Ok((label.into(), weight.parse().with_context(|| format!("{weight:?} is no number"))?))
}

/// A data set, loaded when it is wanted.
pub enum Set {
    Named(&'static NamedSet),
    Table { name: String, classes: usize, class_weight: Vec<(u32, f32)>, split: Box<Split> },
}

impl Set {
    /// The set of this name or, where it has an ending such as `.csv`, in this file.
    pub fn find(name: &str, args: &TableArgs, seed: u64) -> Result<Self> {
        let path = Path::new(name);
        let Some(ending) = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()) else {
            let given = [
                ("label", args.label.is_some()),
                ("sample_weight", args.sample_weight.is_some()),
                ("class_weight", !args.class_weight.is_empty()),
            ];
            if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
                bail!("{option}: {name} is no table; give a file whose name ends in .csv or .tsv");
            }
            return Ok(Self::Named(NamedSet::find(name)?));
        };
        let Some(label) = &args.label else {
            bail!("label: name the column of {name} that holds the labels, by --label");
        };
        let separator = if ["tsv", "tab"].contains(&ending.as_str()) { b'\t' } else { b',' };
        let missing = if args.drop_missing { Missing::DropRow } else { Missing::Error };
        let mut csv = Csv::new().separator(separator).label(label).without(&args.without).missing(missing);
        if let Some(column) = &args.sample_weight {
            csv = csv.sample_weight(column);
        }
        let table = csv.read(path)?;
        let place = |(label, weight): &(String, f32)| {
            let class = table.classes.iter().position(|class| class == label);
            let unknown =
                || format!("class_weight: no row has the label {label:?}; there are {}", table.classes.join(", "));
            Ok((class.with_context(unknown)? as u32, *weight))
        };
        let class_weight = args.class_weight.iter().map(place).collect::<Result<Vec<_>>>()?;
        let mut split = table.data.stratified_split(args.test_split, seed)?;
        if args.standardize {
            let scaler = Scaler::standardize(&split.train);
            split = Split { train: scaler.apply(&split.train)?, test: scaler.apply(&split.test)? };
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self::Table { name, classes: table.classes.len(), class_weight, split: Box::new(split) })
    }

    /// The weights of classes, by their indices.
    pub fn class_weight(&self) -> Vec<(u32, f32)> {
        match self {
            Self::Named(_) => Vec::new(),
            Self::Table { class_weight, .. } => class_weight.clone(),
        }
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
