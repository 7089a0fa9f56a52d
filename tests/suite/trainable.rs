//! Layers that are not trained: weights to the bit, what a step does not compute, the summary, files. Keras' own runs are
//! in `options.rs`.

use kiln::plan::Plan;
use kiln::prelude::*;
use tempfile::TempDir;

use crate::common::devices;

/// Three layers, of which these are trained.
fn model(device: &Device, trained: [bool; 3]) -> Sequential {
    let [a, b, c] = trained;
    let penalty = Regularizer::l1_l2(0.1, 0.2);
    let mut model = Sequential::new()
        .add(Input::new([5]))
        .add(Dense::new(70).activation(Activation::Relu).kernel_regularizer(penalty).trainable(a))
        .add(Dense::new(3).activation(Activation::Tanh).trainable(b).named("middle"))
        .add(Dense::new(2).trainable(c))
        .device(device.clone());
    let optimizer = Adam { weight_decay: 0.5, ..Adam::default() };
    model.compile(optimizer, Loss::SparseCategoricalCrossentropyFromLogits, [Metric::Accuracy]).unwrap();
    model
}

fn data() -> Dataset {
    let x: Vec<f32> = (0..60).map(|i| (i * 37 % 19) as f32 / 19.0 - 0.4).collect();
    let y: Vec<u32> = (0..12).map(|i| i % 3 % 2).collect();
    Dataset::new(Tensor::new([12, 5], x).unwrap(), Tensor::new([12], y).unwrap()).unwrap()
}

fn fit(epochs: usize) -> Fit<'static> {
    Fit::new().epochs(epochs).batch_size(5).verbose(0)
}

const ALL: [[bool; 3]; 8] = [
    [true, true, true],
    [false, true, true],
    [true, false, true],
    [true, true, false],
    [false, false, true],
    [false, true, false],
    [true, false, false],
    [false, false, false],
];

#[test]
fn weights_keep_their_values_to_the_bit_and_the_others_learn() {
    for device in devices() {
        for trained in ALL {
            for check in [CheckFinite::Epoch, CheckFinite::Step] {
                let mut model = model(&device, trained);
                let before = model.weights().unwrap();
                model.fit(&data(), fit(2).check_finite(check)).unwrap();
                for (i, (before, after)) in before.iter().zip(model.weights().unwrap()).enumerate() {
                    assert_eq!(*before != after, trained[i / 2], "tensor {i} on {device}, trained {trained:?}");
                }
                for (i, gradient) in model.gradients().unwrap().iter().enumerate() {
                    let some = gradient.values().to_f64().iter().any(|&x| x != 0.0);
                    assert_eq!(some, trained[i / 2], "gradient {i} on {device}, trained {trained:?}");
                }
            }
        }
    }
}

/// What is counted in a step: products, updates, dispatches of the processor's kind.
fn counts(trained: [bool; 3]) -> [usize; 2] {
    let plan: Plan = model(&Device::cpu(), trained).training_plan(5, 12).unwrap();
    let count = |name: &str| plan.steps.iter().filter(|step| step.op.name().starts_with(name)).count();
    [count("matmul"), count("adam")]
}

#[test]
fn no_gradient_is_computed_that_nobody_needs() {
    // Of three products forward each has a gradient of its kernel, and all but the first one of its input.
    assert_eq!(counts([true, true, true]), [3 + 3 + 2, 1]);
    assert_eq!(counts([false, true, true]), [3 + 2 + 1, 1]);
    assert_eq!(counts([true, false, true]), [3 + 2 + 2, 2]);
    assert_eq!(counts([true, true, false]), [3 + 2 + 2, 1]);
    assert_eq!(counts([false, false, true]), [3 + 1, 1]);
    assert_eq!(counts([false, false, false]), [3, 0]);
    // Nor a penalty, nor a bias' gradient: what is left of a step without the last layer's is a part of what it was.
    let steps = |trained| model(&Device::cpu(), trained).training_plan(5, 12).unwrap().steps.len();
    assert!(steps([true, true, false]) < steps([true, true, true]));
    assert!(steps([false, false, false]) < steps([false, false, true]));
}

#[test]
fn the_summary_tells_them_apart() {
    let text = model(&Device::cpu(), [false, true, false]).summary().unwrap().to_string();
    for line in [
        " Total params: 641 (2.50 KB)\n",
        " Trainable params: 213 (852.00 B)\n",
        " Non-trainable params: 428 (1.67 KB)\n",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
}

#[test]
fn they_are_saved_and_a_run_goes_on_to_the_same_bits() {
    let (folder, device) = (TempDir::new().unwrap(), Device::cpu());
    let path = folder.path().join("model");
    let (mut whole, mut first) = (model(&device, [true, false, true]), model(&device, [true, false, true]));
    whole.fit(&data(), fit(4)).unwrap();
    first.fit(&data(), fit(2)).unwrap();
    first.save(&path).unwrap();
    let mut loaded = Sequential::load(&path).unwrap().device(device);
    assert_eq!(loaded.summary().unwrap(), first.summary().unwrap());
    loaded.fit(&data(), fit(4).initial_epoch(2)).unwrap();
    assert_eq!(loaded.weights().unwrap(), whole.weights().unwrap());
}

#[test]
fn a_built_model_is_frozen_and_thawed_by_name() {
    for device in devices() {
        let mut model = model(&device, [true, true, true]);
        model.fit(&data(), fit(1)).unwrap();
        let learned = model.weights().unwrap();
        model.set_trainable("dense", false).unwrap();
        model.set_trainable("middle", false).unwrap();
        assert_eq!(model.summary().unwrap().non_trainable(), 5 * 70 + 70 + 70 * 3 + 3);
        model.fit(&data(), fit(1)).unwrap();
        let last = model.weights().unwrap();
        assert!(last[..4] == learned[..4] && last[4..] != learned[4..], "{device}");
        model.set_trainable("dense", true).unwrap();
        model.fit(&data(), fit(1)).unwrap();
        let thawed = model.weights().unwrap();
        assert!(thawed[0] != last[0] && thawed[2..4] == last[2..4], "{device}");
        let error = model.set_trainable("midle", false).unwrap_err().to_string();
        assert!(error.contains("midle") && error.contains("middle"), "{error}");
    }
}

/// What is said of a layer takes the place of what was said before.
#[test]
fn freezing_and_thawing_by_turns_leaves_one_layer() {
    let mut model = model(&Device::cpu(), [true; 3]);
    for i in 0..100 {
        model.set_trainable("dense", i % 2 == 0).unwrap();
    }
    let layer = format!("{:?}", model.layer("dense").unwrap());
    assert_eq!(layer.matches("Trainable").count(), 1, "{layer}");
    let twice = Dense::new(2).trainable(false).trainable(true);
    assert!(twice.is_trainable() && format!("{twice:?}").matches("Trainable").count() == 1);
}
