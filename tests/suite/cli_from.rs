//! Files of other programs in the command: `kiln train --from`, `kiln import`, `kiln check --model`, and Keras' files wherever a model's
//! go.
#![cfg(feature = "cli")]

use std::path::Path;

use kiln::prelude::*;
use tempfile::TempDir;

use crate::cli::{devices, fixture, json, output, run, says};

const TRAIN: &[&str] =
    &["train", "mnist", "--hidden", "16", "--batch-size", "25", "--optimizer", "adam", "--device", "cpu"];
/// As good as no training.
const STILL: &[&str] = &["--optimizer", "sgd", "--learning-rate", "1e-30", "--epochs", "1", "--device", "cpu"];

/// A name in a folder, as an argument.
fn name(folder: &TempDir, file: &str) -> String {
    folder.path().join(file).to_str().unwrap().to_string()
}

fn of_fixtures(file: &str) -> String {
    format!("{}/tests/fixtures/{file}", env!("CARGO_MANIFEST_DIR"))
}

/// A folder with a model that was trained on the set in it.
fn trained() -> (TempDir, String) {
    let folder = fixture();
    let file = name(&folder, "model.safetensors");
    output(folder.path(), &[TRAIN, &["-q", "--epochs", "4", "--save", &file]].concat());
    (folder, file)
}

/// What follows `accuracy: ` in a text.
fn accuracy(text: &str) -> &str {
    text.rsplit_once("accuracy: ").unwrap().1.split([',', '\n']).next().unwrap()
}

#[test]
fn a_run_begins_with_the_weights_of_any_file() {
    let (folder, file) = trained();
    let measured = output(folder.path(), &["eval", &file, "--device", "cpu"]);
    let set = ["train", "mnist", "--hidden", "16"];
    for ending in ["safetensors", "keras", "weights.h5", "npz"] {
        let from = name(&folder, &format!("other.{ending}"));
        says(&output(folder.path(), &["import", &file, &from]), &[&format!("other.{ending} is written")]);
        let text = output(folder.path(), &[&set, STILL, &["--from", &from]].concat());
        says(&text, &[&format!("other.{ending}: 4 of 4 weights are in the file")]);
        assert_eq!(accuracy(&text), accuracy(&measured), "{text}");
    }
    let text = output(folder.path(), &[&set, STILL, &["--from", &file, "-q"]].concat());
    assert!(!text.contains("weights"), "{text}");
    let (code, stdout, stderr) = run(folder.path(), &[&set, STILL, &["--from", &file, "--json"]].concat());
    assert_eq!((code, stdout.lines().map(json).count()), (Some(0), 2), "{stderr}");
    says(&stderr, &["4 of 4 weights are in the file, by their names"]);
    let layers = "flatten, dense 16 relu, dense 12 relu, dense 10 softmax";
    let text = output(folder.path(), &[&["train", "mnist", "--layers", layers], STILL, &["--from", &file]].concat());
    says(
        &text,
        &[
            "model.safetensors: 2 of 6 weights are in the file, by their names\n",
            "  dense_1 stays as it was: dense_1/kernel is (16, 10) in the file, (16, 12) here\n",
            "  dense_2 stays as it was: not in the file\n",
            "  not used: dense_1/kernel, dense_1/bias\n",
        ],
    );
}

#[test]
fn what_cannot_be_begun_with_is_said() {
    let (folder, file) = trained();
    let nowhere = name(&folder, "nowhere.npz");
    let layers = "flatten, dense 17 relu, dense 10 softmax";
    for (more, parts) in [
        (
            vec!["--layers", layers, "--from", &*file],
            vec!["no layer of the model's", "dense/kernel is (784, 16) in the file"],
        ),
        (vec!["--from", &*nowhere], vec!["nowhere.npz", "open"]),
        (vec!["--from", &*file, "--resume", &*file], vec!["--from", "--resume"]),
        (vec!["--from", &*file, "--save", &*file], vec!["is the file of --from, which would be lost"]),
    ] {
        let (code, _, stderr) = run(folder.path(), &[&["train", "mnist", "--device", "cpu"], &more[..]].concat());
        assert_ne!(code, Some(0), "{more:?}");
        says(&stderr, &parts);
    }
}

