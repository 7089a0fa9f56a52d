//! What `kiln train` says of a table, and what becomes of missing fields in it, in training and of the saved model.
#![cfg(feature = "cli")]

use std::fs;

use tempfile::TempDir;

use crate::cli::{json, output, run, says};

/// Twenty rows, of which eight have fields missing. Whichever are trained on, the median and the most frequent word are the same.
fn people() -> String {
    let row = |i: usize| {
        let age = ["", "30", "31", "31", "32"][i % 5];
        let city = ["oslo", "rome", "oslo", "?"][i % 4];
        format!("\"Doe, {i}\",{age},{city},{}\n", ["ill", "well", "well"][i % 3])
    };
    format!("\"last, first\",age,city,state\n{}", (0..20).map(row).collect::<String>())
}

const SHORT: [&str; 8] = ["--without", "\"last, first\"", "--label", "state", "--device", "cpu", "--epochs", "2"];

#[test]
fn the_report_says_what_a_table_holds_and_what_is_filled_in() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("people.csv"), people()).unwrap();
    let path = folder.path().join("people.csv");
    let path = path.to_str().unwrap();
    let said = output(folder.path(), &[&["train", path, "--fill-missing", "median"], &SHORT[..]].concat());
    let report = format!(
        "{path}: 20 rows
  predicts   the class state: ill in 7 rows, well in 13 rows
  numbers    age
  words      city (2)
  left out   last, first
  filled in  age in 4 rows by 31, city in 5 rows by oslo
  rows       16 to train on, 4 to measure on
  baseline   accuracy 0.7500, by always saying well, the most frequent class
Training on cpu"
    );
    assert!(said.starts_with(&report), "{said}");
    says(&said, &["\nTest accuracy: 0.", "\nBaseline: accuracy 0.7500, by always saying well"]);

    let dropped = [&["train", path, "--drop-missing", "--json"], &SHORT[..]].concat();
    let (code, said, stderr) = run(folder.path(), &dropped);
    assert_eq!(code, Some(0), "{stderr}");
    says(&stderr, &["people.csv: 8 of 20 rows are left out, since a field is missing: column \"age\" has \"\" in 4"]);
    let table = &json(said.lines().next().unwrap())["table"];
    assert_eq!((&table["rows_read"], &table["train"], &table["test"]), (&20.into(), &9.into(), &3.into()));
    assert_eq!((&table["dropped"][0]["rows"], &table["left_out"][0]), (&4.into(), &"last, first".into()));
    assert_eq!((&table["classes"][0]["name"], &table["columns"][1]["words"]), (&"ill".into(), &2.into()));
    let last = json(said.lines().last().unwrap());
    assert_eq!(last["baseline"], table["baseline"]);

    let (code, _, stderr) = run(folder.path(), &[&["train", path], &SHORT[..]].concat());
    assert_eq!(code, Some(1));
    says(
        &stderr,
        &["people.csv: line 2, column \"age\": the field is missing; fill such fields in by --fill-missing median"],
    );
    says(&stderr, &["Fields are missing in 8 of 20 rows: \"city\" in 5, \"age\" in 4"]);
}

#[test]
fn a_saved_model_fills_in_and_leaves_out_as_in_training() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let [table, asked, filled, filled_in, dropping] =
        ["people.csv", "asked.csv", "filled.safetensors", "asked-in-full.csv", "dropping.safetensors"].map(place);
    fs::write(&table, people()).unwrap();
    fs::write(&asked, "city,age\n,25\noslo,\nrome,31\n").unwrap();
    let train = |more: &[&str]| run(folder.path(), &[&["train", &table, "-q"], &SHORT[..], more].concat());
    assert_eq!(train(&["--fill-missing", "median", "--save", &filled]).0, Some(0));
    assert_eq!(train(&["--drop-missing", "--save", &dropping]).0, Some(0));
    let predict = |model: &str, input: &str| {
        let (code, said, stderr) = run(folder.path(), &["predict", model, input, "--json", "--device", "cpu"]);
        assert_eq!(code, Some(0), "{stderr}");
        (said.lines().map(json).collect::<Vec<_>>(), stderr)
    };
    // By the words and the median that the rows to train on have.
    fs::write(&filled_in, "city,age\noslo,25\noslo,31\nrome,31\n").unwrap();
    let outputs = |lines: &[serde_json::Value]| lines.iter().map(|line| line["outputs"].clone()).collect::<Vec<_>>();
    assert_eq!(outputs(&predict(&filled, &asked).0), outputs(&predict(&filled, &filled_in).0));
    // The rows keep their numbers.
    let (lines, stderr) = predict(&dropping, &asked);
    assert_eq!((lines.len(), &lines[0]["row"]), (1, &2.into()));
    says(&stderr, &["asked.csv: 2 of 3 rows are left out"]);
    let measured = |model: &str, held_out: &[&str]| {
        let (code, said, stderr) =
            run(folder.path(), &[&["eval", model, &table, "--device", "cpu"], held_out].concat());
        assert_eq!(code, Some(0), "{stderr}");
        said
    };
    says(&measured(&filled, &[]), &["20 samples of "]);
    says(&measured(&filled, &["--held-out"]), &["4 test samples of "]);
    says(&measured(&dropping, &[]), &["12 samples of "]);
    // A label is never filled in, in training and later.
    fs::write(&asked, "city,age,state\noslo,30,ill\nrome,,\n").unwrap();
    let (_, _, stderr) = run(folder.path(), &["eval", &filled, &asked, "--device", "cpu"]);
    says(&stderr, &["asked.csv: line 3, column \"state\": the field is missing; mend it, or leave the row out"]);
    let (_, _, stderr) = run(folder.path(), &["train", &asked, "--label", "state", "--fill-missing", "mean"]);
    says(
        &stderr,
        &[
            "line 3, column \"state\": the field is missing; labels, targets and weights are not filled in; drop such rows by --drop-missing",
        ],
    );
    let (_, said, _) =
        run(folder.path(), &["predict", &filled, folder.path().to_str().unwrap(), "--device", "cpu", "--limit", "1"]);
    says(&said, &["asked-in-full.csv, row 0: class ", "asked.csv, row 0: class ", "people.csv, row 0: class "]);
}

