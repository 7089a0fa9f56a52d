//! `kiln train` on arrays of NumPy's, and what is done with the model that it saves.
#![cfg(feature = "cli")]

use kiln::Tensor;
use kiln::io::TensorFile;
use tempfile::TempDir;

use crate::cli::{devices, json, output, run, says};

/// Bytes (rows, 4, 3) of which the one at the label's place is the brightest, and the labels.
fn arrays(rows: u32) -> [Tensor; 2] {
    let pixel = |row: u32, i: u32| (row * 31 + i * 17) % 90 + if i == row % 5 { 150 } else { 0 };
    let x: Vec<u8> = (0..rows).flat_map(|row| (0..12).map(move |i| pixel(row, i) as u8)).collect();
    let y: Vec<u8> = (0..rows).map(|row| (row % 5) as u8).collect();
    [Tensor::new([rows as usize, 4, 3], x).unwrap(), Tensor::new([rows as usize], y).unwrap()]
}

fn place(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_string()
}

/// An archive by Keras' names.
fn written(folder: &TempDir) -> String {
    let ([x, y], [x_test, y_test]) = (arrays(200), arrays(40));
    let file = TensorFile::new().with("x_train", x).with("y_train", y).with("x_test", x_test).with("y_test", y_test);
    file.write(place(folder, "digits.npz")).unwrap();
    place(folder, "digits.npz")
}

#[test]
fn arrays_are_trained_on_measured_and_resumed() {
    let folder = TempDir::new().unwrap();
    let set = written(&folder);
    let [whole, part, rest] = ["whole", "part", "rest"].map(|name| place(&folder, name));
    for device in devices() {
        let on = ["--device", &device[..]];
        let options =
            ["train", &set, "--hidden", "8", "--optimizer", "adam", "--batch-size", "16", "--learning-rate", "0.02"];
        let train = |more: &[&str]| output(folder.path(), &[&options, more, &on].concat());
        let trained = train(&["--epochs", "12", "--save", &whole, "--json"]);
        let trained = json(trained.lines().last().unwrap());
        assert!(trained["test_accuracy"].as_f64().unwrap() > 0.9, "{trained}");
        train(&["--epochs", "5", "--save", &part, "-q"]);
        let resumed = ["train", &set, "--resume", &part, "--epochs", "12", "--save", &rest, "-q"];
        output(folder.path(), &[&resumed, &on[..]].concat());
        assert!(std::fs::read(&whole).unwrap() == std::fs::read(&rest).unwrap(), "{device}: the files differ");

        let ask = |args: &[&str]| output(folder.path(), &[args, &on].concat());
        let measured = json(&ask(&["eval", &whole, &set, "--json"]));
        let found = (&measured["samples"], &measured["accuracy"], &measured["loss"]);
        assert_eq!(found, (&40.into(), &trained["test_accuracy"], &trained["test_loss"]), "{device}");
        says(
            &ask(&["eval", &whole, &set, "--confusion"]),
            &["40 test samples of ", "true  0  1  2  3  4  <- taken for"],
        );
        let said = ask(&["predict", &whole, &set, "--json", "--limit", "40"]);
        let right = said.lines().map(json).zip(0..).filter(|(line, row)| line["class"] == row % 5).count();
        assert_eq!(right as f64 / 40.0, (measured["accuracy"].as_f64().unwrap() * 40.0).round() / 40.0, "{device}");
    }
    let alone = place(&folder, "alone.npz");
    TensorFile::new().with("pictures", arrays(3).into_iter().next().unwrap()).write(&alone).unwrap();
    says(&output(folder.path(), &["predict", &whole, &alone, "--device", "cpu"]), &["alone.npz, row 2: class "]);
}

#[test]
fn arrays_that_have_changed_since_the_run_are_noticed() {
    let folder = TempDir::new().unwrap();
    let set = written(&folder);
    let model = place(&folder, "model");
    let on = ["--device", "cpu", "-q"];
    output(folder.path(), &[&["train", &set, "--epochs", "1", "--save", &model], &on[..]].concat());
    let resume = [&["train", &set, "--epochs", "2", "--resume", &model], &on[..]].concat();
    output(folder.path(), &resume);
    let ([x, y], [x_test, mut y_test]) = (arrays(200), arrays(40));
    let write = |x: Tensor, y: Tensor, y_test: Tensor| {
        let file = TensorFile::new().with("x_train", x).with("y_train", y).with("x_test", x_test.clone());
        file.with("y_test", y_test).write(&set).unwrap();
    };
    let refused = |part: &str| {
        let (code, _, stderr) = run(folder.path(), &resume);
        assert_eq!(code, Some(1), "{stderr}");
        says(&stderr, &["digits.npz: ", part, "; give the arrays that it was trained on"]);
    };
    write(x.head(199), y.head(199), y_test.clone());
    refused("has 239 samples, the run had 240");
    let mut pixels = x.values().to_f32().iter().map(|&pixel| pixel as u8).collect::<Vec<_>>();
    pixels[77] ^= 1;
    write(Tensor::new(x.shape().clone(), pixels).unwrap(), y.clone(), y_test.clone());
    refused("has changed since the run");
    y_test = Tensor::new([40], vec![0u8; 40]).unwrap();
    write(x.clone(), y.clone(), y_test);
    refused("has changed since the run");
    // The same again: what counts is what they hold.
    written(&folder);
    output(folder.path(), &resume);
}

#[test]
fn what_is_wrong_with_arrays_is_said() {
    let folder = TempDir::new().unwrap();
    let set = written(&folder);
    let [file, others, values, none] =
        ["model", "others.npz", "values.npz", "none.npz"].map(|name| place(&folder, name));
    output(folder.path(), &["train", &set, "--device", "cpu", "--epochs", "1", "-q", "--save", &file]);
    let [x, y] = arrays(9);
    TensorFile::new().with("images", x.clone()).with("y_train", y).write(&others).unwrap();
    let shares = Tensor::new([9], vec![0.5f32; 9]).unwrap();
    let of_values = ["x_train", "y_train", "x_test", "y_test"].into_iter().zip([&x, &shares, &x, &shares]);
    of_values.fold(TensorFile::new(), |file, (name, tensor)| file.with(name, tensor.clone())).write(&values).unwrap();
    let missing = "others.npz: has no x_train, x_test, y_test; there are images, y_train; write it by np.savez(";
    for (args, parts) in [
        (vec!["train", &others], vec![missing, "x_train=..., y_train=..., x_test=..., y_test=...)"]),
        (vec!["train", &values], vec!["values.npz: y_train holds values; labels are whole numbers"]),
        (vec!["train", &none], vec!["none.npz: open: "]),
        (vec!["train", &set, "--label", "y"], vec!["label: ", "digits.npz is no table"]),
        (vec!["train", "mnist", "--resume", &file], vec!["was trained on digits.npz, not on mnist"]),
        (vec!["eval", &file, &others], vec!["others.npz: has no x_test, y_test; there are images, y_train"]),
        (vec!["eval", &file, &set, "--held-out"], vec!["held_out: ", "digits.npz is no table"]),
        (vec!["predict", &file, &others], vec!["others.npz: has no x_test; there are images, y_train"]),
        (vec!["predict", &file, &set, "--invert"], vec!["invert: ", "digits.npz"]),
    ] {
        let (code, _, stderr) = run(folder.path(), &[&args, &["--device", "cpu"][..]].concat());
        assert_eq!(code, Some(1), "{args:?}: {stderr}");
        says(&stderr, &parts);
    }
}
