//! Tests of devices that are lost, or hang.

use std::sync::Arc;
use std::time::Duration;

use super::{Context, Executor};
use crate::clock::Instant;
use crate::device::Device;
use crate::device::blocking::block_on;
use crate::device::choose::Kind;
use crate::graph::{Graph, Leaf, Type};
use crate::ops::matmul::MatMul;
use crate::plan::{Arena, Plan};
use crate::prelude::*;

/// A device that nobody else has.
pub(super) fn opened() -> (Device, Arc<Context>) {
    let request = std::env::var("KILN_TEST_DEVICE").unwrap_or_else(|_| "gpu".into());
    let device = Device::choose_untuned(&request).expect("no adapter; run scripts/test, which installs one").device;
    let Kind::Gpu(context, _) = &device.kind else { panic!("{device} is no adapter") };
    let context = context.clone();
    (device, context)
}

pub(super) fn data() -> Dataset {
    let x: Vec<f32> = (0..400 * 4).map(|i| (i % 7) as f32 / 7.0).collect();
    let y: Vec<u32> = (0..400).map(|i| i % 3).collect();
    Dataset::new(Tensor::new([400, 4], x).unwrap(), Tensor::new([400], y).unwrap()).unwrap()
}

pub(super) fn model(device: &Device) -> Sequential {
    let mut model = Sequential::new().add(Input::new([4])).add(Dense::new(3).activation(Activation::Softmax));
    model = model.device(device.clone());
    model.compile(Adam::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    model
}

#[track_caller]
fn says_lost<T>(result: Result<T>) {
    let text = result.err().expect("an error").to_string();
    assert!(text.contains("lost") && text.contains("run again"), "{text}");
}

/// Loses the device in the third epoch, at its begin or within it; what the weights were at the end of the second.
fn train_until_lost(model: &mut Sequential, context: &Context, in_step: bool, backup: bool) -> Vec<Tensor> {
    let mut kept = Vec::new();
    let keep = LambdaCallback::new().on_epoch_end(|run| {
        kept = run.weights()?;
        Ok(())
    });
    let lose = |run: &Run<'_>, at| {
        if run.epoch() == 3 && run.step() == at {
            context.device.destroy();
        }
        Ok(())
    };
    let losing = match in_step {
        true => LambdaCallback::new().on_batch_end(move |run| lose(run, 20)),
        false => LambdaCallback::new().on_epoch_begin(move |run| lose(run, 0)),
    };
    let fit = Fit::new().epochs(50).batch_size(8).verbose(0).backup(backup).callback(keep).callback(losing);
    says_lost(model.fit(&data(), fit));
    kept
}

#[test]
fn a_lost_device_is_an_error_at_every_call() {
    for in_step in [false, true] {
        let (device, context) = opened();
        let mut model = model(&device);
        train_until_lost(&mut model, &context, in_step, false);
        for _ in 0..2 {
            says_lost(model.weights());
            says_lost(model.gradients());
            says_lost(model.predict(data().x()));
            says_lost(model.evaluate(&data()));
            says_lost(model.fit(&data(), Fit::new().verbose(0)));
            let weights = [Tensor::from([[0.0f32; 3]; 4]), Tensor::from([0.0f32; 3])];
            says_lost(model.set_weights(&weights));
            says_lost(model.save("never.safetensors"));
        }
    }
}

#[test]
fn a_run_with_a_backup_loses_no_more_than_an_epoch_with_its_device() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("kept.safetensors");
    for in_step in [false, true] {
        let (device, context) = opened();
        let mut model = model(&device);
        let kept = train_until_lost(&mut model, &context, in_step, true);
        // At once, without a device.
        model.save(&path).unwrap();
        assert_eq!(model.epoch(), 2);
        let mut loaded = Sequential::load(&path).unwrap().device(Device::cpu());
        assert_eq!((loaded.epoch(), loaded.weights().unwrap()), (2, kept.clone()));
        let mut moved = model.device(Device::cpu());
        assert_eq!(moved.weights().unwrap(), kept);
        let fit = || Fit::new().initial_epoch(2).epochs(4).batch_size(8).verbose(0);
        moved.fit(&data(), fit()).unwrap();
        loaded.fit(&data(), fit()).unwrap();
        assert_eq!(moved.weights().unwrap(), loaded.weights().unwrap());
    }
}