#[test]
fn several_files_folders_and_other_forms_are_one_table() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let rows = |from: usize| (from..from + 10).map(|i| format!("{i};{}\n", ["x", "y"][i % 2])).collect::<String>();
    let parts = place("parts");
    fs::create_dir(&parts).unwrap();
    for (name, from) in [("1.csv", 0), ("2.csv", 10)] {
        fs::write(format!("{parts}/{name}"), rows(from)).unwrap();
    }
    let form = ["--separator", ";", "--no-header", "--label", "2", "--device", "cpu", "--epochs", "1", "--json"];
    let train = |inputs: &[&str], more: &[&str]| {
        let (code, said, stderr) = run(folder.path(), &[&["train"], inputs, &form, more].concat());
        assert_eq!(code, Some(0), "{stderr}");
        let lines: Vec<_> = said.lines().map(json).collect();
        (lines[0]["table"].clone(), lines.last().unwrap().clone())
    };
    let [one, two] = ["1.csv", "2.csv"].map(|name| format!("{parts}/{name}"));
    let (table, last) = train(&[&parts], &[]);
    assert_eq!((&table["rows_read"], &table["test"]), (&20.into(), &4.into()));
    assert_eq!(train(&[&one, &two], &[]).1["test_loss"], last["test_loss"]);
    let (table, last) = train(&[&one], &["--test", &two]);
    assert_eq!((&table["train"], &table["test"]), (&10.into(), &10.into()));
    assert!(last["test_loss"].is_number(), "{last}");
    let (table, last) = train(&[&one], &["--test-split", "0"]);
    assert_eq!(
        (&table["train"], &table["test"], &table["baseline"]),
        (&10.into(), &0.into(), &serde_json::Value::Null)
    );
    assert!(last["test_loss"].is_null(), "{last}");
    let refused = |args: &[&str], parts: &[&str]| {
        let (code, _, stderr) = run(folder.path(), &[&["train"], args].concat());
        assert_ne!(code, Some(0));
        says(&stderr, parts);
    };
    refused(&["mnist", &one], &["1.csv: mnist is no table, which alone may be of several files"]);
    refused(&[&one, "--label", "2", "--separator", "ab"], &["--separator", "give one character"]);
    refused(&[&one, "--label", "2", "--test", &two, "--test-split", "0.1"], &["--test", "--test-split"]);
}

#[test]
fn classes_may_be_balanced() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t.csv");
    let rows: String = (0..20).map(|i| format!("{i},{}\n", if i % 4 == 0 { "\"a, b\"" } else { "c" })).collect();
    fs::write(&path, format!("n,kind\n{rows}")).unwrap();
    let train = |weight: &str| {
        let args = ["train", path.to_str().unwrap(), "--label", "kind", "--device", "cpu", "--epochs", "1", "--json"];
        let (code, said, stderr) = run(folder.path(), &[&args[..], &["--class-weight", weight]].concat());
        (code, said.lines().nth(1).map(|line| json(line)["loss"].clone()), stderr)
    };
    // 16 rows to train on, of which 4 are of one class.
    assert_eq!(train("balanced").1, train("\"a, b\"=2,c=0.6666667").1);
    assert_ne!(train("balanced").1, train("c=1").1);
    says(&train("c").2, &["expected LABEL=WEIGHT, such as yes=5, or balanced"]);
}

#[test]
fn the_split_has_a_seed_of_its_own() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let [table, one, other, third] = ["t.csv", "1.safetensors", "2.safetensors", "3.safetensors"].map(place);
    let rows: String = (0..20).map(|i| format!("{},{}\n", i * i % 17, ["x", "y"][i % 2])).collect();
    fs::write(&table, format!("n,kind\n{rows}")).unwrap();
    let args = ["train", &table, "--label", "kind", "--device", "cpu", "--epochs", "1", "-q"];
    let train = |more: &[&str]| output(folder.path(), &[&args[..], more].concat());
    train(&["--save", &one]);
    train(&["--save", &other, "--seed", "9"]);
    train(&["--save", &third, "--split-seed", "9"]);
    // A model measured on the rows held out by another's split: what the file keeps decides.
    let loss = |model: &str| {
        json(&output(folder.path(), &["eval", model, &table, "--held-out", "--json", "--device", "cpu"]))["loss"]
            .clone()
    };
    let weights = |path: &str| kiln::nn::Model::load(path).unwrap().note::<kiln::nn::Config>("table").unwrap().unwrap();
    let seed = |path: &str| weights(path).take::<u64>("seed").unwrap();
    assert_eq!((seed(&one), seed(&other), seed(&third)), (0, 0, 9));
    assert_ne!(loss(&one), loss(&third));
}
