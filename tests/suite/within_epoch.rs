//! Runs that go on from a file of the middle of an epoch.

use std::path::{Path, PathBuf};

use kiln::data::Source;
use kiln::io::TensorFile;
use kiln::prelude::*;
use kiln::random;
use kiln::train::callbacks::SaveFreq;
use tempfile::TempDir;

use crate::common::devices;
use crate::streaming::Streamed;

fn data(rows: usize, width: usize) -> Dataset {
    let noise = random::uniform(rows * width, 120.0, 1, "within an epoch", 0);
    let x: Vec<u8> = noise.iter().map(|noise| (125.0 + noise) as u8).collect();
    let y: Vec<u32> = (0..rows).map(|row| u32::from(x[row * width] / 86)).collect();
    Dataset::new(Tensor::new([rows, width], x).unwrap(), Tensor::new([rows], y).unwrap()).unwrap()
}

fn model(device: &Device, accumulated: Option<u64>) -> Sequential {
    let model = Sequential::new().seed(3).add(Dense::new(9).activation(Activation::Relu)).add(Dropout::new(0.3));
    let mut model = model.add(Dense::new(3).activation(Activation::Softmax)).device(device.clone());
    let adam = Scheduled::new(Adam::default(), CosineDecay::new(0.01, 20));
    let optimizer: Box<dyn Optimizer> = match accumulated {
        Some(steps) => Box::new(adam.gradient_accumulation_steps(steps)),
        None => Box::new(adam),
    };
    model.compile(optimizer, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy, Metric::F1Score]).unwrap();
    model
}

fn saved(model: &mut Sequential, folder: &Path) -> Vec<u8> {
    let path = folder.join("end.safetensors");
    model.save(&path).unwrap();
    std::fs::read(path).unwrap()
}

/// Trains three epochs and saves after every `every` steps; then goes on from each file, and compares files and values.
fn goes_on(
    device: &Device,
    (data, accumulated): (&dyn Source, Option<u64>),
    every: usize,
    fit: impl Fn() -> Fit<'static>,
) {
    let (folder, mut model) = (TempDir::new().unwrap(), model(device, accumulated));
    let pattern = folder.path().join("at-{epoch}-{batch}.safetensors");
    let checkpoint = ModelCheckpoint::new(pattern.to_string_lossy()).save_freq(SaveFreq::Steps(every));
    let history = model.fit(data, fit().callback(checkpoint)).unwrap();
    let end = saved(&mut model, folder.path());
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("at-"));
    assert!(files.len() > 2, "{files:?}");
    for file in files {
        let mut model = Sequential::load(&file).unwrap().device(device.clone());
        let done = model.epoch();
        let rest = model.fit(data, fit().initial_epoch(done)).unwrap();
        assert_eq!(rest.epochs(), &history.epochs()[done..], "{device}, {accumulated:?}: {}", file.display());
        assert!(history.batch_losses().ends_with(rest.batch_losses()));
        assert!(saved(&mut model, folder.path()) == end, "{device}, {accumulated:?}: {}", file.display());
    }
}

fn fit() -> Fit<'static> {
    Fit::new().epochs(3).batch_size(8).verbose(0)
}

/// Seven steps an epoch, the last of two samples.
#[test]
fn a_run_goes_on_from_a_step_to_the_same_bits() {
    let set = data(50, 12);
    for device in devices() {
        goes_on(&device, (&set, None), 3, fit);
        // Saved after the last of six steps, before its validation.
        goes_on(&device, (&set, None), 6, || fit().epochs(4).validation_split(0.12).shuffle(false));
        goes_on(&device, (&Streamed::new(&set), None), 4, || fit().validation_split(0.2).seed(9));
        for accumulated in [2, 3] {
            goes_on(&device, (&set, Some(accumulated)), 4, fit);
        }
    }
}

/// However the steps are made.
#[test]
fn a_run_goes_on_step_by_step_too() {
    let set = data(50, 12);
    for device in devices() {
        goes_on(&device, (&set, None), 4, || fit().check_finite(CheckFinite::Step));
        goes_on(&device, (&set, Some(3)), 5, || {
            let seen = LambdaCallback::new().on_batch_end(|run| {
                assert!(run.step() >= 1 && run.logs().get("loss").is_some());
                Ok(())
            });
            fit().callback(seen).on_first_step(|| ())
        });
    }
}

/// Chunks of 8 MiB: the middle of the epoch is in the second.
#[test]
fn a_run_goes_on_within_a_later_chunk() {
    let set = data(11_000, 900);
    let streamed = Streamed::new(&set);
    for device in devices() {
        goes_on(&device, (&streamed, None), 50, || fit().epochs(2).batch_size(100));
    }
}

#[test]
fn what_does_not_go_on_there_is_refused_or_begins_anew() {
    let (folder, set) = (TempDir::new().unwrap(), data(50, 12));
    let path = folder.path().join("at.safetensors");
    let checkpoint = || ModelCheckpoint::new(path.to_string_lossy()).save_freq(SaveFreq::Steps(10));
    model(&Device::cpu(), None).fit(&set, fit().epochs(2).callback(checkpoint())).unwrap();
    let load = || Sequential::load(&path).unwrap().device(Device::cpu());
    assert_eq!(load().epoch(), 1);
    let go_on = || fit().initial_epoch(1);
    for (data, fit, parts) in [
        (&set, go_on().batch_size(9), ["batch_size: the model stands after step 3", "was 8, not 9; give 8"]),
        (&set, go_on().shuffle(false), ["shuffle: ", "was true, not false"]),
        (&set, go_on().seed(4), ["seed: ", "was 3, not 4"]),
        (&data(49, 12), go_on(), ["samples: ", "compile the model"]),
    ] {
        let mut model = load();
        let error = model.fit(data, fit).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        // Nothing is lost by it.
        assert_eq!(model.fit(&set, go_on()).unwrap().batch_losses().len(), 4 + 7);
    }
    assert_eq!(load().fit(&set, fit().initial_epoch(0).epochs(1)).unwrap().batch_losses().len(), 7);
    let mut again = load();
    again.compile(Sgd::default(), Loss::SparseCategoricalCrossentropy, []).unwrap();
    assert_eq!(again.fit(&data(9, 12), fit().epochs(1)).unwrap().batch_losses().len(), 2);
}

#[test]
fn a_place_that_cannot_be_is_refused() {
    let (folder, set) = (TempDir::new().unwrap(), data(50, 12));
    let path = folder.path().join("at.safetensors");
    let checkpoint = ModelCheckpoint::new(path.to_string_lossy()).save_freq(SaveFreq::Steps(5));
    model(&Device::cpu(), None).fit(&set, fit().epochs(1).callback(checkpoint)).unwrap();
    let file = TensorFile::read(&path).unwrap();
    let text = file.metadata("kiln").unwrap();
    let refused = |from: &str, to: &str, parts: [&str; 2]| {
        assert!(text.contains(from), "no {from} in {text}");
        let copied =
            file.names().fold(TensorFile::new(), |all, name| all.with(name, file.tensor(name).unwrap().clone()));
        copied.with_metadata("kiln", text.replace(from, to)).write(&path).unwrap();
        let error = Sequential::load(&path).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    refused("\"step\":5", "\"step\":8", ["Position", "no step of an epoch of 50 samples"]);
    refused("\"step\":5", "\"step\":0", ["Position", "no step of an epoch of 50 samples"]);
    refused("\"iteration\":5", "\"iteration\":4", ["iteration", "less than the 5 steps"]);
}
