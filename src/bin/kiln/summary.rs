//! `kiln summary`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use kiln::auto::{NOTE, Report};
use kiln::io::printable;
use kiln::nn::Model;
use kiln::plot::plot_model;

use crate::outputs::{self, Kind, outputs};
use crate::pictures::Pictures;
use crate::saved::Course;
use crate::table;
use crate::train::settings::Kept;

/// Print what a saved model consists of, and how it was trained
#[derive(clap::Args)]
pub struct Args {
    /// A file of `kiln train --save` or of a program, a .keras, or the .json of Keras' model.to_json()
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the layers of models inside the model, too
    #[arg(long)]
    expand_nested: bool,
    /// Draw the model: .png or .svg
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<()> {
    outputs::check(&outputs(&[("plot", &args.plot, Kind::Picture)]), &[("the model", args.file.as_path())])?;
    let model = Model::load(&args.file)?;
    let mut out = io::stdout().lock();
    write!(out, "{}", model.summary()?.expand_nested(args.expand_nested))?;
    writeln!(out, "Samples: {}", model.sample_shape()?)?;
    if let Some((optimizer, loss)) = model.optimizer().zip(model.loss()) {
        writeln!(out, "Optimizer: {optimizer:?}")?;
        writeln!(out, "Loss: {}", loss.name())?;
        writeln!(out, "Epochs: {}", model.epoch())?;
    }
    if let Some(kept) = Kept::find(&model)? {
        writeln!(out, "Early stopping: the run {}", kept.print())?;
    }
    if let Ok(course) = Course::of(&model, &args.file) {
        writeln!(out, "Data: {}", printable(&course.print()))?;
    }
    if let Some(preprocessor) = table::find(&model, &args.file, None)? {
        writeln!(out, "Table: {}", printable(&table::print(&preprocessor)))?;
    }
    if let Some(pictures) = Pictures::find(&model, &args.file)? {
        writeln!(out, "Pictures: {}", printable(&pictures.print()))?;
    }
    if let Some(report) = model.note::<Report>(NOTE)? {
        let Report { metric, folds, trials, seed, .. } = &report;
        let score = report.best().score;
        writeln!(out, "Search: {metric} {score} by {folds} folds, the best of {trials} trials with the seed {seed}")?;
    }
    if let Some(path) = &args.plot {
        let plot = plot_model(&model)?.show_shapes(true).show_layer_names(true).show_trainable(true);
        plot.expand_nested(args.expand_nested).save(path)?;
    }
    Ok(())
}
