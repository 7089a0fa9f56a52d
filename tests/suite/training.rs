//! Training as a whole: repeatable to the bit, the same on every device up to rounding, and as Keras cuts batches.

use kiln::nn::optimizer::{NAMES, by_name};
use kiln::prelude::*;

use crate::common::{devices, executors};

/// 210 samples of 12 numbers in 3 classes that a small net can tell apart; 210 is no multiple of the batches.
fn samples(n: usize) -> Dataset {
    let mut state = 12345u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0
    };
    let labels: Vec<u32> = (0..n as u32).map(|i| i * 7 % 3).collect();
    let x: Vec<f32> = labels
        .iter()
        .flat_map(|&label| (0..12).map(move |j| (label, j)).collect::<Vec<_>>())
        .map(|(label, j)| next() - 0.5 + if j % 3 == label { 0.7 } else { 0.0 })
        .collect();
    Dataset::new(Tensor::new([n, 12], x).unwrap(), Tensor::new([n], labels).unwrap()).unwrap()
}

fn model(device: &Device, optimizer: impl Optimizer + 'static) -> Sequential {
    model_with_dropout(device, optimizer, 0.0)
}

fn model_with_dropout(device: &Device, optimizer: impl Optimizer + 'static, rate: f64) -> Sequential {
    let mut model = Sequential::new()
        .add(Dense::new(17).activation(Activation::Relu))
        .add(Dropout::new(rate))
        .add(Dense::new(9).activation(Activation::Sigmoid))
        .add(Dense::new(3).activation(Activation::Softmax))
        .seed(3)
        .device(device.clone());
    model.build([12]).unwrap();
    model.compile(optimizer, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    model
}

/// The bits of all weights and losses after three epochs.
fn bits(device: &Device, steps_per_submit: Option<usize>) -> (Vec<u64>, Vec<u64>) {
    let mut model = model_with_dropout(device, Adam::default(), 0.2);
    model.set_steps_per_submit(steps_per_submit).unwrap();
    let history = model.fit(&samples(210), Fit::new().epochs(3).batch_size(8).verbose(0)).unwrap();
    let weights = model.weights().unwrap().iter().flat_map(|t| t.values().to_f64()).map(f64::to_bits).collect();
    (weights, history.batch_losses().iter().map(|x| x.to_bits()).collect())
}

#[test]
fn two_runs_on_one_device_are_the_same_to_the_bit() {
    for device in devices() {
        assert!(bits(&device, None) == bits(&device, None), "{device}");
    }
}

#[test]
fn how_steps_are_grouped_changes_no_bit() {
    for device in devices() {
        let one = bits(&device, Some(1));
        for steps in [7, 64] {
            assert!(bits(&device, Some(steps)) == one, "{device}: {steps} steps a submit");
        }
    }
}

#[test]
fn the_first_step_is_told_once_and_by_looking_changes_no_bit() {
    for device in devices() {
        let train = |fit: Fit<'_>| {
            let mut model = model_with_dropout(&device, Adam::default(), 0.2);
            model.fit(&samples(210), fit.epochs(2).batch_size(70).verbose(0)).unwrap().batch_losses().to_vec()
        };
        let plain = train(Fit::new());
        for when in [CheckFinite::Epoch, CheckFinite::Step] {
            let mut calls = 0;
            let told = train(Fit::new().check_finite(when).on_first_step(|| calls += 1));
            assert_eq!((calls, &told), (1, &plain), "{device}, {when:?}");
        }
    }
}

#[test]
fn every_device_trains_alike_up_to_rounding() {
    let mut optimizers: Vec<Box<dyn Fn() -> Box<dyn Optimizer>>> = vec![
        Box::new(|| Box::new(Sgd { learning_rate: 0.05, momentum: 0.9, nesterov: true, ..Sgd::default() })),
        Box::new(|| Box::new(RmsProp { momentum: 0.5, centered: true, epsilon: 1e-3, ..RmsProp::default() })),
        Box::new(|| Box::new(Adam { amsgrad: true, weight_decay: 0.5, ..Adam::default() })),
    ];
    // Lion goes by the sign of a sum: where rounding turns it, two right runs part.
    for name in NAMES.into_iter().filter(|name| *name != "lion") {
        optimizers.push(Box::new(move || by_name(name).unwrap()));
    }
    for optimizer in optimizers {
        let run = |device: &Device| {
            let mut model = model_with_dropout(device, optimizer(), 0.2);
            let fit = Fit::new().epochs(4).batch_size(32).validation_split(0.2).verbose(0);
            let history = model.fit(&samples(210), fit).unwrap();
            let losses = [history.batch_losses().to_vec(), history.get("val_loss")].concat();
            (losses, model.predict(samples(210).x()).unwrap().values().to_f64())
        };
        let (losses, predictions) = run(&Device::reference());
        for device in devices() {
            let (l, p) = run(&device);
            let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart(&l, &losses) < 1e-5 && l.len() == losses.len(), "{device}: losses {:e}", apart(&l, &losses));
            assert!(apart(&p, &predictions) < 1e-5 && p.len() == predictions.len(), "{device}: predictions");
        }
    }
}

