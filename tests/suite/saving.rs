//! Models, weights and training that come back from files; files that are wrong.

use std::path::{Path, PathBuf};

use kiln::DType;
use kiln::device::Device;
use kiln::graph::Id;
use kiln::io::TensorFile;
use kiln::nn::layers::{self, Layer};
use kiln::nn::optimizer::{self, NAMES, Optimizer};
use kiln::nn::{Config, CustomObjects, Scope};
use kiln::prelude::*;
use kiln::random::stream;
use kiln::train::callbacks::SaveFreq;
use rand::Rng as _;
use tempfile::TempDir;

use crate::common::{devices, executors, says};

const SEED: u64 = 11;

/// Bytes with a pattern that can be learned.
fn data() -> Dataset {
    let pixel = |row: u32, i: u32| ((row * 7 + i * 13) % 40 + if i % 3 == row % 3 { 150 } else { 0 }) as u8;
    let x: Vec<u8> = (0..50).flat_map(|row| (0..12).map(move |i| pixel(row, i))).collect();
    let y: Vec<u32> = (0..50).map(|row| row % 3).collect();
    Dataset::new(Tensor::new([50, 3, 4], x).unwrap(), Tensor::new([50], y).unwrap()).unwrap()
}

/// One of each layer, with dropout.
fn model(device: &Device) -> Sequential {
    Sequential::new()
        .named("all")
        .seed(SEED)
        .add(Input::new([3, 4]))
        .add(Permute::new([2, 1]))
        .add(Reshape::new([6, -1]))
        .add(Flatten)
        .add(Dense::new(9).activation(Activation::LeakyRelu { negative_slope: 0.1 }).named("hidden"))
        .add(Dropout::new(0.3))
        .add(Dense::new(5).use_bias(false).kernel_initializer(Initializer::Orthogonal(0.7)))
        .add(Activation::Elu { alpha: 0.5 })
        .add(Dense::new(3).activation(Activation::Softmax))
        .device(device.clone())
}

