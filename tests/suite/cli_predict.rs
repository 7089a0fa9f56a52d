//! `kiln predict`: every row of a table, values, files of answers, and pictures that are not as the model's.

use std::fs;
use std::path::Path;

use image::{GrayImage, ImageFormat, Luma};
use kiln::data::{Dataset, read_idx};
use kiln::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{fixture, json, output, run, says};

const ZOO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/zoo.csv");

fn place(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_string()
}

/// What `kiln predict` prints on the processor.
fn predict(folder: &Path, args: &[&str]) -> String {
    output(folder, &[&["predict"], args, &["--device", "cpu"]].concat())
}

#[track_caller]
fn refused(folder: &Path, args: &[&str], parts: &[&str]) {
    let (code, _, stderr) = run(folder, &[&["predict"], args, &["--device", "cpu"]].concat());
    assert_eq!(code, Some(1), "{stderr}");
    says(&stderr, parts);
}

#[test]
fn every_row_of_a_table_is_answered_and_a_file_has_all_that_is_said() {
    let folder = TempDir::new().unwrap();
    let [file, csv, list, other] =
        ["zoo.safetensors", "said.csv", "said.json", "said.txt"].map(|name| place(&folder, name));
    let train = [
        "train",
        ZOO,
        "--label",
        "type",
        "--without",
        "name",
        "--device",
        "cpu",
        "--epochs",
        "2",
        "-q",
        "--save",
        &file,
    ];
    output(folder.path(), &train);
    let all = predict(folder.path(), &[&file, ZOO]);
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.len(), 101, "{all}");
    says(lines[100], &["zoo.csv, row 100: class "]);
    // A look tells more of each.
    let look = predict(folder.path(), &[&file, ZOO, "--limit", "2"]);
    says(&look, &["row 1: class ", "amphibian: 0.", "reptile: 0."]);
    assert_eq!(look.lines().count(), 6, "{look}");

    assert_eq!(predict(folder.path(), &[&file, ZOO, "--output", &csv]), format!("{csv}: 101 samples\n"));
    let mut table = csv::Reader::from_path(&csv).unwrap();
    assert_eq!(table.headers().unwrap().iter().nth(4), Some("probability of amphibian"));
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    predict(folder.path(), &[&file, ZOO, "--output", &list]);
    let objects: Vec<Value> = serde_json::from_str(&fs::read_to_string(&list).unwrap()).unwrap();
    assert_eq!((rows.len(), objects.len()), (101, 101));
    for (number, ((row, object), line)) in rows.iter().zip(&objects).zip(&lines).enumerate() {
        assert_eq!((&row[1], &object["row"]), (&*number.to_string(), &number.into()));
        assert_eq!((&row[2], &row[0]), (object["class"].as_str().unwrap(), ZOO));
        says(line, &[&format!("class {}, ", &row[2])]);
        assert_eq!(row[3].parse::<f64>().unwrap(), object["probability"].as_f64().unwrap());
        assert_eq!(row[4].parse::<f64>().unwrap(), object["probabilities"]["amphibian"].as_f64().unwrap());
        let sum: f64 = (4..11).map(|at| row[at].parse::<f64>().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{row:?}");
    }
    refused(folder.path(), &[&file, ZOO, "--output", &other], &["said.txt ends in neither .csv nor .json"]);
    let picture = place(&folder, "rows.png");
    fs::write(&picture, b"\x89PNG\r\n\x1a\n").unwrap();
    refused(folder.path(), &[&file, &picture], &["rows.png: is a PNG picture", "was trained on a table"]);
    refused(folder.path(), &[&file, ZOO, "--fit"], &["fit: is for pictures, ", "zoo.safetensors takes tables"]);
}

