//! Weights of samples and of classes: Keras' losses and weights (`scripts/golden-weights`), errors, and that what has no
//! weights is as it was.

use kiln::data::{KFold, Scaler, Source};
use kiln::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{devices, distance, executors, fixture, numbers, tensor};
use crate::streaming::Streamed;

fn floats(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

/// What a loss takes: the targets' name, those of all 15 rows, the outputs and the last layer's activation.
fn targets(golden: &Value, loss: Loss) -> (Tensor, usize, Activation) {
    let of = |name: &str| &golden["targets"][name];
    match loss {
        Loss::SparseCategoricalCrossentropy => {
            let labels = numbers(of("labels")).into_iter().map(|label| label as u32).collect::<Vec<_>>();
            (Tensor::new([15], labels).unwrap(), 3, Activation::Softmax)
        }
        Loss::CategoricalCrossentropy { .. } => (tensor([15, 3], of("one_hot")), 3, Activation::Softmax),
        Loss::BinaryCrossentropy { .. } => (tensor([15, 1], of("binary")), 1, Activation::Sigmoid),
        _ => (tensor([15, 3], of("values")), 3, Activation::Linear),
    }
}

fn model(device: &Device, golden: &Value, loss: Loss, l2: f64) -> Sequential {
    let (_, outputs, last) = targets(golden, loss);
    let dense = |units| Dense::new(units).kernel_regularizer(Regularizer::l2(l2));
    let mut model = Sequential::new()
        .add(Input::new([3]))
        .add(dense(4).activation(Activation::Tanh))
        .add(dense(outputs).activation(last))
        .device(device.clone());
    let metric = if last == Activation::Linear { Metric::MeanAbsoluteError } else { Metric::Accuracy };
    model.compile(Sgd { learning_rate: 0.0625, ..Sgd::default() }, loss, [metric]).unwrap();
    let last = &golden["last"][outputs.to_string()];
    let start = [(vec![3, 4], &golden["hidden"][0]), (vec![4], &golden["hidden"][1])];
    let start = start.into_iter().chain([(vec![4, outputs], &last[0]), (vec![outputs], &last[1])]);
    model.set_weights(&start.map(|(shape, w)| tensor(shape, w)).collect::<Vec<_>>()).unwrap();
    model
}

fn fit<'a>() -> Fit<'a> {
    Fit::new().epochs(3).batch_size(4).shuffle(false).verbose(0)
}

fn class_weight(golden: &Value) -> Vec<(u32, f32)> {
    let pairs = golden["class_weight"].as_array().unwrap().iter().map(numbers);
    pairs.map(|pair| (pair[0] as u32, pair[1] as f32)).collect()
}

fn weighted(golden: &Value, data: &Dataset) -> Dataset {
    data.clone().with_sample_weight(floats(&numbers(&golden["sample_weight"]))[..data.len()].to_vec()).unwrap()
}

fn assert_near(found: f64, wanted: f64, limit: f64, who: &str) {
    let off = (found - wanted).abs() / wanted.abs().max(0.1);
    assert!(off < limit, "{who}: {found}, Keras has {wanted}, {off:e} off");
}

#[test]
fn losses_and_weights_are_keras() {
    let golden = fixture("keras-weights.json");
    for (i, device) in executors().into_iter().enumerate() {
        // The first is the reference; weights are read as f32 even from there.
        // The last bias, of length 1.2, moves by 0.09 in 9 steps, each of which rounds its numbers by up to 6e-8.
        let (loss_limit, limit) = if i == 0 { (1e-12, 1e-6) } else { (1e-6, 4e-6) };
        for (name, case) in golden["cases"].as_object().unwrap() {
            let who = format!("{name} on {device}");
            let said = |key: &str| case[key].as_str().unwrap();
            let loss = Loss::by_name(said("loss")).unwrap();
            let (y, outputs, _) = targets(&golden, loss);
            let plain = Dataset::new(tensor([15, 3], &golden["x"]), y).unwrap();
            let all = weighted(&golden, &plain);
            let data = if said("weighting") == "sample" { &all } else { &plain };
            let (train, _) = data.split_at(10);
            let (_, held) = if said("validation") == "weighted" { &all } else { &plain }.split_at(10);
            let mut options = fit();
            if said("weighting") == "class" {
                options = options.class_weight(class_weight(&golden));
            }
            let mut model = model(&device, &golden, loss, case["l2"].as_f64().unwrap());
            let history = match said("validation") {
                "split" => model.fit(data, options.validation_split(5.0 / 15.0)),
                _ => model.fit(&train, options.validation_data(&held)),
            };
            let history = history.unwrap();
            for (name, wanted) in case["history"].as_object().unwrap() {
                assert_eq!(history.get(name).len(), 3, "{who}: {name}");
                for (&found, wanted) in history.get(name).iter().zip(numbers(wanted)) {
                    assert_near(found, wanted, loss_limit, &format!("{who}: {name}"));
                }
            }
            for (name, data) in [("plain", &plain), ("weighted", &all), ("plain", &plain)] {
                let found = model.evaluate(data).unwrap().get("loss").unwrap();
                assert_near(found, case["evaluated"][name].as_f64().unwrap(), loss_limit, &format!("{who}: {name}"));
            }
            let start = golden["hidden"].as_array().unwrap().iter();
            let start = start.chain(golden["last"][outputs.to_string()].as_array().unwrap());
            for (i, (found, start)) in model.weights().unwrap().iter().zip(start).enumerate() {
                let apart = distance(&found.values().to_f64(), &numbers(&case["weights"][i]), &numbers(start));
                assert!(apart < limit, "{who}: tensor {i} is {apart:e} from Keras");
            }
        }
    }
}

/// Rows of 785 numbers with labels, and a weight each.
fn large(n: usize) -> Dataset {
    let x = (0..n * 785).map(|i| (i * 31 / 7 % 251) as u8).collect::<Vec<_>>();
    let labels = (0..n as u32).map(|row| row * 7 % 10).collect::<Vec<_>>();
    let weights = (0..n).map(|row| (row % 5) as f32 / 2.0).collect();
    let set = Dataset::new(Tensor::new([n, 785], x).unwrap(), Tensor::new([n], labels).unwrap()).unwrap();
    set.with_sample_weight(weights).unwrap()
}

fn without_weights(set: &Dataset) -> Dataset {
    Dataset::new(set.x().clone(), set.y().clone()).unwrap()
}

fn classifier(device: &Device) -> Sequential {
    let softmax = Dense::new(10).activation(Activation::Softmax);
    let mut model = Sequential::new().add(Input::new([785])).add(Dropout::new(0.1)).add(softmax).device(device.clone());
    model.compile(Adam::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    model
}

/// What a run gives: weights, losses by batch, values by epoch, scores of the whole set.
fn outcome(device: &Device, data: &dyn Source, fit: Fit<'_>) -> String {
    let mut model = classifier(device);
    let history = model.fit(data, fit.verbose(0)).unwrap();
    let scores = model.evaluate(data).unwrap();
    format!("{:?} {history:?} {scores:?}", model.weights().unwrap())
}

/// In chunks of 8 MiB: two of them, the last with a short batch.
#[test]
fn a_streamed_set_trains_to_the_same_bits() {
    let set = large(13_456);
    let plain = without_weights(&set);
    for device in devices() {
        let settings = || Fit::new().batch_size(128).validation_split(0.05).seed(4);
        let resting = outcome(&device, &set, settings());
        assert_eq!(resting, outcome(&device, &Streamed::new(&set), settings()), "{device}");
        assert_ne!(resting, outcome(&device, &plain, settings()), "{device}");
        let classes = || settings().class_weight([(3, 4.0), (0, 0.5)]);
        let resting = outcome(&device, &plain, classes());
        assert_eq!(resting, outcome(&device, &Streamed::new(&plain), classes()), "{device}");
    }
}

#[test]
fn a_classs_weight_is_that_of_its_samples_in_training_alone() {
    let set = without_weights(&large(300));
    let labels = set.y().values().to_f64();
    let by_row = labels.iter().map(|&label| if label == 3.0 { 4.0 } else { 1.0 }).collect();
    let by_row = set.clone().with_sample_weight(by_row).unwrap();
    for device in devices() {
        let run = |data: &Dataset, fit: Fit<'_>| {
            let mut model = classifier(&device);
            let history = model.fit(data, fit.epochs(2).batch_size(64).verbose(0)).unwrap();
            (format!("{:?}", history.get("loss")), history.get("val_loss").to_vec(), model.weights().unwrap())
        };
        let split = || Fit::new().validation_split(0.3);
        let (own, of_class) = (run(&by_row, split()), run(&set, split().class_weight([(3, 4.0)])));
        assert_eq!((&own.0, &own.2), (&of_class.0, &of_class.2), "{device}");
        assert!(own.1[0] > 1.1 * of_class.1[0], "{device}: {:?} {:?}", own.1, of_class.1);
    }
}

/// The step in one pass, which sets without weights have, and the step in pieces.
#[test]
fn weights_of_one_change_nothing_but_rounding_and_zeros_take_samples_out() {
    let set = without_weights(&large(300));
    let ones = set.clone().with_sample_weight(vec![1.0; 300]).unwrap();
    let zeros = set.clone().with_sample_weight((0..300).map(|row| f32::from(u8::from(row < 64))).collect()).unwrap();
    for device in devices() {
        let run = |data: &Dataset| {
            let mut model = classifier(&device);
            let fit = Fit::new().epochs(2).batch_size(64).shuffle(false).verbose(0);
            let losses = model.fit(data, fit).unwrap().batch_losses().to_vec();
            (losses, model.weights().unwrap()[0].values().to_f64())
        };
        let (plain, ones, zeros) = (run(&set), run(&ones), run(&zeros));
        let start = vec![0.0; plain.1.len()];
        let apart = distance(&ones.1, &plain.1, &start);
        assert!(apart < 1e-5, "{device}: {apart:e}");
        assert_eq!(zeros.0[0], ones.0[0], "{device}");
        assert!(zeros.0[1..5].iter().all(|&loss| loss == 0.0), "{device}: {:?}", zeros.0);
    }
}

#[test]
fn they_go_with_their_rows() {
    let set = large(20);
    let weight_of = |set: &Dataset| set.sample_weight().unwrap().values().to_f64();
    let all = weight_of(&set);
    assert_eq!(weight_of(&set.head(3)), all[..3]);
    let (first, rest) = set.split_at(7);
    assert_eq!([weight_of(&first), weight_of(&rest)].concat(), all);
    assert_eq!(weight_of(&set.subset(&[4, 4, 1]).unwrap()), [all[4], all[4], all[1]]);
    assert_eq!(weight_of(&Scaler::standardize(&set).apply(&set).unwrap()), all);
    for split in KFold::new(3).shuffle(1).split(&set).unwrap().chain([set.train_test_split(0.3, 2).unwrap()]) {
        let sum = weight_of(&split.train).iter().chain(&weight_of(&split.test)).sum::<f64>();
        assert_eq!(sum, all.iter().sum::<f64>());
    }
    assert_eq!(without_weights(&set).sample_weight(), None);
}

#[test]
fn a_resumed_run_ends_with_the_same_bits() {
    let (set, folder) = (large(300), TempDir::new().unwrap());
    let path = folder.path().join("model");
    for device in devices() {
        for classes in [vec![], vec![(3, 4.0)]] {
            let data = if classes.is_empty() { set.clone() } else { without_weights(&set) };
            let fit = |epochs| Fit::new().epochs(epochs).batch_size(64).verbose(0).class_weight(classes.clone());
            let mut whole = classifier(&device);
            whole.fit(&data, fit(3)).unwrap();
            let mut first = classifier(&device);
            first.fit(&data, fit(1)).unwrap();
            first.save(&path).unwrap();
            let mut resumed = Sequential::load(&path).unwrap().device(device.clone());
            resumed.fit(&data, fit(3).initial_epoch(1)).unwrap();
            assert_eq!(resumed.weights().unwrap(), whole.weights().unwrap(), "{device}");
        }
    }
}

#[track_caller]
fn refused<T>(result: Result<T>, parts: &[&str]) {
    let text = result.err().expect("it was accepted").to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn what_is_no_weight_is_refused() {
    let set = without_weights(&large(40));
    refused(set.clone().with_sample_weight(vec![1.0; 39]), &["39 weights for 40 samples"]);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut weights = vec![1.0; 40];
        weights[7] = bad;
        refused(set.clone().with_sample_weight(weights), &["sample_weight: row 7: ", &format!("{bad:?}")]);
    }
    let trained = |data: &dyn Source, weights: &[(u32, f32)]| {
        classifier(&Device::cpu()).fit(data, Fit::new().verbose(0).class_weight(weights.iter().copied()))
    };
    for bad in [-1.0, f32::NAN, f32::INFINITY] {
        refused(trained(&set, &[(2, bad)]), &["class_weight: class 2 has ", &format!("{bad:?}"), "0 or more"]);
    }
    refused(trained(&set, &[(10, 1.0)]), &["class_weight: there is no class 10", "10 apart, 0 to 9"]);
    refused(trained(&set, &[(1, 1.0), (1, 2.0)]), &["class_weight: class 1 has two weights"]);
    for data in [&large(40) as &dyn Source, &Streamed::new(&large(40))] {
        refused(trained(data, &[(1, 2.0)]), &["class_weight: the samples have weights of their own"]);
    }
}

#[test]
fn what_is_no_class_has_no_weight() {
    let x = Tensor::new([3, 2], vec![0.5f32; 6]).unwrap();
    let trained = |y: &[f32], layer: Dense| {
        let y = Tensor::new([3, y.len() / 3], y.to_vec()).unwrap();
        let mut model = Sequential::new().add(layer).device(Device::cpu());
        model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
        let fit = Fit::new().verbose(0).batch_size(3).class_weight([(1, 2.0)]);
        model.fit(&Dataset::new(x.clone(), y).unwrap(), fit)
    };
    trained(&[0.0, 1.0, 1.4], Dense::new(1)).unwrap();
    refused(trained(&[0.0, 1.0, 1.6], Dense::new(1)), &["class_weight: row 2 has the target 2", "0 to 1"]);
    refused(trained(&[0.0, -1.0, 1.0], Dense::new(1)), &["class_weight: row 1 has the target -1"]);
    trained(&[-3.0, 0.0, 9.0, 1.0, 1.0, 1.0], Dense::new(2)).unwrap();
}

/// A source whose weights come and go.
struct Fickle(Dataset);

impl Source for Fickle {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn read(&self, rows: &[usize]) -> Result<Dataset> {
        let read = self.0.subset(rows)?;
        if rows.len() == 1 { Ok(read) } else { Ok(without_weights(&read)) }
    }
}

#[test]
fn a_source_has_weights_always_or_never() {
    let outcome = classifier(&Device::cpu()).fit(&Fickle(large(40)), Fit::new().verbose(0));
    refused(outcome, &["Source: ", "without weights", "its first row came with"]);
}
