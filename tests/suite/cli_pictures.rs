//! Folders of pictures in the command: training, resuming, measuring and asking by the names of classes.

use std::fs;
use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};
use tempfile::TempDir;

use crate::cli::{json, output, run, says};

/// Bright above or below, with noise by a number.
fn grey(is_day: bool, number: u32, [height, width]: [u32; 2]) -> GrayImage {
    GrayImage::from_fn(width, height, |x, y| {
        let noise = (number * 31 + x * 17 + y * 29) % 60;
        Luma([if (2 * y < height) == is_day { 195 + noise as u8 } else { noise as u8 }])
    })
}

fn colour(is_day: bool, number: u32, size: [u32; 2]) -> RgbImage {
    let grey = grey(is_day, number, size);
    RgbImage::from_fn(size[1], size[0], |x, y| Rgb([grey.get_pixel(x, y).0[0], 0, 100]))
}

/// The classes `day` and `night` with so many pictures each, every third a JPEG.
fn fill(folder: &Path, count: u32, size: impl Fn(u32) -> [u32; 2]) {
    for (class, is_day) in [("day", true), ("night", false)] {
        fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..count {
            let ending = if number % 3 == 2 { "jpg" } else { "png" };
            grey(is_day, number, size(number)).save(folder.join(class).join(format!("{number}.{ending}"))).unwrap();
        }
    }
}

const SIZE: [u32; 2] = [8, 6];

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().into()
    }

    /// Trains a small net on the folder `sky`.
    fn train(&self, more: &[&str]) -> (Option<i32>, String, String) {
        let sky = self.path("sky");
        let train =
            ["train", &sky, "--device", "cpu", "--hidden", "8", "--optimizer", "adam", "--learning-rate", "0.01"];
        run(self.folder.path(), &[&train[..], &["--batch-size", "8", "-q"], more].concat())
    }

    #[track_caller]
    fn trained(&self, more: &[&str]) -> String {
        let (code, stdout, stderr) = self.train(more);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
        stdout
    }

    #[track_caller]
    fn refused(&self, more: &[&str], parts: &[&str]) {
        let (code, _, stderr) = self.train(more);
        assert_eq!(code, Some(1), "{stderr}");
        says(&stderr, parts);
    }

    fn output(&self, args: &[&str]) -> String {
        output(self.folder.path(), &[args, &["--device", "cpu"]].concat())
    }
}

#[test]
fn a_folder_trains_and_its_model_names_the_classes_of_pictures() {
    let place = Place::new();
    fill(&place.folder.path().join("sky"), 20, |_| SIZE);
    let [sky, whole, part] = ["sky", "whole.safetensors", "part.safetensors"].map(|name| place.path(name));
    let trained = place.trained(&["--epochs", "6", "--validation-split", "0.25", "--save", &whole]);
    says(&trained, &["Test accuracy: 1.0000"]);
    place.trained(&["--epochs", "3", "--validation-split", "0.25", "--save", &part]);
    let on = ["train", &sky, "-q", "--epochs", "6", "--resume", &part, "--save", &part];
    place.output(&on);
    assert!(fs::read(&whole).unwrap() == fs::read(&part).unwrap(), "the resumed run's file differs");
    let summary = output(place.folder.path(), &["summary", &whole]);
    says(&summary, &["Samples: (8, 6, 1)", "Data: sky, ", "Pictures: 8 x 6 pixels, grey; classes day, night"]);
    says(&place.output(&["eval", &whole, &sky]), &["40 test samples of ", "accuracy: 1.0000"]);
    let held = place.output(&["eval", &whole, &sky, "--held-out", "--confusion"]);
    says(&held, &["8 test samples of ", "day", "night"]);

    let [day, night] = ["sky/day/1.png", "sky/night/2.jpg"].map(|name| place.path(name));
    let asked = place.output(&["predict", &whole, &day, &night]);
    says(&asked, &["1.png, row 0: class day, ", "2.jpg, row 0: class night, ", "day: 0.", "night: 0.", "█"]);
    let asked = json(place.output(&["predict", &whole, &day, "--invert", "--json"]).trim());
    assert_eq!((&asked["label"], &asked["class"]), (&"night".into(), &1.into()));
    // More than are shown, each in a line of the file.
    let table = place.path("said.csv");
    let said = place.output(&["predict", &whole, &place.path("sky/night"), &day, "--output", &table]);
    assert_eq!(said, format!("{table}: 21 samples\n"));
    let text = fs::read_to_string(&table).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (22, "file,row,class,probability,probability of day,probability of night"));
    assert!(lines[1..21].iter().all(|line| line.contains(",0,night,0.")), "{text}");
    let [file, row, class, share, of_day, of_night] = lines[21].split(',').collect::<Vec<_>>()[..] else {
        panic!("{text}")
    };
    assert_eq!((file, row, class, of_day), (day.as_str(), "0", "day", share));
    assert!((share.parse::<f64>().unwrap() + of_night.parse::<f64>().unwrap() - 1.0).abs() < 1e-5);
    assert!((0.5..=1.0).contains(&share.parse::<f64>().unwrap()));
}