fn compiled(device: &Device, optimizer: Box<dyn Optimizer>) -> Sequential {
    let mut model = model(device);
    model.compile(optimizer, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    model
}

fn fit<'a>(epochs: usize) -> Fit<'a> {
    Fit::new().epochs(epochs).batch_size(8).verbose(0)
}

fn place(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

/// Every optimizer, those with options that add state with them.
fn optimizers() -> Vec<Box<dyn Optimizer>> {
    let mut all: Vec<_> = NAMES.iter().map(|name| optimizer::by_name(name).unwrap()).collect();
    all.push(Box::new(Sgd { momentum: 0.9, nesterov: true, ..Sgd::default() }));
    all.push(Box::new(Adam { amsgrad: true, learning_rate: 0.1 / 3.0, ..Adam::default() }));
    all.push(Box::new(RmsProp { momentum: 0.5, centered: true, ..RmsProp::default() }));
    all.push(Box::new(Scheduled::new(Adam::default(), CosineDecay::new(0.01, 20))));
    all.push(Box::new(Adam::adamw().exclude_from_weight_decay(["bias"])));
    all
}

#[test]
fn a_run_goes_on_from_a_file_to_the_same_bits() {
    let (folder, data) = (TempDir::new().unwrap(), data());
    for device in devices() {
        for kind in 0..optimizers().len() {
            let make = || optimizers().swap_remove(kind);
            let path = place(&folder, "model.safetensors");
            let mut whole = compiled(&device, make());
            let history = whole.fit(&data, fit(5)).unwrap();

            let mut first = compiled(&device, make());
            first.fit(&data, fit(2)).unwrap();
            first.save(&path).unwrap();
            let mut second = Sequential::load(&path).unwrap().device(device.clone());
            assert_eq!(second.epoch(), 2);
            let rest = second.fit(&data, fit(5).initial_epoch(2)).unwrap();

            let label = format!("{:?} on {device}", make());
            assert_eq!(rest.get("loss"), history.get("loss")[2..], "{label}");
            // The files have weights, state, count and configuration.
            let [a, b] =
                [(&mut whole, "whole.safetensors"), (&mut second, "resumed.safetensors")].map(|(model, name)| {
                    model.save(place(&folder, name)).unwrap();
                    std::fs::read(place(&folder, name)).unwrap()
                });
            assert_eq!(a, b, "{label}");
            assert_ne!(a, std::fs::read(&path).unwrap(), "{label}: nothing was trained");
        }
    }
}

#[test]
fn checkpoints_are_the_models_of_their_epochs() {
    let (folder, data) = (TempDir::new().unwrap(), data());
    for device in devices() {
        let path = place(&folder, "checkpoint.safetensors");
        let every = |n| ModelCheckpoint::new(path.to_string_lossy()).save_freq(SaveFreq::Epochs(n));
        let mut model = compiled(&device, Box::new(Adam::default()));
        model.fit(&data, fit(5).callback(every(2))).unwrap();
        let mut shorter = compiled(&device, Box::new(Adam::default()));
        shorter.fit(&data, fit(4)).unwrap();
        let mut saved = Sequential::load(&path).unwrap().device(device.clone());
        assert_eq!((saved.epoch(), saved.weights().unwrap()), (4, shorter.weights().unwrap()), "{device}");
        says(model.fit(&data, fit(1).callback(every(0))), &["save_freq: every 0"]);
    }
}

#[test]
fn a_loaded_model_is_the_one_that_was_saved() {
    let (folder, data) = (TempDir::new().unwrap(), data().with_scale(1.0 / 100.0));
    for device in executors() {
        let path = place(&folder, "model.safetensors");
        let mut model = compiled(&device, Box::new(RmsProp::default()));
        model.set_note("classes", vec!["a", "b", "c"]);
        model.fit(&data, fit(2)).unwrap();
        model.save(&path).unwrap();
        let mut again = Sequential::load(&path).unwrap().device(device.clone());
        assert_eq!(again.summary().unwrap().to_string(), model.summary().unwrap().to_string());
        assert_eq!(again.parameter_paths().unwrap(), model.parameter_paths().unwrap());
        assert_eq!(again.weights().unwrap(), model.weights().unwrap());
        assert_eq!(again.evaluate(&data).unwrap(), model.evaluate(&data).unwrap());
        // Bytes are scaled as those were that it was trained on.
        assert_eq!(again.predict(data.x()).unwrap(), model.predict(data.x()).unwrap());
        assert_eq!(again.note::<Vec<String>>("classes").unwrap().unwrap(), ["a", "b", "c"]);
        assert_eq!(again.note::<f64>("other").unwrap(), None);
        says(again.note::<f64>("classes"), &["note \"classes\"", "a number", "a list"]);
        // To train it otherwise starts its optimizer anew, in a model that was not run yet, too.
        let mut fresh = Sequential::load(&path).unwrap().device(device.clone());
        for model in [&mut fresh, &mut again] {
            model.compile(Adam::default(), Loss::SparseCategoricalCrossentropy, []).unwrap();
            assert_eq!(model.epoch(), 0);
            model.fit(&data, fit(1)).unwrap();
        }
        assert_eq!(fresh.weights().unwrap(), again.weights().unwrap());
    }
}

#[test]
fn a_model_is_saved_before_it_is_compiled_and_before_it_is_run() {
    let folder = TempDir::new().unwrap();
    let (path, copy) = (place(&folder, "a.safetensors"), place(&folder, "b.safetensors"));
    let mut model = model(&Device::cpu());
    model.save(&path).unwrap();
    let mut loaded = Sequential::load(&path).unwrap().device(Device::cpu());
    loaded.save(&copy).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&copy).unwrap());
    says(loaded.evaluate(&data()), &["not compiled yet"]);
    says(Sequential::new().add(Flatten).save(&path), &["not built yet"]);
}

