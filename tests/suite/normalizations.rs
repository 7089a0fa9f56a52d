//! Normalization: Keras' losses, weights and states (`scripts/golden-normalizations`), states through files, snapshots, checks
//! of each step and accumulation.

use kiln::ops::case::random;
use kiln::prelude::*;
use kiln::train::callbacks::Mode;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{devices, distance, executors, fixture, numbers, precise, says};

/// The script's net with a layer.
fn net(layer: impl Layer + 'static) -> Sequential {
    let mut model = Sequential::new()
        .add(Input::new([4, 6]))
        .add(Dense::new(6).activation(Activation::Tanh).named("first"))
        .add(layer.named("norm"))
        .add(Flatten)
        .add(Dense::new(2).named("last"));
    let sgd = Sgd { learning_rate: 0.0625, ..Sgd::default() };
    model.compile(sgd, Loss::MeanSquaredError, []).unwrap();
    model
}

fn of(name: &str) -> Sequential {
    match name {
        "batch" => net(BatchNormalization::new().momentum(0.875)),
        "batch axis 1" => net(BatchNormalization::new().axis(1).epsilon(0.03125).scale(false)),
        "batch frozen" => net(BatchNormalization::new().trainable(false)),
        "layer" => net(LayerNormalization::new()),
        "layer axes 1 and 2" => net(LayerNormalization::new().axes([1, 2]).center(false)),
        "group" => net(GroupNormalization::new(3)),
        "group axis 1" => net(GroupNormalization::new(2).axis(1)),
        "rms" => net(RmsNormalization::new()),
        "unit" => net(UnitNormalization::new()),
        other => panic!("{other} is none of the script's cases"),
    }
}

fn data(golden: &Value) -> Dataset {
    Dataset::new(precise(&golden["x"]), precise(&golden["y"])).unwrap()
}

fn fit(epochs: usize) -> Fit<'static> {
    Fit::new().epochs(epochs).batch_size(8).shuffle(false).verbose(0)
}

#[test]
fn losses_weights_and_states_are_keras() {
    let golden = fixture("keras-normalizations.json");
    let data = data(&golden);
    for (name, case) in golden["cases"].as_object().unwrap() {
        for (i, device) in executors().into_iter().enumerate() {
            // The first is the reference.
            let limit = if i == 0 { 1e-9 } else { 1e-4 };
            let mut model = of(name).device(device.clone());
            let paths = model.parameter_paths().unwrap();
            assert_eq!(paths.len(), case["start"].as_object().unwrap().len(), "{name}: {paths:?}");
            let at = |when: &str| paths.iter().map(|path| precise(&case[when][path])).collect::<Vec<_>>();
            model.set_weights(&at("start")).unwrap();
            let history = model.fit(&data, fit(20)).unwrap();
            let evaluated = model.evaluate(&data).unwrap().get("loss").unwrap();
            let losses = history.batch_losses().iter().copied().chain([evaluated]);
            let wanted = numbers(&case["losses"]).into_iter().chain(case["evaluated"].as_f64());
            for (step, (found, wanted)) in losses.zip(wanted).enumerate() {
                let apart = (found - wanted).abs() / wanted;
                assert!(apart < limit, "{name} on {device}: the loss of step {step} is {found}, Keras' {wanted}");
            }
            let predicted = model.predict(&data.x().head(3)).unwrap().values().to_f64();
            let wanted = numbers(&case["predicted"]["values"]);
            let apart = distance(&predicted, &wanted, &vec![0.0; wanted.len()]);
            assert!(apart < limit, "{name} on {device}: predictions are {apart:e} from Keras");
            let (found, wanted, start) = (model.weights().unwrap(), at("weights"), at("start"));
            for (((path, found), wanted), start) in paths.iter().zip(found).zip(wanted).zip(start) {
                let [found, wanted, start] = [found, wanted, start].map(|tensor| tensor.values().to_f64());
                // Nothing of a frozen layer moves.
                let apart = if wanted == start {
                    distance(&found, &wanted, &vec![0.0; start.len()])
                } else {
                    distance(&found, &wanted, &start)
                };
                assert!(apart < limit, "{name} on {device}: {path} is {apart:e} from Keras");
            }
        }
    }
}

