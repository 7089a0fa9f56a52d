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

/// What a model gives for each line or row of some inputs.
fn outputs(folder: &TempDir, args: &[&str]) -> Vec<serde_json::Value> {
    let said = output(folder.path(), &[&["predict"], args, &["--device", "cpu", "--json", "--limit", "1"]].concat());
    said.lines().map(|line| json(line)["outputs"].clone()).collect()
}

/// A PNG of 4 x 3 pixels.
fn png(path: &str, colour: png::ColorType, samples: &[u8]) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), 3, 4);
    encoder.set_color(colour);
    encoder.write_header().unwrap().write_image_data(samples).unwrap();
}

/// Trains on the pixels as another type; gives the model's file and that of the arrays.
fn trained_on(folder: &TempDir, name: &str, of: impl Fn(f32) -> f32) -> [String; 2] {
    let [file, set] = ["safetensors", "npz"].map(|ending| place(folder, &format!("{name}.{ending}")));
    let names = [["x_train", "y_train"], ["x_test", "y_test"]];
    let mut arrays_file = TensorFile::new();
    for ([x_name, y_name], rows) in names.into_iter().zip([200, 40]) {
        let [x, y] = arrays(rows);
        let numbers: Vec<f32> = x.values().to_f32().into_iter().map(&of).collect();
        // Labels as CIFAR-10 has them, and as floats.
        let labels = Tensor::new([rows as usize, 1], y.values().to_f32()).unwrap();
        arrays_file =
            arrays_file.with(x_name, Tensor::new([rows as usize, 4, 3], numbers).unwrap()).with(y_name, labels);
    }
    arrays_file.write(&set).unwrap();
    output(folder.path(), &["train", &set, "--device", "cpu", "--hidden", "8", "--epochs", "1", "-q", "--save", &file]);
    [file, set]
}

#[test]
fn pixels_are_scaled_as_those_that_were_trained_on() {
    let folder = TempDir::new().unwrap();
    let [picture, text, bytes] = ["x.png", "x.txt", "bytes.npz"].map(|name| place(&folder, name));
    let [x, _] = arrays(1);
    let pixels: Vec<u8> = x.values().to_f32().iter().map(|&pixel| pixel as u8).collect();
    png(&picture, png::ColorType::Grayscale, &pixels);
    std::fs::write(&text, pixels.iter().map(|pixel| format!("{pixel} ")).collect::<String>()).unwrap();
    TensorFile::new().with("x_test", x).write(&bytes).unwrap();
    for (name, of) in [("numbers", (|x| x) as fn(f32) -> f32), ("shares", |x| x / 255.0)] {
        let [file, set] = trained_on(&folder, name, of);
        let found = outputs(&folder, &[&file, &set, &picture, &text, &bytes]);
        let near = |a: &serde_json::Value| {
            let pairs = a.as_array().unwrap().iter().zip(found[0].as_array().unwrap());
            pairs.into_iter().all(|(a, b)| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-5)
        };
        assert!(found.len() == 4 && found.iter().all(near), "{name}: {found:?}");
    }
    // A model of bytes is asked about numbers.
    let [_, numbers] = trained_on(&folder, "again", |x| x);
    let file = place(&folder, "of_bytes.safetensors");
    output(folder.path(), &["train", &written(&folder), "--device", "cpu", "--epochs", "1", "-q", "--save", &file]);
    let found = outputs(&folder, &[&file, &numbers, &picture]);
    assert_eq!(found[0], found[1]);
    let [a, b] =
        [written(&folder), numbers].map(|set| output(folder.path(), &["eval", &file, &set, "--device", "cpu"]));
    assert_eq!(a.split_once(':').unwrap().1, b.split_once(':').unwrap().1);

    let [centred, _] = trained_on(&folder, "centred", |x| x / 127.5 - 1.0);
    for input in [&picture, &text, &bytes] {
        let (code, _, stderr) = run(folder.path(), &["predict", &centred, input, "--device", "cpu"]);
        assert_eq!(code, Some(1), "{stderr}");
        says(&stderr, &[input, "trained on numbers from -1 to ", "these are bytes from "]);
    }
}

