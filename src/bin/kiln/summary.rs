//! `kiln summary`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use kiln::io::printable;
use kiln::nn::Model;

use crate::saved::Course;
use crate::table::Columns;

/// Print what a saved model consists of, and how it was trained
#[derive(clap::Args)]
pub struct Args {
    /// A file of `kiln train --save`, or of a program's `Model::save`
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub fn run(args: &Args) -> Result<()> {
    let model = Model::load(&args.file)?;
    let mut out = io::stdout().lock();
    write!(out, "{}", model.summary()?)?;
    writeln!(out, "Samples: {}", model.sample_shape()?)?;
    if let Some((optimizer, loss)) = model.optimizer().zip(model.loss()) {
        writeln!(out, "Optimizer: {optimizer:?}")?;
        writeln!(out, "Loss: {}", loss.name())?;
        writeln!(out, "Epochs: {}", model.epoch())?;
    }
    if let Ok(course) = Course::of(&model, &args.file) {
        writeln!(out, "Data: {}", printable(&course.print()))?;
    }
    if let Some(columns) = Columns::find(&model, &args.file)? {
        writeln!(out, "Table: {}", printable(&columns.print()))?;
    }
    Ok(())
}
