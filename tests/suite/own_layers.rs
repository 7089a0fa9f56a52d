//! Layers of a user's own that ask for weights in training alone, or draw more than once.

use std::sync::Arc;

use kiln::graph::Id;
use kiln::nn::layers::{Dropout, Layer};
use kiln::nn::{Config, CustomObjects, Scope};
use kiln::ops::binary::Binary;
use kiln::prelude::*;
use tempfile::TempDir;

use crate::common::{devices, says};

/// y = x + bias in training and y = x elsewhere, or the other way round.
#[derive(Debug, Clone, Copy)]
struct Shift {
    in_training: bool,
}

impl Layer for Shift {
    fn kind(&self) -> &'static str {
        "Shift"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        if scope.training().is_some() != self.in_training {
            return Ok(vec![x]);
        }
        let width = scope.graph.shape(x)[1];
        let bias = scope.parameter("bias", [width], Initializer::Constant(0.5))?;
        Ok(vec![scope.graph.apply(Binary::Add, &[x, bias])?])
    }

    fn config(&self) -> Config {
        Config::new(self.kind()).with("in_training", self.in_training)
    }
}

fn data() -> Dataset {
    let x: Vec<f32> = (0..60).map(|i| ((i * 7) % 11) as f32 / 11.0).collect();
    let y: Vec<u32> = (0..20).map(|i| i % 3).collect();
    Dataset::new(Tensor::new([20, 3], x).unwrap(), Tensor::new([20], y).unwrap()).unwrap()
}

fn shifted(device: &Device, in_training: bool) -> Sequential {
    let model = Sequential::new().add(Input::new([3])).add(Dense::new(4)).add(Shift { in_training });
    let mut model = model.add(Dense::new(3).activation(Activation::Softmax)).device(device.clone());
    model.compile(Adam::default(), Loss::SparseCategoricalCrossentropy, []).unwrap();
    model
}

#[test]
fn a_weight_asked_for_in_training_alone_stands_beside_the_others_which_keep_their_values() {
    let paths = ["dense/kernel", "dense/bias", "shift/bias", "dense_1/kernel", "dense_1/bias"];
    for device in devices() {
        let mut model = shifted(&device, true);
        assert_eq!(model.parameter_paths().unwrap(), paths);
        let start = model.weights().unwrap();
        assert_eq!(start[2].values().to_f64(), [0.5; 4]);
        assert!(start[0].values().to_f64().iter().all(|&w| w != 0.0));
        model.predict(data().x()).unwrap();
        model.evaluate(&data()).unwrap();
        assert_eq!(model.weights().unwrap(), start, "{device}");
        model.compile(Sgd::default(), Loss::SparseCategoricalCrossentropy, []).unwrap();
        model.fit(&data(), Fit::new().verbose(0)).unwrap();
        let trained = model.weights().unwrap();
        assert!(trained.iter().zip(&start).all(|(now, then)| now != then), "{device}: all are trained");
    }
}

#[test]
fn a_weight_asked_for_in_prediction_alone_has_no_gradient() {
    for device in devices() {
        let mut model = shifted(&device, false);
        let start = model.weights().unwrap();
        let losses = model.fit(&data(), Fit::new().epochs(3).verbose(0)).unwrap().get("loss");
        assert!(losses[2] < losses[0], "{losses:?}");
        let (trained, gradients) = (model.weights().unwrap(), model.gradients().unwrap());
        assert_eq!((&trained[2], gradients[2].values().to_f64()), (&start[2], vec![0.0; 4]), "{device}");
        assert_ne!(trained[0], start[0]);
    }
}

#[test]
fn a_run_with_such_weights_goes_on_from_a_file_to_the_same_bits() {
    let (folder, set) = (TempDir::new().unwrap(), data());
    let path = folder.path().join("model.safetensors");
    let own = CustomObjects::new().layer("Shift", |config| Ok(Shift { in_training: config.take("in_training")? }));
    for (device, in_training) in devices().iter().flat_map(|device| [(device, true), (device, false)]) {
        let fit = |epochs| Fit::new().epochs(epochs).batch_size(8).verbose(0);
        let mut whole = shifted(device, in_training);
        whole.fit(&set, fit(3)).unwrap();
        let mut first = shifted(device, in_training);
        first.fit(&set, fit(1)).unwrap();
        first.save(&path).unwrap();
        let mut second = Sequential::load_with(&path, &own).unwrap().device(device.clone());
        second.fit(&set, fit(3).initial_epoch(1)).unwrap();
        assert_eq!(second.weights().unwrap(), whole.weights().unwrap(), "{device}");
    }
}

