//! `kiln train` on a table, and what is done with the model that it saves.
#![cfg(feature = "cli")]

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{devices, json, output, run, says};

const ZOO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/zoo.csv");

fn zoo<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let short = ["train", ZOO, "--label", "type", "--without", "name", "--batch-size", "16", "--epochs", "40"];
    // All training rows are trained on in all epochs.
    [&short[..], &["--validation-split", "0"], more].concat()
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
fn a_table_smaller_than_a_batch_is_one_batch() {
    let folder = TempDir::new().unwrap();
    let args = zoo(&["--device", "cpu", "--json"]);
    let args: Vec<&str> = args.iter().map(|arg| if *arg == "16" { "128" } else { arg }).collect();
    let last = json(output(folder.path(), &args).lines().last().unwrap());
    assert_eq!((&last["steps"], &last["epochs"]), (&40.into(), &40.into()), "{last}");
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
    refused(&[table, "--label", "kind", "--drop-missing", "--test-split", "2"], &["test_split: 2 is no share"]);
    for option in [
        &["--label", "kind"][..],
        &["--target", "kind"],
        &["--fill-missing", "0"],
        &["--separator", ";"],
        &["--no-header"],
        &["--test", "a.csv"],
        &["--split-seed", "1"],
        &["--no-standardize"],
        &["--without", "a"],
        &["--words", "a"],
        &["--numbers", "a"],
        &["--missing", "-"],
        &["--sample-weight", "a"],
        &["--class-weight", "3=2"],
        &["--drop-missing"],
        &["--test-split", "0.2"],
        &["--standardize"],
    ] {
        let name = option[0][2..].replace('-', "_");
        let what = if name == "test_split" || name == "split_seed" {
            "has samples of its own to measure on"
        } else {
            "is no table"
        };
        refused(&[&["mnist"], option].concat(), &[&format!("error: {name}: mnist {what}")]);
    }
    let splits = ["--label", "kind", "--drop-missing", "--test-split", "0.5", "--batch-size", "2"];
    let weighted = |option, value| [&[table][..], &splits, &["--device", "cpu", option, value]].concat();
    refused(&weighted("--class-weight", "z=2"), &["class_weight: no row has the label \"z\"; there are x, y"]);
    refused(&weighted("--class-weight", "x=-2"), &["class_weight: \"x\" has -2; give 0 or more"]);
    refused(&weighted("--class-weight", "x=2,y=1,x=3"), &["class_weight: \"x\" is named twice"]);
    refused(&weighted("--sample-weight", "b"), &["sample_weight: ", "column \"b\" is unknown"]);
    refused(&["no.csv", "--label", "kind"], &["no.csv: open: "]);
    let args = ["train", table, "--label", "kind", "--drop-missing", "--test-split", "0.5", "--batch-size", "2"];
    let (code, said, stderr) = run(folder.path(), &[&args[..], &["--device", "cpu"]].concat());
    assert_eq!(code, Some(0), "{stderr}");
    says(&said, &["Test accuracy: "]);
    assert_eq!(
        stderr,
        format!("{table}: 1 of 5 rows are left out, since a field is missing: column \"a\" has \"\" in 1\n")
    );
}

/// Standardised, so that a scaler that is left out makes a difference.
const SAVED: [&str; 6] = ["--standardize", "--hidden", "16", "--optimizer", "adam", "-q"];

/// Some rows of the zoo in another order of columns, without the label, and the label of each.
fn rows_without_label() -> (String, Vec<String>) {
    let text = std::fs::read_to_string(ZOO).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let line = |row: &Vec<&str>| row[..17].iter().rev().copied().collect::<Vec<_>>().join(",") + "\n";
    let labels = rows[1..9].iter().map(|row| row[17].to_string());
    (rows[..9].iter().map(line).collect(), labels.collect())
}

