//! Data sets: pairing, IDX files, and the named sets found in a folder.

#[cfg(feature = "csv")]
mod csv;
#[cfg(feature = "csv")]
mod csv_kinds;
#[cfg(feature = "fetch")]
mod fetch;
#[cfg(feature = "images")]
mod images;
mod npz;
mod scaler;
#[cfg(feature = "fetch")]
mod silence;
mod split;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use kiln::data::{
    Content, Dataset, LoadOptions, NamedSet, RemoteFile, SETS, mnist_from, mnist_with, parse_idx, read_idx, read_pair,
    write_idx,
};
use kiln::{DType, Error, Shape, Tensor, Values};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The bytes of an IDX file of `u8`.
fn idx(extents: &[u32], bytes: &[u8]) -> Vec<u8> {
    let header = [0, 0, 8, u8::try_from(extents.len()).unwrap()];
    header.into_iter().chain(extents.iter().flat_map(|n| n.to_be_bytes())).chain(bytes.iter().copied()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The four files of a set like MNIST with few images, in [`NamedSet::files`]' order: an image's pixels are its row
/// number, its label that modulo 10.
fn small_mnist(train: u32, test: u32) -> [Vec<u8>; 4] {
    let images = |n: u32| idx(&[n, 28, 28], &(0..n).flat_map(|i| [(i % 256) as u8; 784]).collect::<Vec<_>>());
    let labels = |n: u32| idx(&[n], &(0..n).map(|i| (i % 10) as u8).collect::<Vec<_>>());
    [images(train), labels(train), images(test), labels(test)]
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_all(folder: &Path, files: &[Vec<u8>; 4]) {
    for (file, bytes) in SETS[0].files.iter().zip(files) {
        fs::write(folder.join(file.name), bytes).unwrap();
    }
}

fn text<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => panic!("it was accepted"),
        Err(e) => e.to_string(),
    }
}

#[track_caller]
pub fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

#[track_caller]
fn idx_refused(bytes: &[u8], parts: &[&str]) {
    let refusal = parse_idx(bytes, Path::new("some/file"));
    assert!(matches!(refusal, Err(Error::Format { .. })), "{refusal:?}");
    says(&text(refusal), &[&["some/file: "], parts].concat());
}

fn numbers(shape: &[usize], values: impl Into<Values>) -> Tensor {
    Tensor::new(shape, values).unwrap()
}

#[test]
fn each_type_rests_as_documented() {
    let set = Dataset::new(numbers(&[2, 2], vec![0u8, 1, 2, 255]), numbers(&[2], vec![3u8, 1])).unwrap();
    assert_eq!((set.x().dtype(), set.y()), (DType::U8, &numbers(&[2], vec![3u32, 1])));
    assert_eq!(set.scale(), 1.0 / 255.0);
    assert_eq!(set.clone().with_scale(0.5).scale(), 0.5);

    let set = Dataset::new(numbers(&[2, 1], vec![0.1f64, 2.0]), numbers(&[2, 2], vec![1f64, 2.0, 3.0, 4.0])).unwrap();
    assert_eq!((set.x(), set.scale()), (&numbers(&[2, 1], vec![0.1f32, 2.0]), 1.0));
    assert_eq!(set.y(), &numbers(&[2, 2], vec![1f32, 2.0, 3.0, 4.0]));
}

#[test]
fn a_set_is_cut_by_rows() {
    let set = Dataset::new(numbers(&[3, 2, 1], vec![1u8, 2, 3, 4, 5, 6]), numbers(&[3], vec![0u32, 1, 2])).unwrap();
    assert_eq!((set.len(), set.sample_shape()), (3, Shape::from([2, 1])));
    let (first, rest) = set.split_at(1);
    assert_eq!((first.x(), first.y()), (&numbers(&[1, 2, 1], vec![1u8, 2]), &numbers(&[1], vec![0u32])));
    assert_eq!((rest.x(), rest.y()), (&numbers(&[2, 2, 1], vec![3u8, 4, 5, 6]), &numbers(&[2], vec![1u32, 2])));
    assert_eq!(set.head(2).len(), 2);
    let (all, none) = set.split_at(9);
    assert_eq!((all, none.len(), none.is_empty()), (set, 0, true));
}

#[test]
fn what_does_not_pair_is_refused() {
    let x = || numbers(&[3, 2], vec![0f32; 6]);
    let y = |n: usize| numbers(&[n], vec![0u32; n]);
    says(&text(Dataset::new(x(), y(4))), &["(3, 2) holds 3 samples", "(4,) holds 4 targets"]);
    says(&text(Dataset::new(numbers(&[0, 2], vec![0f32; 0]), y(0))), &["x has shape (0, 2): it holds nothing"]);
    says(&text(Dataset::new(numbers(&[], vec![0f32]), y(1))), &["x is a scalar"]);
    // Several labels a sample are no class of it.
    let several = Dataset::new(x(), numbers(&[3, 2], vec![0u8; 6])).unwrap();
    says(&text(several.clone().with_labels()), &["y has shape (3, 2)", "one a sample"]);
    says(&text(several.stratified_split(0.5, 0)), &["needs one class index a sample, the targets are (3, 2)"]);
}

#[test]
fn a_value_that_is_no_number_is_located() {
    let y = || numbers(&[2], vec![0u32; 2]);
    let x = numbers(&[2, 3], vec![0.0, 0.0, 0.0, 0.0, 0.0, f32::NAN]);
    assert_eq!(text(Dataset::new(x, y())), "x: row 1, column 2: NaN is not finite");
    let x = numbers(&[2, 1, 2], vec![0.0, -1e300, 0.0, f64::INFINITY]);
    assert_eq!(text(Dataset::new(x, y())), "x: row 0, column 1: -1e300 is beyond f32's range");
    let bad = Dataset::new(numbers(&[2], vec![0u8; 2]), numbers(&[2], vec![0.0, f32::INFINITY]));
    assert_eq!(text(bad), "y: row 1, column 0: inf is not finite");
}

#[test]
fn labels_are_checked_against_the_classes() {
    let set = Dataset::new(numbers(&[3], vec![0u8; 3]), numbers(&[3], vec![0u32, 9, 10])).unwrap();
    set.check_labels(11).unwrap();
    assert_eq!(text(set.check_labels(10)), "y: row 2 has label 10, the labels of 10 classes are below 10");
    let values = Dataset::new(numbers(&[1], vec![0u8]), numbers(&[1], vec![0f32])).unwrap();
    says(&text(values.check_labels(10)), &["f32 values"]);
}

/// An IDX file of a type's code, with one axis more than its elements need.
fn coded<const N: usize>(code: u8, elements: &[[u8; N]]) -> Vec<u8> {
    let header = [0, 0, code, 2, 0, 0, 0, elements.len() as u8, 0, 0, 0, 1];
    header.into_iter().chain(elements.iter().flatten().copied()).collect()
}

#[test]
fn every_type_of_idx_is_read() {
    let read = |bytes: &[u8]| {
        let [raw, zipped] = [bytes.to_vec(), gzip(bytes)].map(|b| parse_idx(&b, Path::new("some/file")).unwrap());
        assert_eq!(raw, zipped);
        raw
    };
    let column = |values: Vec<f32>| Tensor::new([values.len(), 1], values).unwrap();
    assert_eq!(read(&coded(0x09, &[[0xff], [0x80], [0x7f]])), column(vec![-1.0, -128.0, 127.0]));
    assert_eq!(read(&coded(0x0b, &[[0xff, 0xfe], [1, 2]])), column(vec![-2.0, 258.0]));
    assert_eq!(read(&coded(0x0c, &[[1, 0, 0, 0], (-3i32).to_be_bytes()])), column(vec![16_777_216.0, -3.0]));
    let floats = [0.1f32, f32::NEG_INFINITY, -0.0];
    assert_eq!(read(&coded(0x0d, &floats.map(f32::to_be_bytes))), column(floats.to_vec()));
    let doubles = [0.1f64, 1e300];
    assert_eq!(read(&coded(0x0e, &doubles.map(f64::to_be_bytes))), Tensor::new([2, 1], doubles.to_vec()).unwrap());

    let last = [0, 1 << 24, (1 << 24) + 1].map(i32::to_be_bytes);
    idx_refused(&coded(0x0c, &last), &["the number 16777217 at [2, 0]", "f32 does not hold exactly"]);
    let short = &coded(0x0b, &[[0, 1], [0, 2]])[..15];
    idx_refused(short, &["is truncated: 3 bytes", "(2, 1) of i16 promises 4"]);
}

#[test]
fn labels_of_any_integer_type_are_class_indices() {
    let folder = TempDir::new().unwrap();
    let [images, labels] = ["images", "labels"].map(|name| folder.path().join(name));
    fs::write(&images, idx(&[2, 3], &[0; 6])).unwrap();
    let one_axis = |code: u8, elements: &[u8]| [&[0, 0, code, 1, 0, 0, 0, 2], elements].concat();
    for (code, elements) in
        [(0x08, &[7u8, 1][..]), (0x09, &[7, 1]), (0x0b, &[0, 7, 0, 1]), (0x0c, &[0, 0, 0, 7, 0, 0, 0, 1])]
    {
        fs::write(&labels, one_axis(code, elements)).unwrap();
        let pair = read_pair(&images, &labels).unwrap();
        assert_eq!(*pair.y(), Tensor::new([2], vec![7u32, 1]).unwrap(), "{code:#04x}");
    }
    fs::write(&labels, one_axis(0x0b, &[0, 7, 0xff, 0xff])).unwrap();
    let refusal = read_pair(&images, &labels).unwrap_err().to_string();
    assert!(refusal.contains("labels: the number -1 at [1] is no class index: they count from 0"), "{refusal}");
    // Values stay values.
    fs::write(&labels, one_axis(0x0d, &[0.5f32, 2.0].map(f32::to_be_bytes).concat())).unwrap();
    assert_eq!(*read_pair(&images, &labels).unwrap().y(), Tensor::new([2], vec![0.5f32, 2.0]).unwrap());
}

#[test]
fn what_is_written_as_idx_is_read_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tensor");
    for tensor in [
        Tensor::new([2, 1, 2], vec![0u8, 1, 254, 255]).unwrap(),
        Tensor::new([3], vec![0.1f32, f32::MIN_POSITIVE, f32::INFINITY]).unwrap(),
        Tensor::new([1, 2], vec![0.1f64, -1e300]).unwrap(),
        Tensor::new([0, 5], Vec::<u8>::new()).unwrap(),
    ] {
        write_idx(&path, &tensor).unwrap();
        assert_eq!(read_idx(&path).unwrap(), tensor);
    }
    write_idx(&path, &Tensor::new([2], vec![3u32, 0]).unwrap()).unwrap();
    assert_eq!(read_idx(&path).unwrap(), Tensor::new([2], vec![3.0f32, 0.0]).unwrap());
    let refused = |tensor: Tensor| write_idx(&path, &tensor).unwrap_err().to_string();
    let wide = refused(Tensor::new([1, 2], vec![0, 1u32 << 31]).unwrap());
    assert!(wide.ends_with("2147483648 at [0, 1] is beyond i32, IDX's widest integer"), "{wide}");
    assert!(refused(Tensor::new(Vec::new(), vec![1.0f32]).unwrap()).contains("1 to 255 axes"));
    let nowhere =
        write_idx(folder.path().join("no/file"), &Tensor::new([1], vec![0u8]).unwrap()).unwrap_err().to_string();
    assert!(nowhere.contains("/no: write to this folder: "), "{nowhere}");
}

