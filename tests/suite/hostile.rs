//! Files that lie: what they say is checked before it is used, by the library and by the command.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};
use kiln::data::Npz;
use kiln::io::TensorFile;
use kiln::prelude::*;
use tempfile::TempDir;

use crate::common::says;

fn case(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hostile")).join(name)
}

/// Files of models that none can be made of, each with the setting that says so.
const MODELS: [(&str, &str); 10] = [
    ("mod-sched-restarts-0", "first_decay_steps"),
    ("mod-sched-piecewise-empty", "values"),
    ("mod-sched-poly-0", "decay_steps"),
    ("mod-flat-2e32x2e32", "sample_shape"),
    ("mod-flat-2e63x2", "sample_shape"),
    ("mod-input-huge", "sample_shape"),
    ("mod-wrap784", "sample_shape"),
    ("mod-flat-zero", "sample_shape"),
    ("mod-scale-nan", "byte_scale"),
    ("tab-targets-empty", "label"),
];

#[test]
fn a_models_settings_are_checked_as_it_is_loaded() {
    for (name, setting) in &MODELS[..9] {
        let file = case(&format!("{name}.safetensors"));
        says(Sequential::load(&file), &[file.to_str().unwrap(), setting]);
    }
}

#[cfg(feature = "csv")]
#[test]
fn a_tables_settings_are_checked_as_they_are_loaded() {
    let model = Sequential::load(case("tab-targets-empty.safetensors")).unwrap();
    let mut table: kiln::nn::Config = model.note("table").unwrap().unwrap();
    says(table.take::<kiln::data::Encoding>("encoding"), &["encoding", "label: name the column"]);
}

#[test]
fn the_builder_refuses_what_the_loader_does() {
    let mut model = Sequential::new().add(Dense::new(2)).device(Device::cpu());
    let mut compile = |schedule: Box<dyn Optimizer>| model.compile(schedule, Loss::MeanSquaredError, []);
    let scheduled = |schedule| -> Box<dyn Optimizer> { Box::new(Scheduled::new(Sgd::default(), schedule)) };
    says(compile(scheduled(CosineDecayRestarts::new(0.1, 0))), &["first_decay_steps", "0 steps"]);
    let poly = PolynomialDecay { cycle: true, ..PolynomialDecay::new(0.1, 0) };
    says(compile(Box::new(Scheduled::new(Sgd::default(), poly))), &["decay_steps", "0 steps"]);
    let empty = PiecewiseConstantDecay::new([], []);
    says(compile(Box::new(Scheduled::new(Sgd::default(), empty))), &["values", "give one more"]);
    for shape in [vec![1 << 32, 1 << 32], vec![1 << 63, 2], vec![3, 12_297_829_382_473_034_672], vec![0], vec![4, 0]] {
        let built = Sequential::new().add(Flatten).add(Dense::new(2)).build(shape.clone());
        says(built, &["samples of ", &shape[0].to_string()]);
        says(Sequential::new().add(Input::new(shape)).add(Flatten).summary(), &["samples of "]);
    }
    for (initializer, part) in [
        (Initializer::Constant(f64::NAN), "value NaN"),
        (Initializer::RandomNormal { mean: f64::INFINITY, stddev: 1.0 }, "mean inf"),
        (Initializer::RandomUniform { minval: f64::NEG_INFINITY, maxval: 0.0 }, "minval -inf"),
        (Initializer::Orthogonal(f64::NAN), "gain NaN"),
    ] {
        says(Sequential::new().add(Dense::new(2).kernel_initializer(initializer)).build([2]), &["kernel", part]);
    }
    let many = Metric::Auc { curve: AucCurve::Roc, num_thresholds: 1 << 40, from_logits: false };
    says(model.compile(Sgd::default(), Loss::MeanSquaredError, [many]), &["num_thresholds"]);
    let many = Metric::TopKCategoricalAccuracy { k: 1 << 40 };
    says(model.compile(Sgd::default(), Loss::MeanSquaredError, [many]), &["k: ", "1099511627776"]);
    let data = Dataset::new(Tensor::from([[1u8, 2]]), Tensor::from([[1.0f32, 2.0]])).unwrap().with_scale(f32::NAN);
    let mut model = Sequential::new().add(Dense::new(2)).device(Device::cpu());
    model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
    says(model.fit(&data, Fit::new().verbose(0)), &["with_scale: NaN"]);
    says(model.evaluate(&data), &["with_scale: NaN"]);
    let data = data.with_scale(1.0);
    let fit = || Fit::new().verbose(0);
    says(
        model.fit(&data, fit().callback(EarlyStopping::new().monitor("loss").min_delta(f64::NAN))),
        &["min_delta: NaN"],
    );
    let lower = ReduceLrOnPlateau::new().monitor("loss");
    says(model.fit(&data, fit().callback(lower.min_lr(f64::INFINITY))), &["min_lr: inf"]);
}