#[test]
fn a_saved_model_reads_tables_as_it_was_trained() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let (file, rows) = (place("zoo.safetensors"), place("rows.csv"));
    let (text, labels) = rows_without_label();
    std::fs::write(&rows, text).unwrap();
    for device in devices() {
        let place = ["--device", &device[..]];
        let trained = zoo(&[&SAVED[..5], &place, &["--save", &file, "--json", "--learning-rate", "0.05"]].concat());
        let trained = json(output(folder.path(), &trained).lines().last().unwrap());
        let eval = |more: &[&str]| output(folder.path(), &[&["eval", &file], more, &place].concat());
        // The same rows on the same device: the same numbers.
        let held = json(&eval(&[ZOO, "--held-out", "--json"]));
        let found = (&held["samples"], &held["accuracy"], &held["loss"]);
        assert_eq!(found, (&21.into(), &trained["test_accuracy"], &trained["test_loss"]), "{device}");
        let counts = "        true  amphibian  bird  fish  insect  invertebrate  mammal  reptile  <- taken for";
        says(
            &eval(&[ZOO, "--confusion"]),
            &["101 samples of ", "zoo.csv: loss: ", "precision", counts, "\n      mammal  "],
        );
        assert_eq!(json(&eval(&[ZOO, "--confusion", "--json"]))["confusion"]["names"][5], "mammal");
        says(&eval(&[ZOO, "--held-out"]), &["21 test samples of "]);

        let asked =
            output(folder.path(), &[&["predict", &file, &rows, ZOO, "--json", "--limit", "8"], &place[..]].concat());
        let lines: Vec<Value> = asked.lines().map(json).collect();
        assert_eq!(lines.len(), 16);
        let hits = lines.iter().zip(labels.iter().cycle()).filter(|(line, label)| line["label"] == **label).count();
        assert_eq!(hits, 16, "{asked}");
        assert!((0..8).all(|row| lines[row]["outputs"] == lines[row + 8]["outputs"]), "{asked}");
        let text = output(folder.path(), &[&["predict", &file, &rows, "--limit", "1"], &place[..]].concat());
        says(&text, &["rows.csv, row 0: class mammal, ", "bird: 0.0", "mammal: "]);
    }
    let summary = output(folder.path(), &["summary", &file]);
    says(
        &summary,
        &["Data: zoo, batch size 16", "Table: columns hair, feathers, ", "standardized; classes amphibian, bird,"],
    );
}

#[test]
fn a_resumed_run_on_a_table_writes_the_file_of_one_that_was_never_stopped() {
    let folder = TempDir::new().unwrap();
    let [whole, part, rest] =
        ["whole", "part", "rest"].map(|name| folder.path().join(name).to_str().unwrap().to_string());
    for device in devices() {
        let options = [
            "train",
            ZOO,
            "--label",
            "type",
            "--without",
            "name",
            "--batch-size",
            "16",
            "--class-weight",
            "mammal=0.5",
            "--seed",
            "3",
            "--validation-split",
            "0",
            "--device",
            &device,
        ];
        let run = |more: &[&str]| output(folder.path(), &[&options[..], &SAVED, more].concat());
        run(&["--epochs", "4", "--save", &whole]);
        run(&["--epochs", "3", "--save", &part]);
        let resume = ["train", ZOO, "--epochs", "4", "--resume", &part, "--save", &rest, "-q", "--device", &device];
        output(folder.path(), &resume);
        let [whole, rest] = [&whole, &rest].map(|file| std::fs::read(file).unwrap());
        assert!(whole == rest, "{device}: the files differ");
    }
}

#[test]
fn what_does_not_fit_a_saved_model_of_a_table_is_said() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let [file, other, short, missing, changed] =
        ["zoo.safetensors", "other.csv", "zoo.csv", "missing.csv", "changed.csv"].map(place);
    output(folder.path(), &zoo(&[&SAVED[..], &["--device", "cpu", "--save", &file]].concat()));
    let (text, _) = rows_without_label();
    std::fs::write(&other, text.replacen("hair", "hare", 1)).unwrap();
    std::fs::write(&missing, text.replacen(",1,", ",,", 1)).unwrap();
    let zoo = std::fs::read_to_string(ZOO).unwrap();
    std::fs::write(&short, zoo.lines().take(90).map(|line| line.to_string() + "\n").collect::<String>()).unwrap();
    // As many rows, and a leg more.
    std::fs::write(&changed, zoo.replacen(",4,", ",5,", 1)).unwrap();
    let cpu = ["--device", "cpu"];
    for (args, parts) in [
        (vec!["predict", &file, &other], vec!["other.csv: column \"hair\" is unknown; did you mean \"hare\"?"]),
        (
            vec!["predict", &file, &missing],
            vec!["missing.csv: line 2, column ", "missing; mend it, or leave the row out"],
        ),
        (vec!["predict", &file, ZOO, "--invert"], vec!["invert: is for pictures", "zoo.safetensors takes tables"]),
        (vec!["eval", &file], vec!["was trained on a table", "zoo.csv"]),
        (vec!["eval", &file, "mnist"], vec!["mnist: ", "was trained on a table; give a table with its columns"]),
        (vec!["eval", &file, "x.npz"], vec!["x.npz: ", "was trained on a table; give a table with its columns"]),
        (vec!["predict", &file, "x.npz"], vec!["x.npz: ", "was trained on a table; give a table with its columns"]),
        (vec!["eval", &file, "mnist", "--held-out"], vec!["held_out: mnist is no table"]),
        (vec!["eval", &file, &other], vec!["other.csv: column \"type\" is unknown"]),
        (vec!["eval", &file, &short, "--held-out"], vec!["zoo.csv: has 89 rows, the run had 101"]),
        (vec!["train", &short, "--resume", &file, "--epochs", "99"], vec!["zoo.csv: has 89 rows, the run had 101"]),
        (vec!["eval", &file, &changed, "--held-out"], vec!["changed.csv: has changed since the run"]),
        (vec!["train", ZOO, "--resume", &file, "--label", "type"], vec!["--resume", "--label"]),
        (vec!["train", "mnist", "--resume", &file], vec!["was trained on zoo, not on mnist"]),
    ] {
        let (code, _, stderr) = run(folder.path(), &[&args, &cpu[..]].concat());
        assert_ne!(code, Some(0), "{args:?}");
        says(&stderr, &parts);
    }
}

