//! `kiln train --save`, `--resume` and what is done with the files: `kiln eval`, `predict` and `summary`.
#![cfg(feature = "cli")]

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use kiln::Tensor;
use kiln::data::{SETS, read_idx, write_idx};
use kiln::nn::Sequential;
use kiln::random::stream;
use rand::Rng as _;
use tempfile::TempDir;

use crate::cli::{command, devices, fixture, json, output, run, says};

const TRAIN: &[&str] = &["train", "mnist", "--hidden", "16", "--batch-size", "25", "--optimizer", "adam", "-q"];

fn train(folder: &TempDir, more: &[&str]) -> String {
    output(folder.path(), &[TRAIN, more].concat())
}

/// A name in a folder, as an argument.
fn name(folder: &TempDir, file: &str) -> String {
    folder.path().join(file).to_str().unwrap().to_string()
}

#[test]
fn a_resumed_run_writes_the_file_of_one_that_was_never_stopped() {
    let folder = fixture();
    let [whole, part, rest] = ["whole", "part", "rest"].map(|file| name(&folder, file));
    for device in devices() {
        let options = ["--device", &device, "--validation-split", "0.1", "--limit", "200", "--seed", "3"];
        train(&folder, &[&options[..], &["--epochs", "4", "--save", &whole]].concat());
        train(&folder, &[&options[..], &["--epochs", "3", "--save", &part, "--checkpoint-every", "2"]].concat());
        let resume =
            ["train", "mnist", "--device", &device, "--epochs", "4", "--resume", &part, "--save", &rest, "--json"];
        let text = output(folder.path(), &resume);
        let lines: Vec<_> = text.lines().map(json).collect();
        assert_eq!((lines.len(), &lines[0]["epoch"], &lines[1]["steps"]), (2, &4.into(), &8.into()), "{text}");
        let [whole, rest] = [&whole, &rest].map(|file| std::fs::read(file).unwrap());
        assert!(whole == rest, "{device}: the files differ");
    }
}

