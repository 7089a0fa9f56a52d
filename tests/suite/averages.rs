//! Moving averages of weights: Keras' losses and weights (`scripts/golden-averages`), what a step costs, runs that go on from
//! files, every way to run an epoch, layers that are thawed, bad settings.

use kiln::io::TensorFile;
use kiln::nn::optimizer;
use kiln::plan::BufferId;
use kiln::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{assert_near, assert_weight, devices, executors, fixture, numbers, optimizer_of, says, tensor};
use crate::options::{names, start};

const LAYERS: [&str; 4] = ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"];

fn data(golden: &Value) -> Dataset {
    Dataset::new(tensor([8, 3], &golden["x"]), tensor([8, 2], &golden["y"])).unwrap()
}

/// The script's net, built and compiled, with its first weights.
fn model_of(device: &Device, optimizer: impl Optimizer + 'static, others: &Value, golden: &Value) -> Sequential {
    let first = Dense::new(4).activation(Activation::Tanh);
    let first = match others["max_norm"].as_f64() {
        Some(most) => first.kernel_constraint(Constraint::max_norm(most)),
        None => first,
    };
    let mut model = Sequential::new()
        .add(Input::new([3]))
        .add(first.trainable(others["frozen"].as_bool() != Some(true)))
        .add(Dense::new(2))
        .device(device.clone());
    model.compile(optimizer, Loss::MeanSquaredError, []).unwrap();
    model.set_weights(&start(golden)).unwrap();
    model
}

fn model(device: &Device, optimizer: impl Optimizer + 'static) -> Sequential {
    model_of(device, optimizer, &Value::Null, &fixture("keras-averages.json"))
}

/// Three steps an epoch, the last one smaller.
fn fit(epochs: usize) -> Fit<'static> {
    Fit::new().epochs(epochs).batch_size(3).shuffle(false).verbose(0)
}

#[test]
fn losses_and_weights_are_keras() {
    let golden = fixture("keras-averages.json");
    let data = data(&golden);
    let validation = Dataset::new(tensor([4, 3], &golden["val_x"]), tensor([4, 2], &golden["val_y"])).unwrap();
    for (i, device) in executors().into_iter().enumerate() {
        // The first is the reference.
        let limit = if i == 0 { 1e-9 } else { 4e-6 };
        for (name, case) in golden["cases"].as_object().unwrap() {
            let who = format!("{name} on {device}");
            let mut model = model_of(
                &device,
                optimizer_of(&case["optimizer"], &case["others"]["excluded"]),
                &case["others"],
                &golden,
            );
            let mut fit = fit(4).validation_data(&validation);
            if let Some(on_epoch) = case["swap_on_epoch"].as_bool() {
                fit = fit.callback(SwapEmaWeights::new().swap_on_epoch(on_epoch));
            }
            let history = model.fit(&data, fit).unwrap();
            for (logged, wanted) in [("loss", "losses"), ("val_loss", "val_losses")] {
                for (&found, wanted) in history.get(logged).iter().zip(numbers(&case[wanted])) {
                    assert_near(found, wanted, limit, &format!("{who}, {logged}"));
                }
            }
            let evaluated = model.evaluate(&data).unwrap().get("loss").unwrap();
            assert_near(evaluated, case["evaluated"].as_f64().unwrap(), limit, &who);
            let weights = model.weights().unwrap();
            for (i, found) in weights.iter().enumerate() {
                let (found, start) = (found.values().to_f64(), numbers(&golden["start"][i]));
                let wanted = numbers(&case["weights"][i]);
                assert_weight(&found, &wanted, &start, limit, &format!("{who}: {}", LAYERS[i]));
            }
        }
    }
}

