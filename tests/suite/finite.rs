//! Numbers that are lost: when a run stops, and what it says made them.

use kiln::prelude::*;

use crate::common::devices;

/// Eleven samples of four numbers in three classes: two batches of four and one of three.
fn samples() -> Dataset {
    let x: Vec<f32> = (0..44).map(|i| (i * 7 % 11) as f32 / 11.0 - 0.5).collect();
    let y: Vec<u32> = (0..11).map(|i| i % 3).collect();
    Dataset::new(Tensor::new([11, 4], x).unwrap(), Tensor::new([11], y).unwrap()).unwrap()
}

fn classifier(device: &Device, learning_rate: f64) -> Sequential {
    let mut model = Sequential::new()
        .add(Dense::new(5).activation(Activation::Relu))
        .add(Dropout::new(0.2))
        .add(Dense::new(3).activation(Activation::Softmax))
        .device(device.clone());
    let sgd = Sgd { learning_rate, momentum: 0.9, ..Sgd::default() };
    model.compile(sgd, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    model
}

/// y = w x on two samples, with a given w.
fn line(device: &Device, loss: Loss, learning_rate: f64, w: f32) -> Sequential {
    let mut model = Sequential::new().add(Dense::new(1).use_bias(false)).device(device.clone());
    model.compile(Sgd { learning_rate, ..Sgd::default() }, loss, []).unwrap();
    model.build([1]).unwrap();
    model.set_weights(&[Tensor::new([1, 1], vec![w]).unwrap()]).unwrap();
    model
}

fn points(x: f32, y: f32) -> Dataset {
    let column = |v| Tensor::new([2, 1], vec![v; 2]).unwrap();
    Dataset::new(column(x), column(y)).unwrap()
}

fn fit<'a>(when: CheckFinite) -> Fit<'a> {
    Fit::new().batch_size(4).epochs(3).verbose(0).check_finite(when)
}

/// The step at which a run stopped, and all that it said.
#[track_caller]
fn stopped(result: Result<History>, parts: &[&str]) -> (usize, usize) {
    let error = result.expect_err("the run went on");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
    match error {
        Error::NotFinite { epoch, step, .. } => (epoch, step),
        other => panic!("{other:?}"),
    }
}

#[test]
fn looking_at_every_step_changes_no_bit() {
    for device in devices() {
        let [(a, x), (b, y)] = [CheckFinite::Off, CheckFinite::Step].map(|when| {
            let mut model = classifier(&device, 0.1);
            let history = model.fit(&samples(), fit(when)).unwrap();
            (history, model.weights().unwrap())
        });
        assert_eq!((a, x), (b, y), "{device}");
    }
}

#[test]
fn a_run_that_explodes_stops_at_its_step_with_the_weights_it_began_with() {
    for device in devices() {
        let mut model = classifier(&device, 1e30);
        let parts = ["epoch 1, step 2: the loss is ", "layer \"dense_1\": matmul gives ", "lower the learning rate"];
        assert_eq!(stopped(model.fit(&samples(), fit(CheckFinite::Step).shuffle(false)), &parts), (1, 2));
        let mut one_step = classifier(&device, 1e30);
        one_step.fit(&samples().head(4), fit(CheckFinite::Off).epochs(1).shuffle(false)).unwrap();
        assert_eq!(model.weights().unwrap(), one_step.weights().unwrap());
    }
}

#[test]
fn at_the_epochs_end_the_step_is_named_and_what_the_weights_became() {
    for device in devices() {
        let parts =
            ["the loss is ", "dense/kernel, dense/bias, ", " hold NaN at the epoch's end", "--check-finite step"];
        assert_eq!(stopped(classifier(&device, 1e30).fit(&samples(), fit(CheckFinite::Epoch)), &parts), (1, 2));
        // A loss of 1e50 with gradients of 1e35, which leave the weight finite: the op is found after all.
        let mut model = line(&device, Loss::MeanSquaredError, 1e-30, 1.0);
        let parts =
            ["the loss is inf", "with the weights of the epoch's end, the loss: ", "gives inf at [0, 0] of (2, 1)"];
        assert_eq!(stopped(model.fit(&points(1e10, 1e25), fit(CheckFinite::Epoch).batch_size(2)), &parts), (1, 1));
    }
}

#[test]
fn the_first_op_is_named_wherever_it_is() {
    for device in devices() {
        let fit = || fit(CheckFinite::Step).batch_size(2);
        // The logarithm of a negative prediction.
        let mut model = line(&device, Loss::Poisson, 0.1, -2.0);
        let parts =
            ["the loss is NaN: the loss: log gives NaN at [0, 0] of (2, 1), from numbers between -2.00e0 and -2.00e0"];
        assert_eq!(stopped(model.fit(&points(1.0, 1.0), fit()), &parts), (1, 1));
        // Samples that their scale makes infinite.
        let mut model = line(&device, Loss::MeanSquaredError, 0.1, 1.0);
        let parts = ["the batch: gather gives inf at [0, 0] of (2, 1)"];
        assert_eq!(stopped(model.fit(&points(1e20, 1.0).with_scale(1e20), fit()), &parts), (1, 1));
        // A loss of 1e38, whose gradient is 1e20 times 1e19.
        let mut model = line(&device, Loss::MeanSquaredError, 0.1, 0.1);
        let parts =
            ["the loss is 9.99999968", "layer \"dense\", backward: matmul gives inf at [0, 0] of (1, 1), from numbers"];
        assert_eq!(stopped(model.fit(&points(1e20, 0.0), fit()), &parts), (1, 1));
        // Weights that were NaN before.
        let mut model = line(&device, Loss::MeanSquaredError, 0.1, f32::NAN);
        let parts = ["dense/kernel holds NaN before the step"];
        assert_eq!(stopped(model.fit(&points(1.0, 1.0), fit()), &parts), (1, 1));
    }
}

#[test]
fn unchecked_a_run_goes_on() {
    let history = classifier(&Device::cpu(), 1e30).fit(&samples(), fit(CheckFinite::Off)).unwrap();
    assert!(history.epochs().len() == 3 && history.batch_losses().iter().skip(1).all(|loss| !loss.is_finite()));
}

/// The fit's plans are two, and there is room for one.
#[test]
fn plans_that_make_room_do_not_evict_their_own_run() {
    for device in devices() {
        let train = |model: &mut Sequential| {
            model.fit(&samples(), fit(CheckFinite::Epoch)).unwrap();
            model.weights().unwrap()
        };
        let (mut full, mut fresh) = (classifier(&device, 0.1), classifier(&device, 0.1));
        for cut in 1..=15 {
            let rows = samples().head(cut.min(11));
            // A scale of its own gives each a plan of its own.
            full.evaluate(&rows.with_scale(cut as f32)).unwrap();
        }
        assert_eq!(train(&mut full), train(&mut fresh), "{device}");
    }
}