#[test]
fn values_are_told_as_such() {
    let folder = TempDir::new().unwrap();
    let [file, arrays, csv] = ["line.safetensors", "x.npz", "said.csv"].map(|name| place(&folder, name));
    let x = Tensor::from([[0.0f32], [1.0], [2.0]]);
    let data = Dataset::new(x.clone(), Tensor::from([[1.0f32], [3.0], [5.0]])).unwrap();
    let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
    model.compile("sgd", "mean_squared_error", []).unwrap();
    model.fit(&data, Fit::new().epochs(2)).unwrap();
    model.save(&file).unwrap();
    kiln::io::TensorFile::new().with("x", x.clone()).write(&arrays).unwrap();
    let wanted = model.predict(&x).unwrap().values().to_f64();
    says(&predict(folder.path(), &[&file, &arrays]), &[&format!("x.npz, row 2: 0 {:.4}\n", wanted[2])]);
    let lines = predict(folder.path(), &[&file, &arrays, "--json"]);
    let line = json(lines.lines().nth(1).unwrap());
    assert!((line["values"]["0"].as_f64().unwrap() - wanted[1]).abs() < 1e-6 && line.get("class").is_none(), "{line}");
    predict(folder.path(), &[&file, &arrays, "--output", &csv]);
    assert!(fs::read_to_string(&csv).unwrap().starts_with("file,row,0\n"));
}

/// MNIST's picture of a row on another ground: larger by so much, dark on bright, out of the middle.
fn drawn(row: &Tensor, times: u32) -> GrayImage {
    let pixels = row.values().to_f64();
    let side = 28 * times;
    GrayImage::from_fn(side * 2, side + 60, |x, y| {
        let inside = (20..20 + side).contains(&x) && (50..50 + side).contains(&y);
        let ink = || pixels[((y - 50) / times * 28 + (x - 20) / times) as usize] as u8;
        Luma([255 - if inside { ink() } else { 0 }])
    })
}

#[test]
fn pictures_that_are_not_as_the_models_are_told_and_made_so() {
    let folder = fixture();
    let [file, picture, gif] = ["model.safetensors", "scan.png", "scan.gif"].map(|name| place(&folder, name));
    let train = ["train", "mnist", "--device", "cpu", "--hidden", "16", "--epochs", "1", "-q", "--save", &file];
    output(folder.path(), &train);
    let images = place(&folder, "t10k-images-idx3-ubyte");
    let row = read_idx(&images).unwrap().head(1);
    drawn(&row, 5).save_with_format(&picture, ImageFormat::Png).unwrap();
    let ask = |more: &[&str]| {
        let args = [&["predict", &file, &picture, "--json", "--device", "cpu"], more].concat();
        let (code, stdout, stderr) = run(folder.path(), &args);
        (code, stdout, stderr)
    };
    let (code, as_it_is, said) = ask(&[]);
    assert_eq!(code, Some(0));
    says(&said, &["scan.png: its border is bright, pictures of mnist are bright on black; give --invert"]);
    let (_, inverted, said) = ask(&["--invert"]);
    assert_eq!(said, "");
    let (_, fitted, said) = ask(&["--invert", "--fit"]);
    assert_eq!(said, "");
    assert!(as_it_is != inverted && inverted != fitted);
    let (code, _, said) = ask(&["--fit"]);
    assert_eq!(code, Some(1));
    says(
        &said,
        &["scan.png: fit: nothing in the picture is brighter than its border; dark ink on bright paper takes --invert"],
    );
    fs::write(&gif, b"GIF89a").unwrap();
    refused(
        folder.path(),
        &[&file, &gif],
        &["scan.gif: is a GIF picture; give a picture as PNG or JPEG, an IDX file or text of pixels"],
    );
    refused(
        folder.path(),
        &[&file, &images, "--fit"],
        &["fit: is for PNG and JPEG pictures, ", "t10k-images-idx3-ubyte is neither"],
    );
    refused(folder.path(), &[&file, ZOO], &["zoo.csv, line 1: \"name\" is no pixel"]);
}