#[test]
fn weights_of_pytorch_become_a_model() {
    let folder = TempDir::new().unwrap();
    let (torch, made) = (of_fixtures("torch/mlp.safetensors"), name(&folder, "mlp.safetensors"));
    let layers = "input 4, dense 6 relu, dense 6 tanh, dense 3";
    let text = output(folder.path(), &["import", "--layers", layers, &torch, &made]);
    says(
        &text,
        &[
            "mlp.safetensors: 6 of 6 weights are in the file\n",
            "  dense: kernel <- 0.weight (transposed), bias <- 0.bias\n",
            "  dense_2: kernel <- 4.weight (transposed), bias <- 4.bias\n",
            "mlp.safetensors is written\n",
        ],
    );
    let x = Tensor::from([[1.0f32, -2.0, 0.5, 3.0]]);
    let mut model = Model::load(&made).unwrap().device(Device::cpu());
    let mut again = Sequential::from_text(layers).unwrap().device(Device::cpu());
    again.load_weights_from(&torch).unwrap();
    assert_eq!(model.predict(&x).unwrap(), again.predict(&x).unwrap());
    // And on to ONNX, and back.
    let onnx = name(&folder, "mlp.onnx");
    output(folder.path(), &["import", &made, &onnx]);
    let back = name(&folder, "back.keras");
    output(folder.path(), &["import", &onnx, &back]);
    assert_eq!(Model::load(&back).unwrap().device(Device::cpu()).predict(&x).unwrap(), model.predict(&x).unwrap());
}

#[test]
fn a_description_and_weights_become_a_model() {
    let folder = TempDir::new().unwrap();
    let [described, weights] = ["json", "weights.h5"].map(|ending| of_fixtures(&format!("keras-names/chain.{ending}")));
    let made = name(&folder, "chain.keras");
    says(&output(folder.path(), &["import", &described, &weights, &made]), &["14 of 14 weights are in the file"]);
    let whole = Model::load(of_fixtures("keras-names/chain.keras")).unwrap().device(Device::cpu()).weights().unwrap();
    assert_eq!(Model::load(&made).unwrap().device(Device::cpu()).weights().unwrap(), whole);
    let table = output(folder.path(), &["summary", &described]);
    says(&table, &["conv2d", "hidden", "Samples: (6, 6, 2)"]);
    let unwritten = name(&folder, "never.safetensors");
    let torch = of_fixtures("torch/mlp.safetensors");
    for (args, parts) in [
        (vec!["import", &*described, &*unwritten], vec!["chain.json: describes a model, and has no weights"]),
        (
            vec!["import", &*described, &*torch, &*unwritten],
            vec!["no layer of the model's", "0.bias (6,)", "hidden/kernel"],
        ),
        (
            vec!["import", "--layers", "input 6, dense 6 relu, dense 6", &*torch, &*unwritten],
            vec!["is ambiguous: dense, dense_1 may be 2"],
        ),
        (
            vec!["import", "--layers", "input 4, dense 6 relu, dense 3 name=a, dense 2", &*torch, &*unwritten],
            vec!["has not all weights of the model; nothing is written", "kiln train --from"],
        ),
        (vec!["import", "--layers", "dense 6", &*torch, &*unwritten], vec!["layers: begin with the shape of a sample"]),
        (vec!["import", "--layers", "input 4, dense 6", &*described, &*torch, &*unwritten], vec!["in place of MODEL"]),
        (vec!["import", &*described, &*weights, "x.gif"], vec!["x.gif", "ends in .gif"]),
        (vec!["import", &*made, &*made], vec!["is the model, which would be lost"]),
    ] {
        let (code, _, stderr) = run(folder.path(), &args);
        assert_ne!(code, Some(0), "{args:?}");
        says(&stderr, &parts);
        assert!(!Path::new(&unwritten).exists(), "{args:?}");
    }
}

