//! `kiln train --folds`: how well a network does on rows that it was not trained on, by as many runs as there are folds.

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use kiln::auto::Score;
use kiln::data::Source as _;
use kiln::device::{Choice, Device};
use kiln::train::Logs;
use serde_json::json;

use super::Args;
use super::watch::Watch;
use crate::interrupt::Stop;
use crate::outcome::scores;
use crate::outputs::Faults;
use crate::samples::Loaded;
use crate::set::{Set, table_in, with};
use crate::table::Opened;

pub fn run(args: &Args, k: usize, start: Instant) -> Result<()> {
    let name = &args.model.set;
    let Some(path) = table_in(name) else {
        anyhow::bail!("folds: are of a table, {name} is none; give a file whose name ends in .csv or .tsv")
    };
    ensure!(k > 1, "folds: {k} leave nothing to measure on or to train on; give 2 or more");
    args.pictures.refuse(name)?;
    let (table, opened, folds) = args.table.folds(&with(path, &args.more), k, args.packed.max_unpacked)?;
    let Choice { device, reason } = Device::choose(&args.place.device)?;
    let faults = Faults::new(true);
    let set = Set::of_table(path, opened);
    args.say_report(&set, &faults);
    let speaks = !args.json && !args.quiet;
    if speaks {
        writeln!(io::stdout(), "Training on {device}: {reason}")?;
    }
    let stop = Stop::on_signals()?;
    let mut all: Vec<Logs> = Vec::new();
    for (number, fold) in folds.iter().enumerate() {
        let (preprocessor, split) = table.prepare(fold)?;
        let report = table.report(&preprocessor, &split)?;
        let set = Set::of_table(path, Opened { split, preprocessor, report });
        let logs = args.measured(set, (path, device.clone()), (start, &stop), &faults)?;
        if speaks {
            let scores = scores(&logs, "").into_iter().map(|(_, name, value)| format!("{name} {value:.4}"));
            writeln!(io::stdout(), "Fold {}/{k}: {}", number + 1, scores.collect::<Vec<_>>().join(", "))?;
        }
        all.push(logs);
    }
    let scores = Named::of(&all);
    if args.json {
        let mut line = json!({ "folds": k, "device": device.to_string() });
        for Named { name, score, .. } in &scores {
            line[format!("test_{name}")] = json!(score.mean);
            line[format!("test_{name}_deviation")] = json!(score.deviation);
        }
        writeln!(io::stdout(), "{line}")?;
    } else {
        let scores = scores.iter().map(Named::print).collect::<Vec<_>>().join(", ");
        writeln!(io::stdout(), "Mean of {k} folds ± standard deviation: {scores}")?;
    }
    faults.result()
}

impl Args {
    /// What a model of its own reaches on a part of a table that it was not trained on.
    fn measured(
        &self,
        set: Set,
        (path, device): (&Path, Device),
        (start, stop): (Instant, &Stop),
        faults: &Faults,
    ) -> Result<Logs> {
        let (model, course, length) = self.start(&set, None, device)?;
        let is_validated = self.check_length(&length, &course, &set)?;
        let (task, class_weight, class_names) = (set.task(), set.class_weight(), set.class_names());
        let Loaded { train, test, .. } = set.load()?;
        let samples = course.training_samples(train.len());
        let mut model = self.built(model, task, (&train, samples), (&course, &length), faults)?;
        let mut early = length.early_stopping();
        let watch = Watch { class_names: &class_names, is_validated, task, early: early.as_mut() };
        let fit = self.settings((0, length.epochs), &course, watch, faults).class_weight(class_weight).verbose(0);
        let (_, interrupt) = self.fit(&mut model, fit, (&train, samples), (start, stop), faults)?;
        ensure!(!interrupt.stopped(), "{}: stopped; the folds that are left were not trained", path.display());
        Ok(model.evaluate(&test)?)
    }
}

/// A value over all folds.
struct Named<'a> {
    name: &'a str,
    called: &'a str,
    score: Score,
}

impl<'a> Named<'a> {
    fn of(all: &'a [Logs]) -> Vec<Self> {
        let score = |(name, called, _): (&'a str, &'a str, f64)| {
            let values: Vec<f64> = all.iter().filter_map(|logs| logs.get(name)).collect();
            Self { name, called, score: Score::of(&values) }
        };
        all.first().map_or_else(Vec::new, |logs| scores(logs, "")).into_iter().map(score).collect()
    }

    fn print(&self) -> String {
        format!("{} {:.4} ± {:.4}", self.called, self.score.mean, self.score.deviation)
    }
}