#[cfg(feature = "csv")]
#[test]
fn nothing_but_a_number_is_filled_in() {
    let table = |missing| kiln::data::Csv::new().label("y").missing(missing).parse(b"x,y\n1,0\n");
    says(table(kiln::data::Missing::Fill(f32::NAN)).map(drop), &["missing: NaN"]);
}

#[test]
fn schedules_without_a_rate_give_nan_and_end() {
    assert!(CosineDecayRestarts::new(0.1, 0).at(5).is_nan());
    assert!(PiecewiseConstantDecay::new([], []).at(5).is_nan());
    assert!(PolynomialDecay { cycle: true, ..PolynomialDecay::new(0.1, 0) }.at(5).is_nan());
}

#[test]
fn waves_that_hardly_grow_are_not_counted_one_by_one() {
    let rates = CosineDecayRestarts { t_mul: 1.0 + f64::EPSILON, ..CosineDecayRestarts::new(0.1, 1) };
    // Counted out, each of these takes some ten seconds.
    for step in (10_000_000_000..).take(1000) {
        let rate = rates.at(step);
        assert!((0.0..=0.1).contains(&rate), "{rate} at {step}");
    }
    // Where both ways can be gone they agree.
    let slow = CosineDecayRestarts { t_mul: 1.0 + 1e-4, ..CosineDecayRestarts::new(0.1, 10) };
    let (mut wave, mut start) = (10.0f64, 0.0);
    for _ in 0..6000 {
        (start, wave) = (start + wave, wave * slow.t_mul);
    }
    let middle = slow.at((start + wave / 2.0).round() as u64);
    let expected = 0.05 * (1.0 + (std::f64::consts::PI * ((start + wave / 2.0).round() - start) / wave).cos());
    assert!((middle - expected).abs() < 1e-6, "{middle}, expected {expected}");
}

#[test]
fn names_of_layers_are_found_without_a_search() {
    // Each name compared with all others would be 10^9 comparisons.
    let layers = 30_000;
    let model = (0..layers).fold(Sequential::new().add(Input::new([2])), |model, _| model.add(Flatten));
    let summary = model.summary().unwrap();
    assert_eq!(summary.rows.last().unwrap().name, format!("flatten_{}", layers - 1));
}

#[test]
fn a_file_of_many_layers_is_loaded_without_a_search() {
    let layer = |i: u32| format!(r#"{{"name":"layer {i}","layer":{{"class":"Dropout","rate":0.5}}}}"#);
    let layers: Vec<String> = (0..20_000).map(layer).collect();
    let model = |rest: &str| {
        format!(
            r#"{{"class":"Sequential","version":1,"kiln":"0.1.0","name":"m","seed":0,"sample_shape":[2],"layers":[{}]{rest}}}"#,
            layers.join(",")
        )
    };
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("many.safetensors");
    TensorFile::new().with_metadata("kiln", model("")).write(&file).unwrap();
    let start = Instant::now();
    let loaded = Sequential::load(&file).unwrap().add(Dropout::new(0.1)).add(Dropout::new(0.1));
    assert!(loaded.summary().is_err(), "a layer was added after it was built");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// The bytes of an `.npy` of zeros.
fn npy(dtype: &str, shape: &str, bytes: usize) -> Vec<u8> {
    let header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let len = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), &vec![0; bytes]].concat()
}

