//! `kiln train` on a table.
#![cfg(feature = "cli")]

use tempfile::TempDir;

use crate::cli::{devices, json, output, run, says};

const ZOO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/zoo.csv");

fn zoo<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let short = ["train", ZOO, "--label", "type", "--without", "name", "--batch-size", "16", "--epochs", "40"];
    [&short, more].concat()
}

#[test]
fn a_table_is_trained_on_and_measured() {
    let folder = TempDir::new().unwrap();
    for device in devices() {
        let settings = ["--device", &device, "--hidden", "16", "--optimizer", "adam", "--learning-rate", "0.01"];
        let args = zoo(&[&settings[..], &["--standardize", "--json"]].concat());
        let last = json(output(folder.path(), &args).lines().last().unwrap());
        // 21 of 101 to measure on, 5 steps of 80 an epoch.
        assert_eq!(last["steps"], 200, "{last}");
        assert!(last["test_accuracy"].as_f64().unwrap() > 0.85, "{last}");
    }
    let summary = output(folder.path(), &zoo(&["--device", "cpu", "--hidden", "none", "--summary", "--quiet"]));
    says(&summary, &["Model: \"zoo\"", "(None, 7)", "119"]);
}

#[test]
fn rows_and_labels_may_have_weights() {
    let folder = TempDir::new().unwrap();
    let scores = |more: &[&str]| {
        let args = zoo(&[&["--device", "cpu", "--hidden", "none", "--json"], more].concat());
        let last = json(output(folder.path(), &args).lines().last().unwrap());
        (last["test_loss"].as_f64().unwrap(), last["test_accuracy"].as_f64().unwrap())
    };
    let plain = scores(&[]);
    assert_ne!(scores(&["--class-weight", "mammal=3,bird=0.5"]), plain);
    assert_eq!(scores(&["--class-weight", "mammal=1"]).1, plain.1);
    // Animals without legs count for nothing, and there is one column of them less.
    assert_ne!(scores(&["--sample-weight", "legs"]), plain);
}

#[test]
fn what_is_wrong_with_a_table_is_said() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t.tsv");
    std::fs::write(&path, "a\tkind\n1\tx\n\tx\n2\ty\n3\ty\n4\tx\n").unwrap();
    let table = path.to_str().unwrap();
    let refused = |args: &[&str], parts: &[&str]| {
        let (code, _, stderr) = run(folder.path(), &[&["train"], args].concat());
        assert_eq!(code, Some(1), "{stderr}");
        says(&stderr, parts);
    };
    refused(&[table], &["error: label: name the column of", "--label"]);
    refused(&[table, "--label", "kin"], &["t.tsv: column \"kin\" is unknown; did you mean \"kind\"?"]);
    refused(&[table, "--label", "kind"], &["t.tsv: line 3, column \"a\": the field is missing"]);
    refused(&[table, "--label", "kind", "--drop-missing", "--test-split", "2"], &["test_share: 2 of 4 samples"]);
    refused(&["mnist", "--label", "kind"], &["label: mnist is no table"]);
    refused(&["mnist", "--class-weight", "3=2"], &["class_weight: mnist is no table"]);
    let splits = ["--label", "kind", "--drop-missing", "--test-split", "0.5", "--batch-size", "2"];
    let weighted = |option, value| [&[table][..], &splits, &["--device", "cpu", option, value]].concat();
    refused(&weighted("--class-weight", "z=2"), &["class_weight: no row has the label \"z\"; there are x, y"]);
    refused(&weighted("--class-weight", "x=-2"), &["class_weight: class 0 has -2.0"]);
    refused(&weighted("--sample-weight", "b"), &["sample_weight: ", "column \"b\" is unknown"]);
    refused(&["no.csv", "--label", "kind"], &["no.csv: open: "]);
    let args = ["train", table, "--label", "kind", "--drop-missing", "--test-split", "0.5", "--batch-size", "2"];
    says(&output(folder.path(), &[&args[..], &["--device", "cpu"]].concat()), &["Test accuracy: "]);
}
