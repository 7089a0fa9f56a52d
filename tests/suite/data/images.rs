//! Folders of pictures, written for the test.

use std::fs;

use image::{GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use kiln::data::{ColorMode, ImageFolder, ImageLoader, Interpolation, Source};
use kiln::prelude::*;
use kiln::{Shape, Values};
use tempfile::TempDir;

use super::{says, text};

/// Two classes of 3 x 2 pictures: `b` grey ones, `a` coloured ones, and what is none beside them.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("b")).unwrap();
    fs::create_dir_all(path("a")).unwrap();
    RgbImage::from_fn(2, 3, |x, y| Rgb([10 * x as u8, 20 * y as u8, 200])).save(path("a/1.png")).unwrap();
    RgbImage::from_pixel(2, 3, Rgb([0, 255, 0])).save(path("a/2.PNG")).unwrap();
    GrayImage::from_fn(2, 3, |x, y| Luma([(x + 2 * y) as u8])).save(path("b/1.png")).unwrap();
    RgbImage::from_pixel(2, 3, Rgb([100, 100, 100])).save(path("b/2.jpeg")).unwrap();
    fs::write(path("b/notes.txt"), "no picture").unwrap();
    fs::write(path("readme"), "no folder").unwrap();
    folder
}

fn bytes(data: &Dataset) -> Vec<u8> {
    let Values::U8(bytes) = data.x().values() else { panic!("bytes") };
    bytes.clone()
}

