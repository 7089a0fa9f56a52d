//! Penalties on weights: Keras' losses and weights (`scripts/golden-regularizers`), saved models, bad factors.

use kiln::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{assert_near, distance, executors, fixture, numbers};
use crate::options::{data, fit, start};

/// The script's net, built and compiled.
fn model(device: &Device, kernel: Option<Regularizer>, bias: Option<Regularizer>, golden: &Value) -> Sequential {
    let dense = |units| {
        let mut dense = Dense::new(units);
        if let Some(kernel) = kernel {
            dense = dense.kernel_regularizer(kernel);
        }
        if let Some(bias) = bias {
            dense = dense.bias_regularizer(bias);
        }
        dense
    };
    let mut model = Sequential::new()
        .add(Input::new([3]))
        .add(dense(4).activation(Activation::Tanh))
        .add(dense(2))
        .device(device.clone());
    model.compile(Sgd { learning_rate: 0.0625, ..Sgd::default() }, Loss::MeanSquaredError, []).unwrap();
    model.set_weights(&start(golden)).unwrap();
    model
}

fn regularizer(factors: &Value) -> Option<Regularizer> {
    factors.is_array().then(|| numbers(factors)).map(|f| Regularizer::l1_l2(f[0], f[1]))
}

#[test]
fn losses_and_weights_are_keras() {
    let golden = fixture("keras-regularizers.json");
    let data = data(&golden);
    for (i, device) in executors().into_iter().enumerate() {
        // The first is the reference; weights are read as f32 even from there.
        let (loss_limit, limit) = if i == 0 { (1e-12, 1e-6) } else { (1e-6, 2e-6) };
        for (name, case) in golden["cases"].as_object().unwrap() {
            let who = format!("{name} on {device}");
            let mut model = model(&device, regularizer(&case["kernel"]), regularizer(&case["bias"]), &golden);
            let history = model.fit(&data, fit(5)).unwrap();
            for (&found, wanted) in history.get("loss").iter().zip(numbers(&case["losses"])) {
                assert_near(found, wanted, loss_limit, &who);
            }
            let evaluated = model.evaluate(&data).unwrap().get("loss").unwrap();
            assert_near(evaluated, case["evaluated"].as_f64().unwrap(), loss_limit, &who);
            for (i, found) in model.weights().unwrap().iter().enumerate() {
                let apart =
                    distance(&found.values().to_f64(), &numbers(&case["weights"][i]), &numbers(&golden["start"][i]));
                assert!(apart < limit, "{who}: tensor {i} is {apart:e} from Keras");
            }
        }
    }
}

#[test]
fn they_are_saved_with_the_model() {
    let golden = fixture("keras-regularizers.json");
    let (folder, data) = (TempDir::new().unwrap(), data(&golden));
    let path = folder.path().join("model");
    let mut whole = model(&Device::cpu(), Some(Regularizer::l2(0.1)), Some(Regularizer::l1(0.2)), &golden);
    whole.save(&path).unwrap();
    let mut loaded = Sequential::load(&path).unwrap().device(Device::cpu());
    let losses = whole.fit(&data, fit(3)).unwrap().get("loss").to_vec();
    assert_eq!(loaded.fit(&data, fit(3)).unwrap().get("loss"), losses);
    assert_eq!(loaded.weights().unwrap(), whole.weights().unwrap());
}

#[test]
fn a_factor_below_zero_is_refused() {
    for bad in [Regularizer::l1(-0.5), Regularizer::l2(f64::NAN), Regularizer::l1_l2(0.1, f64::INFINITY)] {
        let error = Sequential::new().add(Dense::new(2).kernel_regularizer(bad)).build([3]).unwrap_err().to_string();
        assert!(error.contains("layer \"dense\"") && error.contains("kernel: "), "{error}");
    }
}
