//! Keras' own files (`scripts/golden-keras-files`): what Keras wrote opens, predicts alike and trains on with Keras' next losses; what
//! Kiln lacks is named; descriptions of every layer are read and written again.

use std::path::{Path, PathBuf};

use kiln::prelude::*;
use serde_json::{Value, json};

use crate::common::{devices, fixture, numbers, says};

pub fn file(name: &str) -> PathBuf {
    PathBuf::from(format!("{}/tests/fixtures/keras-files/{name}.keras", env!("CARGO_MANIFEST_DIR")))
}

pub fn golden() -> Value {
    fixture("keras-files/models.json")
}

fn shape(entry: &Value) -> Vec<usize> {
    numbers(&entry["shape"]).into_iter().map(|extent| extent as usize).collect()
}

pub fn tensors(entries: &Value) -> Vec<Tensor> {
    let tensor = |entry: &Value| {
        let values: Vec<f32> = numbers(&entry["values"]).into_iter().map(|x| x as f32).collect();
        Tensor::new(shape(entry), values).unwrap()
    };
    entries.as_array().unwrap().iter().map(tensor).collect()
}

/// Targets as the loss of an output takes them.
pub fn targets(entries: &Value, model: &Model) -> Vec<Tensor> {
    let is_labels = model.loss().is_some_and(|loss| loss.name().starts_with("sparse"));
    let targets = tensors(entries).into_iter();
    let labels = |y: Tensor| {
        let labels: Vec<u32> = y.values().to_f32().iter().map(|&label| label as u32).collect();
        Tensor::new(y.shape().clone(), labels).unwrap()
    };
    targets.map(|y| if is_labels { labels(y) } else { y }).collect()
}

/// The largest difference, of the largest number wanted.
fn largest_difference(found: &Tensor, wanted: &[f64]) -> f64 {
    let largest = wanted.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    found.values().to_f64().iter().zip(wanted).fold(0.0f64, |most, (a, b)| most.max((a - b).abs())) / largest
}

/// The same of an entry of a golden file.
pub fn apart(found: &Tensor, wanted: &Value) -> f64 {
    assert_eq!(found.shape()[..], shape(wanted)[..]);
    largest_difference(found, &numbers(&wanted["values"]))
}

/// That the model in a file predicts on these devices what Keras does, within 1e-6 of the largest number. Keras' own predictions are of
/// f32, too: where they are further from the reference than that, a device may be as far from either.
pub fn predicts_alike(file: &Path, of_keras: &Value, devices: Vec<Device>) -> Result<(), String> {
    let inputs = tensors(&of_keras["inputs"]);
    let predict = |device: Device| {
        let mut model = Model::load(file)?.device(device);
        model.predict_all(&inputs.iter().collect::<Vec<_>>())
    };
    let reference = predict(Device::reference()).map_err(|e| e.to_string())?;
    for device in devices {
        let name = device.to_string();
        let found = predict(device).map_err(|e| e.to_string())?;
        for ((found, reference), wanted) in found.iter().zip(&reference).zip(of_keras["outputs"].as_array().unwrap()) {
            let of_keras = apart(reference, wanted);
            let apart = apart(found, wanted).min(largest_difference(found, &reference.values().to_f64()));
            if of_keras > 2e-6 || apart > of_keras.max(1e-6) {
                return Err(format!("predictions on {name} are {apart} apart, Keras' {of_keras} from the reference's"));
            }
        }
    }
    Ok(())
}