/// An archive with one deflated file, which the list has under each of these names.
fn archive(names: &[String], content: &[u8]) -> Vec<u8> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::best());
    packed.write_all(content).unwrap();
    let packed = packed.finish().unwrap();
    let mut sum = Crc::new();
    sum.update(content);
    let shared = |name: &str| {
        let first = [20u16, 0, 8, 0, 0x21].map(u16::to_le_bytes).concat();
        let sizes = [sum.sum(), packed.len() as u32, content.len() as u32].map(u32::to_le_bytes).concat();
        [first, sizes, [name.len() as u16, 0].map(u16::to_le_bytes).concat()].concat()
    };
    let mut bytes = [b"PK\x03\x04", &shared(&names[0])[..], names[0].as_bytes(), &packed].concat();
    let list: Vec<u8> = names
        .iter()
        .flat_map(|name| [b"PK\x01\x02\x14\x00", &shared(name)[..], &[0; 14], name.as_bytes()].concat())
        .collect();
    let (at, count) = (bytes.len() as u32, names.len() as u16);
    bytes.extend(&list);
    let [count, len, at] =
        [count.to_le_bytes().to_vec(), (list.len() as u32).to_le_bytes().to_vec(), at.to_le_bytes().to_vec()];
    bytes.extend([b"PK\x05\x06", &[0; 4][..], &count, &count, &len, &at, &[0; 2]].concat());
    bytes
}

#[test]
fn entries_of_an_archive_that_share_bytes_are_refused() {
    let names: Vec<String> = (0..1000).map(|i| format!("{i}.npy")).collect();
    let bytes = archive(&names, &npy("|u1", "(1000000,)", 1_000_000));
    for result in [
        Npz::parse(&bytes, Path::new("shared.npz")).map(drop),
        TensorFile::parse(&bytes, Path::new("shared.npz")).map(drop),
    ] {
        says(result, &["shared.npz: ", "share bytes"]);
    }
    // One alone is none that lies.
    let one = Npz::parse(&archive(&names[..1], &npy("|u1", "(1000000,)", 1_000_000)), Path::new("one.npz")).unwrap();
    assert_eq!(one.samples("0").unwrap().shape().to_string(), "(1000000,)");
}

#[test]
fn what_is_not_wanted_is_not_unpacked_and_what_unpacks_to_too_much_is_refused() {
    let names = ["x.npy".to_string()];
    let bytes = archive(&names, &npy("|u1", "(80000000,)", 80_000_000));
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("large.npz");
    std::fs::write(&file, &bytes).unwrap();
    let large = Npz::open(&file).unwrap();
    assert_eq!(large.names().collect::<Vec<_>>(), ["x"]);
    says(large.samples("x"), &["large.npz: ", "more than the 67108864 bytes", "max_unpacked"]);
    says(TensorFile::read(&file), &["large.npz: ", "more than the 67108864 bytes"]);
    assert_eq!(Npz::open_within(&file, 1 << 30).unwrap().samples("x").unwrap().rows(), 80_000_000);
    assert_eq!(TensorFile::read_within(&file, 1 << 30).unwrap().tensor("x").unwrap().rows(), 80_000_000);
}

/// A header that lies of its elements is found out before they are unpacked: behind it these are no packed bytes at all.
#[test]
fn an_arrays_header_is_read_before_its_elements() {
    let content = npy("<f8", "(3,)", 60_000_000);
    let good = archive(&["x.npy".to_string()], &content);
    let mut bytes = good.clone();
    // The elements' zeros take the most of the file.
    let (middle, quarter) = (bytes.len() / 2, bytes.len() / 4);
    bytes[middle - quarter..middle].fill(0xff);
    for bytes in [good, bytes] {
        for result in [
            Npz::parse(&bytes, Path::new("lies.npz")).and_then(|npz| npz.samples("x").map(drop)),
            TensorFile::parse(&bytes, Path::new("lies.npz")).map(drop),
        ] {
            says(result, &["lies.npz: ", "tensor \"x\"", "3 elements of <f8", "do not fit its 60000000 bytes"]);
        }
    }
}

