//! Metrics against Keras, whose answers `scripts/golden-metrics` wrote: the k largest row by row, the others' values.

use std::collections::BTreeMap;

use kiln::device::Executor;
use kiln::graph::{Aggregation, Graph, Leaf, Type};
use kiln::nn::CustomObjects;
use kiln::nn::metric::NAMES;
use kiln::ops::accuracy::InTopK;
use kiln::ops::binary::Binary;
use kiln::ops::one_hot::OneHot;
use kiln::plan::{Arena, BufferId, Plan};
use kiln::prelude::*;
use kiln::train::callbacks::Mode;
use serde_json::Value;

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
            let plan = executor.load(&Plan::new("top k", &g, &Arena::default()).unwrap()).unwrap();
            executor.write(BufferId::Input(0), scores.values()).unwrap();
            executor.write(BufferId::Input(1), labels.values()).unwrap();
            executor.run(plan, 1).unwrap();
            let found = executor.read(BufferId::Output(0), 0..wanted.len()).unwrap().to_f64();
            assert_eq!(&found, wanted, "{device}, k = {k}");
        }
    }
}

/// A model whose output is its input.
fn identity(device: &Device, classes: usize, loss: Loss, metrics: &[Metric]) -> Sequential {
    let mut model = Sequential::new().add(Dense::new(classes).use_bias(false)).device(device.clone());
    model.compile(Sgd::default(), loss, metrics).unwrap();
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

/// A case of the fixture as the metric that it is of, its tensors' names and Keras' value.
fn case(case: &Value) -> (Metric, [String; 2], f64) {
    let settings = &case["settings"];
    let threshold = ["threshold", "thresholds"].iter().find_map(|key| settings[key].as_f64());
    let metric = match case["metric"].as_str().unwrap() {
        "binary_accuracy" => Metric::BinaryAccuracy { threshold: threshold.unwrap_or(0.5) },
        "precision" => Metric::Precision { threshold: threshold.unwrap_or(0.5) },
        "recall" => Metric::Recall { threshold: threshold.unwrap_or(0.5) },
        "f1_score" => {
            let average = match settings["average"].as_str().unwrap() {
                "micro" => Average::Micro,
                "macro" => Average::Macro,
                _ => Average::Weighted,
            };
            Metric::F1Score { average, threshold }
        }
        "auc" => Metric::Auc {
            curve: if settings["curve"] == "PR" { AucCurve::Pr } else { AucCurve::Roc },
            num_thresholds: settings["num_thresholds"].as_u64().unwrap_or(200) as usize,
            from_logits: settings["from_logits"] == true,
        },
        "r2_score" if settings["class_aggregation"] == "variance_weighted_average" => {
            Metric::R2Score { class_aggregation: ClassAggregation::VarianceWeightedAverage }
        }
        "binary_crossentropy" => {
            let label_smoothing = settings["label_smoothing"].as_f64().unwrap_or(0.0);
            Metric::Loss(Loss::BinaryCrossentropy { label_smoothing })
        }
        name => Metric::by_name(name).unwrap(),
    };
    let names = ["predicted", "targets"].map(|key| case[key].as_str().unwrap().to_string());
    (metric, names, case["value"].as_f64().unwrap())
}

/// A tensor that the fixture keeps as its bits.
fn of_bits(tensor: &Value) -> Tensor {
    let values: Vec<f32> = numbers(&tensor["bits"]).iter().map(|&bits| f32::from_bits(bits as u32)).collect();
    let shape: Vec<usize> = numbers(&tensor["shape"]).iter().map(|&n| n as usize).collect();
    Tensor::new(shape, values).unwrap()
}

fn labels_of(one_hot: &Tensor) -> Tensor {
    one_hot.argmax(-1).unwrap()
}

fn takes_labels(metric: Metric) -> bool {
    matches!(metric, Metric::SparseCategoricalAccuracy | Metric::Loss(Loss::SparseCategoricalCrossentropy))
}

/// What a device measures of predictions: while it trains in batches, at a rate that changes no weight, and of twelve
/// copies, which are more rows than a step of an evaluation takes.
fn measured(device: &Device, metrics: &[Metric], [x, y]: [&Tensor; 2]) -> [Vec<f64>; 2] {
    let labels = y.dtype() == kiln::DType::U32;
    let loss = if labels { Loss::SparseCategoricalCrossentropyFromLogits } else { Loss::MeanSquaredError };
    let mut model = identity(device, x.shape()[1], loss, metrics);
    model.compile(Sgd { learning_rate: 1e-30, ..Sgd::default() }, loss, metrics).unwrap();
    let data = Dataset::new(x.clone(), y.clone()).unwrap();
    let history = model.fit(&data, Fit::new().batch_size(16).verbose(0)).unwrap();
    let logs = model.evaluate(&Dataset::new(copies(x), copies(y)).unwrap()).unwrap();
    [&history.epochs()[0], &logs].map(|logs| logs.iter().skip(1).map(|(_, value)| value).collect())
}

fn copies(x: &Tensor) -> Tensor {
    let shape = [&[12 * x.rows()], &x.shape()[1..]].concat();
    match x.dtype() {
        kiln::DType::U32 => Tensor::new(shape, x.values().to_f64().repeat(12)).unwrap().astype(kiln::DType::U32),
        _ => Tensor::new(shape, x.values().to_f32().repeat(12)).unwrap(),
    }
}

/// The names of predictions and targets, and whether the targets are given as labels.
type Given = ([String; 2], bool);

/// The worst error of each metric on a device, as a share of the value or of 1 where that is larger.
fn errors(device: &Device) -> BTreeMap<&'static str, f64> {
    let golden = fixture("keras-metrics.json");
    let mut groups: BTreeMap<Given, Vec<(Metric, f64)>> = BTreeMap::new();
    for (metric, names, value) in golden["cases"].as_array().unwrap().iter().map(case) {
        let sparse = takes_labels(metric);
        groups.entry((names.clone(), sparse)).or_default().push((metric, value));
        // What takes one-hot targets takes labels for them.
        let either = matches!(metric, Metric::Precision { .. } | Metric::Recall { .. } | Metric::F1Score { .. });
        if either && names[1] == "labels" {
            groups.entry((names, true)).or_default().push((metric, value));
        }
    }
    let (mut worst, mut wrong) = (BTreeMap::new(), Vec::new());
    for (([p, t], sparse), wanted) in &groups {
        let (x, y) = (of_bits(&golden["predictions"][p]), of_bits(&golden["targets"][t]));
        let y = if *sparse { labels_of(&y) } else { y };
        let metrics: Vec<Metric> = wanted.iter().map(|&(metric, _)| metric).collect();
        for (when, found) in ["in batches", "of copies"].iter().zip(measured(device, &metrics, [&x, &y])) {
            assert_eq!(found.len(), wanted.len());
            for (&(metric, wanted), found) in wanted.iter().zip(found) {
                let error = (found - wanted).abs() / wanted.abs().max(1.0);
                if error.is_nan() || error > 1e-6 {
                    wrong.push(format!("{metric:?} of {p} and {t} {when}: {found}, Keras has {wanted}"));
                }
                let worst = worst.entry(metric.name()).or_insert(0.0f64);
                *worst = worst.max(error);
            }
        }
    }
    assert!(wrong.is_empty(), "{device}: {wrong:#?}");
    worst
}

