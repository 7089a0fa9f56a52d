//! Constraints on weights: Keras' losses and weights (`scripts/golden-constraints`), when they are applied, saved models, bad
//! settings.

use kiln::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{assert_near, assert_weight, devices, executors, fixture, numbers, optimizer_of, says};
use crate::options::{data, fit};

const NAMES: [&str; 7] = ["kernel", "bias", "gamma", "beta", "alpha", "last_kernel", "last_bias"];

fn constraint(of: &Value) -> Option<Constraint> {
    let number = |name: &str| of[name].as_f64().unwrap();
    let axes = || match of["axis"].as_i64() {
        Some(axis) => vec![axis as isize],
        None => numbers(&of["axis"]).iter().map(|&axis| axis as isize).collect(),
    };
    Some(match of["class"].as_str()? {
        "MaxNorm" => Constraint::MaxNorm { max_value: number("max_value"), axes: axes() },
        "NonNeg" => Constraint::non_neg(),
        "UnitNorm" => Constraint::UnitNorm { axes: axes() },
        _ => Constraint::MinMaxNorm {
            min_value: number("min_value"),
            max_value: number("max_value"),
            rate: number("rate"),
            axes: axes(),
        },
    })
}

/// The layers' weights with the constraints that a case has.
struct Held<'c>(&'c Value);

impl Held<'_> {
    fn set<L>(&self, layer: L, name: &str, set: impl FnOnce(L, Constraint) -> L) -> L {
        match constraint(&self.0[name]) {
            Some(constraint) => set(layer, constraint),
            None => layer,
        }
    }
}

/// The script's net for a case, built and compiled, with the weights that it starts from.
fn model(device: &Device, case: &Value) -> Sequential {
    let held = Held(&case["constraints"]);
    let first = held.set(Dense::new(4), "kernel", Dense::kernel_constraint);
    let first = held.set(first, "bias", Dense::bias_constraint);
    let norm = held.set(LayerNormalization::new(), "gamma", LayerNormalization::gamma_constraint);
    let norm = held.set(norm, "beta", LayerNormalization::beta_constraint);
    let prelu = held.set(PRelu::new(), "alpha", PRelu::alpha_constraint);
    let last = held.set(Dense::new(2), "last_kernel", Dense::kernel_constraint);
    let last = held.set(last, "last_bias", Dense::bias_constraint);
    let mut model = Sequential::new()
        .add(Input::new([3]))
        .add(first.trainable(case["trained"].as_bool().unwrap()))
        .add(norm)
        .add(prelu)
        .add(last)
        .device(device.clone());
    model.compile(optimizer_of(&case["optimizer"], &Value::Null), Loss::MeanSquaredError, []).unwrap();
    model.set_weights(&weights(case, "start")).unwrap();
    model
}

fn weights(case: &Value, when: &str) -> Vec<Tensor> {
    let shapes: [&[usize]; 7] = [&[3, 4], &[4], &[4], &[4], &[4], &[4, 2], &[2]];
    let values = case[when].as_array().unwrap();
    shapes.iter().zip(values).map(|(shape, w)| Tensor::new(shape.to_vec(), numbers(w)).unwrap()).collect()
}

#[test]
fn losses_and_weights_are_keras() {
    let golden = fixture("keras-constraints.json");
    let data = data(&golden);
    for (i, device) in executors().into_iter().enumerate() {
        // The first is the reference.
        let limit = if i == 0 { 1e-9 } else { 2e-5 };
        for (name, case) in golden["cases"].as_object().unwrap() {
            let who = format!("{name} on {device}");
            let mut model = model(&device, case);
            let history = model.fit(&data, fit(8)).unwrap();
            let evaluated = model.evaluate(&data).unwrap().get("loss").unwrap();
            let losses = history.batch_losses().iter().copied().chain([evaluated]);
            let wanted = numbers(&case["losses"]).into_iter().chain(case["evaluated"].as_f64());
            losses.zip(wanted).for_each(|(found, wanted)| assert_near(found, wanted, limit, &who));
            let (found, wanted, start) = (model.weights().unwrap(), weights(case, "weights"), weights(case, "start"));
            for (((name, found), wanted), start) in NAMES.iter().zip(found).zip(wanted).zip(start) {
                let [found, wanted, start] = [found, wanted, start].map(|tensor| tensor.values().to_f64());
                assert_weight(&found, &wanted, &start, limit, &format!("{who}: {name}"));
            }
        }
    }
}

/// A net of one kernel, which no gradient moves: the targets are what it gives.
fn still(device: &Device, constraint: Option<Constraint>) -> (Sequential, Dataset) {
    let dense = Dense::new(2).use_bias(false);
    let dense = match constraint {
        Some(constraint) => dense.kernel_constraint(constraint),
        None => dense,
    };
    let mut model = Sequential::new().add(Input::new([2])).add(dense).device(device.clone());
    model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
    model.set_weights(&[Tensor::from([[3.0f32, 0.0], [4.0, 0.0]])]).unwrap();
    let x = Tensor::from([[1.0f32, 0.0], [0.0, 1.0]]);
    let y = Tensor::from([[3.0f32, 0.0], [4.0, 0.0]]);
    (model, Dataset::new(x, y).unwrap())
}

