//! Losses and their gradients against Keras' values in float64, which `scripts/golden-losses` made, and models that are
//! trained by them.

#[cfg(feature = "gpu")]
use std::fmt::Write as _;

use kiln::DType;
use kiln::device::Executor;
use kiln::graph::{Graph, Id, Leaf, Type};
use kiln::nn::loss::NAMES;
use kiln::ops::sum::Sum;
use kiln::plan::{Arena, BufferId, Plan};
use kiln::prelude::*;
use serde_json::Value;

use crate::common::{devices, fixture, numbers};

const SAMPLES: usize = 6;
const OUTPUTS: usize = 3;

/// Each sample's loss and the gradient of their mean with respect to `predicted`, or to what an activation made it of.
fn run(device: &Device, loss: Loss, activation: Activation, [x, targets]: [&Tensor; 2]) -> [Vec<f64>; 2] {
    let mut g = Graph::new();
    let input = g.leaf(Leaf::Input(0), Type::float(x.shape().clone()));
    let t = g.leaf(Leaf::Input(1), Type { shape: targets.shape().clone(), dtype: targets.dtype() });
    let predicted = activation.append(&mut g, input).unwrap();
    let losses = loss.append(&mut g, predicted, t).unwrap();
    let mean = g.apply(Sum::mean(&g.shape(losses).clone()), &[losses]).unwrap();
    let dx = g.gradients(mean, &[input]).unwrap()[0];
    let read = |(i, id): (usize, Id)| {
        g.output(i, id).unwrap();
        g.shape(id).len()
    };
    let lengths: Vec<usize> = [losses, dx].into_iter().enumerate().map(read).collect();
    let mut executor = Executor::new(device).unwrap();
    let plan = executor.load(&Plan::new(loss.name(), &g, &Arena::default()).unwrap()).unwrap();
    executor.write(BufferId::Input(0), x.values()).unwrap();
    executor.write(BufferId::Input(1), targets.values()).unwrap();
    executor.run(plan, 1).unwrap();
    [0, 1].map(|i| executor.read(BufferId::Output(i), 0..lengths[i]).unwrap().to_f64())
}

fn floats(shape: impl Into<Shape>, values: &[f64]) -> Tensor {
    Tensor::new(shape, values.iter().map(|&x| x as f32).collect::<Vec<_>>()).unwrap()
}

/// The fixture's name of each loss, and what stands in the fixture.
fn golden() -> Vec<(String, Value)> {
    let golden = fixture("keras-losses.json");
    golden["losses"].as_object().unwrap().iter().map(|(name, entry)| (name.clone(), entry.clone())).collect()
}

/// The loss of a fixture's name.
fn loss(name: &str) -> Loss {
    let label_smoothing = 0.1;
    match name {
        "binary_crossentropy_smoothed" => Loss::BinaryCrossentropy { label_smoothing },
        "binary_crossentropy_from_logits_smoothed" => Loss::BinaryCrossentropyFromLogits { label_smoothing },
        "categorical_crossentropy_smoothed" => Loss::CategoricalCrossentropy { label_smoothing },
        "categorical_crossentropy_from_logits_smoothed" => Loss::CategoricalCrossentropyFromLogits { label_smoothing },
        name if name.ends_with("_ignored") => {
            let ignore_class = Some(255);
            match name.contains("_from_logits") {
                true => Loss::SparseCategoricalCrossentropyFromLogits { ignore_class },
                false => Loss::SparseCategoricalCrossentropy { ignore_class },
            }
        }
        name => Loss::by_name(name.trim_end_matches("_signs").trim_end_matches("_parts")).unwrap(),
    }
}

