//! Accumulated gradients: what steps cost with and without, runs stopped within a cycle, every way to run an epoch, saved
//! settings, bad values. Keras' own runs are in `options.rs`.

use kiln::io::TensorFile;
use kiln::nn::optimizer;
use kiln::plan::BufferId;
use kiln::prelude::*;
use kiln::train::CheckFinite;
use tempfile::TempDir;

use crate::common::{devices, fixture};
use crate::options::{long_data, model, names, plan, start};

/// Three steps an epoch, the last one smaller.
fn fit(epochs: usize) -> Fit<'static> {
    Fit::new().epochs(epochs).batch_size(3).verbose(0)
}

/// The net of `options.rs`, at the start that Keras has.
fn started(device: &Device, optimizer: impl Optimizer + 'static) -> Sequential {
    let mut model = model(device, optimizer);
    model.set_weights(&start(&fixture("keras-options.json"))).unwrap();
    model
}

#[test]
fn a_step_pays_one_launch_and_one_without_pays_nothing() {
    let plain = names(&plan(Sgd::default()));
    assert!(!plain.contains(&"accumulate"));
    let summed = names(&plan(Sgd::default().gradient_accumulation_steps(2)));
    let without: Vec<_> = summed.iter().copied().filter(|name| *name != "accumulate").collect();
    assert_eq!((without, summed.len()), (plain.clone(), plain.len() + 1));
    // As many as clipping costs otherwise; gradients scaled in place are copied.
    let [alone, summed] = [false, true].map(|accumulates| {
        let launches = |optimizer: Box<dyn Optimizer>| match accumulates {
            true => plan(optimizer.gradient_accumulation_steps(2)).steps.len(),
            false => plan(optimizer).steps.len(),
        };
        [launches(Box::new(Sgd::default().clip_value(1.0))), launches(Box::new(Sgd::default().clip_norm(1.0)))]
    });
    assert_eq!(summed, [alone[0] + 1, alone[1] + 1 + 4]);
    let plan = plan(Adam::default().gradient_accumulation_steps(2));
    assert!(plan.buffers.iter().any(|buffer| (buffer.id, buffer.len) == (BufferId::Moment(2), 256)));
}

#[test]
fn a_run_stopped_within_a_cycle_ends_as_one_that_was_not() {
    let (folder, data) = (TempDir::new().unwrap(), long_data(&fixture("keras-options.json")));
    let path = |name: &str| folder.path().join(name);
    let optimizers: [fn() -> Box<dyn Optimizer>; 3] = [
        || Box::new(Sgd::default().gradient_accumulation_steps(2)),
        || Box::new(Adam::default().clip_norm(0.25).gradient_accumulation_steps(5)),
        || Box::new(Scheduled::new(Adagrad::default().gradient_accumulation_steps(4), CosineDecay::new(0.1, 20))),
    ];
    for device in devices() {
        for make in optimizers {
            let mut whole = started(&device, make());
            whole.fit(&data, fit(4)).unwrap();
            let mut first = started(&device, make());
            first.fit(&data, fit(1)).unwrap();
            first.save(path("stopped")).unwrap();
            let file = TensorFile::read(path("stopped")).unwrap();
            let sums = file.tensor("optimizer/dense/kernel/gradient_accumulator").unwrap();
            assert!(sums.values().to_f64().iter().any(|&x| x != 0.0), "{device}: nothing was under way");
            let mut second = Sequential::load(path("stopped")).unwrap().device(device.clone());
            second.fit(&data, fit(4).initial_epoch(1)).unwrap();
            let [a, b] = [(&mut whole, "whole"), (&mut second, "resumed")].map(|(model, name)| {
                model.save(path(name)).unwrap();
                std::fs::read(path(name)).unwrap()
            });
            assert_eq!(a, b, "{:?} on {device}", make());
        }
    }
}

