//! Training by hand, a batch at a time; layers and weights by name; layers behind pointers, and weights of theirs that rest.

use std::sync::Arc;

use kiln::graph::Id;
use kiln::nn::{CustomObjects, Scope};
use kiln::ops::binary::Binary;
use kiln::prelude::*;

use crate::common::{devices, sines};

fn data(rows: usize) -> Dataset {
    Dataset::new(sines(rows, 3, 0.7), sines(rows, 1, 1.3)).unwrap()
}

/// With what makes one step depend on the steps before.
fn model(device: &Device, optimizer: Box<dyn Optimizer>) -> Sequential {
    let layers = Sequential::new().add(Dense::new(4).activation("tanh")).add(BatchNormalization::new());
    let mut model = layers.add(Dropout::new(0.3)).add(Dense::new(1)).device(device.clone());
    model.compile(optimizer, "mse", ["mae"]).unwrap();
    model
}

fn batches(data: &Dataset, size: usize) -> Vec<Dataset> {
    let rows: Vec<usize> = (0..data.len()).collect();
    rows.chunks(size).map(|rows| data.subset(rows).unwrap()).collect()
}

#[test]
fn batches_by_hand_train_as_fit_does() {
    let data = data(10);
    for device in devices() {
        for accumulates in [false, true] {
            let optimizer = || -> Box<dyn Optimizer> {
                if accumulates {
                    Box::new(Adam::new(0.01).gradient_accumulation_steps(2))
                } else {
                    Box::new(Adam::new(0.01))
                }
            };
            let mut fitted = model(&device, optimizer());
            let history = fitted.fit(&data, Fit::new().epochs(2).batch_size(4).shuffle(false).verbose(0)).unwrap();
            let mut by_hand = model(&device, optimizer());
            let mut losses = Vec::new();
            for batch in batches(&data, 4).iter().chain(&batches(&data, 4)) {
                let logs = by_hand.train_on_batch(batch).unwrap();
                losses.push(logs.get("loss").unwrap());
                assert!(logs.get("mean_absolute_error").is_some());
            }
            assert_eq!(by_hand.weights().unwrap(), fitted.weights().unwrap(), "{device}");
            assert_eq!((by_hand.iteration(), losses.len()), (6, 6));
            let wanted = history.batch_losses();
            assert_eq!(losses, wanted, "{device}");
            assert_eq!(by_hand.test_on_batch(&data).unwrap(), fitted.evaluate(&data).unwrap());
        }
    }
}

#[test]
fn gradients_of_a_batch_change_nothing_and_are_those_of_the_next_step() {
    let data = data(6);
    for device in devices() {
        let mut model = model(&device, Box::new(Sgd::new(0.1).clip_value(0.01)));
        model.train_on_batch(&data).unwrap();
        let before = model.weights().unwrap();
        let gradients = model.gradients_on_batch(&data).unwrap();
        assert_eq!((model.weights().unwrap(), model.iteration()), (before, 1), "{device}");
        let again = model.gradients_on_batch(&data).unwrap();
        assert_eq!(again, gradients, "{device}");
        model.train_on_batch(&data).unwrap();
        let (names, found): (Vec<_>, Vec<_>) = gradients.into_iter().unzip();
        assert_eq!(names, model.parameter_paths().unwrap());
        assert_eq!(found, model.gradients().unwrap(), "{device}");
        let largest = found.iter().flat_map(|g| g.to_vec::<f64>()).fold(0.0, |most: f64, x| most.max(x.abs()));
        assert!((largest - 0.01).abs() < 1e-8, "{device}: {largest} was not clipped");
    }
}

#[test]
fn a_batch_that_loses_the_numbers_is_an_error() {
    let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
    model.compile(Sgd::new(1e30), "mse", []).unwrap();
    let lost = (0..4).find_map(|_| model.train_on_batch(&data(5)).err()).expect("it diverges");
    assert!(matches!(lost, Error::NotFinite { .. }), "{lost}");
    let said = Sequential::new().add(Dense::new(1)).train_on_batch(&data(5)).unwrap_err().to_string();
    assert!(said.contains("call compile"), "{said}");
}

#[test]
fn samples_of_all_batches_are_remembered() {
    let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
    model.compile("sgd", "mse", []).unwrap();
    for pixels in [[0u8, 9], [4, 255]] {
        let x = Tensor::new([2, 1], pixels.to_vec()).unwrap();
        model.train_on_batch(&Dataset::new(x, Tensor::from([[0.0f32], [1.0]])).unwrap()).unwrap();
    }
    // Shares of full brightness, which the second batch has.
    assert_eq!(model.input_scale(&Tensor::from([[0.5f32]])).unwrap(), 1.0);
}