#[test]
fn every_setting_comes_back() {
    let folder = TempDir::new().unwrap();
    let path = place(&folder, "model.safetensors");
    let initializers = [
        Initializer::Constant(-1e30),
        Initializer::RandomUniform { minval: -0.1, maxval: 1.0 / 3.0 },
        Initializer::RandomNormal { mean: 1e-300, stddev: 2.0 },
        Initializer::TruncatedNormal { mean: -3.0, stddev: 5e-7 },
        Initializer::Identity(3.0),
    ];
    let initializers = initializers.into_iter().chain(kiln::nn::init::NAMES.map(|(_, initializer)| initializer));
    let activations = kiln::nn::activation::NAMES.map(|(_, activation)| activation);
    let layers = initializers.map(|initializer| Dense::new(4).kernel_initializer(initializer));
    let layers = layers.chain(activations.map(|activation| Dense::new(4).activation(activation)));
    let mut model = layers.fold(Sequential::new().add(Input::new([4])), Sequential::add).device(Device::cpu());
    let metrics = [
        Metric::Accuracy,
        Metric::TopKCategoricalAccuracy { k: 2 },
        Metric::SparseTopKCategoricalAccuracy { k: 3 },
        Metric::MeanAbsoluteError,
        Metric::MeanSquaredError,
        Metric::RootMeanSquaredError,
    ];
    let mut losses = kiln::nn::loss::NAMES.map(|(_, loss)| loss).to_vec();
    losses.extend([Loss::Huber { delta: 0.3 }, Loss::BinaryCrossentropy { label_smoothing: 0.1 }]);
    losses.push(Loss::CategoricalCrossentropyFromLogits { label_smoothing: 0.2 });
    for (loss, optimizer) in losses.into_iter().zip(std::iter::repeat_with(optimizers).flatten()) {
        let objective = Objective::new(loss).metrics(metrics);
        let compiled = format!("optimizer: {optimizer:?}, objectives: [{objective:?}]");
        model.compile(optimizer, loss, metrics).unwrap();
        model.save(&path).unwrap();
        let (saved, loaded) = (format!("{model:?}"), format!("{:?}", Sequential::load(&path).unwrap()));
        let layers = &saved[saved.find("layers: ").unwrap()..saved.find(", calls: ").unwrap()];
        assert!(loaded.contains(layers), "{layers}\n{loaded}");
        assert!(loaded.contains(&compiled), "{compiled}\n{loaded}");
    }
}

/// A layer of a user's own.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Twice {
    times: usize,
}

impl Layer for Twice {
    fn kind(&self) -> &'static str {
        "Twice"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> kiln::Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let mut y = x;
        for _ in 0..self.times {
            y = scope.graph.apply(kiln::ops::binary::Binary::Add, &[y, y])?;
        }
        Ok(vec![y])
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("times", self.times)
    }
}

#[test]
fn layers_of_ones_own_are_made_again_by_their_class() {
    let folder = TempDir::new().unwrap();
    let (path, weights) = (place(&folder, "model.safetensors"), place(&folder, "weights.npz"));
    let build = || {
        let model = Sequential::new().add(Input::new([2])).add(layers::Dense::new(2)).add(Twice { times: 3 });
        model.device(Device::cpu())
    };
    let mut model = build();
    model.set_weights(&[Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]), Tensor::from([0.5f32, -0.5])]).unwrap();
    model.save(&path).unwrap();
    says(Sequential::load(&path), &["model.safetensors", "layer \"twice\"", "\"Twice\"", "load_with", "load_weights"]);
    assert_eq!(TensorFile::read(&path).unwrap().metadata("keras"), None, "Keras has no such layer");
    let own = CustomObjects::new().layer("Twice", |config| Ok(Twice { times: config.take("times")? }));
    let mut loaded = Sequential::load_with(&path, &own).unwrap().device(Device::cpu());
    let x = Tensor::from([[1.0f32, 1.0]]);
    assert_eq!(loaded.predict(&x).unwrap(), Tensor::from([[36.0f32, 44.0]]));
    let forgetful = CustomObjects::new().layer("Twice", |_| Ok(Twice { times: 1 }));
    says(Sequential::load_with(&path, &forgetful), &["setting \"times\" of Twice", "unknown"]);
    // Or the weights alone, into a model that code builds.
    model.save_weights(&weights).unwrap();
    for path in [path, weights] {
        let mut built = build();
        built.load_weights(&path).unwrap();
        assert_eq!(built.predict(&x).unwrap(), Tensor::from([[36.0f32, 44.0]]));
    }
}