/// Black ink on a ground that is transparent is black ink on white paper.
#[test]
fn what_is_transparent_is_paper() {
    let folder = TempDir::new().unwrap();
    let file = place(&folder, "model.safetensors");
    output(folder.path(), &["train", &written(&folder), "--device", "cpu", "--epochs", "1", "-q", "--save", &file]);
    let ink = |at: usize| move |i: usize| i == at;
    let picture = |name: &str, ink: &dyn Fn(usize) -> bool, channels: usize| {
        let path = place(&folder, name);
        let grey = |i: usize| if ink(i) { vec![0] } else { vec![255] };
        let clear = |i: usize| [vec![0; channels - 1], vec![if ink(i) { 255 } else { 0 }]].concat();
        let samples: Vec<u8> = (0..12).flat_map(|i| if channels == 1 { grey(i) } else { clear(i) }).collect();
        use png::ColorType::{Grayscale, GrayscaleAlpha, Rgba};
        png(&path, [Grayscale, GrayscaleAlpha, Grayscale, Rgba][channels - 1], &samples);
        path
    };
    let paper = [3, 7].map(|at| picture(&format!("paper{at}.png"), &ink(at), 1));
    let clear = [3, 7].map(|at| picture(&format!("clear{at}.png"), &ink(at), 4));
    let grey = picture("grey3.png", &ink(3), 2);
    let found = outputs(&folder, &[&file, "--invert", &paper[0], &paper[1], &clear[0], &clear[1], &grey]);
    assert_ne!(found[0], found[1]);
    assert_eq!(found[2..], [found[0].clone(), found[1].clone(), found[0].clone()]);
    // Not inverted the ground is black, as that of MNIST is: the ink cannot be seen.
    let found = outputs(&folder, &[&file, &clear[0], &clear[1]]);
    assert_eq!(found[0], found[1]);
}

#[test]
fn of_equal_outputs_the_first_is_named() {
    let folder = TempDir::new().unwrap();
    let [file, dark] = ["model.safetensors", "dark.txt"].map(|name| place(&folder, name));
    let train = ["train", &written(&folder), "--hidden", "none", "--optimizer", "sgd", "--learning-rate", "1e-30"];
    output(folder.path(), &[&train[..], &["--epochs", "1", "--device", "cpu", "-q", "--save", &file]].concat());
    std::fs::write(&dark, "0 ".repeat(12)).unwrap();
    let said = json(&output(folder.path(), &["predict", &file, &dark, "--device", "cpu", "--json"]));
    assert_eq!((said["class"].as_u64(), &said["outputs"][0]), (Some(0), &said["outputs"][4]), "{said}");
}

#[test]
fn a_picture_that_lies_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = place(&folder, "model.safetensors");
    output(folder.path(), &["train", &written(&folder), "--device", "cpu", "--epochs", "1", "-q", "--save", &file]);
    for (name, part) in [("plte4.png", "cannot be decoded"), ("wide.png", "has 1 x 268435456 pixels in 32680 bytes")] {
        let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        let (code, _, stderr) = run(folder.path(), &["predict", &file, &path, "--device", "cpu"]);
        assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
        says(&stderr, &[name, part]);
    }
    // A picture that is larger than its bytes are believed, and is meant.
    let wide = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wide.png");
    let (_, _, stderr) = run(folder.path(), &["predict", &file, wide, "--device", "cpu"]);
    says(&stderr, &["it may; if that is meant, give more to --max-unpacked"]);
    let (_, _, stderr) = run(folder.path(), &["predict", &file, wide, "--device", "cpu", "--max-unpacked", "1K"]);
    says(&stderr, &["more than the 1024 bytes"]);
}