#[test]
fn idx_is_read_raw_and_gzipped_whatever_its_name() {
    let folder = TempDir::new().unwrap();
    let bytes = idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
    let expected = numbers(&[2, 1, 3], vec![1u8, 2, 3, 4, 5, 6]);
    let halves = [gzip(&bytes[..9]), gzip(&bytes[9..])].concat();
    for (name, content) in [("raw.gz", bytes.clone()), ("zipped", gzip(&bytes)), ("two members", halves)] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        assert_eq!(read_idx(&path).unwrap(), expected, "{name}");
    }
    let absent = folder.path().join("absent");
    let refusal = read_idx(&absent);
    assert!(matches!(&refusal, Err(Error::Io { path, .. }) if *path == absent), "{refusal:?}");
}

#[test]
fn a_bad_header_is_refused() {
    idx_refused(b"<!DOCTYPE html>", &["no IDX file", "3c 21 44 4f"]);
    idx_refused(&[], &["is truncated: 0 bytes", "at least 4"]);
    idx_refused(&[0, 0, 8], &["is truncated: 3 bytes"]);
    idx_refused(&idx(&[2, 2], &[])[..9], &["is truncated: 9 bytes", "2 axes", "12"]);
    idx_refused(&[0, 0, 0x0a, 1, 0, 0, 0, 0], &["type code 0x0a", "0x08 u8, 0x09 i8, 0x0b i16", "0x0e f64"]);
    idx_refused(&[0, 0, 8, 0], &["no axes"]);
}