#[test]
fn every_optimizer_trains_at_a_learning_rate_of_its_own() {
    let rate = |name| match name {
        "sgd" | "adagrad" => 0.1,
        // In the paper's units.
        "adadelta" => 3.0,
        "lion" => 0.003,
        _ => 0.01,
    };
    for (device, name) in devices().iter().flat_map(|device| NAMES.map(|name| (device, name))) {
        let mut optimizer = by_name(name).unwrap();
        optimizer.set_learning_rate(rate(name));
        let mut model = model(device, optimizer);
        model.fit(&samples(210), Fit::new().epochs(30).batch_size(16).verbose(0)).unwrap();
        let accuracy = model.evaluate(&samples(210)).unwrap().get("accuracy").unwrap();
        assert!(accuracy > 0.85, "{device}: {name} reaches {accuracy}");
    }
}

#[test]
fn moments_start_where_the_optimizer_says() {
    // From 0 the first step of Adagrad is the learning rate for any gradient; from a large sum next to nothing.
    for (initial_accumulator_value, range) in [(0.0, 0.009..0.0101), (1e6, 1e-9..1e-4)] {
        for device in devices() {
            let adagrad = Adagrad { learning_rate: 0.01, initial_accumulator_value, ..Adagrad::default() };
            let mut model = model(&device, adagrad);
            let before = model.weights().unwrap();
            model.fit(&samples(32), Fit::new().batch_size(32).verbose(0)).unwrap();
            let moved = model.weights().unwrap().into_iter().zip(before).flat_map(|(after, before)| {
                let pairs = after.values().to_f64().into_iter().zip(before.values().to_f64());
                pairs.map(|(a, b)| (a - b).abs()).collect::<Vec<_>>()
            });
            let most = moved.fold(0.0, f64::max);
            assert!(range.contains(&most), "{device}: from {initial_accumulator_value} it moves by {most}");
        }
    }
}

#[test]
fn a_dense_layer_starts_as_told() {
    let x = Tensor::new([2, 3], vec![1.0f32, 2.0, 3.0, -1.0, 0.0, 5.0]).unwrap();
    for device in devices() {
        let predict = |layer: Dense| {
            let mut model = Sequential::new().add(layer).device(device.clone());
            let y = model.predict(&x)?.values().to_f32();
            Ok::<_, Error>((y, model.weights()?.len()))
        };
        let ones = Dense::new(2).kernel_initializer(Initializer::Ones);
        let biased = ones.clone().bias_initializer(Initializer::Constant(-7.0));
        assert_eq!(predict(biased.clone()).unwrap(), (vec![-1.0, -1.0, -3.0, -3.0], 2), "{device}");
        assert_eq!(predict(biased.clone().use_bias(false)).unwrap(), (vec![6.0, 6.0, 4.0, 4.0], 1), "{device}");
        let bent = biased.use_bias(false).activation(Activation::Relu);
        let negative = bent.kernel_initializer(Initializer::Constant(-1.0));
        assert_eq!(predict(negative).unwrap().0, [0.0; 4], "{device}");
        let refused = predict(ones.bias_initializer(Initializer::Orthogonal(1.0))).unwrap_err().to_string();
        assert!(refused.contains("\"dense\"") && refused.contains("bias") && refused.contains("axes"), "{refused}");
    }
}

#[test]
fn layers_without_bias_train_alike_on_every_device() {
    let run = |device: &Device| {
        let hidden = Dense::new(8).use_bias(false).activation(Activation::Tanh);
        let mut model = Sequential::new()
            .add(hidden.kernel_initializer(Initializer::Orthogonal(1.0)))
            .add(Dense::new(3).use_bias(false).kernel_initializer(Initializer::HeNormal))
            .device(device.clone());
        model.compile(Sgd::default(), Loss::SparseCategoricalCrossentropyFromLogits, []).unwrap();
        let history = model.fit(&samples(210), Fit::new().epochs(2).verbose(0)).unwrap();
        history.batch_losses().to_vec()
    };
    let wanted = run(&Device::reference());
    for device in devices() {
        let found = run(&device);
        let apart = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart < 1e-5 && found.len() == wanted.len(), "{device}: {apart:e} apart");
    }
}