#[test]
fn the_cpu_and_the_reference_measure_what_keras_does() {
    errors(&Device::cpu());
    errors(&Device::reference());
}

#[cfg(feature = "gpu")]
#[test]
fn the_adapter_measures_what_keras_does() {
    errors(&crate::common::adapter());
}

#[test]
fn the_table_names_every_metric() {
    #[cfg(feature = "gpu")]
    crate::common::write_parity("Metrics", || {
        let devices = [Device::cpu(), crate::common::adapter(), Device::reference()].map(|device| errors(&device));
        let row = |name: &&&'static str| {
            let cells = devices.each_ref().map(|of| crate::common::shown(of[**name]));
            format!("| `{name}` | {} |\n", cells.join(" | "))
        };
        let rows: String = devices[0].keys().collect::<Vec<_>>().iter().map(row).collect();
        format!(
            "\
Values of 45 samples, in batches of 16 while training and of twelve copies in an evaluation: the worst error of each metric,
as a share of the value or of 1 where that is larger, which must be within 1e-6. The judge is Keras 3.15.1 on JAX
(`scripts/golden-metrics`), which adds and divides in float32. Among the scores are ties and scores at thresholds; classes
and whole sets without a positive or a negative target; targets that do not scatter. Top-k accuracy is held against Keras
row by row.

| metric | f32 CPU | adapter | f64 reference |
|---|---|---|---|
{rows}"
        )
    });
    let golden = fixture("keras-metrics.json");
    let tested: Vec<&str> =
        golden["cases"].as_array().unwrap().iter().map(|case| case["metric"].as_str().unwrap()).collect();
    crate::common::assert_parity_lists(&tested);
    for (name, metric) in NAMES {
        let by_rows = matches!(metric.name(), "top_k_categorical_accuracy" | "sparse_top_k_categorical_accuracy");
        // Accuracy is one of the others, as the targets say.
        let covered = metric == Metric::Accuracy || by_rows || tested.contains(&metric.name());
        assert!(covered, "tests/fixtures/keras-metrics.json lacks {name}");
        assert_eq!(Metric::by_name(name).unwrap(), metric);
    }
    assert_eq!(Metric::by_name("MAE").unwrap(), Metric::MeanAbsoluteError);
    let text = Metric::by_name("precison").unwrap_err().to_string();
    assert!(text.starts_with("metric: ") && text.contains("did you mean \"precision\"?"), "{text}");
}