#[test]
fn content_that_is_not_what_the_header_promises_is_refused() {
    idx_refused(&idx(&[5, 2], &[0; 7]), &["is truncated: 7 bytes", "(5, 2) of u8 promises 10"]);
    idx_refused(&idx(&[5, 2], &[0; 13]), &["3 bytes follow the 10", "(5, 2)"]);
    idx_refused(&idx(&[u32::MAX; 3], &[0; 7]), &["(4294967295, 4294967295, 4294967295)", "memory can address"]);
    // 2^60 bytes can be addressed, but allocating them would abort the process.
    idx_refused(&idx(&[1 << 20; 3], &[0; 7]), &["7 bytes", "promises 1152921504606846976"]);
    idx_refused(&gzip(&idx(&[1 << 20; 3], &[0; 7])), &["unpacks to more than the 67108864 bytes"]);
}

#[test]
fn damaged_gzip_is_refused() {
    let whole = gzip(&idx(&[1000], &(0..1000).map(|i| (i * i % 251) as u8).collect::<Vec<_>>()));
    for end in [2, 12, whole.len() / 2, whole.len() - 1] {
        idx_refused(&whole[..end], &["gzip stream ends early"]);
    }
    let mut wrong_sum = whole.clone();
    let at = whole.len() - 8;
    wrong_sum[at] ^= 1;
    idx_refused(&wrong_sum, &["gzip stream is damaged"]);
    idx_refused(&[&whole[..], &b"garbage after the end"[..]].concat(), &["gzip stream is damaged"]);
}

