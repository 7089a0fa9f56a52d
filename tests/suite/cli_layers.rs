//! `--layers`: nets of any chain in the command, and what is said of those that do not fit.

use kiln::data::SETS;
use kiln::io::TensorFile;
use kiln::prelude::*;

use crate::cli::{fixture, json, output, run, says};

const NET: &str = "spatial_dropout2d 0.1, flatten, dense 24 use_bias=false, batch_normalization, activation relu, dropout 0.1, dense 10 softmax";

#[test]
fn a_net_of_layers_trains_and_is_measured_resumed_and_asked() {
    let folder = fixture();
    let [whole, part] = ["whole", "part"].map(|name| folder.path().join(name).to_str().unwrap().to_string());
    let net = ["train", "mnist", "--device", "cpu", "--layers", NET, "--optimizer", "adam", "--batch-size", "25", "-q"];
    let trained = output(folder.path(), &[&net[..], &["--epochs", "6", "--save", &whole]].concat());
    let accuracy = trained.split_once("accuracy: ").unwrap().1.split_once(',').unwrap().0;
    assert!(accuracy.parse::<f64>().unwrap() > 0.8, "{trained}");
    says(&output(folder.path(), &["eval", &whole, "--device", "cpu"]), &[&format!("accuracy: {accuracy}")]);
    output(folder.path(), &[&net[..], &["--epochs", "4", "--save", &part]].concat());
    let on = ["train", "mnist", "--device", "cpu", "-q", "--epochs", "6", "--resume", &part, "--save", &part];
    output(folder.path(), &on);
    assert!(std::fs::read(&whole).unwrap() == std::fs::read(&part).unwrap(), "the resumed run's file differs");
    let summary = output(folder.path(), &["summary", &whole]);
    says(&summary, &["spatial_dropout2d", "(None, 28, 28, 1)", "batch_normalization", "Samples: (28, 28, 1)"]);
    let images = folder.path().join(SETS[0].files[2].name);
    let asked = ["predict", &whole, images.to_str().unwrap(), "--limit", "1", "--device", "cpu"];
    says(&output(folder.path(), &asked), &["row 0: class ", "█", "9: 0."]);
}

#[test]
fn every_command_that_takes_hidden_layers_takes_these() {
    let folder = fixture();
    let with = |words: &[&str]| {
        output(folder.path(), &[words, &["--layers", "flatten, dense 8 tanh, dense 10 softmax"]].concat())
    };
    let hidden = |words: &[&str]| output(folder.path(), &[words, &["--hidden", "8", "--activation", "tanh"]].concat());
    let plan =
        |text: String| text.lines().filter(|line| line.contains("matmul")).map(str::to_string).collect::<Vec<_>>();
    let args = ["plan", "mnist", "--device", "cpu", "--batch-size", "32"];
    assert!(!plan(with(&args)).is_empty());
    assert_eq!(plan(with(&args)), plan(hidden(&args)));
    let args = ["compare", "mnist", "--devices", "cpu,reference", "--steps", "3", "--batch-size", "10", "--json"];
    let losses = |text: &str| json(text)["devices"][0]["losses"].clone();
    assert_eq!(losses(&with(&args)), losses(&hidden(&args)));
    let profiled =
        json(&with(&["profile", "mnist", "--device", "cpu", "--steps", "2", "--batch-size", "10", "--json"]));
    assert!(profiled["kernels"].as_array().unwrap().iter().any(|kernel| kernel["layer"] == "dense_1"), "{profiled}");
}

#[test]
fn what_does_not_fit_is_pointed_at() {
    let folder = fixture();
    let arrays = folder.path().join("x.npz");
    let x = Tensor::new([4, 3, 3], vec![7u8; 36]).unwrap();
    let y = Tensor::from([0u32, 1, 0, 1]);
    let file = TensorFile::new().with("x_train", x.clone()).with("y_train", y.clone());
    file.with("x_test", x).with("y_test", y).write(&arrays).unwrap();
    let arrays = arrays.to_str().unwrap();
    for (set, layers, parts) in [
        (
            "mnist",
            "flatten, dens 10 softmax",
            &["error: layers: \"dens\" is unknown; did you mean \"dense\"?", "\n           ^^^^\n"][..],
        ),
        (
            "mnist",
            "flatten, dense 9 softmax",
            &[
                "gives (9,) for each sample, mnist has 10 classes: end with `dense 10 softmax`",
                "           ^^^^^^^^^^^^^^^\n",
            ],
        ),
        ("mnist", "dense 10 softmax", &["gives (28, 28, 10) for each sample", "put `flatten` before it"]),
        (
            "mnist",
            "flatten, conv2d 4 3 relu, dense 10 softmax",
            &["layer \"conv2d\": ", "           ^^^^^^^^^^^^^^^\n"],
        ),
        ("mnist", "flatten, dense 10", &["classes need probabilities: let it end with softmax"]),
        (
            "mnist",
            "flatten, dense 10 softmax, dense 10 relu, dropout 0.1",
            &["let it end with softmax", "dense 10 relu,"],
        ),
        (
            "mnist",
            "flatten, spatial_dropout1d 0.5, dense 10 softmax",
            &["layer \"spatial_dropout1d\": takes sequences", "           ^^^^"],
        ),
        (
            arrays,
            "spatial_dropout2d 0.1, flatten, dense 2 softmax",
            &["samples are (3, 3): where images are meant, begin with `reshape 3 3 1`"],
        ),
    ] {
        let (code, stdout, stderr) =
            run(folder.path(), &["train", set, "--device", "cpu", "--epochs", "1", "--layers", layers]);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{layers}: {stderr}");
        says(&stderr, parts);
    }
    let images = [
        "train",
        arrays,
        "--device",
        "cpu",
        "-q",
        "--epochs",
        "1",
        "--layers",
        "reshape 3 3 1, spatial_dropout2d 0.1, flatten, dense 2 softmax",
    ];
    says(&output(folder.path(), &images), &["Test accuracy"]);
    for with in [["--hidden", "8"], ["--activation", "relu"]] {
        let (code, _, stderr) =
            run(folder.path(), &[&["train", "mnist", "--layers", "flatten, dense 10 softmax"][..], &with].concat());
        assert_eq!(code, Some(2));
        says(&stderr, &["cannot be used with"]);
    }
}