#[test]
fn accuracy_is_that_of_its_targets_and_names_tell_metrics_apart() {
    let x = Tensor::from([[0.75f32, 0.25], [0.25, 0.75], [0.75, 0.25]]);
    let one_hot = Tensor::from([[1.0f32, 0.0], [1.0, 0.0], [1.0, 0.0]]);
    let metrics = [Metric::Accuracy, Metric::CategoricalAccuracy, Metric::Auc, Metric::Auc, Metric::Accuracy];
    let mut model = identity(&Device::cpu(), 2, Loss::MeanSquaredError, &metrics);
    let logs = model.evaluate(&Dataset::new(x.clone(), one_hot).unwrap()).unwrap();
    let names: Vec<&str> = logs.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["loss", "accuracy", "categorical_accuracy", "auc", "auc_1", "accuracy_1"]);
    assert_eq!(logs.get("accuracy"), Some(2.0 / 3.0));
    assert_eq!(logs.get("categorical_accuracy"), Some(2.0 / 3.0));
    let metrics = [Metric::Accuracy, Metric::BinaryAccuracy];
    let mut model = identity(&Device::cpu(), 1, Loss::MeanSquaredError, &metrics);
    let data = Dataset::new(Tensor::from([[0.75f32], [0.25], [0.5]]), Tensor::from([1.0f32, 0.0, 1.0])).unwrap();
    let logs = model.evaluate(&data).unwrap();
    assert_eq!((logs.get("accuracy"), logs.get("binary_accuracy")), (Some(2.0 / 3.0), Some(2.0 / 3.0)));
}

/// R^2 of an output without errors whose targets are all the same is 0 / 0, in Keras too.
#[test]
fn nothing_to_explain_and_nothing_wrong_is_no_number() {
    let x = Tensor::from([[0.5f32], [0.5]]);
    let mut model = identity(&Device::cpu(), 1, Loss::MeanSquaredError, &[Metric::R2Score]);
    let logs = model.evaluate(&Dataset::new(x.clone(), x).unwrap()).unwrap();
    assert!(logs.get("r2_score").unwrap().is_nan());
}