#[test]
fn images_and_labels_must_agree() {
    let folder = TempDir::new().unwrap();
    let [images, labels] = ["images", "labels"].map(|name| folder.path().join(name));
    fs::write(&images, idx(&[2, 1, 2], &[1, 2, 3, 4])).unwrap();
    fs::write(&labels, idx(&[3], &[0, 1, 2])).unwrap();
    let both = [images.display().to_string(), labels.display().to_string()];
    says(&text(read_pair(&images, &labels)), &[&both[0], &both[1], "3 labels", "2 images"]);
    says(&text(read_pair(&labels, &images)), &[&both[0], "shape (2, 1, 2)", "one axis"]);
    fs::write(&labels, idx(&[2], &[7, 1])).unwrap();
    assert_eq!(read_pair(&images, &labels).unwrap().y(), &numbers(&[2], vec![7u32, 1]));
}

#[test]
fn a_folder_may_hold_fewer_images() {
    let folder = TempDir::new().unwrap();
    let files = small_mnist(200, 50);
    write_all(folder.path(), &files);
    let zipped = folder.path().join(SETS[0].files[2].name);
    fs::remove_file(&zipped).unwrap();
    fs::write(zipped.with_extension("gz"), gzip(&files[2])).unwrap();
    let split = mnist_from(folder.path()).unwrap();
    assert_eq!((split.train.len(), split.test.len()), (200, 50));
    assert_eq!(split.train.sample_shape(), Shape::from([28, 28]));
    assert_eq!(split.train.head(12).y().values(), &Values::U32(vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]));
    let options = LoadOptions { folder: Some(folder.path().into()), ..LoadOptions::default() };
    assert_eq!(mnist_with(options).unwrap(), split);
}

#[test]
fn a_damaged_file_is_named_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let damaged = |at: usize, bytes: Vec<u8>, parts: &[&str]| {
        let mut files = small_mnist(20, 10);
        files[at] = bytes;
        write_all(folder.path(), &files);
        let name = SETS[0].files[at].name;
        says(&text(mnist_from(folder.path())), &[&[name], parts].concat());
        let options = LoadOptions { folder: Some(folder.path().into()), fetch: false, ..LoadOptions::default() };
        says(&text(mnist_with(options)), &[&[name, "delete the damaged file"], parts].concat());
    };
    damaged(0, idx(&[20, 28, 28], &[0; 100]), &["is truncated"]);
    damaged(1, idx(&[19], &[0; 19]), &["19 labels", "20 images"]);
    damaged(2, idx(&[10, 14, 14], &[0; 1960]), &["(14, 14)", "(28, 28)"]);
    damaged(3, idx(&[10], &[10; 10]), &["row 0 has label 10"]);
}

#[test]
fn missing_files_are_listed_with_their_places() {
    let folder = TempDir::new().unwrap();
    write_all(folder.path(), &small_mnist(2, 1));
    let absent: Vec<PathBuf> = SETS[0].files[2..].iter().map(|file| folder.path().join(file.name)).collect();
    for path in &absent {
        fs::remove_file(path).unwrap();
    }
    let options = LoadOptions { folder: Some(folder.path().into()), fetch: false, ..LoadOptions::default() };
    for message in [text(mnist_from(folder.path())), text(mnist_with(options))] {
        says(&message, &["mnist: ", "name.gz", absent[0].to_str().unwrap(), absent[1].to_str().unwrap()]);
        assert!(!message.contains("train-"), "{message}");
    }
}