/// Waits until the file is another than it was.
fn changed(file: &Path, before: Option<&[u8]>, child: &mut Child) {
    let start = Instant::now();
    while std::fs::read(file).ok().as_deref() == before {
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        assert!(start.elapsed() < Duration::from_secs(120), "no checkpoint was written");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_run_that_is_killed_at_any_moment_leaves_a_whole_checkpoint_and_goes_on() {
    const SEED: u64 = 5;
    println!("seed {SEED}");
    let folder = fixture();
    let file = folder.path().join("run.safetensors");
    let path = name(&folder, "run.safetensors");
    let options = ["--device", "cpu", "--limit", "50", "--save", &path];
    let mut rng = stream(SEED, "kills", 0);
    let mut epoch = 0;
    for kill in 0..50 {
        let before = std::fs::read(&file).ok();
        let endless = [&options[..], &["--epochs", "1000000", "--checkpoint-every", "1"]].concat();
        let mut args = match before {
            None => [TRAIN, &endless[..]].concat(),
            Some(_) => ["train", "mnist", "-q", "--resume", &path, "--device", "cpu", "--save", &path].to_vec(),
        };
        if before.is_some() {
            args.extend(["--epochs", "1000000", "--checkpoint-every", "1"]);
        }
        let mut child = command(folder.path(), &args).stdout(Stdio::null()).spawn().unwrap();
        changed(&file, before.as_deref(), &mut child);
        std::thread::sleep(Duration::from_micros(u64::from(rng.next_u32()) % 20_000));
        // SIGKILL, where there is one.
        child.kill().unwrap();
        child.wait().unwrap();
        let saved = Sequential::load(&file).unwrap_or_else(|e| panic!("after kill {kill}: {e}"));
        assert!(saved.epoch() > epoch, "after kill {kill}: epoch {} after {epoch}", saved.epoch());
        epoch = saved.epoch();
    }
    println!("{epoch} epochs in 50 parts");
    let killed = std::fs::read(&file).unwrap();
    train(&folder, &[&options[..], &["--epochs", &epoch.to_string()]].concat());
    assert!(killed == std::fs::read(&file).unwrap(), "a run of {epoch} epochs that was never stopped ends elsewhere");
}

#[test]
fn a_saved_model_is_measured_summed_up_and_asked() {
    let folder = fixture();
    let file = name(&folder, "model.safetensors");
    for device in devices() {
        let trained = train(&folder, &["--device", &device, "--epochs", "8", "--save", &file]);
        let place = ["--device", &device];
        let measured = output(folder.path(), &[&["eval", &file], &place[..]].concat());
        let accuracy = trained.split_once("accuracy: ").unwrap().1.split_once(',').unwrap().0;
        says(&measured, &["100 test samples of mnist", "loss: ", &format!("accuracy: {accuracy}")]);
        let measured = json(&output(folder.path(), &[&["eval", &file, "mnist", "--json"], &place[..]].concat()));
        assert_eq!((&measured["samples"], measured["loss"].is_f64()), (&100.into(), true));
        let accuracy = measured["accuracy"].as_f64().unwrap();
        assert!(measured.get("confusion").is_none());
        counted(&folder, &[&["eval", &file, "--confusion"], &place[..]].concat(), accuracy);

        let images = name(&folder, SETS[0].files[2].name);
        let text = output(folder.path(), &[&["predict", &file, &images, "--limit", "2"], &place[..]].concat());
        says(&text, &["row 0: class ", "row 1: class ", "█", "0: 0.", "9: 0."]);
        assert!(!text.contains("row 2"), "{text}");
        // The same picture as text and as IDX.
        let row = read_idx(&images).unwrap().head(1);
        let pixels = row.values().to_f64().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let (text, idx) = (name(&folder, "row.csv"), name(&folder, "row.idx"));
        std::fs::write(&text, pixels).unwrap();
        write_idx(&idx, &row).unwrap();
        let asked = output(folder.path(), &[&["predict", &file, &text, &idx, "--json"], &place[..]].concat());
        let lines: Vec<_> = asked.lines().map(json).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["outputs"], lines[1]["outputs"]);
        assert_eq!(lines[0]["outputs"].as_array().unwrap().len(), 10);
        let inverted = output(folder.path(), &[&["predict", &file, &idx, "--json", "--invert"], &place[..]].concat());
        assert_ne!(json(&inverted)["outputs"], lines[0]["outputs"]);
    }
    let picture = name(&folder, "model.svg");
    let drawn = output(folder.path(), &["summary", &file, "--plot", &picture, "--expand-nested"]);
    assert!(std::fs::read_to_string(picture).unwrap().contains("Output shape: (None, 10)"));
    let text = output(folder.path(), &["summary", &file]);
    assert_eq!(drawn, text);
    says(&text, &["dense_1 (Dense)", "Total params: 12,730", "Samples: (28, 28)", "Adam { learning_rate: 0.001"]);
    says(&text, &["Loss: sparse_categorical_crossentropy", "Epochs: 8", "Data: mnist, batch size 25"]);
}

/// The confusion matrix of 100 samples: in the terminal, as JSON whose diagonal is the accuracy, and as a picture.
fn counted(folder: &tempfile::TempDir, args: &[&str], accuracy: f64) {
    says(&output(folder.path(), args), &["100 test samples of mnist", "precision", "recall", "macro"]);
    let picture = name(folder, "confusion.png");
    let all = json(&output(folder.path(), &[args, &["--json", "--plot", &picture]].concat()));
    let counts: Vec<Vec<u64>> = serde_json::from_value(all["confusion"]["counts"].clone()).unwrap();
    assert_eq!((counts.len(), counts.iter().flatten().sum::<u64>()), (10, 100));
    let right: u64 = (0..10).map(|class| counts[class][class]).sum();
    // The loss' accuracy is an f32 mean.
    assert!((right as f64 / 100.0 - accuracy).abs() < 1e-6, "{right} of 100, accuracy {accuracy}");
    for (class, row) in all["confusion"]["classes"].as_array().unwrap().iter().zip(&counts) {
        assert_eq!(class["samples"], row.iter().sum::<u64>());
    }
    assert_eq!(std::fs::read(picture).unwrap()[1..4], *b"PNG");
}

/// Fashion-MNIST's classes have words.
#[test]
fn classes_of_a_named_set_have_its_names() {
    let folder = fixture();
    let fashion = folder.path().join("fashion-mnist");
    std::fs::create_dir(&fashion).unwrap();
    for file in kiln::data::SETS[1].files {
        std::fs::copy(folder.path().join(file.name), fashion.join(file.name)).unwrap();
    }
    let (file, images) = (name(&folder, "model.safetensors"), name(&folder, "t10k-images-idx3-ubyte"));
    let train =
        ["train", "fashion-mnist", "--device", "cpu", "--hidden", "none", "--epochs", "1", "-q", "--save", &file];
    output(folder.path(), &train);
    let ask = |args: &[&str]| output(folder.path(), &[args, &["--device", "cpu"]].concat());
    says(
        &ask(&["eval", &file, "--confusion"]),
        &["true  T-shirt/top  Trouser  ", "\nT-shirt/top  ", "\n Ankle boot  "],
    );
    // Of another set, that one's.
    says(&ask(&["eval", &file, "mnist", "--confusion"]), &["true   0   1   2  ", "\n   9  "]);
    let said = json(ask(&["predict", &file, &images, "--json", "--limit", "1"]).trim());
    let class = said["class"].as_u64().unwrap() as usize;
    assert_eq!(said["label"], kiln::data::SETS[1].class_names[class]);
    says(&ask(&["predict", &file, &images, "--limit", "1"]), &["T-shirt/top: 0.", "Ankle boot: 0."]);
}

/// A picture of plotters' is 24-bit colour; the model takes 28 x 28.
#[test]
fn a_png_of_any_size_is_taken() {
    let folder = fixture();
    let (file, picture) = (name(&folder, "model.safetensors"), name(&folder, "curves.png"));
    train(&folder, &["--device", "cpu", "--epochs", "1", "--save", &file, "--plot", &picture]);
    let (code, text, said) = run(folder.path(), &["predict", &file, &picture, "--device", "cpu"]);
    assert_eq!(code, Some(0), "{said}");
    says(&said, &["curves.png: its border is bright, pictures of mnist are bright on black; give --invert"]);
    says(&text, &["curves.png, row 0: class "]);
    // White paper, mostly.
    assert!(text.matches('█').count() > 200, "{text}");
}

#[test]
fn what_is_wrong_with_files_and_options_is_said() {
    let folder = fixture();
    let [file, text] = ["model.safetensors", "text"].map(|file| name(&folder, file));
    train(&folder, &["--device", "cpu", "--epochs", "1", "--limit", "50", "--save", &file]);
    std::fs::write(&text, "1 2 3\n").unwrap();
    let idx = name(&folder, "x.idx");
    write_idx(&idx, &Tensor::new([1, 3], vec![1u8, 2, 3]).unwrap()).unwrap();
    let nowhere = name(&folder, "nowhere/x");
    let set = ["train", "mnist", "--device", "cpu", "-q"];
    for (args, parts) in [
        (vec!["eval", &nowhere], vec!["nowhere", "open"]),
        (vec!["eval", &text], vec!["text: has 6 bytes; a safetensors file has 8 or more"]),
        (vec!["eval", &file, "mnits"], vec!["mnits", "did you mean"]),
        (vec!["eval", &file, "--plot", "x.png"], vec!["--confusion"]),
        (vec!["eval", &file, "--confusion", "--plot", "x.gif"], vec!["x.gif", ".png", ".svg"]),
        (vec!["predict", &file], vec!["<INPUT>"]),
        (vec!["predict", &file, &text, "--device", "cpu"], vec!["text, line 1: 3 pixels, the model takes 784"]),
        (vec!["predict", &file, &idx, "--device", "cpu"], vec!["x.idx: holds (1, 3)", "(28, 28)"]),
        (vec!["predict", &file, &file, "--device", "cpu"], vec!["model.safetensors"]),
        ([&set[..], &["--save", &nowhere]].concat(), vec!["nowhere: write to this folder"]),
        ([&set[..], &["--save", "x.npz"]].concat(), vec!["x.npz", "weights alone"]),
        ([&set[..], &["--save", &file, "--checkpoint-every", "0"]].concat(), vec!["every 0 epochs"]),
        ([&set[..], &["--checkpoint-every", "1"]].concat(), vec!["--save"]),
        ([&set[..], &["--resume", &file, "--seed", "1"]].concat(), vec!["--resume", "--seed"]),
        ([&set[..], &["--resume", &file, "--epochs", "1"]].concat(), vec!["epochs: ", "has 1 of 1; give more"]),
        (
            vec!["train", "fashion-mnist", "--device", "cpu", "--resume", &file],
            vec!["trained on mnist, not on fashion"],
        ),
    ] {
        let (code, _, stderr) = run(folder.path(), &args);
        assert_ne!(code, Some(0), "{args:?}");
        says(&stderr, &parts);
    }
}