#[test]
fn pictures_of_unlike_sizes_need_a_size_and_of_unlike_colours_a_mode() {
    let place = Place::new();
    let sky = place.folder.path().join("sky");
    fill(&sky, 6, |number| [8 + number, 6]);
    place.refused(&[], &[" x 6, ", "sky/day/0.png is 8 x 6; give --size HEIGHTxWIDTH"]);
    let model = place.path("m.safetensors");
    place.trained(&["--size", "5x7", "--epochs", "1", "--save", &model]);
    says(&output(place.folder.path(), &["summary", &model]), &["5 x 7 pixels, to which others are brought, grey"]);
    let larger = place.path("larger.jpg");
    colour(true, 3, [40, 30]).save(&larger).unwrap();
    says(&place.output(&["predict", &model, &larger]), &["larger.jpg, row 0: class "]);
    colour(true, 3, [8, 6]).save(sky.join("night/9.png")).unwrap();
    place.refused(&["--size", "8x6"], &["day/0.png: is grey, ", "9.png is in colour; say which", "--color-mode rgb"]);
    place.trained(&[
        "--size",
        "8x6",
        "--color-mode",
        "rgb",
        "--interpolation",
        "nearest",
        "--epochs",
        "1",
        "--save",
        &model,
    ]);
    says(&output(place.folder.path(), &["summary", &model]), &["Samples: (8, 6, 3)", "in colour"]);
    says(&place.output(&["predict", &model, &larger]), &["class "]);
    for (options, part) in [(["--size", "8"], "such as 64x64"), (["--color-mode", "grey"], "rgb, grayscale")] {
        let (code, _, stderr) = place.train(&options);
        assert_eq!(code, Some(2), "{stderr}");
        says(&stderr, &[part]);
    }
}

#[test]
fn a_model_of_one_size_refuses_pictures_of_another() {
    let place = Place::new();
    fill(&place.folder.path().join("sky"), 6, |_| SIZE);
    let [model, sky, other] = ["m.safetensors", "sky", "other.png"].map(|name| place.path(name));
    place.trained(&["--epochs", "1", "--save", &model]);
    grey(true, 1, [9, 9]).save(&other).unwrap();
    let first = place.path("sky/day/0.png");
    let (code, stdout, stderr) = run(place.folder.path(), &["predict", &model, &first, &other, "--device", "cpu"]);
    assert_eq!(code, Some(1), "{stdout}");
    says(&stderr, &["other.png: is 9 x 9, expected 8 x 6", "was trained on pictures of one size"]);
    fs::write(&other, "no picture").unwrap();
    let (_, _, stderr) = run(place.folder.path(), &["predict", &model, &other, "--device", "cpu"]);
    says(&stderr, &["other.png: cannot be read as PNG or JPEG"]);
    let (_, _, stderr) = run(place.folder.path(), &["eval", &model, "--device", "cpu"]);
    says(&stderr, &["m.safetensors: was trained on a folder of pictures; name the folder"]);
    fs::remove_file(&first).unwrap();
    let (_, _, stderr) = run(place.folder.path(), &["train", &sky, "-q", "--epochs", "2", "--resume", &model]);
    says(&stderr, &["sky: has 11 pictures, the run had 12; give the folder that it was trained on"]);
}

#[test]
fn folders_of_parts_are_validated_and_measured_on() {
    let place = Place::new();
    let sky = place.folder.path().join("sky");
    let all = ["train", "val", "test"];
    all.iter().zip([10, 3, 4]).for_each(|(part, count)| fill(&sky.join(part), count, |_| SIZE));
    let model = place.path("m.safetensors");
    let trained = place.trained(&["--epochs", "2", "--json", "--early-stopping", "5", "--save", &model]);
    let first = json(trained.lines().next().unwrap());
    assert!(first["val_loss"].is_f64(), "{trained}");
    says(&place.output(&["eval", &model, &place.path("sky")]), &["8 test samples of "]);
    place.refused(&["--validation-split", "0.1"], &["validation_split: ", "sky has a folder of its own"]);
    place.refused(&["--test-split", "0.1"], &["test_split: ", "sky has a folder of its own to measure on"]);
    fs::remove_dir_all(sky.join("test")).unwrap();
    let measured = place.trained(&["--epochs", "1", "--json"]);
    assert!(json(measured.lines().next().unwrap()).get("val_loss").is_none(), "{measured}");
    fs::rename(sky.join("val/night"), sky.join("val/nights")).unwrap();
    place.refused(&[], &["sky/val: \"nights\" is unknown; did you mean \"night\"?"]);
}

#[test]
fn what_is_wrong_is_said_before_anything_is_trained() {
    let place = Place::new();
    let sky = place.folder.path().join("sky");
    fill(&sky, 3, |_| SIZE);
    place.refused(&["--label", "x"], &["label: ", "sky is no table"]);
    place.refused(&["--plot", &place.path("sky/day/0.png")], &["plot: ", "0.png is in the folder of the data set"]);
    let net = ["train", &place.path("sky"), "--layers", "flatten, dense 3 softmax"];
    says(&run(place.folder.path(), &net).2, &["gives (3,) for each sample, sky has 2 classes"]);
    place.refused(
        &["--max-unpacked", "20"],
        &["sky/day/0.png: has 8 x 6 pixels in ", "more than the 20 bytes", "--max-unpacked"],
    );
    let (code, _, stderr) = run(place.folder.path(), &["train", "mnist", "--size", "8x8"]);
    assert_eq!(code, Some(1));
    says(&stderr, &["size: mnist is no folder of pictures"]);
    let cut = fs::read(sky.join("day/2.jpg")).unwrap();
    fs::write(sky.join("day/2.jpg"), &cut[..cut.len() - 5]).unwrap();
    place.refused(&[], &["2.jpg: cannot be read as JPEG: its end is missing"]);
    fs::remove_dir_all(sky.join("day")).unwrap();
    place.refused(&[], &["sky: holds one class, \"night\"; there are two or more"]);
    fs::remove_dir_all(sky.join("night")).unwrap();
    place.refused(&[], &["sky: holds no folders; put the pictures of each class into one of its own"]);
}