#[test]
fn a_folder_is_a_class() {
    let folder = folder();
    let pictures = ImageFolder::open(folder.path()).unwrap();
    assert_eq!((pictures.classes().join(" "), pictures.len()), ("a b".into(), 4));
    assert!(pictures.files()[2].ends_with("b/1.png"));
    let data = pictures.load().unwrap();
    assert_eq!((data.x().shape(), data.y()), (&Shape::from([4, 3, 2, 3]), &Tensor::from([0u32, 0, 1, 1])));
    assert_eq!(data.scale(), 1.0 / 255.0);
    let bytes = bytes(&data);
    assert_eq!(bytes[..12], [0, 0, 200, 10, 0, 200, 0, 20, 200, 10, 20, 200]);
    assert_eq!(bytes[36..45], [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    // JPEG is not exact.
    assert!(bytes[54..].iter().all(|byte| byte.abs_diff(100) <= 2), "{:?}", &bytes[54..]);
    assert_eq!(pictures.read(&[2, 0]).unwrap(), data.subset(&[2, 0]).unwrap());
}

#[test]
fn pictures_may_be_grey_and_of_another_size() {
    let folder = folder();
    let grey = ImageFolder::open(folder.path()).unwrap().grayscale().load().unwrap();
    assert_eq!(*grey.x().shape(), Shape::from([4, 3, 2, 1]));
    // BT.601, as Keras has it: green is 0.587 of the whole.
    assert_eq!(bytes(&grey)[6..18], [149, 149, 149, 149, 149, 149, 0, 1, 2, 3, 4, 5]);

    let larger = ImageFolder::open(folder.path()).unwrap().grayscale().image_size(6, 4);
    let nearest = larger.clone().interpolation(Interpolation::Nearest).load().unwrap();
    assert_eq!(*nearest.x().shape(), Shape::from([4, 6, 4, 1]));
    assert_eq!(bytes(&nearest)[48..56], [0, 0, 1, 1, 0, 0, 1, 1]);
    assert_eq!(bytes(&larger.load().unwrap())[24..48], [149; 24]);
}

/// Keras' `image_dataset_from_directory`: what is hidden is no class, what lies in a class's folders is of the class.
#[test]
fn folders_below_a_class_are_of_it_and_hidden_ones_are_none() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let picture = fs::read(path("b/1.png")).unwrap();
    for name in [".ipynb_checkpoints", "a/.ipynb_checkpoints", "a/x", "a/x-y", "a/x/deep"] {
        fs::create_dir_all(path(name)).unwrap();
        fs::write(path(name).join("0.png"), &picture).unwrap();
    }
    let pictures = ImageFolder::open(folder.path()).unwrap();
    assert_eq!(pictures.classes(), ["a", "b"]);
    let files: Vec<_> = pictures.files().iter().map(|file| file.strip_prefix(folder.path()).unwrap()).collect();
    let names = ["a/1.png", "a/2.PNG", "a/x/0.png", "a/x-y/0.png", "a/x/deep/0.png", "b/1.png", "b/2.jpeg"];
    assert_eq!(files, names.map(std::path::Path::new));
    assert_eq!(*pictures.load().unwrap().y(), Tensor::from([0u32, 0, 0, 0, 0, 1, 1]));
}

#[test]
fn of_alpha_only_the_colour_counts() {
    let folder = folder();
    RgbaImage::from_pixel(2, 3, Rgba([10, 20, 30, 0])).save(folder.path().join("a/1.png")).unwrap();
    let data = ImageFolder::open(folder.path()).unwrap().load().unwrap();
    assert_eq!(bytes(&data)[..6], [10, 20, 30, 10, 20, 30]);
}

#[test]
fn a_model_trains_as_the_pictures_are_read() {
    let folder = folder();
    let pictures = ImageFolder::open(folder.path()).unwrap();
    let trained = |data: &dyn Source| {
        let mut model = Sequential::new().add(Flatten).add(Dense::new(2)).device(Device::cpu());
        model.compile(Sgd::default(), Loss::SparseCategoricalCrossentropyFromLogits, []).unwrap();
        model.fit(data, Fit::new().epochs(3).batch_size(3).verbose(0)).unwrap();
        model.weights().unwrap()
    };
    assert_eq!(trained(&pictures), trained(&pictures.load().unwrap()));
}

#[test]
fn a_folder_is_parted_before_it_is_read() {
    let folder = folder();
    let pictures = ImageFolder::open(folder.path()).unwrap().grayscale();
    let data = pictures.load().unwrap();
    assert_eq!(pictures.subset(&[3, 0, 3]).unwrap().load().unwrap(), data.subset(&[3, 0, 3]).unwrap());
    says(&text(pictures.subset(&[4])), &["rows: there is no row 4 of 4"]);
    let [train, test] = pictures.stratified_split(0.5, 7).unwrap();
    let split = data.stratified_split(0.5, 7).unwrap();
    assert_eq!((train.load().unwrap(), test.load().unwrap()), (split.train, split.test));
    assert_eq!((train.classes(), test.classes()), (pictures.classes(), pictures.classes()));
    says(&text(pictures.stratified_split(0.1, 7)), &["test_share", "too few for 2 classes"]);
    // What is confused is counted as the pictures are read, too.
    let mut model = Sequential::new().add(Flatten).add(Dense::new(2)).device(Device::cpu());
    model.build([3, 2, 1]).unwrap();
    assert_eq!(model.confusion_matrix(&pictures).unwrap(), model.confusion_matrix(&data).unwrap());
}

#[test]
fn what_is_wrong_with_a_folder_is_named() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let refused = |parts: &[&str]| {
        let pictures = ImageFolder::open(folder.path()).and_then(|pictures| pictures.load());
        says(&text(pictures), parts);
    };
    GrayImage::new(5, 4).save(path("b/3.png")).unwrap();
    refused(&["3.png: is 4 x 5, ", "1.png is 3 x 2", "image_size"]);
    fs::write(path("b/3.png"), "no picture").unwrap();
    refused(&["3.png: cannot be read as PNG or JPEG"]);
    let whole = fs::read(path("a/1.png")).unwrap();
    fs::write(path("b/3.png"), &whole[..whole.len() / 2]).unwrap();
    refused(&["3.png: cannot be read as PNG: "]);
    // The png crate panics on its palette.
    fs::write(path("b/3.png"), include_bytes!("../../fixtures/plte4.png")).unwrap();
    refused(&["3.png: cannot be decoded"]);
    fs::write(path("b/3.png"), include_bytes!("../../fixtures/wide.png")).unwrap();
    refused(&["3.png: has 1 x 268435456 pixels in 32680 bytes"]);
    fs::create_dir(path("c")).unwrap();
    refused(&["c: holds no PNG or JPEG files"]);
    says(&text(ImageFolder::open(path("a"))), &["a: holds no folders"]);
    says(&text(ImageFolder::open(path("none"))), &["none: list: "]);
    fs::remove_dir(path("c")).unwrap();
    let pictures = ImageFolder::open(folder.path()).unwrap().image_size(0, 4);
    says(&text(pictures.load()), &["image_size: 0 x 4 has no pixels"]);
    says(&text(pictures.image_size(2, 2).read(&[9])), &["there is no row 9 of 5"]);
}