/// Targets of 10,000 +- 1, whose squares have no digits left for it in f32, in batches of which each begins elsewhere.
#[test]
fn r2_of_targets_far_from_zero_is_no_noise() {
    let t: Vec<f32> = (0..300).map(|i| 10_000.0 + ((i * 7) % 5 - 2) as f32 / 2.0).collect();
    let x: Vec<f32> = t.iter().enumerate().map(|(i, t)| t + if i % 2 == 0 { 0.25 } else { -0.25 }).collect();
    let mean = t.iter().map(|&t| f64::from(t)).sum::<f64>() / 300.0;
    let scatter: f64 = t.iter().map(|&t| (f64::from(t) - mean).powi(2)).sum();
    let [x, t] = [x, t].map(|values| Tensor::new([300, 1], values).unwrap());
    for device in crate::common::devices() {
        let mut model = identity(&device, 1, Loss::MeanSquaredError, &[Metric::R2Score]);
        let data = Dataset::new(x.clone(), t.clone()).unwrap();
        let found = model.evaluate(&data).unwrap().get("r2_score").unwrap();
        assert!((found - (1.0 - 300.0 * 0.0625 / scatter)).abs() < 1e-6, "{device}: {found}");
    }
}

/// That measuring predictions (2, ...) against targets is refused, with these words.
#[track_caller]
fn refused(metric: Metric, loss: Loss, [x, y]: [Tensor; 2], words: &[&str]) {
    let mut model = identity(&Device::cpu(), *x.shape().last().unwrap(), loss, &[metric]);
    if x.rank() > 2 {
        model = Sequential::new().add(Dense::new(x.shape()[2]).use_bias(false)).device(Device::cpu());
        model.compile(Sgd::default(), loss, [metric]).unwrap();
    }
    let text = model.evaluate(&Dataset::new(x, y).unwrap()).unwrap_err().to_string();
    let named = text.starts_with(&format!("{}: ", metric.name()));
    assert!(named && words.iter().all(|word| text.contains(word)), "{words:?} are not all in: {text}");
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let (x, labels) = (|| Tensor::from([[0.5f32, 0.25, 0.25]; 2]), || Tensor::from([0u32, 2]));
    let one = || Tensor::from([[0.5f32]; 2]);
    let deep = || Tensor::from([[[0.5f32, 0.25]; 3]; 2]);
    let (sparse, mse) = (Loss::SparseCategoricalCrossentropyFromLogits, Loss::MeanSquaredError);
    refused(Metric::Auc, sparse, [x(), labels()], &["these are labels", "train on one-hot targets"]);
    refused(Metric::R2Score, sparse, [x(), labels()], &["these are labels", "measure accuracy"]);
    refused(Metric::BinaryAccuracy, sparse, [x(), labels()], &["measure sparse_categorical_accuracy"]);
    refused(Metric::CategoricalAccuracy, sparse, [x(), labels()], &["measure sparse_categorical_accuracy"]);
    let words = ["measure sparse_categorical_crossentropy"];
    refused(Metric::CategoricalCrossentropy, sparse, [x(), labels()], &words);
    let words = ["the targets are values", "measure categorical_crossentropy"];
    refused(Metric::SparseCategoricalCrossentropy, mse, [x(), x()], &words);
    refused(Metric::SparseCategoricalAccuracy, mse, [x(), x()], &["measure categorical_accuracy"]);
    refused(Metric::CategoricalAccuracy, mse, [one(), one()], &["(2, 1)", "binary_accuracy"]);
    refused(Metric::F1Score, mse, [one(), one()], &["(2, 1)", "give a threshold, such as 0.5"]);
    refused(Metric::F1Score, mse, [deep(), deep()], &["(batch, classes)", "(2, 3, 2)"]);
    refused(Metric::R2Score, mse, [deep(), deep()], &["(batch, outputs)", "(2, 3, 2)"]);
    let zeros = Tensor::from([0u32, 0]);
    refused(Metric::Precision, sparse, [one(), zeros], &["gives f32 (2, 1)", "are u32 (2,)", "integer labels"]);
}