/// The kernels of GPUs, a product in parts among them, on whatever adapter there is.
#[cfg(feature = "gpu")]
#[test]
fn the_kernels_of_gpus_train_alike_and_repeatably() {
    use kiln::ops::{AdapterKind, Target};
    let run = |device: &Device| {
        let mut model = Sequential::new()
            .add(Dense::new(300).activation(Activation::Relu))
            .add(Dense::new(3).activation(Activation::Softmax))
            .device(device.clone());
        model.build([12]).unwrap();
        model.compile(Adam::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
        let start: Vec<f64> = model.weights().unwrap().iter().flat_map(|t| t.values().to_f64()).collect();
        model.fit(&samples(210), Fit::new().epochs(2).batch_size(40).verbose(0)).unwrap();
        let end: Vec<f64> = model.weights().unwrap().iter().flat_map(|t| t.values().to_f64()).collect();
        (start, end)
    };
    let gpu = crate::common::adapter().with_kernels_for(Target::new(AdapterKind::Hardware));
    let ((start, found), (_, wanted)) = (run(&gpu), run(&Device::reference()));
    let far = crate::common::distance(&found, &wanted, &start);
    assert!(far < 1e-4, "{far}");
    assert!(run(&gpu).1 == found);
}

#[test]
fn a_net_learns() {
    for device in devices() {
        let mut model = model(&device, Adam { learning_rate: 0.01, ..Adam::default() });
        let data = samples(210);
        let before = model.evaluate(&data).unwrap().get("accuracy").unwrap();
        let history = model.fit(&data, Fit::new().epochs(30).batch_size(16).verbose(0)).unwrap();
        let after = model.evaluate(&data).unwrap();
        assert!(before < 0.7 && after.get("accuracy").unwrap() > 0.9, "{device}: {before} to {after:?}");
        let losses = history.get("loss");
        assert!(losses[29] < losses[0] / 2.0, "{device}: {losses:?}");
    }
}

#[test]
fn the_short_last_batch_counts_by_its_size() {
    // Without training (a vanishing step), the mean over an epoch's batches is the mean over the samples.
    for device in devices() {
        let mut model = model(&device, Sgd { learning_rate: 1e-30, ..Sgd::default() });
        let data = samples(101);
        let epoch = model.fit(&data, Fit::new().batch_size(25).verbose(0)).unwrap();
        assert_eq!(epoch.batch_losses().len(), 5);
        let whole = model.evaluate(&data).unwrap();
        for name in ["loss", "accuracy"] {
            let (mean, all) = (epoch.get(name)[0], whole.get(name).unwrap());
            assert!((mean - all).abs() < 1e-6, "{device}: {name} {mean} {all}");
        }
    }
}

#[test]
fn validation_takes_the_last_samples_and_does_not_train_on_them() {
    for device in devices() {
        let data = samples(100);
        let (train, held_back) = data.split_at(80);
        let fit = || Fit::new().epochs(2).batch_size(16).verbose(0);
        let (mut by_split, mut by_data) = (model(&device, RmsProp::default()), model(&device, RmsProp::default()));
        let a = by_split.fit(&data, fit().validation_split(0.2)).unwrap();
        let b = by_data.fit(&train, fit().validation_data(&held_back)).unwrap();
        assert_eq!(a, b, "{device}");
        assert_eq!(by_split.weights().unwrap(), by_data.weights().unwrap(), "{device}");
        let last = by_data.evaluate(&held_back).unwrap();
        assert_eq!(b.get("val_loss")[1], last.get("loss").unwrap(), "{device}");
    }
}

#[test]
fn shuffling_follows_the_seed() {
    let device = Device::cpu();
    let run = |fit: Fit<'_>| model(&device, Sgd::default()).fit(&samples(100), fit.batch_size(10).verbose(0)).unwrap();
    assert_eq!(run(Fit::new().seed(5)), run(Fit::new().seed(5)));
    assert_ne!(run(Fit::new().seed(5)), run(Fit::new().seed(6)));
    assert_ne!(run(Fit::new().seed(5)), run(Fit::new().shuffle(false)));
}

#[test]
fn predictions_are_probabilities_in_the_order_of_the_samples() {
    for device in devices() {
        let mut model = model(&device, Adam { learning_rate: 0.02, ..Adam::default() });
        let data = samples(1203);
        model.fit(&data, Fit::new().epochs(5).batch_size(32).verbose(0)).unwrap();
        let y = model.predict(data.x()).unwrap();
        assert_eq!(*y.shape().to_vec(), [1203, 3]);
        let y = y.values().to_f32();
        let hits = y.chunks(3).zip(data.y().values().to_f64()).filter(|(row, label)| {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{row:?}");
            row.iter().all(|p| *p <= row[*label as usize])
        });
        let share = hits.count() as f64 / 1203.0;
        let accuracy = model.evaluate(&data).unwrap().get("accuracy").unwrap();
        assert!((share - accuracy).abs() < 1e-9, "{device}: {share} {accuracy}");
    }
}

#[test]
fn pixels_train_as_their_scaled_floats() {
    let pixels: Vec<u8> = (0..60 * 9).map(|i| (i * 37 % 256) as u8).collect();
    let floats: Vec<f32> = pixels.iter().map(|&p| f32::from(p) * (1.0 / 255.0)).collect();
    let y = Tensor::new([60], (0..60).map(|i| i % 2).collect::<Vec<u32>>()).unwrap();
    for device in devices() {
        let run = |x: Tensor| {
            let mut model = Sequential::new()
                .add(Flatten)
                .add(Dense::new(4).activation(Activation::Tanh))
                .add(Dense::new(2))
                .device(device.clone());
            let loss = Loss::SparseCategoricalCrossentropyFromLogits;
            model.compile(Sgd::default(), loss, []).unwrap();
            model.fit(&Dataset::new(x, y.clone()).unwrap(), Fit::new().batch_size(7).verbose(0)).unwrap();
            model.weights().unwrap()
        };
        let bytes = run(Tensor::new([60, 3, 3], pixels.clone()).unwrap());
        assert_eq!(bytes, run(Tensor::new([60, 3, 3], floats.clone()).unwrap()), "{device}");
    }
}

/// As a file takes a model there: in the middle of a run, with the state of an optimizer that has some.
#[test]
fn a_model_moves_to_another_device_with_all_it_learned() {
    let fit = |model: &mut Sequential| {
        let fit = Fit::new().initial_epoch(model.epoch()).epochs(model.epoch() + 2).batch_size(40).verbose(0);
        (model.fit(&samples(210), fit).unwrap().batch_losses().to_vec(), model.weights().unwrap())
    };
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("model.safetensors");
    for from in executors() {
        let mut model = model_with_dropout(&from, Adam::default(), 0.2);
        let there = fit(&mut model).1;
        for to in executors() {
            model.save(&file).unwrap();
            let wanted = fit(&mut Sequential::load(&file).unwrap().device(to.clone()));
            // Back and forth before anything is asked of it: only the last place counts.
            let mut moved = Sequential::load(&file).unwrap().device(from.clone());
            assert_eq!(moved.weights().unwrap(), there, "{from}");
            let mut moved = moved.device(Device::cpu()).device(to.clone());
            assert!(fit(&mut moved) == wanted, "{from} to {to}");
        }
    }
}

#[test]
fn a_model_that_is_compiled_after_its_move_starts_its_optimizer_anew() {
    let cpu = Device::cpu();
    let compile = |model: &mut Sequential| {
        model.compile(Adamax::default(), Loss::SparseCategoricalCrossentropy, []).unwrap();
        model.set_trainable("dense", false).unwrap();
        model.fit(&samples(210), Fit::new().verbose(0)).unwrap();
        model.weights().unwrap()
    };
    for device in devices() {
        let mut first = model(&cpu, Adam::default());
        first.fit(&samples(210), Fit::new().verbose(0)).unwrap();
        let mut second = model(&device, Adam::default());
        second.build([12]).unwrap();
        second.set_weights(&first.weights().unwrap()).unwrap();
        let wanted = compile(&mut second);
        assert_eq!(compile(&mut first.device(device.clone())), wanted, "{device}");
    }
}

#[test]
fn dropout_acts_in_training_only() {
    for device in devices() {
        let data = samples(200);
        let still = || Sgd { learning_rate: 1e-30, ..Sgd::default() };
        let mut dropping = model_with_dropout(&device, still(), 0.5);
        let trained = dropping.fit(&data, Fit::new().batch_size(50).verbose(0)).unwrap().get("loss")[0];
        let evaluated = dropping.evaluate(&data).unwrap().get("loss").unwrap();
        assert_eq!(evaluated, model(&device, still()).evaluate(&data).unwrap().get("loss").unwrap(), "{device}");
        assert!((trained - evaluated).abs() > 1e-4, "{device}: {trained} {evaluated}");
    }
}