/// Twelve rows of a column `a` and labels 0 and 1, of which one is spelled in another way.
fn rows(fields: [&str; 12]) -> String {
    let rows = fields.iter().zip(0..).map(|(a, i)| format!("{a},{}\n", if i == 3 { "1.0" } else { ["0", "1"][i % 2] }));
    format!("a,kind\n{}", rows.collect::<String>())
}

#[test]
fn what_a_column_is_can_be_said_and_is_kept() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let [table, file] = ["t.csv", "t.safetensors"].map(place);
    std::fs::write(&table, rows(["-", "2", "3", "4", "5", "6", "7", "8", "9", "-", "11", "12"])).unwrap();
    let train = |more: &[&str]| {
        let args = ["train", &table, "--label", "kind", "--device", "cpu", "--epochs", "1", "-q", "--save", &file];
        run(folder.path(), &[&args, more].concat())
    };
    let (code, _, stderr) = train(&[]);
    assert_eq!(code, Some(1), "{stderr}");
    says(&stderr, &["t.csv: column \"a\": 10 of 12 fields are numbers, these are not: line 2 \"-\", line 11 \"-\""]);
    says(&stderr, &["by --words, ", "by --numbers, ", "by --missing which"]);
    let (_, _, stderr) = train(&["--numbers", "a"]);
    says(
        &stderr,
        &[
            "line 2, column \"a\": the field is missing",
            "; fill such fields in by --fill-missing median, drop such rows by --drop-missing, or leave",
        ],
    );
    let left = "t.csv: 2 of 12 rows are left out, since a field is missing: column \"a\" has \"-\" in 2";
    for option in [["--missing", "-"], ["--numbers", "a"]] {
        let (code, _, stderr) = train(&[&option[..], &["--drop-missing"]].concat());
        assert_eq!(code, Some(0), "{stderr}");
        says(&stderr, &[left]);
        // Of the saved model, too.
        let (code, said, stderr) = run(folder.path(), &["eval", &file, &table, "--device", "cpu"]);
        assert_eq!(code, Some(0), "{stderr}");
        says(&said, &["10 samples of "]);
        says(&stderr, &[left]);
    }
    says(&output(folder.path(), &["summary", &file]), &["Table: columns a, standardized; classes 0, 1\n"]);
    let (code, _, stderr) = train(&["--words", "a"]);
    assert_eq!(code, Some(0), "{stderr}");
    says(&output(folder.path(), &["summary", &file]), &["Table: columns a=-, a=11, a=12, a=2"]);
    let named: Vec<String> = (0..12).map(|i| format!("n{i}")).collect();
    std::fs::write(&table, rows(std::array::from_fn(|i| named[i].as_str()))).unwrap();
    says(&train(&[]).2, &["t.csv: column \"a\": 12 different words in 12 rows become 12 columns", "by --without"]);
}

#[test]
fn folds_say_how_far_a_figure_is_to_be_trusted() {
    let folder = TempDir::new().unwrap();
    let short =
        ["train", ZOO, "--label", "type", "--without", "name", "--epochs", "5", "--device", "cpu", "--folds", "3"];
    let text = output(folder.path(), &short);
    says(&text, &["Fold 1/3: accuracy ", "Fold 3/3: accuracy ", "Mean of 3 folds ± standard deviation: accuracy "]);
    let found = json(output(folder.path(), &[&short[..], &["--json"]].concat()).lines().last().unwrap());
    // By the text's own lines.
    let of_folds: Vec<f64> = text
        .lines()
        .filter_map(|line| line.strip_prefix("Fold ")?.split("accuracy ").nth(1)?.split(',').next()?.parse().ok())
        .collect();
    let mean = of_folds.iter().sum::<f64>() / 3.0;
    let deviation = (of_folds.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    assert!((found["test_accuracy"].as_f64().unwrap() - mean).abs() < 1e-4, "{found} {of_folds:?}");
    assert!((found["test_accuracy_deviation"].as_f64().unwrap() - deviation).abs() < 1e-4, "{found} {of_folds:?}");
    for (args, parts) in [
        (vec!["train", "mnist", "--folds", "3"], vec!["folds: are of a table, mnist is none"]),
        (
            [&short[..short.len() - 1], &["1"]].concat(),
            vec!["folds: 1 leave nothing to measure on or to train on; give 2 or more"],
        ),
        ([&short[..], &["--save", "m.safetensors"]].concat(), vec!["--folds", "--save"]),
    ] {
        let (code, _, stderr) = run(folder.path(), &args);
        assert_ne!(code, Some(0), "{args:?}");
        says(&stderr, &parts);
    }
}
