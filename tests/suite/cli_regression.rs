//! `kiln train --target`: numbers are predicted, of tables and of arrays, in their own units.
#![cfg(feature = "cli")]

use std::fs;

use kiln::Tensor;
use kiln::io::TensorFile;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{devices, json, output, run, says};

/// Prices of some hundred thousand that follow from two columns and a word, and half of each.
fn houses() -> String {
    let row = |i: usize| {
        let (rooms, area, side) = (i * 7 % 6 + 1, 40 + i * 13 % 90, ["north", "south"][i * 5 % 7 % 2]);
        let price = 100_000 + 20_000 * rooms + 1_500 * area + if side == "south" { 50_000 } else { 0 };
        format!("{rooms},{area},{side},{price},{}\n", price / 2)
    };
    format!("rooms,area,side,price,deposit\n{}", (0..120).map(row).collect::<String>())
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        fs::write(place.name("houses.csv"), houses()).unwrap();
        place
    }

    fn name(&self, file: &str) -> String {
        self.0.path().join(file).to_str().unwrap().into()
    }

    /// The last line of a run's JSON.
    fn trained(&self, input: &str, more: &[&str]) -> Value {
        let input = self.name(input);
        let short = ["train", &input, "--hidden", "16", "--optimizer", "adam", "--learning-rate", "0.02", "--json"];
        json(output(self.0.path(), &[&short, more].concat()).lines().last().unwrap())
    }

    fn refused(&self, args: &[&str], parts: &[&str]) {
        let (code, _, stderr) = run(self.0.path(), args);
        assert_eq!(code, Some(1), "{stderr}");
        says(&stderr, parts);
    }
}

fn number(line: &Value, name: &str) -> f64 {
    line[name].as_f64().unwrap_or_else(|| panic!("no {name} in {line}"))
}

#[test]
fn a_number_is_predicted_in_its_own_units_beside_the_baseline() {
    let place = Place::new();
    let [table, model, answers] = ["houses.csv", "m.safetensors", "answers.csv"].map(|name| place.name(name));
    for device in devices() {
        let on = ["--device", &device[..]];
        let line = place.trained(
            "houses.csv",
            &[&["--target", "price", "--without", "deposit", "--save", &model], &on[..]].concat(),
        );
        let [mae, rmse] = ["test_mean_absolute_error", "test_root_mean_squared_error"].map(|name| number(&line, name));
        assert!(number(&line, "test_r2_score") > 0.95 && mae <= rmse && rmse < 20_000.0, "{line}");
        assert!(number(&line["baseline"], "mean_absolute_error") > 20_000.0, "{line}");
        assert!(number(&line["baseline"], "r2_score") <= 0.0, "{line}");
        // The loss is of prices at a standard deviation of 1.
        assert!(number(&line, "test_loss") < 0.05, "{line}");
        let held =
            json(&output(place.0.path(), &[&["eval", &model, &table, "--held-out", "--json"], &on[..]].concat()));
        assert_eq!(held["mean_absolute_error"], line["test_mean_absolute_error"]);

        let predicted =
            output(place.0.path(), &[&["predict", &model, &table, "--json", "--limit", "20"], &on[..]].concat());
        for (line, row) in predicted.lines().map(json).zip(houses().lines().skip(1)) {
            let price: f64 = row.split(',').nth(3).unwrap().parse().unwrap();
            assert!((number(&line["values"], "price") - price).abs() < 60_000.0, "{line}, {row}");
            assert_eq!(number(&line["values"], "price") as f32, line["outputs"][0].as_f64().unwrap() as f32, "{line}");
        }
        let text = output(place.0.path(), &[&["predict", &model, &table, "--limit", "1"], &on[..]].concat());
        says(&text, &["houses.csv, row 0: price "]);
        output(place.0.path(), &[&["predict", &model, &table, "--output", &answers], &on[..]].concat());
        let written = fs::read_to_string(&answers).unwrap();
        assert!(written.starts_with("file,row,price\n") && written.lines().count() == 121, "{written}");
    }
    says(
        &output(place.0.path(), &["summary", &model]),
        &["Loss: mean_squared_error", "standardized; predicts price\n"],
    );
    place.refused(&["eval", &model, &table, "--confusion"], &["confusion: ", "m.safetensors predicts numbers"]);
    let text = output(
        place.0.path(),
        &["train", &table, "--target", "price", "--without", "deposit", "--device", "cpu", "--verbose", "0"],
    );
    says(
        &text,
        &["predicts   the number price, from 18", "\nTest MAE: ", ", test RMSE: ", ", test R2: 0.", "\nBaseline: MAE "],
    );
    says(&text, &["R2 -0.", "by always saying the mean\n"]);
}