#[test]
fn colours_are_kept_where_all_are_alike() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let grey = GrayImage::from_fn(2, 3, |x, y| Luma([(40 * x + 20 * y) as u8]));
    grey.save(path("b/2.jpeg")).unwrap();
    let of = |names: &[&str]| ImageLoader::color_mode_of(&names.iter().map(|name| path(name)).collect::<Vec<_>>());
    assert_eq!(of(&["b/1.png", "b/2.jpeg"]).unwrap(), ColorMode::Grayscale);
    assert_eq!(of(&["a/1.png", "a/2.PNG"]).unwrap(), ColorMode::Rgb);
    says(&text(of(&["a/1.png", "b/1.png", "b/2.jpeg"])), &["b/1.png: is grey, ", "a/1.png is in colour", "color_mode"]);
    let loader = ImageLoader::new().color_mode(ColorMode::Grayscale);
    let x = loader.load(&[path("b/1.png"), path("b/2.jpeg")]).unwrap();
    assert_eq!(*x.shape(), Shape::from([2, 3, 2, 1]));
    let Values::U8(bytes) = x.values() else { panic!("bytes") };
    assert!(bytes[6..].iter().zip([0u8, 40, 20, 60, 40, 80]).all(|(a, b)| a.abs_diff(b) <= 4), "{bytes:?}");
    says(&text(ImageLoader::new().load::<&str>(&[])), &["files: there are none"]);
}

#[test]
fn classes_have_the_indices_that_they_are_given() {
    let folder = folder();
    let open = || ImageFolder::open(folder.path()).unwrap();
    let names = ["b", "c", "a"].map(String::from);
    let pictures = open().class_names(&names).unwrap();
    assert_eq!((pictures.classes(), pictures.load().unwrap().y()), (&names[..], &Tensor::from([2u32, 2, 0, 0])));
    says(&text(open().class_names(&names[..1])), &["class_names: \"a\" is unknown"]);
}

/// What a damaged JPEG would otherwise be: grey from the damage on.
#[test]
fn a_jpeg_that_is_cut_off_or_too_large_is_refused() {
    let folder = folder();
    let path = folder.path().join("b/2.jpeg");
    RgbImage::from_fn(40, 30, |x, y| Rgb([6 * x as u8, 8 * y as u8, 200])).save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let read = |bytes: &[u8]| kiln::data::parse_image(bytes, &path);
    assert_eq!(*read(&whole).unwrap().shape(), Shape::from([30, 40, 3]));
    // Some programs write something behind the picture.
    assert_eq!(read(&[&whole[..], b"more"].concat()).unwrap(), read(&whole).unwrap());
    for len in [3, 30, whole.len() / 2, whole.len() - 2] {
        says(&text(read(&whole[..len])), &["2.jpeg: cannot be read as JPEG"]);
    }
    let mut large = whole.clone();
    let frame = whole.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    large[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    says(&text(read(&large)), &["has 65535 x 65535 pixels in ", "more than the "]);
    let limited = kiln::data::parse_image_within(&whole, &path, 3599);
    says(&text(limited), &["has 30 x 40 pixels", "more than the 3599 bytes"]);
}