#[test]
fn a_step_pays_one_launch_and_one_without_pays_nothing() {
    let plan = |optimizer: Box<dyn Optimizer>| model(&Device::cpu(), optimizer).training_plan(3, 9).unwrap();
    let plain = names(&plan(Box::<Adam>::default()));
    assert!(!plain.contains(&"moving_average"));
    let averaged = plan(Box::new(Adam::default().use_ema(true)));
    assert_eq!(names(&averaged).iter().filter(|name| **name != "moving_average").count(), plain.len());
    assert_eq!(averaged.steps.len(), plain.len() + 1);
    // An arena behind those of the moments.
    assert!(averaged.buffers.iter().any(|buffer| (buffer.id, buffer.len) == (BufferId::Moment(2), 256)));
    let others = Adam::default().use_ema(true).gradient_accumulation_steps(2).exclude_from_weight_decay(["bias"]);
    let others = plan(Box::new(others));
    assert!(others.buffers.iter().any(|buffer| buffer.id == BufferId::Moment(3)));
}

/// A file that is written at the end of an epoch, with the weights themselves or their averages.
#[test]
fn a_run_goes_on_from_a_checkpoint_to_the_bit() {
    let (folder, golden) = (TempDir::new().unwrap(), fixture("keras-averages.json"));
    let (path, data) = (folder.path().join("checkpoint"), data(&golden));
    let ema = || Adam::default().use_ema(true).ema_momentum(0.5);
    let optimizers: [fn() -> Box<dyn Optimizer>; 2] = [
        || Box::new(Adam::default().use_ema(true).ema_momentum(0.5)),
        || Box::new(Sgd::default().use_ema(true).ema_overwrite_frequency(2).gradient_accumulation_steps(2)),
    ];
    for device in devices() {
        for (make, swaps) in optimizers.iter().flat_map(|make| [(make, false), (make, true)]) {
            let swap = || SwapEmaWeights::new().swap_on_epoch(swaps);
            let mut whole = model(&device, make());
            let file = path.clone();
            let write = LambdaCallback::new().on_epoch_end(move |run| match run.epoch() {
                2 => run.save(&file, false),
                _ => Ok(()),
            });
            whole.fit(&data, fit(4).callback(swap()).callback(write)).unwrap();
            let mut second = Sequential::load(&path).unwrap().device(device.clone());
            second.fit(&data, fit(4).initial_epoch(2).callback(swap())).unwrap();
            let [a, b] = [(&mut whole, "whole"), (&mut second, "resumed")].map(|(model, name)| {
                let path = folder.path().join(name);
                model.save(&path).unwrap();
                std::fs::read(path).unwrap()
            });
            assert_eq!(a, b, "{:?} on {device}, swapped: {swaps}", make());
        }
        // The file of the averages predicts by them: training them further is another run's.
        let mut ended = model(&device, ema());
        ended.fit(&data, fit(2)).unwrap();
        let mut swapped = model(&device, ema());
        let file = path.clone();
        let write = LambdaCallback::new().on_epoch_end(move |run| run.save(&file, false));
        swapped.fit(&data, fit(2).callback(SwapEmaWeights::new().swap_on_epoch(true)).callback(write)).unwrap();
        let mut loaded = Sequential::load(&path).unwrap().device(device.clone());
        assert_eq!(loaded.weights().unwrap(), ended.weights().unwrap(), "{device}");
        let averages = TensorFile::read(&path).unwrap().tensor("optimizer/dense/kernel/average").unwrap().clone();
        assert_ne!(averages, loaded.weights().unwrap()[0], "{device}: the weights themselves are kept, too");
        // What is set then is what is trained, and the averages go back to their place, on the device or before it is asked.
        let mut direct = Sequential::load(&path).unwrap().device(device.clone());
        direct.set_weights(&start(&golden)).unwrap();
        assert_eq!(direct.weights().unwrap(), start(&golden), "{device}");
        direct.save(&path).unwrap();
        let averages = TensorFile::read(&path).unwrap().tensor("optimizer/dense/kernel/average").unwrap().clone();
        assert_eq!(averages, ended.weights().unwrap()[0], "{device}");
        loaded.set_weights(&start(&golden)).unwrap();
        assert_eq!(loaded.weights().unwrap(), start(&golden), "{device}");
    }
}