#[test]
fn settings_out_of_range_are_refused() {
    let mut model = Sequential::new().add(Dense::new(2)).device(Device::cpu());
    let mut said =
        |metric: Metric| model.compile(Sgd::default(), Loss::MeanSquaredError, [metric]).unwrap_err().to_string();
    let curve = AucCurve::Pr;
    let text = said(Metric::Auc { curve, num_thresholds: 1, from_logits: false });
    assert_eq!(text, "num_thresholds: 1 of auc make no curve; give 2 or more, such as 200");
    let threshold = f64::NAN;
    for metric in [
        Metric::BinaryAccuracy { threshold },
        Metric::Precision { threshold },
        Metric::Recall { threshold: f64::INFINITY },
        Metric::F1Score { average: Average::Micro, threshold: Some(threshold) },
    ] {
        let text = said(metric);
        assert!(text.starts_with("threshold: ") && text.contains(metric.name()), "{text}");
    }
    let text = said(Metric::Loss(Loss::Huber { delta: -1.0 }));
    assert!(text.starts_with("delta: -1"), "{text}");
}

/// Two million numbers a step, a thousand steps: said before anything is run.
#[cfg(feature = "gpu")]
#[test]
fn a_log_that_does_not_fit_says_what_to_do() {
    let metric = Metric::Auc { curve: AucCurve::Roc, num_thresholds: 65_536, from_logits: false };
    let mut model = identity(&crate::common::adapter(), 1, Loss::MeanSquaredError, &[metric]);
    let x = Tensor::new([20_000, 1], vec![0.5f32; 20_000]).unwrap();
    let data = Dataset::new(x.clone(), x).unwrap();
    let text = model.fit(&data, Fit::new().batch_size(1).verbose(0)).unwrap_err().to_string();
    assert!(text.contains("the buffer of log") && text.contains("take larger batches, fewer thresholds"), "{text}");
}

/// (p - t)^2 averaged over a sample's outputs.
fn own() -> Metric {
    Metric::custom("own", |g, predicted, targets| {
        let error = g.apply(Binary::Sub, &[predicted, targets])?;
        let squared = g.apply(Binary::Mul, &[error, error])?;
        g.reduce(Aggregation::Mean, squared, Some(&[-1]), false)
    })
}

/// A labels' metric: the score of the class that is right.
fn score_of_label() -> Metric {
    Metric::custom("score", |g, predicted, labels| {
        let classes = g.shape(predicted)[1];
        let right = g.apply(OneHot { classes }, &[labels])?;
        let scores = g.apply(Binary::Mul, &[predicted, right])?;
        g.reduce(Aggregation::Sum, scores, Some(&[1]), false)
    })
}

/// Seven rows in batches of three, so that the last one is smaller.
fn seven_rows() -> (Vec<f32>, Vec<f32>) {
    ((0..14).map(|i| (i as f32).sin()).collect(), (0..14).map(|i| (i as f32).cos()).collect())
}