/// A backup after each submit: the device is lost in the first epoch, and the run goes on within it.
#[test]
fn a_backup_within_an_epoch_goes_on_there_and_changes_no_bit() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("kept.safetensors");
    let fit = || {
        let mut fit = Fit::new().epochs(2).batch_size(8).verbose(0);
        fit.backup = Some(Duration::ZERO);
        fit
    };
    let mut whole = model(&opened().0);
    whole.fit(&data(), Fit::new().epochs(2).batch_size(8).verbose(0)).unwrap();
    let end = whole.weights().unwrap();
    let mut backed_up = model(&opened().0);
    let history = backed_up.fit(&data(), fit()).unwrap();
    assert_eq!((backed_up.weights().unwrap(), history.batch_losses().len()), (end.clone(), 100));

    let (device, context) = opened();
    let mut model = model(&device);
    let losing = LambdaCallback::new().on_batch_end(|run| {
        if run.step() == 20 {
            context.device.destroy();
        }
        Ok(())
    });
    says_lost(model.fit(&data(), fit().callback(losing)));
    model.save(&path).unwrap();
    assert_eq!((model.epoch(), model.iteration()), (0, 19));
    let mut loaded = Sequential::load(&path).unwrap().device(opened().0);
    let rest = loaded.fit(&data(), Fit::new().epochs(2).batch_size(8).verbose(0)).unwrap();
    assert_eq!((loaded.weights().unwrap(), rest.batch_losses().len()), (end, 81));
    assert_eq!(rest.epochs(), history.epochs());
}

/// What a model is asked, and its answer.
type Ask<'a> = &'a dyn Fn(&mut Sequential) -> Vec<f64>;

/// wgpu's answer is heard once, where the set goes to the device.
#[test]
fn a_set_that_wgpu_has_no_memory_for_streams() {
    let set = data();
    let run = |refuses: bool, ask: Ask<'_>| {
        let (device, context) = opened();
        let mut model = model(&device);
        // The weights have their place.
        model.weights().unwrap();
        if refuses {
            context.failure.note(&wgpu::Error::OutOfMemory { source: "no room".into() });
        }
        let answer = ask(&mut model);
        context.check("afterwards").unwrap();
        answer
    };
    let asks: [Ask<'_>; 3] = [
        &|model| model.fit(&set, Fit::new().batch_size(8).verbose(0)).unwrap().batch_losses().to_vec(),
        &|model| vec![model.evaluate(&set).unwrap().get("loss").unwrap()],
        &|model| model.predict(set.x()).unwrap().values().to_f64(),
    ];
    for ask in asks {
        assert_eq!(run(true, ask), run(false, ask));
    }
}

#[test]
fn memory_that_wgpu_has_none_of_is_an_error_that_says_for_what() {
    let (device, context) = opened();
    context.failure.note(&wgpu::Error::OutOfMemory { source: "no room".into() });
    let error = model(&device).weights().unwrap_err();
    assert!(matches!(error, Error::Memory { .. }), "{error:?}");
    assert!(error.to_string().contains("no memory for the buffer of params"), "{error}");
}

/// An executor with a plan of so many products one after the other, each of which takes a millisecond or more.
pub(super) fn busy(products: usize) -> (Executor, usize) {
    let (device, context) = opened();
    let mut graph = Graph::new();
    let [a, b] = [0, 1].map(|i| graph.leaf(Leaf::Input(i), Type::float([512, 512])));
    let y = (0..products).fold(a, |y, _| graph.apply(MatMul::new(false, false), &[y, b]).unwrap());
    graph.output(0, y).unwrap();
    let mut executor = Executor::new(context, device.target());
    let plan = Plan::new("busy", &graph, &Arena::default()).unwrap();
    plan.buffers.iter().filter(|b| !b.id.is_plans_own()).for_each(|buffer| executor.allocate(buffer).unwrap());
    let plan = executor.load(&plan).unwrap();
    (executor, plan)
}

/// Whoever waits: the blocking face, or the thread that does in place of other futures.
#[test]
fn a_wait_ends_and_every_later_call_says_why() {
    for blocks in [true, false] {
        let (mut executor, plan) = busy(1);
        executor.flight.patience = Duration::ZERO;
        executor.flight.fixed = Some(100);
        let ran = match blocks {
            true => block_on(executor.run_some(&[plan], 0..100)),
            false => pollster::block_on(executor.run_some(&[plan], 0..100)),
        };
        let text = ran.unwrap_err().to_string();
        assert!(text.contains("gave no answer for 0 s") && text.contains("smaller batches"), "{text}");
        for text in [block_on(executor.finish()), executor.forget_plans()].map(|r| r.unwrap_err().to_string()) {
            assert!(text.contains("gave no answer"), "{text}");
        }
    }
}

/// Many runs take longer than one may.
#[test]
fn progress_begins_the_wait_anew() {
    let (mut executor, plan) = busy(1);
    executor.flight.fixed = Some(1);
    let run = |executor: &mut Executor, times: usize| {
        let start = Instant::now();
        (0..times).for_each(|i| assert_eq!(block_on(executor.run_some(&[plan], i..times)).unwrap(), 1));
        block_on(executor.finish()).unwrap();
        start.elapsed()
    };
    // The first run compiles.
    run(&mut executor, 1);
    executor.flight.patience = 20 * run(&mut executor, 1).max(Duration::from_millis(2));
    let patience = executor.flight.patience;
    let mut all = Duration::ZERO;
    while all < 2 * patience {
        all += run(&mut executor, 20);
    }
}