#[test]
fn several_numbers_are_predicted_and_a_run_on_them_goes_on() {
    let place = Place::new();
    let [whole, part, rest] = ["whole", "part", "rest"].map(|name| place.name(name));
    let both = ["--target", "price,deposit", "--device", "cpu", "--no-early-stopping"];
    let line = place.trained("houses.csv", &[&both[..], &["--epochs", "6", "--save", &whole]].concat());
    assert_eq!(line["baseline"]["means"].as_array().unwrap().len(), 2, "{line}");
    place.trained("houses.csv", &[&both[..], &["--epochs", "4", "--save", &part]].concat());
    let table = place.name("houses.csv");
    let resume = ["train", &table, "--resume", &part, "--epochs", "6", "--save", &rest, "--device", "cpu", "-q"];
    output(place.0.path(), &resume);
    assert!(fs::read(&whole).unwrap() == fs::read(&rest).unwrap(), "the files differ");
    let predicted = output(place.0.path(), &["predict", &rest, &table, "--limit", "1", "--device", "cpu"]);
    says(&predicted, &["row 0: price ", "  deposit "]);
}

#[test]
fn labels_that_are_numbers_and_numbers_that_are_words_show_both_command_lines() {
    let place = Place::new();
    let table = place.name("houses.csv");
    let message = format!(
        "error: label: column \"price\" holds 113 different numbers in 120 rows, from 182500 to 468500; to predict the number:
  kiln train {table} --target price
to take each number for a class:
  kiln train {table} --label price --words price
"
    );
    let (code, _, stderr) = run(place.0.path(), &["train", &table, "--label", "price"]);
    assert_eq!(code, Some(1));
    let counted = message.split(" holds ").nth(1).unwrap();
    assert!(stderr.starts_with(message.split(" holds ").next().unwrap()), "{stderr}");
    assert!(stderr.ends_with(&counted[counted.find("; to predict").unwrap()..]), "{stderr}");
    place.refused(
        &["train", &table, "--target", "side"],
        &[
            "line 2, column \"side\": \"north\" is no number",
            &format!("to predict its classes:\n  kiln train {table} --label side"),
        ],
    );
    place.refused(
        &["train", &table],
        &["by --label where it holds classes, by --target where it holds numbers; there are: rooms, area"],
    );
    place.refused(
        &["train", &table, "--target", "price", "--class-weight", "balanced"],
        &["class_weight: the targets are numbers"],
    );
    let layers = ["train", &table, "--target", "price", "--layers"];
    place.refused(
        &[&layers[..], &["dense 1 sigmoid"]].concat(),
        &["layers: gives numbers from 0 to 1, those to predict are of any size"],
    );
    place.refused(&[&layers[..], &["dense 2"]].concat(), &["has 1 numbers to predict: end with `dense 1 linear`"]);
    // What is told to be classes is.
    fs::write(
        place.name("few.csv"),
        "a,b\n".to_string() + &(0..60).map(|i| format!("{},{}.5\n", i * 7 % 60, i % 3)).collect::<String>(),
    )
    .unwrap();
    let few = place.name("few.csv");
    place.refused(
        &["train", &few, "--label", "b"],
        &["line 2, column \"b\": 0.5 is no class", "--target b", "--label b --words b"],
    );
    let line = place.trained("few.csv", &["--label", "b", "--words", "b", "--device", "cpu", "--epochs", "1"]);
    assert!(line["test_accuracy"].is_number(), "{line}");
}

#[test]
fn arrays_of_numbers_are_predicted() {
    let place = Place::new();
    let file = place.name("lines.npz");
    let x = |from: usize, n: usize| {
        Tensor::new([n, 2], (from..from + n).flat_map(|i| [i as f32 / 50.0, (i % 5) as f32]).collect::<Vec<_>>())
            .unwrap()
    };
    let y = |x: &Tensor| {
        let values: Vec<f32> =
            x.values().to_f32().chunks(2).map(|x| 1000.0 + 300.0 * x[0] - 50.0 * x[1] + 0.25).collect();
        Tensor::from(values)
    };
    let (train, test) = (x(0, 100), x(20, 40));
    let arrays = TensorFile::new().with("y_train", y(&train)).with("y_test", y(&test));
    arrays.with("x_train", train).with("x_test", test).write(&file).unwrap();
    let model = place.name("lines.safetensors");
    let options = ["--device", "cpu", "--epochs", "60", "--batch-size", "20", "--save", &model];
    let line = place.trained("lines.npz", &[&["--target", "y"], &options[..]].concat());
    assert!(number(&line, "test_r2_score") > 0.95, "{line}");
    assert!(number(&line, "test_mean_absolute_error") < number(&line["baseline"], "mean_absolute_error"), "{line}");
    says(
        &output(place.0.path(), &["eval", &model, &file, "--device", "cpu"]),
        &["40 test samples of ", "mean_absolute_error: "],
    );
    says(&output(place.0.path(), &["predict", &model, &file, "--limit", "1", "--device", "cpu"]), &["row 0: 0 1"]);
    place.refused(&["train", &file], &["y_train holds values", "to predict the numbers: kiln train ", " --target y"]);
    place.refused(&["train", &file, "--target", "price"], &["its arrays y_train and y_test; give --target y"]);
    place.refused(&["train", "mnist", "--target", "y"], &["target: mnist is no table"]);
}
