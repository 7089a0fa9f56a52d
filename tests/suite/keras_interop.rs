//! Models that Kiln builds, which Keras opens, trains and gives back: what `scripts/interop-keras` runs, in two parts with Keras
//! between them.

use std::collections::HashSet;
use std::path::PathBuf;

use kiln::prelude::*;
use serde_json::{Value, json};

use crate::common::{fixture, numbers};
use crate::keras_files::{predicts_alike, tensors};
use crate::onnx_files::nets::{self, Net};
use crate::onnx_files::{noise, samples, stir};

/// Steps before a file is written, and behind it.
const BEFORE: usize = 3;
const BEHIND: usize = 20;

/// What is trained, each with one of the optimizers in turn: nothing here draws random numbers.
const TRAINED: [&str; 26] = [
    "dense",
    "dense_sequence",
    "prelu",
    "conv2d",
    "conv2d_same",
    "conv1d_causal",
    "conv2d_transpose",
    "conv1d_transpose",
    "depthwise_conv2d",
    "separable_conv1d",
    "batch_normalization",
    "batch_normalization_images",
    "layer_normalization",
    "group_normalization",
    "rms_normalization",
    "simple_rnn",
    "lstm_sequences_alone",
    "gru",
    "gru_reset_before",
    "bidirectional",
    "time_distributed",
    "multi_head_attention",
    "whole_cnn",
    "whole_gru",
    "nested",
    "resnet",
];
const OPTIMIZERS: [&str; 6] = ["adam", "sgd", "rmsprop", "adagrad", "adamax", "nadam"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("keras-python")
}

/// Every net that Keras has all layers of.
fn all() -> impl Iterator<Item = Net> {
    let sequences = Lstm::new(4).return_sequences(true);
    let alone = Net { name: "lstm_sequences_alone".into(), ..nets::one("lstm_sequences", &[5, 3], sequences) };
    nets::all().into_iter().chain([alone]).filter(|net| net.model.to_json().is_ok())
}

fn flat(tensors: &[Tensor]) -> Value {
    let flat = |tensor: &Tensor| json!({"shape": tensor.shape()[..], "values": tensor.values().to_f64()});
    tensors.iter().map(flat).collect()
}

/// The losses of so many steps on all rows at once.
fn trained(model: &mut Model, inputs: &[Tensor], target: &Tensor, steps: usize) -> Vec<f64> {
    let data = Dataset::new(inputs.to_vec(), target.clone()).unwrap();
    let fit = Fit::new().epochs(steps).batch_size(target.shape()[0]).shuffle(false).verbose(0);
    model.fit(&data, fit).unwrap().get("loss").to_vec()
}

/// Files that Kiln writes, with what it predicts with them and the losses of its next steps.
#[test]
fn keras_models_for_python() {
    let folder = folder();
    std::fs::create_dir_all(folder.join("own")).unwrap();
    let mut told = serde_json::Map::new();
    for (i, net) in all().enumerate() {
        let Net { name, mut model, shapes, tokens } = net;
        stir(&mut model);
        let inputs: Vec<Tensor> =
            shapes.iter().enumerate().map(|(input, shape)| samples(shape, tokens, i + 17 * input)).collect();
        let given: Vec<&Tensor> = inputs.iter().collect();
        let is_trained = TRAINED.contains(&name.as_str());
        let target = model.predict_all(&given).map(|outputs| noise(outputs[0].shape(), i + 5)).unwrap();
        if is_trained {
            model.compile(OPTIMIZERS[i % OPTIMIZERS.len()], "mse", []).unwrap();
            trained(&mut model, &inputs, &target, BEFORE);
        }
        let path = folder.join(format!("own/{name}.keras"));
        model.save(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let outputs = model.predict_all(&given).unwrap();
        let losses = if is_trained { trained(&mut model, &inputs, &target, BEHIND) } else { Vec::new() };
        let entry = json!({
            "inputs": flat(&inputs), "outputs": flat(&outputs), "targets": flat(&[target]), "losses": losses,
            "tokens": tokens.is_some()});
        told.insert(name, entry);
    }
    let missing: Vec<&&str> = TRAINED.iter().filter(|name| !told.contains_key(**name)).collect();
    assert!(missing.is_empty(), "{missing:?} are no nets");
    std::fs::write(folder.join("own.json"), Value::Object(told).to_string()).unwrap();
}

#[test]
fn each_layer_that_keras_has_is_in_a_net_for_it() {
    let classes = |text: &str| -> HashSet<String> {
        text.split("\"class_name\":").skip(1).filter_map(|rest| Some(rest.split('"').nth(1)?.to_string())).collect()
    };
    let golden = fixture("keras-files/models.json");
    let mut found: HashSet<String> = all().flat_map(|net| classes(&net.model.to_json().unwrap())).collect();
    let of_keras = golden["models"].as_object().unwrap().values();
    found.extend(of_keras.flat_map(|model| classes(model["json"].as_str().unwrap())));
    for (name, layer) in fixture("keras-configs.json")["layers"].as_object().unwrap() {
        let class = layer["class_name"].as_str().unwrap();
        assert!(found.contains(class), "{class} of {name} is in no net");
    }
}

/// What Keras trained on and gave back predicts alike and trains on alike. Without the script there is nothing to read.
#[test]
fn keras_models_from_python() {
    let Ok(text) = std::fs::read_to_string(folder().join("back.json")) else { return };
    let told: Value = serde_json::from_str(&text).unwrap();
    let mut complaints = Vec::new();
    for (name, entry) in told.as_object().unwrap() {
        let file = folder().join(format!("back/{name}.keras"));
        if let Err(e) = predicts_alike(&file, entry, vec![Device::cpu()]) {
            complaints.push(format!("{name}: {e}"));
        }
        let mut model = Model::load(&file).unwrap().device(Device::cpu());
        let (inputs, targets) = (tensors(&entry["inputs"]), tensors(&entry["targets"]));
        let losses = trained(&mut model, &inputs, &targets[0], BEHIND);
        for (step, (found, wanted)) in losses.iter().zip(numbers(&entry["losses"])).enumerate() {
            let apart = (found - wanted).abs() / wanted.abs().max(1.0);
            if apart > 2e-5 {
                complaints.push(format!("{name}: the loss of step {step} is {found}, Keras' {wanted}"));
                break;
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    println!("{} models came back from Keras", told.as_object().unwrap().len());
}