#[test]
fn a_metric_of_ones_own_is_the_mean_over_the_samples() {
    let (x, y) = seven_rows();
    let squares = x.iter().zip(&y).map(|(&x, &y)| f64::from(x - y).powi(2));
    let wanted = squares.sum::<f64>() / 14.0;
    let values = Dataset::new(Tensor::new([7, 2], x.clone()).unwrap(), Tensor::new([7, 2], y).unwrap()).unwrap();
    let labels = [0u32, 1, 1, 0, 1, 0, 0];
    let scores = labels.iter().enumerate().map(|(row, &label)| f64::from(x[2 * row + label as usize]));
    let score = scores.sum::<f64>() / 7.0;
    let labelled = Dataset::new(Tensor::new([7, 2], x).unwrap(), Tensor::from(labels)).unwrap();
    for device in executors() {
        let mut model = identity(&device, 2, Loss::MeanSquaredError, &[own(), Metric::MeanSquaredError, own()]);
        let logs = model.evaluate(&values).unwrap();
        for name in ["own", "mean_squared_error", "own_1"] {
            assert!((logs.get(name).unwrap() - wanted).abs() < 1e-6, "{device}: {name} of {logs:?}, wanted {wanted}");
        }
        // At so small a learning rate the weights stay: training measures the same, over batches of 3, 3 and 1.
        model.compile(Sgd { learning_rate: 1e-30, ..Sgd::default() }, Loss::MeanSquaredError, [own()]).unwrap();
        let fit = Fit::new().batch_size(3).validation_data(&values).verbose(0);
        let history = model.fit(&values, fit).unwrap();
        for name in ["own", "val_own"] {
            assert!((history.get(name)[0] - wanted).abs() < 1e-6, "{device}: {name} {:?}", history.get(name));
        }
        let mut model = identity(&device, 2, Loss::SparseCategoricalCrossentropyFromLogits, &[score_of_label()]);
        let found = model.evaluate(&labelled).unwrap().get("score").unwrap();
        assert!((found - score).abs() < 1e-6, "{device}: {found}, wanted {score}");
    }
}

#[test]
fn a_metric_of_ones_own_that_cannot_be_is_refused() {
    let (x, y) = seven_rows();
    let data = Dataset::new(Tensor::new([7, 2], x).unwrap(), Tensor::new([7, 2], y).unwrap()).unwrap();
    let mut model = Sequential::new().add(Dense::new(2)).device(Device::cpu());
    let mut compile = |name: &'static str| {
        let metric = Metric::custom(name, |_, predicted, _| Ok(predicted));
        model.compile(Sgd::default(), Loss::MeanSquaredError, [metric])
    };
    for name in ["accuracy", "mse", "loss", "val_own", ""] {
        let error = compile(name).unwrap_err().to_string();
        assert!(error.contains(&format!("{name:?} is no name for one of your own")), "{error}");
    }
    compile("wide").unwrap();
    let error = model.evaluate(&data).unwrap_err().to_string();
    assert!(error.starts_with("wide: gives f32 (7, 2), a metric gives a number a sample, f32 (7,)"), "{error}");
    // Whether more of it is better nobody knows.
    model.compile(Sgd::default(), Loss::MeanSquaredError, [own()]).unwrap();
    let fit = |mode| Fit::new().batch_size(7).verbose(0).callback(EarlyStopping::new().monitor("own").mode(mode));
    let error = model.fit(&data, fit(Mode::Auto)).unwrap_err().to_string();
    assert!(error.contains("give max or min"), "{error}");
    model.fit(&data, fit(Mode::Min)).unwrap();
}

#[test]
fn a_saved_metric_of_ones_own_is_given_anew() {
    let (x, y) = seven_rows();
    let data = Dataset::new(Tensor::new([7, 2], x).unwrap(), Tensor::new([7, 2], y).unwrap()).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut model = identity(&Device::cpu(), 2, Loss::MeanSquaredError, &[Metric::MeanSquaredError, own()]);
    model.save(&path).unwrap();
    let error = Sequential::load(&path).unwrap_err().to_string();
    for part in ["model.safetensors: ", "metric: \"own\" is unknown", "load_with and CustomObjects"] {
        assert!(error.contains(part), "{error}");
    }
    let custom = CustomObjects::new().metric(score_of_label()).metric(own());
    let mut again = Sequential::load_with(&path, &custom).unwrap().device(Device::cpu());
    let logs = again.evaluate(&data).unwrap();
    assert_eq!(logs, model.evaluate(&data).unwrap());
    assert!(logs.get("own").is_some());
}