/// The largest errors of a loss's values and gradient, as shares of the number or of 1 where that is larger.
fn errors(device: &Device, name: &str, entry: &Value) -> [f64; 2] {
    let loss = loss(name);
    let (targets, predicted) = (numbers(&entry["targets"]), numbers(&entry["predicted"]));
    let parts = predicted.len() / (SAMPLES * OUTPUTS);
    let rows = if parts == 1 { vec![SAMPLES] } else { vec![SAMPLES, parts] };
    let shape = [&rows[..], &[OUTPUTS]].concat();
    let targets = if targets.len() == SAMPLES * parts {
        Tensor::new(rows, targets.iter().map(|&t| t as u32).collect::<Vec<_>>()).unwrap()
    } else {
        floats(shape.clone(), &targets)
    };
    let predicted = floats(shape, &predicted);
    let found = run(device, loss, Activation::Linear, [&predicted, &targets]);
    let mut errors = [0.0; 2];
    for (worst, (found, key)) in errors.iter_mut().zip(found.iter().zip(["values", "gradient"])) {
        let wanted = numbers(&entry[key]);
        assert_eq!(found.len(), wanted.len());
        let error = |(f, w): (&f64, &f64)| (f - w).abs() / w.abs().max(1.0);
        *worst = found.iter().zip(&wanted).map(error).fold(0.0, |a, b| if b.is_nan() { b } else { a.max(b) });
    }
    errors
}

/// All errors of a device, each of which must be within `limit`.
fn all(device: &Device, limit: f64) -> Vec<[f64; 2]> {
    let found: Vec<_> = golden().iter().map(|(name, entry)| (name.clone(), errors(device, name, entry))).collect();
    let wrong: Vec<_> = found.iter().filter(|(_, e)| !(e[0] <= limit && e[1] <= limit)).collect();
    assert!(wrong.is_empty(), "{device}: errors of value and gradient over {limit:e}: {wrong:#?}");
    found.into_iter().map(|(_, errors)| errors).collect()
}

#[test]
fn the_reference_is_keras() {
    all(&Device::reference(), 1e-12);
}

#[test]
fn the_cpu_is_keras_within_its_digits() {
    all(&Device::cpu(), 1e-6);
}

#[cfg(feature = "gpu")]
#[test]
fn the_adapter_is_keras_within_its_digits() {
    all(&crate::common::adapter(), 1e-6);
}