#[test]
fn states_are_saved_resumed_and_restored_with_the_weights() {
    let golden = fixture("keras-normalizations.json");
    let (data, folder) = (data(&golden), TempDir::new().unwrap());
    let path = folder.path().join("norm.safetensors");
    for device in devices() {
        let model = || of("batch").device(device.clone());
        let summary = model().summary().unwrap();
        assert_eq!((summary.rows[1].parameters, summary.rows[1].non_trainable), (24, 12));
        let mut whole = model();
        whole.fit(&data, fit(4)).unwrap();
        let mut first = model();
        first.fit(&data, fit(2)).unwrap();
        first.save(&path).unwrap();
        let mut second = Sequential::load(&path).unwrap().device(device.clone());
        assert_eq!(second.weights().unwrap(), first.weights().unwrap());
        second.fit(&data, fit(4).initial_epoch(2)).unwrap();
        assert_eq!(second.weights().unwrap(), whole.weights().unwrap(), "{device}");
        // One step at a time, and looked at before each update.
        let mut looked_at = model();
        looked_at.fit(&data, fit(4).check_finite(CheckFinite::Step)).unwrap();
        assert_eq!(looked_at.weights().unwrap(), whole.weights().unwrap(), "{device}");
        let gradients = looked_at.gradients().unwrap();
        assert!(gradients[4..6].iter().all(|gradient| gradient.values().to_f64() == [0.0; 6]), "{device}");
        // The best epoch's states come back with its weights.
        let mut best = model();
        best.fit(&data, fit(1)).unwrap();
        let wanted = best.weights().unwrap();
        let worse = LambdaCallback::new().on_epoch_end(|run| {
            let epoch = run.epoch() as f64;
            run.log("rising", epoch);
            Ok(())
        });
        let stopping = EarlyStopping::new().monitor("rising").mode(Mode::Min).patience(2).restore_best_weights(true);
        let mut stopped = model();
        stopped.fit(&data, fit(10).callback(worse).callback(stopping)).unwrap();
        assert_eq!(stopped.weights().unwrap(), wanted, "{device}");
    }
}

#[test]
fn states_change_at_every_step_where_gradients_are_accumulated() {
    let golden = fixture("keras-normalizations.json");
    let data = data(&golden);
    for device in devices() {
        let moved = |optimizer: Box<dyn Optimizer>| {
            let mut model = of("batch").device(device.clone());
            model.compile(optimizer, Loss::MeanSquaredError, []).unwrap();
            model.fit(&data, fit(1)).unwrap();
            model.weights().unwrap()[4..6].to_vec()
        };
        // Nothing is learned, so that both see the same batches.
        let still = || Sgd { learning_rate: 1e-30, ..Sgd::default() };
        let (each, accumulated) = (moved(Box::new(still())), moved(Box::new(still().gradient_accumulation_steps(2))));
        assert_eq!(each, accumulated, "{device}");
        assert!(each[0].values().to_f64().iter().all(|&mean| mean != 0.0), "{device}");
        // Looked at before each update, too, whose mean of gradients must not go where a state waits.
        let trained = |check| {
            let mut model = of("batch").device(device.clone());
            let sgd = Sgd { learning_rate: 0.0625, ..Sgd::default() }.gradient_accumulation_steps(2);
            model.compile(sgd, Loss::MeanSquaredError, []).unwrap();
            model.fit(&data, fit(3).check_finite(check)).unwrap();
            model.weights().unwrap()
        };
        assert_eq!(trained(CheckFinite::Step), trained(CheckFinite::Epoch), "{device}");
    }
}

#[test]
fn settings_out_of_range_and_states_misused_are_named() {
    let refused = |layer: Box<dyn Fn() -> Sequential>, part: &str| says(layer().summary(), &["layer \"norm\"", part]);
    refused(Box::new(|| net(BatchNormalization::new().momentum(1.5))), "the momentum 1.5 is no share");
    refused(Box::new(|| net(BatchNormalization::new().axis(0))), "axis 0 of (1, 4, 6) is the samples'");
    refused(Box::new(|| net(BatchNormalization::new().axis(3))), "axis 3 is out of range");
    refused(Box::new(|| net(LayerNormalization::new().epsilon(0.0))), "epsilon is 0");
    refused(Box::new(|| net(LayerNormalization::new().axes([1, -2]))), "name one twice");
    refused(Box::new(|| net(GroupNormalization::new(4))), "6 features are not cut into 4 groups");
    let states = |set: &'static str, wrong: bool| {
        let layer = kiln::nn::layers::Lambda::new(move |scope, x| {
            scope.parameter("w", [2], Initializer::Zeros)?;
            let state = scope.state(if wrong { "w" } else { "s" }, [2], Initializer::Zeros)?;
            let other = scope.graph.fill(1.0, [3]);
            scope.set_state(set, if set == "s" { other } else { state })?;
            Ok(x.to_vec())
        });
        Sequential::new().add(Input::new([2])).add(layer.named("own")).summary()
    };
    says(states("t", false), &["layer \"own\"", "sets t, which is none of its states"]);
    says(states("w", false), &["sets w, which is none of its states"]);
    says(states("s", false), &["sets the state s of (2,) to f32 (3,)"]);
    says(states("s", true), &["asks for w as a weight and as a state"]);
}