#[test]
fn steps_seen_one_by_one_change_no_bit() {
    let data = data(&fixture("keras-averages.json"));
    for device in devices() {
        let trained = |fit: Fit<'_>| {
            let optimizer = Sgd::default().use_ema(true).ema_overwrite_frequency(4).gradient_accumulation_steps(2);
            let mut model = model(&device, optimizer);
            model.fit(&data, fit).unwrap();
            model.weights().unwrap()
        };
        let plain = trained(fit(5));
        assert_eq!(trained(fit(5).check_finite(CheckFinite::Step)), plain, "{device}");
        assert_eq!(trained(fit(5).callback(LambdaCallback::new().on_batch_end(|_| Ok(())))), plain, "{device}");
    }
}

#[test]
fn a_run_that_is_stopped_ends_with_the_averages_too() {
    let data = data(&fixture("keras-averages.json"));
    let optimizer = || Sgd::default().use_ema(true).ema_momentum(0.5);
    for device in devices() {
        let mut two = model(&device, optimizer());
        two.fit(&data, fit(2)).unwrap();
        for swaps in [false, true] {
            let mut stopped = model(&device, optimizer());
            let stop = LambdaCallback::new().on_epoch_end(|run| {
                if run.epoch() == 2 {
                    run.stop_training();
                }
                Ok(())
            });
            stopped.fit(&data, fit(9).callback(SwapEmaWeights::new().swap_on_epoch(swaps)).callback(stop)).unwrap();
            assert_eq!(stopped.weights().unwrap(), two.weights().unwrap(), "{device}, swapped: {swaps}");
        }
        // No epoch, nothing changes.
        let mut none = model(&device, optimizer());
        none.fit(&data, fit(2).initial_epoch(2)).unwrap();
        assert_eq!(none.weights().unwrap(), start(&fixture("keras-averages.json")), "{device}");
    }
}

#[test]
fn a_file_of_averages_that_no_optimizer_keeps_is_refused() {
    let (folder, data) = (TempDir::new().unwrap(), data(&fixture("keras-averages.json")));
    let path = folder.path().join("lies");
    let file = path.clone();
    let write = LambdaCallback::new().on_epoch_end(move |run| run.save(&file, false));
    let mut swapped = model(&Device::cpu(), Sgd::default().use_ema(true));
    swapped.fit(&data, fit(1).callback(SwapEmaWeights::new().swap_on_epoch(true)).callback(write)).unwrap();
    let file = TensorFile::read(&path).unwrap();
    let text = file.metadata("kiln").unwrap().replace("\"use_ema\":true", "\"use_ema\":false");
    file.with_metadata("kiln", text).write(&path).unwrap();
    says(Sequential::load(&path), &["lies", "setting \"averaged\"", "keeps no averages"]);
}

/// The averages of weights that were frozen begin with the weights, not with nothing.
#[test]
fn a_layer_that_is_thawed_is_averaged_from_its_weights_on() {
    let golden = fixture("keras-averages.json");
    let (data, folder) = (data(&golden), TempDir::new().unwrap());
    let path = folder.path().join("frozen");
    let others = serde_json::json!({ "frozen": true });
    for device in devices() {
        let frozen = || {
            let optimizer = Sgd { learning_rate: 1e-3, ..Sgd::default() }.use_ema(true);
            let mut model = model_of(&device, optimizer, &others, &golden);
            model.fit(&data, fit(2)).unwrap();
            model
        };
        let mut here = frozen();
        here.set_trainable("dense", true).unwrap();
        frozen().save(&path).unwrap();
        let mut loaded = Sequential::load(&path).unwrap().device(device.clone());
        loaded.set_trainable("dense", true).unwrap();
        for model in [&mut here, &mut loaded] {
            model.fit(&data, fit(3).initial_epoch(2)).unwrap();
            let (found, start) = (model.weights().unwrap()[0].values().to_f64(), numbers(&golden["start"][0]));
            assert!(found != start, "{device}: nothing was trained");
            let far = found.iter().zip(start).map(|(found, start)| (found - start).abs()).fold(0.0, f64::max);
            assert!(far < 0.01, "{device}: {far} from where it was");
        }
        assert_eq!(here.weights().unwrap(), loaded.weights().unwrap(), "{device}");
    }
}

