//! Nets that PyTorch and Keras exported, made by `scripts/golden-onnx-import`: they predict alike, and are trained on.

use std::path::Path;

use kiln::io::TensorFile;
use kiln::prelude::*;

const NETS: [&str; 13] = [
    "keras-cnn",
    "keras-decoder",
    "keras-dense",
    "torch-autoencoder",
    "torch-cnn",
    "torch-conv1d",
    "torch-dense",
    "torch-gelu",
    "torch-gru",
    "torch-lstm",
    "torch-lstm-both-ways",
    "torch-resnet",
    "torch-rnn",
];

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx-import").join(name)
}

#[test]
fn nets_of_others_predict_alike_and_are_trained_on() {
    for name in NETS {
        let io = TensorFile::read(path(&format!("{name}.npz"))).unwrap();
        let (x, wanted) = (io.tensor("input0").unwrap(), io.tensor("output0").unwrap());
        let mut model = Model::import_onnx(path(&format!("{name}.onnx"))).unwrap().device(Device::cpu());
        let found = model.predict(x).unwrap();
        assert_eq!(found.shape(), wanted.shape(), "{name}");
        let numbers = found.to_vec::<f32>().into_iter().zip(wanted.to_vec::<f32>());
        let apart = numbers.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "{name} is {apart:e} apart");
        // Towards other targets than it gives the loss falls.
        let targets = Tensor::new(wanted.shape().clone(), vec![0.25f32; wanted.values().len()]).unwrap();
        let data = Dataset::new(x.clone(), targets).unwrap();
        model.compile(Sgd::new(0.01), Loss::MeanSquaredError, []).unwrap();
        let before = model.evaluate(&data).unwrap().get("loss").unwrap();
        model.fit(&data, Fit::new().epochs(5).verbose(0)).unwrap();
        let after = model.evaluate(&data).unwrap().get("loss").unwrap();
        assert!(after < before, "{name}: {before} became {after}");
    }
}

/// Layers have the names that their weights have there.
#[test]
fn layers_keep_names() {
    let model = Model::import_onnx(path("torch-dense.onnx")).unwrap();
    assert_eq!(model.parameter_paths().unwrap(), ["0/kernel", "0/bias", "3/kernel", "3/bias"]);
}