fn gzipped(pieces: &[&[u8]], times: usize) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(pieces[0]).unwrap();
    (0..times).for_each(|_| packed.write_all(pieces[1]).unwrap());
    packed.finish().unwrap()
}

#[cfg(feature = "csv")]
#[test]
fn gzipped_tables_have_a_limit() {
    // A field without an end.
    let csv = gzipped(&[b"x,y\n1,0\n2,", &[b'1'; 1 << 16]], 1600);
    let says_so = ["more than the 67108864 bytes", "max_unpacked"];
    says(kiln::data::Csv::new().label("y").parse(&csv).map(drop), &says_so);
    let rows = gzipped(&[b"x,y\n", &b"1,0\n1,1\n".repeat(1 << 10)], 4);
    let table = kiln::data::Csv::new().label("y");
    assert_eq!(table.parse(&rows).unwrap().data.len(), 8192);
    says(table.max_unpacked(30_000).parse(&rows).map(drop), &["more than the 30000 bytes"]);
}

#[test]
fn an_array_of_a_hundred_axes_is_refused() {
    let shape = format!("({}1000000)", "1, ".repeat(100));
    let bytes = archive(&["x.npy".to_string()], &npy("|u1", &shape, 1_000_000));
    says(TensorFile::parse(&bytes, Path::new("axes.npz")), &["axes.npz: ", "101 axes", "64 at most"]);
}

#[test]
fn gzipped_idx_files_have_a_limit() {
    let says_so = ["more than the 67108864 bytes", "max_unpacked"];
    let header = [&[0, 0, 8, 1], &(100u32 << 20).to_be_bytes()[..]].concat();
    let idx = gzipped(&[&header, &[0; 1 << 20]], 100);
    says(kiln::data::parse_idx(&idx, Path::new("zeros.gz")), &[&["zeros.gz: "], &says_so[..]].concat());
    // What follows the promised bytes is not gone through to its end.
    let header = [&[0, 0, 8, 1], &1u32.to_be_bytes()[..]].concat();
    let idx = gzipped(&[&header, &[0; 1 << 20]], 100);
    says(kiln::data::parse_idx(&idx, Path::new("zeros.gz")), &says_so);
    let header = [&[0, 0, 8, 1], &(2u32 << 20).to_be_bytes()[..]].concat();
    let idx = gzipped(&[&header, &[0; 1 << 20]], 2);
    let within = |most| kiln::data::parse_idx_within(&idx, Path::new("zeros.gz"), most);
    says(within(1 << 20), &["more than the 1048576 bytes"]);
    assert_eq!(within(1 << 22).unwrap().rows(), 2 << 20);
}

