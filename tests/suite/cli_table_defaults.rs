//! How `kiln train` trains on a table of which its options say nothing, and what it says of how it went.
#![cfg(feature = "cli")]

use std::fs;

use tempfile::TempDir;

use crate::cli::{json, output, run, says};

const ZOO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/zoo.csv");
const SHORT: [&str; 8] = ["train", ZOO, "--label", "type", "--without", "name", "--device", "cpu"];

#[test]
fn a_table_is_learned_without_an_option() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let [model, plot, log] = ["zoo.safetensors", "zoo.svg", "zoo.log.csv"].map(place);
    let files = ["--save", &model, "--plot", &plot, "--csv", &log, "--verbose", "0"];
    let text = output(folder.path(), &[&SHORT[..], &files].concat());
    says(
        &text,
        &[
            "\nSettings: columns standardized, batches of 32, at most 100 epochs, validation on the last 0.2 of the training \
             rows, early stopping after 10 epochs without a lower validation loss\n",
            "\nThe run ",
            "; the weights are those of epoch ",
        ],
    );
    assert!(
        text.contains(&format!(
            "\nWritten: model in {model}, plot in {plot}, log in {log}\nNext: kiln predict {model} MORE.csv\n"
        )),
        "{text}"
    );
    let early = text.lines().find_map(|line| line.strip_prefix("The run ")).unwrap();
    says(
        &output(folder.path(), &["summary", &model]),
        &[&format!("Early stopping: the run {early}"), "validation split 0.2"],
    );
    let epoch = early.split("those of epoch ").nth(1).unwrap().split(',').next().unwrap();
    says(&fs::read_to_string(&plot).unwrap(), &[&format!("weights of epoch {epoch}")]);

    // The same numbers in JSON; the log tells that no epoch was better.
    let last = json(output(folder.path(), &[&SHORT[..], &["--json"]].concat()).lines().last().unwrap());
    assert!(last["test_accuracy"].as_f64().unwrap() > 0.85, "{last}");
    let best = last["early_stopping"]["best_epoch"].as_u64().unwrap();
    assert_eq!(best.to_string(), epoch);
    let log = fs::read_to_string(&log).unwrap();
    let losses: Vec<f64> = log.lines().skip(1).map(|line| line.split(',').nth(3).unwrap().parse().unwrap()).collect();
    assert!(log.starts_with("epoch,loss,accuracy,val_loss"), "{log}");
    assert!(losses.iter().all(|loss| *loss >= losses[best as usize - 1]), "{losses:?}");
    assert_eq!(losses.len() as u64, last["epochs"].as_u64().unwrap());
}

#[test]
fn options_change_the_settings_and_few_rows_are_not_validated_on() {
    let folder = TempDir::new().unwrap();
    let settings = |args: &[&str]| {
        let text = output(folder.path(), &[args, &["--epochs", "1", "--device", "cpu"]].concat());
        text.lines().find_map(|line| line.strip_prefix("Settings: ")).unwrap().to_string()
    };
    let zoo = &SHORT[..6];
    let told = ["--no-standardize", "--batch-size", "8", "--validation-split", "0.1", "--early-stopping", "1"];
    assert_eq!(
        settings(&[zoo, &told].concat()),
        "columns as they are, batches of 8, at most 1 epoch, validation on the last 0.1 of the training rows, early stopping \
         after 1 epoch without a lower validation loss"
    );
    let text = settings(&[zoo, &["--validation-split", "0"]].concat());
    says(&text, &["no validation, no early stopping"]);
    says(&settings(&[zoo, &["--no-early-stopping"]].concat()), &["training rows, no early stopping"]);
    let few = folder.path().join("few.csv");
    fs::write(&few, "a,kind\n1,x\n2,y\n3,x\n4,y\n5,x\n6,y\n").unwrap();
    says(&settings(&["train", few.to_str().unwrap(), "--label", "kind"]), &["no validation, no early stopping"]);
    let (code, _, stderr) = run(folder.path(), &[zoo, &["--early-stopping", "3", "--validation-split", "0"]].concat());
    assert_eq!(code, Some(1));
    says(&stderr, &["early_stopping: watches the validation loss"]);
}

#[test]
fn what_is_no_table_trains_as_before_and_a_run_that_goes_on_keeps_its_patience() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let [one, two, three] = ["1.safetensors", "2.safetensors", "3.safetensors"].map(place);
    let train = |args: &[&str]| {
        json(output(folder.path(), &[args, &["--json", "--device", "cpu"]].concat()).lines().last().unwrap())
    };
    // By steps of nothing no epoch is better than the first.
    train(
        &[
            &SHORT[..6],
            &[
                "--optimizer",
                "sgd",
                "--learning-rate",
                "1e-30",
                "--early-stopping",
                "2",
                "--epochs",
                "2",
                "--save",
                &one,
            ],
        ]
        .concat(),
    );
    let line = train(&["train", ZOO, "--resume", &one, "--epochs", "50", "--save", &two]);
    assert_eq!((&line["early_stopping"]["stopped_epoch"], &line["epochs"]), (&5.into(), &3.into()), "{line}");
    says(
        &output(folder.path(), &["summary", &two]),
        &["stopped early, after epoch 5 of 50; the weights are those of epoch 3"],
    );
    // What an earlier run left is not said of one without.
    let line = train(&["train", ZOO, "--resume", &two, "--epochs", "6", "--no-early-stopping", "--save", &three]);
    assert!(line["early_stopping"].is_null(), "{line}");
    assert!(!output(folder.path(), &["summary", &three]).contains("Early stopping"));
}