#[test]
fn weights_change_at_updates_alone() {
    let data = long_data(&fixture("keras-options.json"));
    for device in devices() {
        let mut model = started(&device, Adam::default().gradient_accumulation_steps(4));
        let mut updated = Vec::new();
        let mut last = model.weights().unwrap();
        let look = LambdaCallback::new().on_batch_end(|run| {
            let weights = run.weights()?;
            if weights != last {
                updated.push(run.iteration());
            }
            last = weights;
            Ok(())
        });
        model.fit(&data, fit(5).callback(look)).unwrap();
        assert_eq!(updated, [4, 8, 12], "{device}");
    }
}

#[test]
fn steps_seen_one_by_one_change_no_bit() {
    let data = long_data(&fixture("keras-options.json"));
    for device in devices() {
        let trained = |fit: Fit<'_>| {
            let mut model = started(&device, Adam::default().global_clip_norm(0.5).gradient_accumulation_steps(2));
            let history = model.fit(&data, fit).unwrap();
            (history.batch_losses().to_vec(), model.weights().unwrap())
        };
        let plain = trained(fit(5));
        assert_eq!(trained(fit(5).check_finite(CheckFinite::Step)), plain, "{device}");
        assert_eq!(trained(fit(5).callback(LambdaCallback::new().on_batch_end(|_| Ok(())))), plain, "{device}");
    }
}

/// Batches of one size: their gradients' mean is the gradient of all their rows.
#[test]
fn small_batches_make_the_update_of_a_large_one() {
    let data = long_data(&fixture("keras-options.json"));
    for device in devices() {
        let trained = |optimizer: Box<dyn Optimizer>, batch: usize| {
            let mut model = started(&device, optimizer);
            model.fit(&data, fit(3).shuffle(false).batch_size(batch)).unwrap();
            (model.weights().unwrap(), model.gradients().unwrap())
        };
        let (small, small_mean) = trained(Box::new(Sgd::default().clip_norm(0.5).gradient_accumulation_steps(4)), 2);
        let (large, gradients) = trained(Box::new(Sgd::default().clip_norm(0.5)), 8);
        for (a, b) in small.iter().chain(&small_mean).zip(large.iter().chain(&gradients)) {
            let pairs = a.values().to_f64().into_iter().zip(b.values().to_f64());
            pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{device}: {a} and {b}"));
        }
    }
}

#[test]
fn it_is_kept_by_every_holder_of_an_optimizer_and_in_files() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model");
    let schedule = CosineDecay::new(0.1, 10);
    let holders: [Box<dyn Optimizer>; 4] = [
        Box::new(Adam::default().gradient_accumulation_steps(3).clip_norm(0.5)),
        Box::new(Scheduled::new(Sgd::default().clip_norm(0.5).gradient_accumulation_steps(3), schedule)),
        Box::new(Scheduled::new(Sgd::default().clip_norm(0.5), schedule).gradient_accumulation_steps(3)),
        optimizer::by_name("lion").map(|lion| Box::new(lion.clip_norm(0.5).gradient_accumulation_steps(3))).unwrap(),
    ];
    for holder in holders {
        let (text, moments) = (format!("{holder:?}"), holder.moments());
        model(&Device::cpu(), holder).save(&path).unwrap();
        let tensors = TensorFile::read(&path).unwrap().names().count();
        assert_eq!(tensors, 4 * (1 + moments + 1), "{text}");
        let loaded = Sequential::load(&path).unwrap();
        let options = loaded.optimizer().unwrap().options();
        assert_eq!((options.gradient_accumulation_steps, options.clip_norm), (Some(3), Some(0.5)), "{text}");
    }
}

#[test]
fn fewer_than_two_steps_are_refused() {
    for bad in [0, 1] {
        let mut model = Sequential::new().add(Dense::new(2));
        let optimizer = Sgd::default().gradient_accumulation_steps(bad);
        let error = model.compile(optimizer, Loss::MeanSquaredError, []).unwrap_err().to_string();
        assert!(error.starts_with(&format!("gradient_accumulation_steps: {bad} ")), "{error}");
        assert!(error.contains("give 2 or more"), "{error}");
    }
}