#[cfg(feature = "csv")]
#[test]
fn a_hundred_thousand_columns_are_found_without_a_search() {
    let columns = 100_000;
    let names: Vec<String> = (0..columns).map(|i| format!("column {i}")).collect();
    let row = |label: u8| format!("{}{label}\n", "0.5,".repeat(columns));
    let text = format!("{},y\n{}{}", names.join(","), row(0), row(1));
    // 2 s on a quiet machine, where a search a column took 36.
    let start = Instant::now();
    let table = kiln::data::Csv::new().label("y").parse(text.as_bytes()).unwrap();
    assert_eq!(table.features.len(), columns);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn sixty_thousand_arrays_are_found_without_a_search() {
    let file = (0..60_000).fold(TensorFile::new(), |file, i| file.with(format!("array {i}"), Tensor::from([i as f32])));
    let folder = TempDir::new().unwrap();
    for name in ["many.npz", "many.safetensors"] {
        let start = Instant::now();
        file.write(folder.path().join(name)).unwrap();
        let read = TensorFile::read(folder.path().join(name)).unwrap();
        assert!((0..60_000).all(|i| read.tensor(&format!("array {i}")).is_ok()));
        assert!(start.elapsed() < Duration::from_secs(20), "{name}: {:?}", start.elapsed());
    }
}

#[cfg(all(feature = "cli", unix))]
mod command {
    use std::process::{Command, Output};

    use super::{MODELS, case};

    /// Runs the command with so much address space that what it needs itself is there, and no more than 1 GiB. Gigabytes
    /// that a file asks for end it by a signal, not by code 1.
    fn run(args: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = Command::new("sh")
            .args(["-c", "ulimit -v 1048576; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kiln")])
            .args(args)
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    #[track_caller]
    fn refused(args: &[&str], parts: &[&str]) {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{args:?}: {stdout}{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "no {part:?} in: {stderr}");
        }
    }

    fn path(name: &str) -> String {
        case(name).to_str().unwrap().to_string()
    }

    #[test]
    fn a_model_that_lies_is_refused_by_every_subcommand() {
        let picture = path("g.png");
        for (name, setting) in MODELS {
            let file = path(&format!("{name}.safetensors"));
            let parts = [file.as_str(), setting];
            refused(&["summary", &file], &parts);
            refused(&["predict", "--device", "cpu", &file, &picture], &parts);
            refused(&["eval", "--device", "cpu", &file, &path("t.csv")], &parts);
        }
        let file = path("tab-classweight-short.safetensors");
        refused(&["eval", "--device", "cpu", &file, &path("t.csv")], &[&file, "class_weight: 1 weights for 3 classes"]);
        let file = path("mod-flat-zero.safetensors");
        refused(&["predict", "--device", "cpu", &file, &path("idx-3x0")], &[&file, "(0,)"]);
    }

    #[test]
    fn names_out_of_files_are_shown_escaped() {
        let (file, table) = (path("esc.safetensors"), path("esc.csv"));
        let place = ["--device", "cpu"];
        for args in [&["predict", &file, &table][..], &["eval", &file, &table, "--confusion"], &["summary", &file]] {
            let place = if args[0] == "summary" { &[][..] } else { &place };
            let (code, stdout, stderr) = run(&[args, place].concat());
            assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
            assert!(stdout.contains(r"\u{1b}[31mred\u{1b}]0;pwned\u{7}"), "{stdout}");
            let obeyed = stdout.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(obeyed, None, "{stdout:?}");
        }
    }
    #[test]
    fn a_stray_label_is_refused_before_anything_is_made_of_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("stray.npz");
        let file = path.to_str().unwrap();
        for stray in [999_999u32, 3_999_999, u32::MAX - 1] {
            let mut labels: Vec<u32> = (0..64).map(|i| i % 10).collect();
            labels[17] = stray;
            let y = kiln::Tensor::new([64], labels).unwrap();
            let x = || kiln::Tensor::new([64, 4], vec![0.5f32; 256]).unwrap();
            let arrays = kiln::io::TensorFile::new().with("x_train", x()).with("y_train", y.clone());
            arrays.with("x_test", x()).with("y_test", y).write(&path).unwrap();
            let named = format!("y_train, row 17: the label {stray}");
            refused(&["train", "--device", "cpu", file], &[file, &named, "number the labels from 0 on"]);
        }
    }

    #[test]
    fn an_archive_beyond_its_limit_trains_where_the_limit_is_raised() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("small.npz");
        let file = path.to_str().unwrap();
        let x = || kiln::Tensor::new([20, 4], (0..80).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
        let y = || kiln::Tensor::new([20], (0..20).map(|i| i % 2).collect::<Vec<u32>>()).unwrap();
        let arrays = kiln::io::TensorFile::new().with("x_train", x()).with("y_train", y());
        arrays.with("x_test", x()).with("y_test", y()).write(&path).unwrap();
        let train = ["train", "--device", "cpu", file, "-q", "--hidden", "none", "--max-unpacked"];
        refused(&[&train[..], &["100"]].concat(), &[file, "more than the 100 bytes", "more to --max-unpacked"]);
        let (code, _, stderr) = run(&[&train[..], &["1K"]].concat());
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
    }
}