#[test]
fn a_model_is_checked_on_a_device() {
    let (folder, file) = trained();
    let keras = of_fixtures("keras-files/convolutions.keras");
    for device in devices() {
        for file in [&file, &keras] {
            let text = output(folder.path(), &["check", "--model", file, "--device", &device]);
            says(&text, &["Adapter: ", "Driver:  ", "\nforward ", "\ngradient  dense", "/kernel", " cases pass in "]);
            assert!(!text.contains("moving_mean"), "a state has no gradient: {text}");
        }
        let text = json(&output(folder.path(), &["check", "--model", &file, "--device", &device, "--json"]));
        let ops: Vec<&str> = text["rows"].as_array().unwrap().iter().map(|row| row["op"].as_str().unwrap()).collect();
        assert_eq!(ops, ["dense_1", "dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]);
        assert_eq!((&text["passed"], &text["cases"]), (&true.into(), &5.into()));
    }
    let weights = of_fixtures("torch/mlp.safetensors");
    for (args, parts) in [
        (vec!["--model", &*weights], vec!["mlp.safetensors: holds tensors, and no model"]),
        (vec!["--model", &*file, "--filter", "sum"], vec!["--model", "--filter"]),
        (vec!["--model", "nowhere.keras"], vec!["nowhere.keras", "open"]),
    ] {
        let (code, _, stderr) = run(folder.path(), &[&["check", "--device", "cpu"], &args[..]].concat());
        assert_ne!(code, Some(0), "{args:?}");
        says(&stderr, &parts);
    }
}

#[test]
fn keras_files_go_wherever_models_do() {
    let (folder, file) = trained();
    let keras = name(&folder, "model.keras");
    output(folder.path(), &["import", &file, &keras]);
    let both = |args: &dyn Fn(&str) -> Vec<String>| {
        let [of_file, of_keras] = [&file, &keras].map(|file| {
            let args = args(file);
            output(folder.path(), &args.iter().map(String::as_str).collect::<Vec<_>>())
        });
        assert_eq!(of_file, of_keras);
        of_file
    };
    let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
    let images = name(&folder, kiln::data::SETS[0].files[2].name);
    says(&both(&|file| words(&format!("eval {file} --device cpu"))), &["100 test samples of mnist"]);
    says(&both(&|file| words(&format!("summary {file}"))), &["Epochs: 4", "Data: mnist, batch size 25"]);
    says(&both(&|file| words(&format!("predict {file} {images} --limit 1 --device cpu"))), &["row 0: class "]);
    let planned = words("plan FILE --batch-size 25 --device cpu --kernels software");
    says(&both(&|file| planned.iter().map(|word| word.replace("FILE", file)).collect()), &["adam"]);
    let (code, _, stderr) = run(folder.path(), &["plan", &keras, "--layers", "dense 3"]);
    assert_ne!(code, Some(0));
    says(&stderr, &["layers: the model in the file has layers"]);
    let saved = name(&folder, "on.keras");
    let [of_file, of_keras] = [&file, &keras].map(|file| {
        let resume = ["train", "mnist", "--device", "cpu", "-q", "--epochs", "5", "--resume", file, "--save", &saved];
        accuracy(&output(folder.path(), &resume)).to_string()
    });
    assert_eq!(of_file, of_keras);
}

/// A file that no run of the command wrote, as Keras' are.
#[test]
fn a_file_that_says_of_no_run_goes_on_all_the_same() {
    let folder = fixture();
    let file = name(&folder, "bare.keras");
    let mut model = Sequential::from_text("input 784, dense 10 softmax").unwrap().device(Device::cpu());
    model.compile("adam", Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    model.save(&file).unwrap();
    let resume = ["train", "mnist", "--device", "cpu", "--resume", &file, "--epochs", "8", "-q", "--save", &file];
    let (code, stdout, stderr) = run(folder.path(), &resume);
    assert_eq!(code, Some(0), "{stderr}");
    says(&stderr, &["bare.keras says of no run; it goes on with mnist, batch size 128"]);
    assert!(accuracy(&stdout).parse::<f64>().unwrap() > 0.5, "{stdout}");
    says(&output(folder.path(), &["eval", &file, "--device", "cpu"]), &["100 test samples of mnist"]);
    model.save(&file).unwrap();
    let (code, _, stderr) = run(folder.path(), &["eval", &file, "--device", "cpu"]);
    assert_eq!(code, Some(1));
    says(&stderr, &["bare.keras: says of no run", "name the data set"]);
    says(&output(folder.path(), &["eval", &file, "mnist", "--device", "cpu"]), &["100 test samples of mnist"]);
}