/// A product before it, of random settings, and the shape of a sample that it takes.
fn product(seed: u64) -> (Box<dyn Layer>, Vec<usize>) {
    let drawn = random([16], seed).values().to_f32();
    let pick = |i: usize, n: usize| ((drawn[i] + 1.0) / 2.0 * n as f32) as usize;
    let [rows, columns, channels, filters] = [3 + pick(0, 6), 3 + pick(1, 6), 1 + pick(2, 5), 1 + pick(3, 9)];
    let (size, strides, bias) = ([1 + pick(4, 3), 1 + pick(5, 3)], 1 + pick(6, 2), pick(7, 2) == 0);
    let (images, sequences) = (vec![rows, columns, channels], vec![rows, channels]);
    match seed % 7 {
        0 => (Box::new(Conv2D::new(filters, size).strides(strides).use_bias(bias)), images),
        1 => (Box::new(Conv2DTranspose::new(filters, size).strides(strides).use_bias(bias)), images),
        2 => (Box::new(DepthwiseConv2D::new(size).depth_multiplier(1 + pick(8, 3)).use_bias(bias)), images),
        3 => (Box::new(Conv1D::new(filters, size[0]).strides(strides).use_bias(bias)), sequences),
        4 => (Box::new(Conv2D::new(4 * filters, size).use_bias(bias)), vec![rows, columns, 4 * channels]),
        5 => (Box::new(Dense::new(filters).use_bias(bias)), sequences),
        _ => (Box::new(Dense::new(4 * filters).use_bias(bias)), vec![4 * channels]),
    }
}

/// Weights of a model, random; variances above 0.
fn drawn(model: &Sequential, seed: u64) -> Vec<Tensor> {
    let parameters = model.parameters().unwrap().iter().zip(10 * seed..);
    let tensors = parameters.map(|(parameter, seed)| {
        let least = if parameter.name == "moving_variance" { 1.25 } else { 0.0 };
        let values = random(parameter.shape.clone(), seed).values().to_f32();
        Tensor::new(parameter.shape.clone(), values.iter().map(|x| x + least).collect::<Vec<_>>()).unwrap()
    });
    tensors.collect()
}

fn predicted(mut model: Sequential, weights: &[Tensor], x: &Tensor) -> Tensor {
    model.set_weights(weights).unwrap();
    model.predict(x).unwrap()
}

/// Where the layers stand in a model each, they cannot be one pass.
#[test]
fn behind_a_product_it_predicts_what_it_does_alone() {
    for (seed, device) in (0..14).flat_map(|seed| executors().into_iter().map(move |device| (seed, device))) {
        let (layer, sample) = product(seed);
        let said = format!("seed {seed}: {layer:?} on {device}");
        let net = |sample: &[usize]| Sequential::new().add(Input::new(sample)).device(device.clone());
        let activation = [Activation::Linear, Activation::Relu, Activation::Tanh][seed as usize % 3];
        let norm = || BatchNormalization::new().center(seed % 4 != 1).scale(seed % 5 != 2);
        let first = net(&sample).add(layer);
        let second = net(first.output_shape().unwrap()).add(norm()).add(activation);
        let both = net(&sample).add(product(seed).0).add(norm()).add(activation);
        let (weights, x) = (drawn(&both, seed), random([&[5], &sample[..]].concat(), 900 + seed));
        let (of_first, of_second) = weights.split_at(first.parameters().unwrap().len());
        let apart = predicted(second, of_second, &predicted(first, of_first, &x)).values().to_f64();
        let found = predicted(both, &weights, &x).values().to_f64();
        let far = distance(&found, &apart, &vec![0.0; apart.len()]);
        assert!(far < if device.is_gpu() { 1e-5 } else { 2e-6 }, "{said}: {far:e}");
    }
}