#[test]
fn a_weight_is_held_after_a_step_of_training_and_nowhere_else() {
    for device in devices() {
        let (mut model, data) = still(&device, Some(Constraint::max_norm(1.0)));
        let start = model.weights().unwrap();
        model.evaluate(&data).unwrap();
        model.predict(data.x()).unwrap();
        assert_eq!(model.weights().unwrap(), start, "{device}");
        let history = model.fit(&data, Fit::new().batch_size(2).verbose(0)).unwrap();
        // The loss is of the weights before; a column of zeros stays.
        assert_eq!(history.batch_losses(), [0.0], "{device}");
        assert_kernel(&mut model, [0.6, 0.0, 0.8, 0.0], &device);
    }
}

fn assert_kernel(model: &mut Sequential, wanted: [f64; 4], device: &Device) {
    let kernel = model.weights().unwrap()[0].values().to_f64();
    for (found, wanted) in kernel.iter().zip(wanted) {
        assert!((found - wanted).abs() < 1e-6, "{device}: {kernel:?}");
    }
}

#[test]
fn a_step_that_is_looked_at_before_its_update_gives_the_same_bits() {
    let golden = fixture("keras-constraints.json");
    let data = data(&golden);
    for device in devices() {
        for case in ["max_norm", "min_max_norm_rate", "accumulated", "accumulated_rate"] {
            let trained = |fit: Fit<'_>| {
                let mut model = model(&device, &golden["cases"][case]);
                model.fit(&data, fit).unwrap();
                model.weights().unwrap()
            };
            assert_eq!(trained(fit(8).check_finite(CheckFinite::Step)), trained(fit(8)), "{case} on {device}");
        }
    }
}

/// Keras applies constraints after each step, whether it updates or adds its gradients up.
#[test]
fn a_weight_is_held_after_steps_that_only_accumulate() {
    for device in devices() {
        let (mut model, data) = still(&device, Some(Constraint::max_norm(1.0)));
        model.compile(Sgd::default().gradient_accumulation_steps(3), Loss::MeanSquaredError, []).unwrap();
        model.fit(&data, Fit::new().batch_size(2).verbose(0)).unwrap();
        assert_kernel(&mut model, [0.6, 0.0, 0.8, 0.0], &device);
    }
}

#[test]
fn a_step_without_constraints_pays_nothing_for_them() {
    let steps = |constraint| still(&Device::cpu(), constraint).0.training_plan(2, 2).unwrap().steps.len();
    let plain = steps(None);
    // max(w, 0), and its copy into the place that it reads.
    assert_eq!(steps(Some(Constraint::non_neg())), plain + 2);
    // Squares, sum, root, + epsilon, quotient, copy.
    assert_eq!(steps(Some(Constraint::unit_norm())), plain + 6);
    assert_eq!(steps(Some(Constraint::max_norm(1.0))), plain + 8);
}

#[test]
fn they_are_saved_with_the_model() {
    let golden = fixture("keras-constraints.json");
    let (folder, data) = (TempDir::new().unwrap(), data(&golden));
    let path = folder.path().join("model");
    for case in ["max_norm_both_axes", "min_max_norm_rate", "gamma_beta_alpha", "unit_norm"] {
        let mut whole = model(&Device::cpu(), &golden["cases"][case]);
        whole.save(&path).unwrap();
        let mut loaded = Sequential::load(&path).unwrap().device(Device::cpu());
        let losses = whole.fit(&data, fit(3)).unwrap().get("loss").to_vec();
        assert_eq!(loaded.fit(&data, fit(3)).unwrap().get("loss"), losses, "{case}");
        assert_eq!(loaded.weights().unwrap(), whole.weights().unwrap(), "{case}");
    }
}

#[test]
fn names_are_keras() {
    assert_eq!(Constraint::by_name("max_norm").unwrap(), Constraint::max_norm(2.0));
    assert_eq!(Constraint::by_name("min_max_norm").unwrap(), Constraint::min_max_norm(0.0, 1.0));
    says(Constraint::by_name("maxnorm"), &["\"maxnorm\"", "max_norm"]);
}

#[test]
fn bad_settings_are_refused() {
    let refused = |constraint, parts: &[&str]| {
        let mut model = Sequential::new().add(Dense::new(2).kernel_constraint(constraint));
        says(model.build([3]), &[&["layer \"dense\"", "kernel: its constraint"], parts].concat());
    };
    refused(Constraint::max_norm(-1.0), &["max_value -1", "0 or more"]);
    refused(Constraint::max_norm(f64::NAN), &["max_value NaN"]);
    refused(Constraint::min_max_norm(2.0, 1.0), &["min_value 2", "max_value 1"]);
    refused(Constraint::min_max_norm(0.0, f64::INFINITY), &["max_value inf"]);
    let rate = Constraint::MinMaxNorm { min_value: 0.0, max_value: 1.0, rate: 1.5, axes: vec![0] };
    refused(rate, &["rate 1.5", "0 to 1"]);
    refused(Constraint::UnitNorm { axes: vec![2] }, &["axis 2", "(3, 2)"]);
    refused(Constraint::UnitNorm { axes: vec![0, -2] }, &["axis 0", "twice"]);
    refused(Constraint::UnitNorm { axes: vec![] }, &["no axis"]);
}