#[test]
fn weights_go_by_their_names() {
    let folder = TempDir::new().unwrap();
    let device = Device::cpu();
    let dense = |units: usize, name: &str| Dense::new(units).kernel_initializer(Initializer::HeNormal).named(name);
    let net = |seed, hidden: usize| {
        let model = Sequential::new().seed(seed).add(Input::new([3])).add(dense(hidden, "hidden"));
        model.add(dense(2, "output")).device(device.clone())
    };
    for name in ["weights.safetensors", "weights.npz"] {
        let path = place(&folder, name);
        let (mut saved, mut other) = (net(1, 4), net(2, 4));
        saved.save_weights(&path).unwrap();
        other.load_weights(&path).unwrap();
        assert_eq!(other.weights().unwrap(), saved.weights().unwrap());
        // The order in the file makes no difference.
        let file = TensorFile::read(&path).unwrap();
        let names: Vec<&str> = file.names().collect();
        assert_eq!(names, ["hidden/kernel", "hidden/bias", "output/kernel", "output/bias"]);
        let turned = names.iter().rev().fold(TensorFile::new(), |f, n| f.with(*n, file.tensor(n).unwrap().clone()));
        turned.write(&path).unwrap();
        let mut third = net(3, 4);
        third.load_weights(&path).unwrap();
        assert_eq!(third.weights().unwrap(), saved.weights().unwrap());

        let mut wider = net(2, 5);
        let before = wider.weights().unwrap();
        says(wider.load_weights(&path), &[name, "hidden/kernel", "has shape (3, 4)", "the model's has (3, 5)"]);
        assert_eq!(wider.weights().unwrap(), before);
        let left = wider.load_weights_partial(&path).unwrap();
        assert_eq!(left, ["hidden/kernel", "hidden/bias", "output/kernel"]);
        assert_eq!(wider.weights().unwrap()[3], saved.weights().unwrap()[3]);
        assert_eq!(wider.weights().unwrap()[..3], before[..3]);

        file.clone().with("more", Tensor::from([1.0f32])).write(&path).unwrap();
        says(net(1, 4).load_weights(&path), &[name, "\"more\"", "load_weights_partial"]);
        file.clone().with("output/bias", Tensor::from([1u32, 2])).write(&path).unwrap();
        says(net(1, 4).load_weights(&path), &[name, "\"output/bias\"", "u32", "f32 or f64"]);
        let fewer = TensorFile::new().with("hidden/kernel", file.tensor("hidden/kernel").unwrap().clone());
        fewer.with("hidden/bais", Tensor::from([0.0f32; 4])).write(&path).unwrap();
        says(net(1, 4).load_weights(&path), &[name, "\"hidden/bias\" is unknown", "did you mean \"hidden/bais\""]);
    }
    says(net(1, 4).save(place(&folder, "model.npz")), &["model.npz", "weights alone", ".safetensors"]);
    says(Sequential::load(place(&folder, "weights.npz")), &["weights.npz", "no model", "load_weights"]);
}

#[test]
fn weights_are_floats() {
    for device in executors() {
        let dtype = if device.to_string().starts_with("reference") { DType::F64 } else { DType::F32 };
        assert!(model(&device).weights().unwrap().iter().all(|weight| weight.dtype() == dtype), "{device}");
    }
    let mut model = Sequential::new().add(Input::new([1])).add(Dense::new(1)).device(Device::cpu());
    model.set_weights(&[Tensor::from([[2.0f64]]), Tensor::from([1.0f32])]).unwrap();
    says(model.set_weights(&[Tensor::from([[2u32]]), Tensor::from([1.0f32])]), &["set_weights", "u32 (1, 1)"]);
    says(model.set_weights(&[Tensor::from([[2u8]]), Tensor::from([1.0f32])]), &["f32 or f64", "u8 (1, 1)"]);
}