#[test]
fn what_keras_wrote_predicts_alike() {
    for (name, wanted) in golden()["models"].as_object().unwrap() {
        predicts_alike(&file(name), wanted, devices()).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn a_run_goes_on_with_keras_next_losses() -> Result<()> {
    let golden = golden();
    for (name, wanted) in golden["models"].as_object().unwrap() {
        let losses = numbers(&wanted["losses"]);
        if losses.is_empty() || name == "ftrl" {
            continue;
        }
        for device in devices() {
            let mut model = Model::load(file(name))?.device(device);
            assert_eq!(model.iteration(), 3, "{name}");
            let (inputs, targets) = (tensors(&wanted["inputs"]), targets(&wanted["targets"], &model));
            let rows = inputs[0].shape()[0];
            let data = Dataset::new(inputs, targets)?;
            let fit = Fit::new().epochs(losses.len()).batch_size(rows).shuffle(false).verbose(0);
            let history = model.fit(&data, fit).unwrap_or_else(|e| panic!("{name}: {e}"));
            for (epoch, (found, wanted)) in history.get("loss").iter().zip(&losses).enumerate() {
                let apart = (found - wanted).abs() / wanted.abs().max(1.0);
                assert!(apart < 2e-5, "{name}: the loss of step {epoch} is {found}, Keras' {wanted}");
            }
        }
    }
    Ok(())
}

#[test]
fn weights_load_where_the_optimizer_is_none_of_kilns() -> Result<()> {
    let mut model = Model::load(file("ftrl"))?.device(Device::cpu());
    let [x, y] = ["inputs", "targets"].map(|part| tensors(&golden()["models"]["ftrl"][part]));
    let data = Dataset::new(x, y)?;
    says(model.fit(&data, Fit::new().verbose(0)), &["not compiled, for", "ftrl", "call compile with what Kiln has"]);
    model.compile("adam", "mse", [])?;
    model.fit(&data, Fit::new().verbose(0)).map(drop)
}

#[test]
fn what_kiln_lacks_is_named_with_its_layer() {
    let golden = golden();
    let parts: [(&str, &[&str]); 11] = [
        ("lambda", &["layer \"twice\", a Lambda", "Python program"]),
        ("activation", &["layer \"bent\", a Dense", "activation is a lambda", "Python program"]),
        ("own", &["layer \"mine\", a Doubled", "mine>Doubled", "somebody's own"]),
        ("lacking", &["layer \"lacking\", a ConvLSTM1D", "none of Kiln's layers"]),
        ("half", &["layer \"half\", a Dense", "mixed_float16", "float32"]),
        ("setting", &["layer \"noisy\", a Dropout", "noise_shape is [null,1,null]"]),
        ("unknown_extent", &["layer \"any\", a InputLayer", "[null,null,3]", "each extent"]),
        ("operation", &["\"add\"", "Add of keras.src.ops.numpy", "no layer"]),
        ("told", &["layer \"always\", a Dropout", "training=true"]),
        ("relu", &["layer \"cut\", a ReLU", "max_value"]),
        ("initializer", &["layer \"scaled\", a Dense", "kernel_initializer", "variance_scaling"]),
    ];
    assert_eq!(golden["refused"].as_object().unwrap().len(), parts.len());
    for (name, parts) in parts {
        says(Model::from_json(golden["refused"][name].as_str().unwrap()), parts);
    }
}

#[test]
fn descriptions_open_as_untrained_models() -> Result<()> {
    let golden = golden();
    for (name, wanted) in golden["models"].as_object().unwrap() {
        let model = Model::from_json(wanted["json"].as_str().unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let paths: Vec<&str> = wanted["paths"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
        assert_eq!(model.keras_paths()?, paths, "{name}");
        // Again from what Kiln writes.
        let again = Model::from_json(&model.to_json()?).unwrap_or_else(|e| panic!("{name}, again: {e}"));
        assert_eq!(again.keras_paths()?, paths, "{name}, again");
        assert_eq!(again.to_json()?, model.to_json()?, "{name}, again");
    }
    Ok(())
}

/// A layer alone in a chain, as Keras serializes both.
fn alone(layer: &Value) -> String {
    let config = json!({"name": "chain", "layers": [layer]});
    json!({"module": "keras", "class_name": "Sequential", "config": config, "registered_name": null}).to_string()
}

/// The same with every number as a float: Python writes 3 where it was told 3.
fn as_floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.iter().map(as_floats).collect(),
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| (key.clone(), as_floats(value))).collect::<serde_json::Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

#[test]
fn each_layer_of_kilns_is_read_from_keras() {
    let golden = fixture("keras-configs.json");
    for (name, wanted) in golden["layers"].as_object().unwrap() {
        let mut layer = wanted.clone();
        let config = layer["config"].as_object_mut().unwrap();
        if config.get("stateful") == Some(&true.into()) {
            layer["build_config"] = json!({"input_shape": [2, 4, 3]});
        }
        let model = Model::from_json(&alone(&layer)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let own = wanted["config"]["name"].as_str().unwrap();
        let again: Value = serde_json::from_str(&model.keras_layer(own).unwrap().to_json()).unwrap();
        assert_eq!(again["class_name"], wanted["class_name"], "{name}");
        assert_eq!(as_floats(&again["config"]), as_floats(&wanted["config"]), "{name}");
    }
}

#[test]
fn what_is_no_description_is_said() {
    for (text, parts) in [
        ("", "expected a value"),
        ("[]", "no object of Keras'"),
        ("{\"class_name\": \"Sequential\", \"config\": 3}", "whose config is no group"),
        ("{\"class_name\": \"Sequential\", \"config\": {}}", "has no layers"),
        ("{\"class_name\": \"Net\", \"config\": {}}", "is a Net; Kiln reads models that are Sequential or Functional"),
        (
            "{\"class_name\": \"Functional\", \"config\": {\"layers\": [], \"input_layers\": []}}",
            "has no output_layers",
        ),
        ("{\"class_name\": \"Sequential\", \"config\": {\"layers\": [{\"class_name\": \"Dense\"}]}}", "a Dense"),
        ("{\"class_name\": \"Sequential\", \"config\": {\"layers\": [{}]}}", "has no class_name"),
    ] {
        says(Model::from_json(text), &[parts]);
    }
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    says(Model::from_json(&deep(10_000)), &["lists within each other"]);
}

#[test]
fn what_kiln_writes_is_the_same_model() -> Result<()> {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("again.keras");
    for (name, wanted) in golden()["models"].as_object().unwrap() {
        let inputs = tensors(&wanted["inputs"]);
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let mut model = Model::load(file(name))?.device(Device::cpu());
        model.set_note("kept", 3usize);
        model.save(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut again = Model::load(&path).unwrap_or_else(|e| panic!("{name}, again: {e}")).device(Device::cpu());
        assert_eq!(again.predict_all(&inputs)?, model.predict_all(&inputs)?, "{name}");
        assert_eq!((again.iteration(), again.note::<usize>("kept")?), (model.iteration(), Some(3)), "{name}");
        // The same archive again, but for what no file had: state and settings are those that were read.
        let first = std::fs::read(&path).unwrap();
        again.save(&path)?;
        assert!(std::fs::read(&path).unwrap() == first, "{name}: another file");
    }
    Ok(())
}

#[test]
fn weights_alone_are_written_and_read() -> Result<()> {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("all.weights.h5");
    for (name, wanted) in golden()["models"].as_object().unwrap() {
        let mut model = Model::load(file(name))?.device(Device::cpu());
        model.save_weights(&path)?;
        for weights in [&path, &file(name)] {
            let mut other = Model::from_json(wanted["json"].as_str().unwrap())?.seed(9).device(Device::cpu());
            other.load_weights(weights).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(other.weights()?, model.weights()?, "{name}");
        }
        says(Model::load(&path), &["all.weights.h5", "holds weights, and no model", "load_weights"]);
    }
    let mut other = Sequential::new().add(Input::new([3])).add(Dense::new(2)).device(Device::cpu());
    says(
        other.load_weights(file("recurrent")),
        &["recurrent.keras", "layers/embedding/vars/0", "no weight of the model's"],
    );
    says(other.load_weights(file("dense")), &["dense.keras", "weight"]);
    Ok(())
}

#[test]
fn an_ending_that_nobody_knows_is_an_error() {
    let mut model = Sequential::new().add(Input::new([3])).add(Dense::new(2)).device(Device::cpu());
    for name in ["model.h5", "model.onnx", "model.png"] {
        says(model.save(name), &[name, "nobody would know it", ".safetensors or .keras"]);
        says(kiln::io::check_path(name), &[name, "nobody would know it"]);
    }
    says(model.save_weights("weights.h5"), &["weights.h5", ".safetensors, .npz or .weights.h5"]);
}

/// Numbers by a seed, as `SplitMix64` has them.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[test]
fn damaged_files_are_errors() {
    let whole = std::fs::read(file("dense")).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let weights = folder.path().join("dense.weights.h5");
    let mut model = Model::load(file("dense")).unwrap().device(Device::cpu());
    model.save_weights(&weights).unwrap();
    let alone = std::fs::read(&weights).unwrap();
    let mut state = 17;
    for turn in 0..3000 {
        let of_weights = turn % 2 == 1;
        let mut bytes = if of_weights { alone.clone() } else { whole.clone() };
        for _ in 0..=random(&mut state) % 4 {
            let at = random(&mut state) as usize % bytes.len();
            match random(&mut state) % 4 {
                0 => bytes[at] = random(&mut state) as u8,
                1 => bytes[at] ^= 1 << (random(&mut state) % 8),
                2 => bytes.iter_mut().skip(at).take(8).for_each(|byte| *byte = 0xff),
                _ => bytes.truncate(at.max(1)),
            }
        }
        // Some change nothing that counts; none panics.
        if of_weights {
            std::fs::write(&weights, &bytes).unwrap();
            drop(model.load_weights(&weights));
        } else {
            drop(Model::from_bytes(&bytes));
        }
    }
}

#[test]
fn weights_that_are_not_in_the_file_are_refused() {
    let mut model = Sequential::new().add(Input::new([3])).add(Dense::new(2)).device(Device::cpu());
    for (name, why) in [
        ("virtual", "Virtual"),
        ("external", "lies in another file"),
        ("link", "has no data set"),
        ("unwritten", "was never written"),
        ("parts", "is packed in parts of 2147483648 bytes"),
        ("words", "cannot be read"),
    ] {
        let file = file(name).with_extension("weights.h5");
        says(model.load_weights(&file), &[file.to_str().unwrap(), "weight dense/kernel", "layers/dense/vars/0", why]);
    }
}

/// `scripts/interop-keras` has Keras open these.
#[test]
fn keras_archives_for_python() -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("keras-python");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, _) in golden()["models"].as_object().unwrap() {
        Model::load(file(name))?.device(Device::cpu()).save(folder.join(format!("{name}.keras")))?;
    }
    Ok(())
}