#[test]
fn one_weight_and_one_layer_by_name() {
    let mut model = model(&Device::cpu(), Box::<Sgd>::default());
    model.build([3]).unwrap();
    for (path, weight) in model.parameter_paths().unwrap().iter().zip(model.weights().unwrap()) {
        assert_eq!(model.weight(path).unwrap(), weight);
    }
    model.set_weight("dense_1/bias", &Tensor::from([0.5f64])).unwrap();
    assert_eq!(model.weight("dense_1/bias").unwrap(), Tensor::from([0.5f32]));
    let said = model.weight("dense_1/bais").unwrap_err().to_string();
    assert!(said.contains("did you mean \"dense_1/bias\"?"), "{said}");
    let said = model.set_weight("dense_1/bias", &Tensor::from([1u32])).unwrap_err().to_string();
    assert!(said.contains("expected f32 or f64 dense_1/bias (1,); was given u32 (1,)"), "{said}");
    let names: Vec<&str> = model.layers().map(|(name, _)| name).collect();
    assert_eq!(names, ["dense", "batch_normalization", "dropout", "dense_1"]);
    assert_eq!(model.layer("dropout").unwrap().kind(), "Dropout");
    assert!(model.layer("dropot").unwrap_err().to_string().contains("did you mean \"dropout\"?"));
}

#[test]
fn a_layer_may_be_chosen_as_the_program_runs() {
    let chosen = |deep: bool| -> Box<dyn Layer> {
        if deep { Box::new(Dense::new(3).named("deep").trainable(false)) } else { Box::new(Dropout::new(0.5)) }
    };
    let model =
        Sequential::new().add(Input::new([2])).add(chosen(true)).add(chosen(false)).add(Arc::new(Dense::new(1)));
    let names: Vec<&str> = model.layers().map(|(name, _)| name).collect();
    assert_eq!(names, ["input_layer", "deep", "dropout", "dense"]);
    assert_eq!(model.summary().unwrap().non_trainable(), 2 * 3 + 3);
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut model = model.device(Device::cpu());
    model.save(&path).unwrap();
    let again = Sequential::load(&path).unwrap();
    assert_eq!(again.summary().unwrap().to_string(), model.summary().unwrap().to_string());
    let y = chosen(true).apply(Input::new([5])).unwrap();
    assert_eq!(y.shape().to_string(), "(3,)");
}

/// Multiplied by a weight that is trained and one that is not.
#[derive(Debug)]
struct Scaled;

impl Layer for Scaled {
    fn kind(&self) -> &'static str {
        "Scaled"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        let (learned, fixed) =
            (scope.parameter("learned", [1], "ones")?, scope.state("fixed", [1], Initializer::Constant(3.0))?);
        let offsets = scope.graph.constant(&Tensor::from([0.5f32, -0.5, 0.0]));
        let y = scope.graph.apply(Binary::Mul, &[x, learned])?;
        let y = scope.graph.apply(Binary::Mul, &[y, fixed])?;
        Ok(vec![scope.graph.apply(Binary::Add, &[y, offsets])?])
    }
}

#[test]
fn a_weight_within_a_trained_layer_may_rest_and_a_table_never_changes() {
    let x = Tensor::from([[1.0f32, 2.0, 0.0]]);
    let set = Dataset::new(x.clone(), Tensor::from([[1.0f32, 1.0, 1.0]])).unwrap();
    for device in devices() {
        let mut model = Sequential::new().add(Scaled).device(device.clone());
        model.compile(Sgd::new(0.1), "mse", []).unwrap();
        assert_eq!(model.predict(&x).unwrap().to_vec::<f32>(), [3.5, 5.5, 0.0], "{device}");
        model.fit(&set, Fit::new().epochs(3).verbose(0)).unwrap();
        assert_eq!(model.weight("scaled/fixed").unwrap(), Tensor::from([3.0f32]), "{device}");
        assert_ne!(model.weight("scaled/learned").unwrap(), Tensor::from([1.0f32]), "{device}");
        assert_eq!(model.summary().unwrap().non_trainable(), 1);
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("model.safetensors");
        model.save(&path).unwrap();
        let custom = CustomObjects::new().layer("Scaled", |_| Ok(Scaled));
        let mut again = Sequential::load_with(&path, &custom).unwrap().device(device);
        assert_eq!(again.predict(&x).unwrap(), model.predict(&x).unwrap());
    }
}
