//! Metrics of the k largest scores against Keras, whose answers `scripts/golden-metrics` wrote.

use kiln::device::Executor;
use kiln::graph::{Graph, Leaf, Type};
use kiln::ops::accuracy::InTopK;
use kiln::plan::{Arena, BufferId, Plan};
use kiln::prelude::*;

use crate::common::{executors, fixture, numbers};

/// Keras' scores (N, classes), the labels (N,), and for each k which rows are hits.
fn golden() -> (Tensor, Tensor, Vec<(usize, Vec<f64>)>) {
    let golden = fixture("keras-metrics.json");
    let scores: Vec<f32> = numbers(&golden["score_bits"]).iter().map(|&bits| f32::from_bits(bits as u32)).collect();
    let labels: Vec<u32> = numbers(&golden["labels"]).iter().map(|&label| label as u32).collect();
    let classes = scores.len() / labels.len();
    let hits =
        golden["hits"].as_object().unwrap().iter().map(|(k, hits)| (k.parse().unwrap(), numbers(hits))).collect();
    (Tensor::new([labels.len(), classes], scores).unwrap(), Tensor::new([labels.len()], labels).unwrap(), hits)
}

#[test]
fn ties_and_nan_count_as_keras_counts_them() {
    let (scores, labels, golden) = golden();
    for device in executors() {
        for (k, wanted) in &golden {
            let mut g = Graph::new();
            let x = g.leaf(Leaf::Input(0), Type::float(scores.shape().clone()));
            let y = g.leaf(Leaf::Input(1), Type::u32(labels.shape().clone()));
            let hits = g.apply(InTopK(*k), &[x, y]).unwrap();
            g.output(0, hits).unwrap();
            let mut executor = Executor::new(&device).unwrap();
            let plan = executor.load(&Plan::new("top k", &g, &Arena::default())).unwrap();
            executor.write(BufferId::Input(0), scores.values()).unwrap();
            executor.write(BufferId::Input(1), labels.values()).unwrap();
            executor.run(plan, 1).unwrap();
            let found = pollster::block_on(executor.read(BufferId::Output(0), 0..wanted.len())).unwrap().to_f64();
            assert_eq!(&found, wanted, "{device}, k = {k}");
        }
    }
}

/// A model whose output is its input.
fn identity(device: &Device, classes: usize, loss: Loss, metrics: &[Metric]) -> Sequential {
    let mut model = Sequential::new().add(Dense::new(classes).use_bias(false)).device(device.clone());
    model.compile(Sgd::default(), loss, metrics.iter().copied()).unwrap();
    model.build([classes]).unwrap();
    let eye: Vec<f32> = (0..classes * classes).map(|i| f32::from(u8::from(i % (classes + 1) == 0))).collect();
    model.set_weights(&[Tensor::new([classes, classes], eye).unwrap()]).unwrap();
    model
}

#[test]
fn both_metrics_are_the_share_of_the_rows_found() {
    let (scores, labels, golden) = golden();
    // The rows before those with NaN, which no data set takes.
    let rows = 24;
    let (x, y) = (scores.head(rows), labels.head(rows));
    let classes = x.shape()[1];
    let one_hot: Vec<f32> = y
        .values()
        .to_f64()
        .iter()
        .flat_map(|&y| (0..classes).map(move |c| f32::from(u8::from(c == y as usize))))
        .collect();
    let one_hot = Tensor::new([rows, classes], one_hot).unwrap();
    for device in executors() {
        for &(k, ref hits) in &golden {
            let share = hits[..rows].iter().sum::<f64>() / rows as f64;
            let metric = Metric::SparseTopKCategoricalAccuracy { k };
            let mut model = identity(&device, classes, Loss::SparseCategoricalCrossentropyFromLogits, &[metric]);
            let logs = model.evaluate(&Dataset::new(x.clone(), y.clone()).unwrap()).unwrap();
            assert_eq!(logs.get("sparse_top_k_categorical_accuracy"), Some(share), "{device}, k = {k}");
            let metric = Metric::TopKCategoricalAccuracy { k };
            let mut model = identity(&device, classes, Loss::CategoricalCrossentropyFromLogits, &[metric]);
            let logs = model.evaluate(&Dataset::new(x.clone(), one_hot.clone()).unwrap()).unwrap();
            assert_eq!(logs.get("top_k_categorical_accuracy"), Some(share), "{device}, k = {k}");
        }
    }
}

#[test]
fn targets_that_do_not_fit_and_no_k_are_refused() {
    let (scores, labels, _) = golden();
    let (x, y) = (scores.head(4), labels.head(4));
    let fit = |loss: Loss, metric: Metric, y: &Tensor| {
        let mut model = identity(&Device::cpu(), 6, loss, &[metric]);
        model.evaluate(&Dataset::new(x.clone(), y.clone()).unwrap()).unwrap_err().to_string()
    };
    let text = fit(Loss::SparseCategoricalCrossentropyFromLogits, Metric::TopKCategoricalAccuracy { k: 2 }, &y);
    assert!(text.contains("one-hot targets") && text.contains("measure sparse_top_k_categorical_accuracy"), "{text}");
    let metric = Metric::SparseTopKCategoricalAccuracy { k: 2 };
    let text = fit(Loss::CategoricalCrossentropyFromLogits, metric, &x);
    assert!(text.contains("the targets are values; measure top_k_categorical_accuracy"), "{text}");
    let mut model = Sequential::new().add(Dense::new(6)).device(Device::cpu());
    for metric in [Metric::TopKCategoricalAccuracy { k: 0 }, Metric::SparseTopKCategoricalAccuracy { k: 0 }] {
        let text = model.compile(Sgd::default(), Loss::MeanSquaredError, [metric]).unwrap_err().to_string();
        assert!(text.starts_with("k: 0 classes of ") && text.ends_with("give 1 or more"), "{text}");
    }
}