#[test]
fn they_are_kept_by_every_holder_of_an_optimizer_and_in_files() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model");
    let schedule = CosineDecay::new(0.1, 10);
    let holders: [Box<dyn Optimizer>; 3] = [
        Box::new(Adam::default().use_ema(true).ema_momentum(0.5).ema_overwrite_frequency(7)),
        Box::new(Scheduled::new(Lion::default().use_ema(true).ema_momentum(0.5).ema_overwrite_frequency(7), schedule)),
        Box::new(optimizer::by_name("nadam").unwrap().ema_overwrite_frequency(7).ema_momentum(0.5).use_ema(true)),
    ];
    for holder in holders {
        let (text, moments) = (format!("{holder:?}"), holder.moments());
        model(&Device::cpu(), holder).save(&path).unwrap();
        assert_eq!(TensorFile::read(&path).unwrap().names().count(), 4 * (1 + moments + 1), "{text}");
        let loaded = Sequential::load(&path).unwrap();
        let options = loaded.optimizer().unwrap().options();
        let kept = (options.use_ema, options.ema_momentum, options.ema_overwrite_frequency);
        assert_eq!(kept, (true, 0.5, Some(7)), "{text}");
    }
}

#[test]
fn bad_settings_are_refused() {
    let refused = |optimizer: Box<dyn Optimizer>, parts: &[&str]| {
        says(Sequential::new().add(Dense::new(2)).compile(optimizer, Loss::MeanSquaredError, []), parts);
    };
    refused(Box::new(Sgd::default().use_ema(true).ema_momentum(1.5)), &["ema_momentum: 1.5", "0 to 1"]);
    refused(Box::new(Sgd::default().use_ema(true).ema_momentum(f64::NAN)), &["ema_momentum: NaN"]);
    refused(Box::new(Sgd::default().use_ema(true).ema_overwrite_frequency(0)), &["ema_overwrite_frequency: 0"]);
    refused(Box::new(Sgd::default().ema_momentum(0.5)), &["ema_momentum: ", "use_ema(true)"]);
    refused(Box::new(Sgd::default().ema_overwrite_frequency(5)), &["ema_overwrite_frequency: ", "use_ema(true)"]);
    let data = data(&fixture("keras-averages.json"));
    let mut plain = model(&Device::cpu(), Sgd::default());
    says(plain.fit(&data, fit(1).callback(SwapEmaWeights::new())), &["use_ema", "keeps no averages"]);
}

/// A predictor reads the weights' memory: whoever moves averages over then still reads and writes the model's own.
#[test]
fn a_predictor_beside_changes_no_average() {
    let golden = fixture("keras-averages.json");
    let data = data(&golden);
    for device in devices() {
        let end = |asked: bool| {
            let mut model = model(&device, Adam::new(0.05).use_ema(true));
            model.set_trainable("dense", false).unwrap();
            model.fit(&data, fit(2)).unwrap();
            let predictor = asked.then(|| model.predictor().unwrap());
            let before = predictor.as_ref().map(|predictor| predictor.predict(data.x()).unwrap());
            model.set_trainable("dense", true).unwrap();
            model.fit(&data, fit(4)).unwrap();
            assert_eq!(before, predictor.map(|predictor| predictor.predict(data.x()).unwrap()), "{device}");
            model.weights().unwrap()
        };
        assert_eq!(end(true), end(false), "{device}");
    }
}
