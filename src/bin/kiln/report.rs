//! What is said of a table before it is trained on.

use std::io::{self, Write as _};

use anyhow::Result;
use kiln::io::printable;
use kiln::table::{Baseline, Column, Report, Targets};
use serde_json::{Value, json};

use crate::table::in_options;

/// Names that a line lists.
const LISTED: usize = 12;

/// Names with commas between them, as many as a line may have.
fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let count = names.len();
    let mut all: Vec<String> = names.take(LISTED).collect();
    all.extend((count > LISTED).then(|| format!("and {} more", count - LISTED)));
    all.join(", ")
}

/// Counts with their noun.
fn rows(count: usize) -> String {
    format!("{count} {}", if count == 1 { "row" } else { "rows" })
}

fn predicted(targets: &Targets) -> String {
    match targets {
        Targets::Classes { label, classes } => {
            let each = classes.iter().map(|(name, count)| format!("{name} in {}", rows(*count)));
            format!("the class {label}: {}", listed(each))
        }
        Targets::Values(ranges) => {
            let each = ranges
                .iter()
                .map(|range| format!("{}, from {} to {}, mean {:.4}", range.name, range.min, range.max, range.mean));
            format!("{} {}", if ranges.len() == 1 { "the number" } else { "the numbers" }, listed(each))
        }
    }
}

/// What is measured beside.
pub fn baseline(baseline: &Baseline, classes: &[String]) -> String {
    match baseline {
        Baseline::MostFrequent { class, accuracy } => {
            let name = classes.get(*class as usize).cloned().unwrap_or_else(|| class.to_string());
            format!("accuracy {accuracy:.4}, by always saying {name}, the most frequent class")
        }
        Baseline::Mean { mae, rmse, r2, .. } => {
            format!("MAE {mae:.4}, RMSE {rmse:.4}, R2 {r2:.4}, by always saying the mean")
        }
        other => format!("{other:?}"),
    }
}

fn names(targets: &Targets) -> Vec<String> {
    match targets {
        Targets::Classes { classes, .. } => classes.iter().map(|(name, _)| name.clone()).collect(),
        Targets::Values(_) => Vec::new(),
    }
}

/// The report's lines: what each is of, and what is said.
fn lines(report: &Report) -> Vec<(&'static str, String)> {
    let of = |is: fn(&Column) -> bool| report.columns.iter().filter(|column| is(column)).collect::<Vec<_>>();
    let (numbers, words) = (of(|column| column.words.is_none()), of(|column| column.words.is_some()));
    let missing = of(|column| column.missing > 0);
    let fill = |column: &&Column| column.fill.as_ref().map_or_else(String::new, |fill| format!(" by {fill}"));
    let mut lines = vec![
        ("predicts", predicted(&report.targets)),
        ("numbers", listed(numbers.iter().map(|column| column.name.clone()))),
        ("words", listed(words.iter().map(|column| format!("{} ({})", column.name, column.words.unwrap_or(0))))),
        ("left out", listed(report.left_out.iter().cloned())),
        (
            "filled in",
            listed(missing.iter().map(|column| format!("{} in {}{}", column.name, rows(column.missing), fill(column)))),
        ),
    ];
    let test = if report.test == 0 { "none".into() } else { report.test.to_string() };
    lines.push(("rows", format!("{} to train on, {test} to measure on", report.train)));
    let names = names(&report.targets);
    lines.extend(report.baseline.as_ref().map(|found| ("baseline", baseline(found, &names))));
    lines.retain(|(_, text)| !text.is_empty());
    lines
}

/// As text: `name` is the table's.
pub fn print(name: &str, report: &Report) -> Result<()> {
    let mut out = io::stdout().lock();
    let dropped: usize = report.dropped.iter().map(|dropped| dropped.rows).sum();
    let left =
        if dropped == 0 { String::new() } else { format!(", {dropped} left out, {} kept", report.rows_read - dropped) };
    writeln!(out, "{}: {}{left}", printable(name), rows(report.rows_read))?;
    for (what, text) in lines(report) {
        writeln!(out, "  {what:<10} {}", printable(&text))?;
    }
    Ok(())
}

/// As a line of JSON.
pub fn print_json(report: &Report) -> Result<()> {
    let column = |column: &Column| {
        let kind = if column.words.is_some() { "words" } else { "numbers" };
        let mut entry = json!({ "name": column.name, "kind": kind, "missing": column.missing });
        column.words.iter().for_each(|words| entry["words"] = json!(words));
        column.fill.iter().for_each(|fill| entry["fill"] = json!(fill));
        entry
    };
    let mut table = json!({
        "rows_read": report.rows_read,
        "dropped": report.dropped.iter().map(|dropped| json!({ "column": dropped.column, "text": dropped.text, "rows": dropped.rows })).collect::<Vec<_>>(),
        "columns": report.columns.iter().map(column).collect::<Vec<_>>(),
        "left_out": report.left_out,
        "train": report.train,
        "test": report.test,
        "warnings": report.warnings.iter().map(|text| in_options(text)).collect::<Vec<_>>(),
    });
    match &report.targets {
        Targets::Classes { label, classes } => {
            table["label"] = json!(label);
            table["classes"] = classes.iter().map(|(name, count)| json!({ "name": name, "rows": count })).collect();
        }
        Targets::Values(ranges) => {
            let each = ranges
                .iter()
                .map(|range| json!({ "name": range.name, "min": range.min, "max": range.max, "mean": range.mean }));
            table["targets"] = each.collect();
        }
    }
    report.baseline.iter().for_each(|baseline| table["baseline"] = baseline_json(baseline, &names(&report.targets)));
    let mut out = io::stdout().lock();
    writeln!(out, "{}", json!({ "table": table }))?;
    Ok(out.flush()?)
}

/// What is measured beside, as JSON.
pub fn baseline_json(baseline: &Baseline, classes: &[String]) -> Value {
    match baseline {
        Baseline::MostFrequent { class, accuracy } => {
            let name = classes.get(*class as usize).cloned().unwrap_or_else(|| class.to_string());
            json!({ "class": name, "accuracy": accuracy })
        }
        Baseline::Mean { means, mae, rmse, r2 } => {
            json!({ "means": means, "mean_absolute_error": mae, "root_mean_squared_error": rmse, "r2_score": r2 })
        }
        _ => Value::Null,
    }
}