#[test]
fn the_table_names_every_loss() {
    let names: Vec<String> = golden().into_iter().map(|(name, _)| name).collect();
    #[cfg(feature = "gpu")]
    crate::common::write_parity("Losses", || table(&names));
    crate::common::assert_parity_lists(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for (_, loss) in NAMES {
        let tested = names.iter().any(|name| name == loss.name());
        assert!(tested, "tests/fixtures/keras-losses.json lacks {}", loss.name());
    }
}

#[cfg(feature = "gpu")]
fn table(names: &[String]) -> String {
    let found = [(Device::cpu(), 1e-6), (crate::common::adapter(), 1e-6), (Device::reference(), 1e-12)]
        .map(|(d, l)| all(&d, l));
    let mut text = String::from(
        "\
Values of 6 samples with 3 outputs, and the gradient of their mean: the worst error of each, as a share of the number or
of 1 where that is larger. The judge is `scripts/golden-losses`: Keras' formula in float64, which Keras 3.15.1's own
float32 on JAX follows within the last column. In f32 a loss must be within 1e-6, in f64 within 1e-12. `_smoothed` have a
label_smoothing of 0.1, `_parts` labels of 4 parts of each sample, `_ignored` an ignore_class that some labels are of.

A sigmoid or softmax that ends the model is recognised, and the loss taken of its input: Keras on JAX clips the
probability to 1e-7 from 0 and 1 there, so a model that is certain and wrong has no gradient in Keras and one in Kiln.

| loss | f32 CPU | adapter | f64 reference | Keras' own drift |
|---|---|---|---|---|
",
    );
    let shown = |[value, gradient]: [f64; 2]| [value, gradient].map(crate::common::shown).join(", ");
    let golden = golden();
    for (i, name) in names.iter().enumerate() {
        let [cpu, gpu, reference] = [0, 1, 2].map(|c: usize| shown(found[c][i]));
        let drift = numbers(&golden[i].1["drift"]);
        writeln!(text, "| `{name}` | {cpu} | {gpu} | {reference} | {} |", shown([drift[0], drift[1]])).unwrap();
    }
    text
}

#[track_caller]
fn assert_near(device: &Device, found: &[f64], wanted: &[f64]) {
    let near = found.iter().zip(wanted).all(|(f, w)| (f - w).abs() <= 1e-6 * w.abs());
    assert!(near && found.len() == wanted.len(), "{device}: {found:?}, not {wanted:?}");
}

/// A score of 40 for the wrong side is a probability of 1 in f32, which tells nothing more: its loss is still 40.
#[test]
fn what_ends_the_model_is_seen_through() {
    for device in devices() {
        let (x, t) = (floats([1, 2], &[-40.0, 40.0]), floats([1, 2], &[1.0, 0.0]));
        let [loss, dx] = run(&device, Loss::BinaryCrossentropy, Activation::Sigmoid, [&x, &t]);
        assert_near(&device, &[loss, dx].concat(), &[40.0, -0.5, 0.5]);
        let [loss, dx] = run(&device, Loss::CategoricalCrossentropy, Activation::Softmax, [&x, &t]);
        assert_near(&device, &[loss, dx].concat(), &[80.0, -1.0, 1.0]);
        let label = Tensor::new([1], vec![0u32]).unwrap();
        let [loss, dx] = run(&device, Loss::SparseCategoricalCrossentropy, Activation::Softmax, [&x, &label]);
        assert_near(&device, &[loss, dx].concat(), &[80.0, -1.0, 1.0]);
        // A half of the target is spread: 3/4 of it is left where it was.
        let soft = Loss::CategoricalCrossentropy { label_smoothing: 0.5 };
        let [loss, dx] = run(&device, soft, Activation::Softmax, [&x, &t]);
        assert_near(&device, &[loss, dx].concat(), &[60.0, -0.75, 0.75]);
        let soft = Loss::BinaryCrossentropy { label_smoothing: 0.5 };
        let [loss, dx] = run(&device, soft, Activation::Sigmoid, [&x, &t]);
        assert_near(&device, &[loss, dx].concat(), &[30.0, -0.375, 0.375]);
    }
}

#[test]
fn hubers_delta_moves_the_bend() {
    let (x, t) = (floats([2, 1], &[5.0, 1.0]), floats([2], &[0.0, 0.0]));
    let found = run(&Device::reference(), Loss::Huber { delta: 2.0 }, Activation::Linear, [&x, &t]);
    assert_eq!(found, [vec![8.0, 0.5], vec![1.0, 0.5]]);
}

/// Hours of study and the scores they led to: the least squares are known in closed form.
#[test]
fn one_unit_finds_the_line_through_hours_and_scores() {
    for device in devices() {
        let hours = floats([4, 1], &[2.0, 4.0, 6.0, 8.0]);
        let data = Dataset::new(hours, floats([4], &[81.0, 93.0, 91.0, 97.0])).unwrap();
        let mut model = Sequential::new().add(Dense::new(1)).device(device.clone());
        let metrics = [Metric::MeanAbsoluteError, Metric::MeanSquaredError, Metric::RootMeanSquaredError];
        model.compile(Sgd { learning_rate: 0.01, ..Sgd::default() }, Loss::MeanSquaredError, metrics).unwrap();
        model.fit(&data, Fit::new().epochs(3000).batch_size(4).verbose(0)).unwrap();
        let line: Vec<f64> = model.weights().unwrap().iter().flat_map(|t| t.values().to_f64()).collect();
        assert!((line[0] - 2.3).abs() < 1e-3 && (line[1] - 79.0).abs() < 1e-2, "{device}: {line:?}");
        // Off by 2.6, 4.8, 1.8 and 0.4.
        let logs = model.evaluate(&data).unwrap();
        let squares = (2.6f64.powi(2) + 4.8f64.powi(2) + 1.8f64.powi(2) + 0.4f64.powi(2)) / 4.0;
        for (name, wanted) in [
            ("loss", squares),
            ("mean_absolute_error", 2.4),
            ("mean_squared_error", squares),
            ("root_mean_squared_error", squares.sqrt()),
        ] {
            let found = logs.get(name).unwrap();
            assert!((found - wanted).abs() < 1e-2, "{device}: {name} is {found}, not {wanted}");
        }
    }
}

/// The root is of the epoch's mean, not a mean of batches' roots.
#[test]
fn the_root_is_taken_of_the_whole_epoch() {
    let data = Dataset::new(floats([3, 1], &[1.0, 2.0, 6.0]), floats([3, 1], &[0.0; 3])).unwrap();
    let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
    model.build([1]).unwrap();
    model.set_weights(&[floats([1, 1], &[1.0]), floats([1], &[0.0])]).unwrap();
    // So small a rate that the weights stay.
    let optimizer = Sgd { learning_rate: 1e-9, ..Sgd::default() };
    model.compile(optimizer, Loss::MeanAbsoluteError, [Metric::RootMeanSquaredError]).unwrap();
    let history = model.fit(&data, Fit::new().batch_size(2).verbose(0)).unwrap();
    let (found, wanted) = (history.get("root_mean_squared_error"), (41.0f64 / 3.0).sqrt());
    assert!((found[0] - wanted).abs() < 1e-5, "{found:?}, not {wanted}");
}

fn xor(outputs: usize, targets: Tensor, loss: Loss, last: Activation) -> f64 {
    let x = floats([4, 2], &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
    let data = Dataset::new(x, targets).unwrap();
    let hidden = Dense::new(16).activation(Activation::Tanh);
    let mut model = Sequential::new().add(hidden).add(Dense::new(outputs).activation(last)).device(Device::cpu());
    model.compile(Adam { learning_rate: 0.05, ..Adam::default() }, loss, [Metric::Accuracy]).unwrap();
    model.fit(&data, Fit::new().epochs(200).batch_size(4).verbose(0)).unwrap();
    model.training_plan(2, 4).unwrap();
    let logs = model.evaluate(&data).unwrap();
    assert!(logs.get("loss").unwrap() < 0.1, "{loss:?}: {logs:?}");
    logs.get("accuracy").unwrap()
}

#[test]
fn exclusive_or_is_learnt_by_each_cross_entropy() {
    let bits = || floats([4], &[0.0, 1.0, 1.0, 0.0]);
    let one_hot = || floats([4, 2], &[1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
    assert_eq!(xor(1, bits(), Loss::BinaryCrossentropy, Activation::Sigmoid), 1.0);
    assert_eq!(xor(1, bits(), Loss::BinaryCrossentropyFromLogits, Activation::Linear), 1.0);
    assert_eq!(xor(2, one_hot(), Loss::CategoricalCrossentropy, Activation::Softmax), 1.0);
    assert_eq!(xor(2, one_hot(), Loss::CategoricalCrossentropyFromLogits, Activation::Linear), 1.0);
}

#[test]
fn keras_names_are_known() {
    for (short, loss) in
        [("mse", Loss::MeanSquaredError), ("KLD", Loss::KlDivergence), ("bce", Loss::BinaryCrossentropy)]
    {
        assert_eq!(Loss::by_name(short).unwrap(), loss);
    }
    assert_eq!(Loss::Huber { delta: 3.0 }.name(), "huber");
    let text = Loss::by_name("mean_square_error").unwrap_err().to_string();
    assert!(text.contains("did you mean \"mean_squared_error\"?"), "{text}");
}

/// What fitting a model of two units by a loss to targets says.
#[track_caller]
fn refused(loss: Loss, targets: Tensor, metrics: &[Metric], parts: &[&str]) {
    let data = Dataset::new(floats([2, 1], &[0.0, 1.0]), targets).unwrap();
    let mut model = Sequential::new().add(Dense::new(2)).device(Device::cpu());
    let said = model.compile(Sgd::default(), loss, metrics.to_vec());
    let said = said.and_then(|()| model.fit(&data, Fit::new().batch_size(2).verbose(0)).map(|_| ()));
    let text = said.expect_err("it was accepted").to_string();
    parts.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in: {text}"));
}

#[test]
fn labels_of_pixels_train_without_those_of_no_class() {
    let x: Vec<f64> = (0..32).map(|i| f64::from(i % 7) - 3.25).collect();
    let labels =
        |none| x.iter().enumerate().map(|(i, &x)| if i % 5 == 0 { none } else { u32::from(x > 0.0) }).collect();
    let data = |none| {
        let labels: Vec<u32> = labels(none);
        Dataset::new(floats([8, 2, 2, 1], &x), Tensor::new([8, 2, 2], labels).unwrap()).unwrap()
    };
    let loss = Loss::SparseCategoricalCrossentropyFromLogits { ignore_class: Some(255) };
    let fit = || Fit::new().epochs(30).batch_size(3).verbose(0);
    let train = |device: &Device, loss, data: &Dataset| {
        let mut model = Sequential::new().add(Dense::new(2)).device(device.clone());
        model.compile(Adam { learning_rate: 0.1, ..Adam::default() }, loss, [])?;
        model.fit(data, fit())?;
        Ok::<_, kiln::Error>(model)
    };
    for device in devices() {
        let mut model = train(&device, loss, &data(255)).unwrap();
        let found = model.evaluate(&data(255)).unwrap().get("loss").unwrap();
        assert!(found < 0.1, "{device}: {found}");
        let mut again = Sequential::from_bytes(model.to_bytes().unwrap()).unwrap().device(device.clone());
        assert_eq!(again.evaluate(&data(255)).unwrap().get("loss"), Some(found), "{device}");
        let text = train(&device, Loss::SparseCategoricalCrossentropyFromLogits, &data(255)).unwrap_err().to_string();
        assert!(text.contains("row 0 has label 255"), "{text}");
    }
}

#[test]
fn targets_must_fit_the_loss() {
    let labels = || Tensor::new([2], vec![0u32, 1]).unwrap();
    assert_eq!(labels().dtype(), DType::U32);
    let mse = Loss::MeanSquaredError;
    refused(mse, labels(), &[], &["mean_squared_error", "f32 targets (2, 2)", "u32 (2,)", "give them as f32, one-hot"]);
    let parts = ["mean_squared_error", "the targets are (2,)", "gives (2, 2)", "give targets of that shape"];
    refused(mse, floats([2], &[0.0, 1.0]), &[], &parts);
    refused(mse, floats([2, 3], &[0.0; 6]), &[], &["the targets are (2, 3)", "the model gives (2, 2)"]);
    let sparse = Loss::SparseCategoricalCrossentropyFromLogits;
    refused(sparse, floats([2, 2], &[0.0; 4]), &[], &["y: the targets are f32 values"]);
    refused(sparse, labels(), &[Metric::MeanAbsoluteError], &["mean_absolute_error", "measure accuracy"]);
    // A row of scores has a label, also in rows of rows.
    let images = Dataset::new(floats([2, 3, 2], &[0.5; 12]), labels()).unwrap();
    let mut rows = Sequential::new().add(Dense::new(2).activation(Activation::Sigmoid)).device(Device::cpu());
    rows.compile(Sgd::default(), Loss::SparseCategoricalCrossentropy, []).unwrap();
    let text = rows.fit(&images, Fit::new().batch_size(2).verbose(0)).unwrap_err().to_string();
    assert!(text.contains("sparse_categorical_crossentropy: takes labels (2, 3), one for each"), "{text}");
    let ignored = Metric::Loss(Loss::SparseCategoricalCrossentropyFromLogits { ignore_class: Some(0) });
    refused(sparse, labels(), &[ignored], &["ignore_class", "measure the loss without it"]);
    for label_smoothing in [-0.1, 1.1, f64::NAN] {
        let parts = ["label_smoothing: ", &label_smoothing.to_string(), "give 0 to 1"];
        refused(Loss::BinaryCrossentropy { label_smoothing }, floats([2, 2], &[0.0; 4]), &[], &parts);
        refused(Loss::CategoricalCrossentropyFromLogits { label_smoothing }, labels(), &[], &parts);
    }
    refused(Loss::Huber { delta: 0.0 }, floats([2, 2], &[0.0; 4]), &[], &["delta: 0", "above 0"]);
}