#[test]
fn a_set_is_found_by_name() {
    for set in SETS {
        let classes = if set.content == Content::Images { 10 } else { 0 };
        assert_eq!((NamedSet::find(set.name).unwrap(), set.classes), (set, classes));
        assert_eq!(NamedSet::find_images(set.name).is_ok(), set.content == Content::Images);
    }
    let refusal = ["airline holds no images with labels; these do: mnist, fashion-mnist"];
    says(&text(NamedSet::find_images("airline")), &refusal);
    says(&text(NamedSet::find("airline").unwrap().load(LoadOptions::default())), &refusal);
    says(&text(NamedSet::find("minst")), &["\"minst\"", "did you mean \"mnist\"?"]);
}

/// The set's files, as if they held these contents.
fn known(set: &NamedSet, contents: &[Vec<u8>]) -> &'static [RemoteFile<'static>] {
    let file = |(file, bytes): (&RemoteFile<'static>, &Vec<u8>)| RemoteFile {
        sha256: sum(bytes).leak(),
        len: bytes.len() as u64,
        ..*file
    };
    set.files.iter().zip(contents).map(file).collect::<Vec<_>>().leak()
}

#[test]
fn a_named_sets_files_are_checked_as_they_are_loaded() {
    let folder = TempDir::new().unwrap();
    let contents = small_mnist(3, 2);
    let mut set = SETS[0];
    set.files = known(&set, &contents);
    write_all(folder.path(), &contents);
    set.load_from(folder.path()).unwrap();
    let images = folder.path().join(set.files[0].name);
    let mut changed = contents[0].clone();
    *changed.last_mut().unwrap() ^= 1;
    let refused = || text(set.load_from(folder.path()));
    fs::write(&images, &changed).unwrap();
    says(&refused(), &["train-images-idx3-ubyte: its SHA-256 is "]);
    fs::remove_file(&images).unwrap();
    fs::write(images.with_extension("gz"), gzip(&changed)).unwrap();
    says(&refused(), &["train-images-idx3-ubyte.gz: its SHA-256 is "]);
    fs::write(images.with_extension("gz"), gzip(&contents[0])).unwrap();
    set.load_from(folder.path()).unwrap();
    // Of another length it is a set of one's own.
    fs::remove_file(images.with_extension("gz")).unwrap();
    write_all(folder.path(), &small_mnist(4, 2));
    set.load_from(folder.path()).unwrap();
}

/// Files of other lengths than the sets' own are somebody's who knows, gzipped or not.
#[test]
fn a_series_and_texts_are_read_from_their_files() {
    let folder = TempDir::new().unwrap();
    let options = || LoadOptions { folder: Some(folder.path().into()), fetch: false, ..LoadOptions::default() };
    let series = folder.path().join("Airline.csv");
    fs::write(&series, "Date,Passengers\n1949-01,112\n1949-02, 118.5\n").unwrap();
    assert_eq!(kiln::data::airline_with(options()).unwrap(), kiln::Tensor::from([112f32, 118.5]));
    for (line, part) in [("1949-03", "line 3"), ("1949-03,many", "line 3"), ("1949-03,inf", "line 3")] {
        fs::write(&series, format!("Date,Passengers\n1949-01,112\n{line}\n")).unwrap();
        says(&text(kiln::data::airline_with(options())), &["Airline.csv", part, "delete the damaged file"]);
    }
    says(&text(kiln::data::moby_dick_with(options())), &["moby-dick: ", "chapter_1.json"]);
    let chapters = NamedSet::find("moby-dick").unwrap().files;
    for (number, file) in (1..).zip(chapters) {
        let content = format!(r#"{{"chapter":"{number}","text":"Chapter {number} — é\n"}}"#);
        fs::write(folder.path().join(format!("{}.gz", file.name)), gzip(content.as_bytes())).unwrap();
    }
    let found = kiln::data::moby_dick_with(options()).unwrap();
    assert_eq!((found.len(), found[9].as_str(), found[134].as_str()), (135, "Chapter 10 — é\n", "Chapter 135 — é\n"));
    for (content, part) in [("{", "is no JSON"), ("{\"text\":5}", "has no text"), ("[]", "has no text")] {
        fs::write(folder.path().join(chapters[4].name), content).unwrap();
        says(&text(kiln::data::moby_dick_with(options())), &["chapter_5.json", part]);
    }
}