/// A file of one weight and a bias, with what stands in its header under the control of the caller.
fn bytes(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn files_that_are_wrong_are_refused_with_the_reason() {
    let path = Path::new("x.safetensors");
    let tensor = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#""a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
    };
    let one = |dtype, shape, offsets| format!("{{{}}}", tensor(dtype, shape, offsets));
    let two = |second: &str| format!(r#"{{{},"b":{second}}}"#, tensor("F32", "[1]", "[0,4]"));
    let b = |offsets: &str| two(&format!(r#"{{"dtype":"F32","shape":[1],"data_offsets":{offsets}}}"#));
    for (bytes, parts) in [
        (vec![1, 2, 3], vec!["3 bytes", "8 or more"]),
        (b"a text file of some words".to_vec(), vec!["is no safetensors file", "its header would have"]),
        (100_000_001u64.to_le_bytes().to_vec(), vec!["100000001", "100000000 at most"]),
        (bytes("{}", 0)[..9].to_vec(), vec!["cut off", "2 bytes, 1 are there"]),
        (bytes("{", 0), vec!["no JSON", "byte 1"]),
        (bytes("[]", 0), vec!["no JSON object"]),
        ([&2u64.to_le_bytes()[..], &[0xff, 0xfe]].concat(), vec!["no text"]),
        (bytes(r#"{"__metadata__":{"a":1}}"#, 0), vec!["__metadata__", "\"a\"", "expected text, found 1"]),
        (bytes(r#"{"a":{"dtype":"F32","shape":[1]}}"#, 4), vec!["tensor \"a\"", "data_offsets is missing"]),
        (bytes(&one("F32", "[2]", "[0,4]"), 4), vec!["2 elements", "(2,)", "4 bytes"]),
        (bytes(&one("F32", "[-1]", "[0,4]"), 4), vec!["tensor \"a\"", "shape", "found -1"]),
        (bytes(&one("F32", "[1]", "[4,0]"), 4), vec!["ends at 0, before it begins at 4"]),
        (bytes(&one("F32", "[1]", "[0,4,8]"), 4), vec!["expected two"]),
        (bytes(&one("F32", "[1]", "[0,4]"), 3), vec!["cut off", "ends at byte 4, 3 are there"]),
        (bytes(&one("F32", "[1]", "[0,4]"), 6), vec!["2 bytes behind the last tensor"]),
        (bytes(&one("F32", "[4294967296,4294967296]", "[0,4]"), 4), vec!["more than memory holds"]),
        (bytes(&one("BF16", "[2]", "[0,2]"), 2), vec!["2 elements of BF16", "do not fit its 2 bytes"]),
        (bytes(&b("[2,6]"), 6), vec!["tensor \"b\" overlaps", "begins at byte 2, expected 4"]),
        (bytes(&b("[8,12]"), 12), vec!["tensor \"b\" leaves a gap"]),
        (b"PK\x03\x04 and no more".to_vec(), vec!["cut off", "no list of files"]),
    ] {
        says(TensorFile::parse(&bytes, path), &[&["x.safetensors"], &parts[..]].concat());
    }
    let file = TensorFile::parse(&bytes(&one("F8_E4M3", "[1]", "[0,1]"), 1), path).unwrap();
    says(file.tensor("a"), &["x.safetensors", "tensor \"a\"", "F8_E4M3", "F32, F64, U32, U8, F16, BF16"]);
}

#[test]
fn models_that_are_wrong_are_refused_with_the_reason() {
    let folder = TempDir::new().unwrap();
    let path = place(&folder, "model.safetensors");
    let mut model = compiled(&Device::cpu(), Box::new(Sgd { momentum: 0.5, ..Sgd::default() }));
    model.save(&path).unwrap();
    let file = TensorFile::read(&path).unwrap();
    let text = file.metadata("kiln").unwrap();
    for (from, to, parts) in [
        ("{", "", vec!["metadata \"kiln\" is no JSON"]),
        (r#""version":1"#, r#""version":2"#, vec!["was saved by Kiln", "Sequential 2", "reads Sequential 1"]),
        (r#""units":9"#, r#""units":"9""#, vec!["layer \"hidden\"", "\"units\" of Dense", "found \"9\""]),
        (r#""units":9"#, r#""unit":9"#, vec!["\"units\" of Dense", "is missing"]),
        (r#""units":9"#, r#""units":8"#, vec!["hidden/kernel", "has shape (12, 9)", "(12, 8)"]),
        (r#""units":9"#, r#""units":0"#, vec!["layer \"hidden\"", "0 units"]),
        (r#""negative_slope":0.1"#, r#""negative_slope":-1.0"#, vec!["negative_slope", "-1"]),
        (r#""leaky_relu""#, r#""leaky_rellu""#, vec!["layer \"hidden\"", "did you mean \"leaky_relu\""]),
        (r#""Flatten""#, r#""Flat""#, vec!["layer \"flatten\"", "its class \"Flat\" is not Kiln's"]),
        (r#""rate":0.3"#, r#""rate":1.5"#, vec!["dropout", "1.5"]),
        (r#""momentum":0.5"#, r#""momentum":1.5"#, vec!["momentum", "1.5"]),
        (r#""momentum":0.5"#, r#""impetus":0.5"#, vec!["\"impetus\" of sgd", "unknown"]),
        (r#""learning_rate":0.01"#, r#""learning_rate":0"#, vec!["learning_rate", "0 trains nothing"]),
        (r#""class":"sgd""#, r#""class":"lbfgs""#, vec!["optimizer", "\"lbfgs\" is not Kiln's"]),
        (r#""accuracy""#, r#""acuracy""#, vec!["metric", "did you mean \"accuracy\""]),
        (r#""sparse_categorical_crossentropy""#, r#""nll""#, vec!["loss", "\"nll\" is unknown"]),
        (r#""name":"hidden""#, r#""name":"dropout""#, vec!["two layers are named \"dropout\""]),
        (r#""sample_shape":[3,4]"#, r#""sample_shape":[4,3]"#, vec!["(3, 4)", "(4, 3)"]),
        (r#""iteration":0"#, r#""iteration":-1"#, vec!["\"iteration\"", "found -1"]),
    ] {
        assert!(text.contains(from), "{from} is not in {text}");
        file.clone().with_metadata("kiln", text.replacen(from, to, 1)).write(&path).unwrap();
        says(Sequential::load(&path), &[&["model.safetensors"], &parts[..]].concat());
    }
    file.clone().with("optimizer/hidden/bias/velocity", Tensor::from([0.0f32])).write(&path).unwrap();
    says(Sequential::load(&path), &["optimizer/hidden/bias/velocity", "has shape (1,)", "(9,)"]);
    says(Sequential::load(folder.path()), &["is a folder"]);
    says(Sequential::load(place(&folder, "nowhere")), &["nowhere: open"]);
    says(model.save(place(&folder, "nowhere/model")), &["nowhere", "write to this folder"]);
    if cfg!(target_os = "linux") {
        says(model.save("/dev/full"), &["/dev/full: write", "space"]);
    }
}

#[test]
fn damaged_files_are_errors_or_models_and_never_a_panic() {
    println!("seed {SEED}");
    let folder = TempDir::new().unwrap();
    let path = place(&folder, "model.safetensors");
    let mut model = compiled(&Device::cpu(), Box::new(Sgd { momentum: 0.5, ..Sgd::default() }));
    model.save(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    model.save_weights(place(&folder, "weights.npz")).unwrap();
    let archive = std::fs::read(place(&folder, "weights.npz")).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut rng = stream(SEED, "mutations", 0);
    let mut refused = 0;
    for round in 0..1500 {
        let (source, area) = if round % 3 == 0 { (&archive, archive.len()) } else { (&whole, header) };
        let mut bytes = source.clone();
        for _ in 0..1 + rng.next_u32() % 3 {
            let at = rng.next_u32() as usize % area.min(bytes.len());
            match rng.next_u32() % 5 {
                0 => bytes.truncate(at + 1),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"0\"[]{},:9-e"[rng.next_u32() as usize % 11]),
                3 => bytes[at] ^= 1 << (rng.next_u32() % 8),
                _ => bytes[at] = b'0' + (rng.next_u32() % 10) as u8,
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        if round % 3 == 0 {
            refused += usize::from(TensorFile::read(&path).is_err());
            continue;
        }
        match Sequential::load(&path) {
            // A digit of a rate may differ.
            Ok(loaded) => drop(loaded),
            Err(e) => {
                refused += 1;
                assert!(e.to_string().contains("model.safetensors"), "{e}");
            }
        }
    }
    assert!(refused > 750, "{refused} of 1500 were refused");
}

/// `scripts/interop` has Python read these.
#[test]
fn files_for_python() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    std::fs::create_dir_all(&folder).unwrap();
    let pixels = (0..48 * 6).map(|i| (i * 37 % 256) as u8).collect::<Vec<_>>();
    let x = Tensor::new([48, 2, 3], pixels).unwrap();
    let y = Tensor::new([48], (0..48).map(|i| i % 3).collect::<Vec<u32>>()).unwrap();
    let mut model = Sequential::new()
        .named("ä \"1\"")
        .add(Flatten)
        .add(Dense::new(5).activation(Activation::Tanh).named("hidden"))
        .add(Dense::new(3).activation(Activation::Softmax))
        .device(Device::cpu());
    let adam = Adam { learning_rate: 0.1 / 3.0, ..Adam::default() };
    model.compile(adam, Loss::SparseCategoricalCrossentropy, []).unwrap();
    model.fit(&Dataset::new(x.clone(), y).unwrap(), Fit::new().epochs(3).batch_size(12).verbose(0)).unwrap();
    model.save(folder.join("model.safetensors")).unwrap();
    model.save_weights(folder.join("weights.npz")).unwrap();
    let io = TensorFile::new().with("y", model.predict(&x).unwrap()).with("x", x);
    io.write(folder.join("io.safetensors")).unwrap();
    let types = TensorFile::new()
        .with("u8", Tensor::from([[0u8, 1, 2], [3, 4, 250]]))
        .with("f32", Tensor::from([[0.0f32, 1.0, 2.0], [3.0, 4.0, 250.0]]))
        .with("scalar", Tensor::from(0.1f64))
        .with("f64", Tensor::from([[0.0f64, 1.0, 2.0], [3.0, 4.0, 250.0]]))
        .with("empty", Tensor::new([0, 3], Vec::<f32>::new()).unwrap())
        .with("u32", Tensor::from([[0u32, 1, 2], [3, 4, 250]]));
    for name in ["types.safetensors", "types.npz"] {
        types.write(folder.join(name)).unwrap();
        let read = TensorFile::read(folder.join(name)).unwrap();
        assert!(types.names().eq(read.names()), "{name}");
        assert!(types.names().all(|tensor| types.tensor(tensor).unwrap() == read.tensor(tensor).unwrap()), "{name}");
    }
}

/// Written by `scripts/interop --write`.
#[test]
fn files_of_python_are_read() {
    let fixture = |name: &str| format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    for name in ["python.safetensors", "python.npz", "python-compressed.npz"] {
        let file = TensorFile::read(fixture(name)).unwrap();
        assert_eq!(file.tensor("a/kernel").unwrap(), &Tensor::from([[0.0f32, 0.25, 0.5], [0.75, 1.0, 1.25]]), "{name}");
        assert_eq!(file.tensor("f64").unwrap(), &Tensor::from(0.1f64), "{name}");
        assert_eq!(file.tensor("u32").unwrap(), &Tensor::from([1u32, 4_000_000_000]), "{name}");
        assert_eq!(file.tensor("u8").unwrap(), &Tensor::from([[1u8], [255]]), "{name}");
        assert_eq!(file.tensor("empty").unwrap().shape().to_string(), "(2, 0)", "{name}");
        assert_eq!(file.tensor("f16").unwrap(), &Tensor::from([1.0f32]), "{name}");
        if name.ends_with("npz") {
            // In Fortran's order in the file.
            assert_eq!(file.tensor("turned").unwrap(), &Tensor::from([[0.0f32, 2.0, 4.0], [1.0, 3.0, 5.0]]), "{name}");
        } else {
            assert_eq!((file.metadata("by"), file.metadata("ü")), (Some("Python \"3\""), Some("\n")));
        }
    }
}
