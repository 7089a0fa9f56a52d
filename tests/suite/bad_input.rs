//! What a user may get wrong: each error names the thing, says what was expected and what to do.

use kiln::nn::optimizer;
use kiln::prelude::*;

/// Eight samples of four numbers in three classes.
fn samples() -> Dataset {
    labelled((0..8).map(|i| i % 3).collect())
}

fn labelled(labels: Vec<u32>) -> Dataset {
    let n = labels.len();
    let x: Vec<f32> = (0..4 * n).map(|i| (i * 7 % 11) as f32 / 11.0 - 0.5).collect();
    Dataset::new(Tensor::new([n, 4], x).unwrap(), Tensor::new([n], labels).unwrap()).unwrap()
}

fn layers() -> Sequential {
    Sequential::new()
        .add(Dense::new(5).activation(Activation::Relu))
        .add(Dense::new(3).activation(Activation::Softmax))
        .device(Device::cpu())
}

fn compiled(mut model: Sequential, optimizer: impl Optimizer + 'static) -> Sequential {
    model.compile(optimizer, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    model
}

fn model() -> Sequential {
    compiled(layers(), RmsProp::default())
}

/// Settings that fit the eight samples.
fn fit<'a>() -> Fit<'a> {
    Fit::new().batch_size(4).verbose(0)
}

#[track_caller]
fn refused<T>(result: Result<T>, parts: &[&str]) {
    let text = match result {
        Ok(_) => panic!("it was accepted"),
        Err(e) => e.to_string(),
    };
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

#[test]
fn a_batch_has_samples() {
    refused(model().fit(&samples(), fit().batch_size(0)), &["batch_size: ", "no samples", "give 1 or more"]);
}

#[test]
fn a_batch_larger_than_the_set_is_the_set() {
    let losses = |batch_size| {
        let history = model().fit(&samples(), fit().epochs(2).batch_size(batch_size).validation_split(0.25)).unwrap();
        history.batch_losses().to_vec()
    };
    // Six of the eight are left to train on.
    assert_eq!(losses(6).len(), 2);
    assert_eq!(losses(7), losses(6));
    assert_eq!(losses(1000), losses(6));
}

#[test]
fn a_validation_split_is_a_share() {
    for share in [1.5, 1.0, -0.1, f64::NAN] {
        let parts = ["validation_split", &share.to_string(), "0 or more and less than 1"];
        refused(model().fit(&samples(), fit().validation_split(share)), &parts);
    }
    refused(
        model().fit(&samples(), fit().validation_split(0.99)),
        &["validation_split: 0.99 of 8 samples", "give less"],
    );
}

#[test]
fn a_layer_needs_units() {
    let none = layers().add(Dense::new(0).named("hidden")).build([4]);
    refused(none, &["layer \"hidden\"", "0 units", "give 1 or more"]);
    for units in [usize::MAX, 5_000_000_000, 1 << 31] {
        let parts = ["layer \"dense\"", "kernel of (4, ", "2^32", "fewer units"];
        refused(Sequential::new().add(Dense::new(units)).build([4]), &parts);
    }
}

#[test]
fn data_must_have_the_shape_that_the_model_was_built_for() {
    let mut model = model();
    model.fit(&samples(), fit()).unwrap();
    let x = Tensor::new([8, 5], vec![0.0f32; 40]).unwrap();
    let wide = Dataset::new(x.clone(), samples().y().clone()).unwrap();
    let parts = ["model \"sequential\"", "built for samples of (4,)", "these are (5,)"];
    refused(model.fit(&wide, fit()), &parts);
    refused(model.evaluate(&wide), &parts);
    refused(model.predict(&x), &parts);
    refused(model.fit(&samples(), fit().validation_data(&wide)), &parts);
    refused(model.predict(&Tensor::new([], vec![0.0f32]).unwrap()), &["predict", "one or more samples", "()"]);
}

#[test]
fn weights_must_have_the_layers_shapes() {
    let mut model = model();
    model.build([4]).unwrap();
    let mut weights = model.weights().unwrap();
    let expected = "dense/kernel (4, 5), dense/bias (5,), dense_1/kernel (5, 3), dense_1/bias (3,)";
    refused(model.set_weights(&weights[..3]), &["set_weights", expected, "given f32 (4, 5), f32 (5,), f32 (5, 3)"]);
    weights[2] = Tensor::new([3, 5], vec![0.0f32; 15]).unwrap();
    refused(model.set_weights(&weights), &[expected, "f32 (5,), f32 (3, 5), f32 (3,)"]);
}

#[test]
fn layers_must_fit_each_other() {
    let scalar = Dataset::new(Tensor::new([8], vec![0.0f32; 8]).unwrap(), samples().y().clone()).unwrap();
    refused(model().fit(&scalar, fit()), &["layer \"dense\"", "one or more axes", "single numbers"]);
    // Images without Flatten: a dense layer works on the last axis, and the loss is given a row for each pixel row.
    let images = Dataset::new(Tensor::new([8, 2, 2], vec![0.0f32; 32]).unwrap(), samples().y().clone()).unwrap();
    refused(model().fit(&images, fit()), &["takes labels (8, 2)", "given (8,)", "one row of scores for each label"]);
    let bare = Sequential::new().add(Dense::new(3)).device(Device::cpu());
    let bare = compiled(bare, Sgd::default()).fit(&samples(), fit());
    refused(bare, &["sparse_categorical_crossentropy", "end the model with a softmax", "from logits"]);
}

#[test]
fn layers_come_before_the_build_and_have_names_of_their_own() {
    let mut model = model();
    model.fit(&samples(), fit()).unwrap();
    let mut longer = model.add(Dense::new(2));
    let parts = ["model \"sequential\"", "added after the model was built", "add all layers first"];
    refused(longer.fit(&samples(), fit()), &parts);
    refused(longer.summary(), &parts);
    let twins = || Dense::new(3).named("twin");
    let twice = Sequential::new().named("net").add(twins()).add(twins()).build([4]);
    refused(twice, &["model \"net\"", "two layers are named \"twin\"", "a name of its own"]);
}

#[test]
fn a_model_is_compiled_built_and_not_empty() {
    refused(layers().fit(&samples(), fit()), &["model \"sequential\"", "not compiled yet", "call compile"]);
    refused(layers().evaluate(&samples()), &["not compiled yet", "call compile"]);
    for built_first in [layers().weights().err(), layers().summary().err(), layers().training_plan(4, 8).err()] {
        refused(built_first.map_or(Ok(()), Err), &["not built yet", "begin with an Input", "call build", "or fit"]);
    }
    let empty = || Sequential::new().named("empty").device(Device::cpu());
    refused(empty().build([4]), &["model \"empty\"", "no layers", "add one"]);
    refused(compiled(empty(), Sgd::default()).fit(&samples(), fit()), &["no layers"]);
    refused(model().fit(&samples().head(0), fit()), &["no samples"]);
}

#[test]
fn data_is_finite_and_labels_are_classes() {
    let x = Tensor::new([2, 2], vec![0.0, 1.0, f32::NAN, 0.0]).unwrap();
    let y = Tensor::new([2], vec![0u32, 1]).unwrap();
    refused(Dataset::new(x, y), &["x: row 1, column 0", "NaN is not finite"]);
    let beyond = labelled(vec![0, 1, 2, 3]);
    let parts = ["y: row 3 has label 3", "3 classes are below 3"];
    refused(model().fit(&beyond, fit()), &parts);
    refused(model().evaluate(&beyond), &parts);
    refused(model().fit(&samples(), fit().validation_data(&beyond)), &parts);
    let values = Dataset::new(samples().x().clone(), Tensor::new([8], vec![0.5f32; 8]).unwrap()).unwrap();
    refused(model().fit(&values, fit()), &["y: ", "f32 values", "u32 indices"]);
}

#[test]
fn an_optimizer_has_settings_that_train() {
    let compile = |optimizer: Box<dyn Optimizer>| {
        layers().compile(optimizer, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])
    };
    for name in ["sgd", "rmsprop", "adam"] {
        for learning_rate in [0.0, -0.1, f64::NAN, f64::INFINITY] {
            let mut optimizer = optimizer::by_name(name).unwrap();
            optimizer.set_learning_rate(learning_rate);
            let parts = ["learning_rate", &learning_rate.to_string(), "above 0", "such as 0.001"];
            refused(compile(optimizer), &parts);
        }
    }
    refused(compile(Box::new(Sgd { momentum: 1.5, ..Sgd::default() })), &["momentum", "1.5"]);
    refused(optimizer::by_name("rmsprob"), &["optimizer", "\"rmsprob\"", "mean \"rmsprop\"?", "sgd, rmsprop, adam"]);
    refused(Activation::by_name("rleu"), &["activation", "\"rleu\"", "mean \"relu\"?", "sigmoid"]);
}

#[test]
fn an_unknown_device_is_answered_with_those_there_are() {
    refused(Device::choose("cpuu"), &["device \"cpuu\"", "no such device", "mean \"cpu\"?", "auto, cpu"]);
    refused(Device::choose("999"), &["device \"999\"", "no such device", "auto, cpu"]);
}

#[test]
fn a_lost_loss_stops_the_run() {
    for device in crate::common::devices() {
        let far = Sgd { learning_rate: 1e30, ..Sgd::default() };
        let lost = compiled(layers().device(device), far).fit(&samples(), fit().epochs(3));
        assert!(matches!(lost, Err(Error::NotFinite { epoch: 1, step: 2, .. })), "{lost:?}");
        refused(lost, &["epoch 1, step 2", "the loss is ", "lower the learning rate"]);
    }
}

#[cfg(feature = "cli")]
mod command {
    use std::fs;
    use std::path::Path;

    use kiln::data::SETS;
    use tempfile::TempDir;

    use crate::cli::{fixture, idx, run, says};

    /// A run that must fail with one `error: ` on standard error, which names and says these things.
    #[track_caller]
    fn fails(data: &Path, args: &str, parts: &[&str]) {
        let args: Vec<&str> = args.split(' ').collect();
        let (code, _, stderr) = run(data, &args);
        assert_eq!(code, Some(1), "kiln {args:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && !stderr.contains("panicked"), "{stderr}");
        says(&stderr, parts);
    }

    #[test]
    fn bad_options_are_named() {
        let folder = fixture();
        let fails = |args: &str, parts: &[&str]| fails(folder.path(), args, parts);
        let train = |options: &str, parts: &[&str]| fails(&format!("train mnist --device cpu {options}"), parts);
        train("--hidden 0", &["layer \"dense\"", "0 units", "give 1 or more"]);
        train("--hidden 18446744073709551615", &["layer \"dense\"", "fewer units"]);
        train("--batch-size 0", &["batch_size: ", "give 1 or more"]);
        train("--limit 0", &["limit: 0", "give 1 to 300"]);
        train("--learning-rate 0", &["learning_rate: 0", "above 0"]);
        train("--learning-rate -1", &["learning_rate: -1", "above 0"]);
        train("--validation-split 1.5", &["validation_split: 1.5", "less than 1"]);
        let far = "--optimizer sgd --learning-rate 1e30 --batch-size 25 --check-finite step";
        train(far, &["epoch 1, step 2", "layer \"dense_1\": matmul gives ", "lower the learning rate"]);
        train("--plot loss.gif", &["plot: loss.gif", "ends in .png or .svg"]);
        train("--early-stopping 2", &["early_stopping: ", "give --validation-split"]);
        train("--batch-size 25 --csv no/such/run.csv", &["no/such/run.csv: write: "]);
        train("--batch-size 25 --logdir Cargo.toml", &["logdir: ", "Cargo.toml: is no folder"]);
        train("--plot no/such/loss.png", &["plot: ", "no/such: write to this folder: "]);
        train("--optimizer rmsprob", &["\"rmsprob\"", "mean \"rmsprop\"?"]);
        train("--activation rleu", &["\"rleu\"", "mean \"relu\"?"]);
        train("--optimizer sgd --learning-rate 1e30 --batch-size 25", &["epoch 1, step 2", "lower the learning rate"]);
        fails("train minst", &["\"minst\"", "mean \"mnist\"?"]);
        fails("plan minst", &["\"minst\"", "mean \"mnist\"?"]);
        fails("data get minst", &["\"minst\"", "mean \"mnist\"?"]);
        fails("train mnist --device cpuu", &["\"cpuu\"", "mean \"cpu\"?"]);
        fails("plan mnist --device cpu --batch-size 0", &["batch_size: ", "give 1 or more"]);
        let many = "plan mnist --device cpu --batch-size 60000 --hidden 1000000";
        fails(many, &["layer \"dense\"", "(60000, 1000000)", "smaller batches"]);
    }

    #[test]
    fn usage_errors_have_code_2_and_a_suggestion() {
        let folder = TempDir::new().unwrap();
        for (args, parts) in [
            (["trian", "mnist"].as_slice(), ["'trian'", "'train'"]),
            (&["train", "mnist", "--epoch", "3"], ["'--epoch'", "'--epochs'"]),
            (&["train", "mnist", "--verbose", "3"], ["'3'", "0..=2"]),
            (&["train", "mnist", "--hidden", "many"], ["'many'", "--hidden"]),
            (&["train"], ["<DATASET>", "--help"]),
        ] {
            let (code, stdout, stderr) = run(folder.path(), args);
            assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
            says(&stderr, &parts);
        }
    }

    #[test]
    fn a_damaged_file_is_named_with_what_to_do() {
        let damaged = |at: usize, extension: &str, bytes: &[u8], parts: &[&str]| {
            let folder = fixture();
            let path = folder.path().join(SETS[0].files[at].name);
            fs::remove_file(&path).unwrap();
            let path = path.with_extension(extension);
            fs::write(&path, bytes).unwrap();
            let name = path.to_str().unwrap();
            fails(folder.path(), "train mnist", &[&[name, "delete the damaged file"], parts].concat());
        };
        // The start of a gzip stream, and nothing more.
        damaged(0, "gz", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b], &["gzip stream ends early"]);
        damaged(0, "", &idx(&[300, 28, 28], [0; 5]), &["is truncated", "(300, 28, 28)"]);
        damaged(1, "", b"<!DOCTYPE html>", &["no IDX file", "3c 21 44 4f"]);
        damaged(1, "", &idx(&[299], [0; 299]), &["299 labels", "300 images"]);
        damaged(3, "", &idx(&[100], [10; 100]), &["row 0 has label 10", "below 10"]);
    }

    #[test]
    fn an_unwritable_cache_is_named() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let inside = file.join("data");
        for args in ["data get mnist", "train mnist --device cpu"] {
            fails(&inside, args, &[inside.join("mnist").to_str().unwrap(), "KILN_DATA can name another"]);
        }
    }
}