/// Asks for one weight more at each call.
#[derive(Debug, Default)]
struct Greedy(std::sync::atomic::AtomicUsize);

impl Layer for Greedy {
    fn kind(&self) -> &'static str {
        "Greedy"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let calls = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        scope.parameter(&format!("w{calls}"), [2], Initializer::Zeros)?;
        Ok(vec![x])
    }
}

#[test]
fn a_weight_that_was_not_asked_for_as_the_model_was_built_is_an_error() {
    for device in devices() {
        let mut model = Sequential::new().add(Dense::new(3)).add(Greedy::default()).device(device.clone());
        let error = model.predict(data().x()).unwrap_err().to_string();
        for part in ["layer \"greedy\"", "w2", "when the model was built", "the same weights"] {
            assert!(error.contains(part), "{device}: no {part:?} in {error}");
        }
        let weights = model.weights().unwrap();
        assert!(weights[0].values().to_f64().iter().all(|&w| w != 0.0), "{device}: the others keep their values");
    }
}

/// The layer, so many times one after the other, as one.
#[derive(Debug)]
struct Repeated(Arc<dyn Layer>, usize);

impl Layer for Repeated {
    fn kind(&self) -> &'static str {
        "Repeated"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        (0..self.1).try_fold(inputs.to_vec(), |x, _| self.0.call(scope, &x))
    }
}

/// The loss of ones after dropout by half, so many times, against zeros: the share that stays, times 4 to that power.
fn share_that_stays(device: &Device, layer: impl Layer + 'static) -> f64 {
    let ones = Tensor::new([64, 64], vec![1.0f32; 64 * 64]).unwrap();
    let set = Dataset::new(ones.clone(), Tensor::new([64, 64], vec![0.0f32; 64 * 64]).unwrap()).unwrap();
    // The weight is not used but trained: something has to be.
    let mut model = Sequential::new().add(layer).add(Shift { in_training: false }).device(device.clone());
    model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
    model.fit(&set, Fit::new().batch_size(64).verbose(0)).unwrap().get("loss")[0]
}

#[test]
fn a_layer_applied_twice_draws_twice() {
    for device in devices() {
        let once = share_that_stays(&device, Repeated(Arc::new(Dropout::new(0.5)), 1)) / 4.0;
        let twice = share_that_stays(&device, Repeated(Arc::new(Dropout::new(0.5)), 2)) / 16.0;
        // Standard deviations 0.0078 and 0.0068.
        assert!((once - 0.5).abs() < 0.04 && (twice - 0.25).abs() < 0.035, "{device}: {once} and {twice} stay");
        // The first draw of a layer is what it was when each had one.
        assert_eq!(once, share_that_stays(&device, Dropout::new(0.5)) / 4.0, "{device}");
    }
}

/// y = x times a weight that the layer brings along.
#[derive(Debug)]
struct Brought(Tensor);

impl Layer for Brought {
    fn kind(&self) -> &'static str {
        "Brought"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let by = scope.parameter("by", [2], Initializer::Ones)?;
        Ok(vec![scope.graph.apply(Binary::Mul, &[x, by])?])
    }

    fn carried(&self) -> Vec<(String, Tensor)> {
        vec![("by".into(), self.0.clone())]
    }
}

#[test]
fn a_layer_brings_weights_along() {
    for device in devices() {
        let by = Tensor::from([2.0f32, 3.0]);
        let inner = Sequential::new().add(Brought(by.clone()).trainable(true).named("own")).named("inner");
        let mut model = Sequential::new().add(Input::new([2])).add(inner).device(device.clone());
        assert_eq!(model.weight("inner/own/by").unwrap(), by, "{device}");
        assert_eq!(model.predict(&Tensor::from([[1.0f32, 1.0]])).unwrap(), Tensor::from([[2.0f32, 3.0]]));
        let wrong = Brought(Tensor::from([1.0f32]));
        let mut model = Sequential::new().add(Input::new([2])).add(wrong).device(device.clone());
        says(model.weights(), &["no weight brought/by of (1,)"]);
    }
}
