//! `kiln train`: the learning rate, against overfitting, and to find a rate.
#![cfg(feature = "cli")]

use kiln::prelude::*;
use serde_json::Value;

use crate::cli::{fixture, json, output, run, says};

const SHORT: [&str; 9] = ["train", "mnist", "--hidden", "20", "--batch-size", "25", "--device", "cpu", "--epochs"];

fn with<'a>(epochs: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&SHORT[..], &[epochs], more].concat()
}

#[test]
fn a_schedule_lasts_as_long_as_the_run_and_is_saved() {
    let folder = fixture();
    let path = folder.path().join("m.safetensors");
    let file = path.to_str().unwrap();
    // 300 samples, of which 240 are trained on: 10 steps an epoch, 30 in all.
    let given =
        ["--validation-split", "0.2", "--learning-rate", "0.5", "--optimizer", "sgd", "--save", file, "--lr-schedule"];
    let (middle, end) = (15, 30);
    for (schedule, wanted) in [
        ("cosine", [0.5, 0.25, 0.0]),
        ("exponential", [0.5, 0.05, 0.005]),
        ("one-cycle", [0.02, 0.5 * 0.5 * (1.0 + (std::f64::consts::PI * 6.0 / 21.0).cos()), 0.0]),
        ("plateau", [0.5, 0.5, 0.5]),
    ] {
        output(folder.path(), &with("3", &[&given[..], &[schedule, "--quiet"]].concat()));
        let model = Model::load(file).unwrap();
        let rates = [0, middle, end].map(|step| model.optimizer().unwrap().learning_rate_at(step));
        let apart = rates.iter().zip(wanted).fold(0.0f64, |most, (found, wanted)| most.max((found - wanted).abs()));
        assert!(apart < 1e-9, "{schedule}: {rates:?}");
    }
}

#[test]
fn a_run_on_a_plateau_lowers_its_rate_and_goes_on_so_when_it_is_resumed() {
    let folder = fixture();
    let path = folder.path().join("m.safetensors");
    let file = path.to_str().unwrap();
    // A step of nothing: no epoch is better than the first.
    let still = ["--optimizer", "sgd", "--learning-rate", "1e-30", "--lr-schedule", "plateau", "--save", file];
    let whole = output(folder.path(), &with("12", &still));
    says(&whole, &["\nEpoch 11: reducing the learning rate to 1e-31\n"]);
    output(folder.path(), &with("2", &still));
    let resumed = ["train", "mnist", "--device", "cpu", "--epochs", "13", "--resume", file];
    says(&output(folder.path(), &resumed), &["reducing the learning rate to 1e-31"]);
    let (_, _, said) = run(folder.path(), &[&resumed[..], &["--lr-schedule", "cosine"]].concat());
    says(&said, &["--lr-schedule", "--resume"]);
}

#[test]
fn dropout_and_penalties_are_layers_settings() {
    let folder = fixture();
    let path = folder.path().join("m.safetensors");
    let file = path.to_str().unwrap();
    output(folder.path(), &with("1", &["--dropout", "0.25", "--l2", "0.001", "--save", file, "--quiet"]));
    let layers = Model::load(file).unwrap().to_json().unwrap();
    let layers = json(&layers)["config"]["layers"].as_array().unwrap().clone();
    let of = |class: &str| layers.iter().filter(|layer| layer["class_name"] == class).cloned().collect::<Vec<Value>>();
    assert_eq!(of("Dropout").iter().map(|layer| layer["config"]["rate"].as_f64().unwrap()).collect::<Vec<_>>(), [0.25]);
    let dense = of("Dense");
    assert_eq!(dense.len(), 2);
    for layer in dense {
        assert_eq!(layer["config"]["kernel_regularizer"]["config"]["l2"], 0.001, "{layer}");
    }
    for (args, parts) in [
        (["--dropout", "1"], ["dropout", "1 is no share; give 0 or more, less than 1"]),
        (["--l2", "-1"], ["l2", "-1 is no penalty; give 0 or more"]),
    ] {
        let (code, _, said) = run(folder.path(), &with("1", &args));
        assert_eq!(code, Some(1));
        says(&said, &parts);
    }
}

#[test]
fn a_rate_is_found_and_drawn() {
    let folder = fixture();
    let path = folder.path().join("rates.svg");
    let picture = path.to_str().unwrap();
    let text = output(folder.path(), &with("1", &["--lr-find", "--plot", picture]));
    says(&text, &["learning rate      loss\n", "1.0e-6", "█", "The loss is lowest at ", ": --learning-rate "]);
    says(&std::fs::read_to_string(&path).unwrap(), &["<svg", "learning rate", "1e-4"]);
    let found = json(output(folder.path(), &with("1", &["--lr-find", "--json"])).lines().last().unwrap());
    let rates = found["learning_rates"].as_array().unwrap();
    assert_eq!(rates.len(), found["losses"].as_array().unwrap().len());
    assert!(rates.len() <= 100 && rates[0] == 1e-6, "{found}");
    let suggested = found["suggested_learning_rate"].as_f64().unwrap();
    assert!((1e-5..0.1).contains(&suggested), "{suggested}");
    let (_, _, said) = run(folder.path(), &with("1", &["--lr-find", "--save", "m.safetensors"]));
    says(&said, &["--lr-find", "--save"]);
}

#[test]
fn help_has_every_activation() {
    let folder = fixture();
    let help = output(folder.path(), &["train", "--help"]);
    let words: String = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, _) in kiln::nn::activation::NAMES {
        assert!(words.contains(name), "{name}");
    }
}

#[test]
fn what_is_lowered_and_measured_is_told() {
    let folder = fixture();
    let text = output(folder.path(), &with("1", &["--metrics", "f1_score,accuracy,sparse_top_k_categorical_accuracy"]));
    says(
        &text,
        &["\nTest accuracy: ", ", test loss: ", ", test f1_score: ", ", test sparse_top_k_categorical_accuracy: "],
    );
    let (code, _, said) = run(folder.path(), &with("1", &["--loss", "huber"]));
    assert_eq!(code, Some(1));
    says(
        &said,
        &["error: loss: huber is not for what is predicted here, classes; give sparse_categorical_crossentropy"],
    );
    let (_, _, said) = run(folder.path(), &with("1", &["--metrics", "f1_scor"]));
    says(&said, &["--metrics", "f1_scor", "did you mean \"f1_score\"?"]);
    let path = folder.path().join("line.csv");
    let rows: String = (0..40).map(|i| i * 7 % 40).map(|x| format!("{x},{}\n", 3 * x + 1)).collect();
    std::fs::write(&path, format!("x,y\n{rows}")).unwrap();
    let file = folder.path().join("m.safetensors");
    let train =
        ["train", path.to_str().unwrap(), "--target", "y", "--epochs", "1", "--device", "cpu", "--loss", "huber"];
    // What is said of the table goes to standard error.
    let (code, ..) = run(folder.path(), &[&train[..], &["--save", file.to_str().unwrap()]].concat());
    assert_eq!(code, Some(0));
    assert_eq!(Model::load(&file).unwrap().loss(), Some(Loss::Huber));
}
