//! `kiln auto`: what it prints and saves, that it repeats, and what it refuses.
#![cfg(feature = "cli")]

use std::path::Path;

use kiln::auto::{NOTE, Report};
use kiln::nn::Model;
use tempfile::TempDir;

use crate::cli::{command, json, output, run, says};

/// A table of so many rows, whose kind follows from one number.
fn table(folder: &Path, rows: usize) -> String {
    let row = |i: usize| format!("{},{},{}\n", i as f32 / 4.0, i * 7 % 5, if i < rows / 2 { "low" } else { "high" });
    let path = folder.join("t.csv");
    std::fs::write(&path, "size,noise,kind\n".to_string() + &(0..rows).map(row).collect::<String>()).unwrap();
    path.to_str().unwrap().into()
}

fn name(folder: &TempDir, file: &str) -> String {
    folder.path().join(file).to_str().unwrap().into()
}

#[test]
fn a_search_is_printed_saved_and_repeated() {
    let folder = TempDir::new().unwrap();
    let (table, first, second) =
        (table(folder.path(), 30), name(&folder, "a.safetensors"), name(&folder, "b.safetensors"));
    let search = |file: &str| {
        let options =
            ["auto", &table, "--label", "kind", "--trials", "2", "--folds", "3", "--seed", "5", "--save", file];
        output(folder.path(), &options)
    };
    let said = search(&first);
    let (table_lines, search_lines) = said.split_at(said.find("Searching").expect(&said));
    says(table_lines, &["t.csv: 30 rows\n", "high in 15 rows, low in 15 rows", "30 to train on, none to measure on"]);
    let lines: Vec<&str> = search_lines.lines().collect();
    says(lines[0], &["Searching among 2 settings on cpu (", " threads, f32), by 3-fold cross-validation of 30 rows"]);
    assert_eq!(lines[1], "rank  accuracy         epochs  trial  settings");
    assert!(lines[2].starts_with("   1  ") && lines[2].contains(" ± ") && lines[2].contains(", rate 0.0"), "{said}");
    assert!(lines[3].starts_with("   2  "), "{said}");
    assert_eq!(lines[4], "   -  0.5000 ± 0.0000       -      -  baseline: the same answer for every row");
    assert_eq!(lines[5], "The first is the smallest network of those that the folds do not tell from the best");
    assert!(lines[6].starts_with("Tried 2 settings in "), "{said}");
    assert!(lines[6].ends_with(" s; --trials 2 --seed 5 repeats this search"), "{said}");
    assert!(lines[7].starts_with("Trained the best on all 30 rows for "), "{said}");
    assert_eq!(lines[8..10], [format!("Saved {first}; ask it by"), format!("  kiln predict {first} FILE.csv")]);
    assert!(lines[10..].iter().all(|line| *line == format!("  kiln serve {first}")), "{said}");

    search(&second);
    assert_eq!(std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
    let report = Model::load(&first).unwrap().note::<Report>(NOTE).unwrap().unwrap();
    assert_eq!((report.trials, report.folds, report.seed, report.metric.as_str()), (2, 3, 5, "accuracy"));
    says(&output(folder.path(), &["predict", &first, &table, "--limit", "1"]), &["low"]);
    says(
        &output(folder.path(), &["summary", &first]),
        &["Search: accuracy ", " by 3 folds, the best of 2 trials with the seed 5"],
    );
    let measured = json(&output(folder.path(), &["eval", &first, &table, "--json"]));
    assert!(measured["accuracy"].as_f64().unwrap() > 0.9, "{measured}");
}

#[test]
fn rows_may_be_held_back_and_the_result_be_json() {
    let folder = TempDir::new().unwrap();
    let table = table(folder.path(), 40);
    let options =
        ["--label", "kind", "--trials", "1", "--folds", "2", "--metric", "f1", "--test-split", "0.25", "--json"];
    let said = output(folder.path(), &[&["auto", &table], &options[..]].concat());
    let (table, said) = said.trim_end().split_once('\n').expect(&said);
    let (table, said) = (json(table), json(said));
    assert_eq!((&table["table"]["train"], &table["table"]["test"]), (&30.into(), &10.into()), "{table}");
    assert_eq!(
        (&said["rows"], &said["trials"], &said["metric"]),
        (&30.into(), &1.into(), &"f1_score".into()),
        "{said}"
    );
    assert!(said["ranked"][0]["settings"].as_str().unwrap().starts_with("dense "), "{said}");
    assert!(said["test_accuracy"].as_f64().is_some() && said["saved"].is_null(), "{said}");
}

#[test]
fn numbers_are_found_in_their_own_units() {
    let folder = TempDir::new().unwrap();
    let (table, file) = (table(folder.path(), 40), name(&folder, "m.safetensors"));
    let options = ["--target", "size", "--trials", "2", "--folds", "2", "--metric", "mae", "--save", &file];
    let said = output(folder.path(), &[&["auto", &table], &options[..]].concat());
    says(&said, &["rank  mean_absolute_error", "baseline: the same answer for every row", "kiln predict "]);
    let report = Model::load(&file).unwrap().note::<Report>(NOTE).unwrap().unwrap();
    assert!(report.best().score.mean < report.baseline.mean && report.baseline.mean > 2.0, "{report}");
    let (code, _, stderr) = run(folder.path(), &["auto", &table, "--target", "size", "--metric", "f1"]);
    assert_eq!(code, Some(1));
    says(&stderr, &["error: metric: \"f1\" is none of values; give r2, rmse, mae or loss"]);
    let (_, _, stderr) = run(folder.path(), &["auto", &table, "--label", "size"]);
    says(&stderr, &["kiln auto ", "--target size"]);
}

#[test]
fn what_cannot_be_searched_is_said() {
    let folder = TempDir::new().unwrap();
    let table = table(folder.path(), 12);
    let refused = |args: &[&str], part: &str| {
        let (code, _, stderr) = run(folder.path(), &[&["auto"], args].concat());
        assert_eq!(code, Some(1), "{stderr}");
        says(&stderr, &[part]);
    };
    let with = |more: &'static [&'static str]| [&[table.as_str(), "--label", "kind"][..], more].concat();
    refused(&with(&["--folds", "1"]), "error: folds: 1 leave nothing to measure on; give 2 or more");
    refused(&with(&["--folds", "9"]), "error: folds: 9 folds, the largest class has 6 samples; give fewer");
    refused(&with(&["--trials", "0"]), "error: trials: 0 find nothing; give 1 or more");
    refused(&with(&["--metric", "r2"]), "error: metric: \"r2\" is none of classes; give accuracy, loss, f1 or auc");
    refused(&with(&["--standardize"]), "error: standardize: the networks of a search standardize their columns");
    refused(&with(&["--class-weight", "low=2"]), "error: class_weight: a search tries whether classes");
    refused(&with(&["--save", "t.txt"]), "error: save: ");
    let help = output(folder.path(), &["auto", "--help"]);
    says(&help, &["--budget", "--fill-missing"]);
    assert!(!help.contains("--standardize") && !help.contains("--class-weight"), "{help}");
    std::fs::write(folder.path().join("one.csv"), "a,kind\n1,x\n2,x\n3,x\n").unwrap();
    refused(&[&name(&folder, "one.csv"), "--label", "kind", "--folds", "2"], "there is nothing to tell apart");
    for wrong in ["0", "soon", "3d", "-1s"] {
        let budget = format!("--budget={wrong}");
        let (code, _, stderr) = run(folder.path(), &[&["auto"], &with(&[])[..], &[&budget]].concat());
        assert_eq!(code, Some(2), "{stderr}");
        says(&stderr, &["is no time; give one such as 90s, 5m or 1h"]);
    }
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_search_and_what_was_found_is_kept() {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};

    let folder = TempDir::new().unwrap();
    let (table, file) = (table(folder.path(), 30), name(&folder, "m.safetensors"));
    let args = ["auto", &table, "--label", "kind", "--trials", "1000000", "--folds", "2", "--save", &file];
    let mut child = command(folder.path(), &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut line, mut stdout) = (String::new(), BufReader::new(child.stdout.take().unwrap()));
    while !line.contains("Searching") {
        assert!(stdout.read_line(&mut line).unwrap() > 0, "{line}");
    }
    assert!(Command::new("kill").args(["-2", &child.id().to_string()]).status().unwrap().success());
    stdout.read_to_string(&mut line).unwrap();
    let status = child.wait().unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(status.signal(), Some(2), "{stderr}");
    says(&stderr, &["ending the search; the best so far is trained on all rows; press Ctrl-C again to stop at once"]);
    // The signal comes before the first trial is done, or after.
    match Model::load(&file) {
        Ok(model) => assert!(model.note::<Report>(NOTE).unwrap().unwrap().trials < 1_000_000),
        Err(_) => says(&stderr, &["stopped before its first trial was done"]),
    }
}
