//! Weights of other models and programs: what Keras and PyTorch wrote (`scripts/golden-keras-names`, `scripts/golden-torch`) becomes the
//! weights of Kiln's layers, to the same predictions; what cannot be told is an error, and nothing is guessed.

use std::path::{Path, PathBuf};

use kiln::DType;
use kiln::io::TensorFile;
use kiln::nn::WeightMatches;
use kiln::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{devices, fixture, numbers, says, shaped};

fn path(folder: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder).join(file)
}

fn chain(layers: &str) -> Sequential {
    Sequential::from_text(layers).unwrap().device(Device::cpu())
}

/// The largest difference, of the largest number wanted.
fn apart(found: &Tensor, wanted: &Value) -> f64 {
    let wanted = numbers(&wanted["values"]);
    let found = found.values().to_f64();
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    found.iter().zip(&wanted).fold(0.0f64, |most, (a, b)| most.max((a - b).abs())) / largest
}

/// Samples as a model takes them: of tokens whole numbers.
fn samples(wanted: &Value, layers: &str) -> Tensor {
    let x = shaped(&wanted["x"]);
    if layers.contains("embedding") { x.astype(DType::U32) } else { x }
}

#[test]
fn what_pytorch_wrote_predicts_alike() -> Result<()> {
    let models = fixture("torch/models.json");
    assert_eq!(models.as_object().unwrap().len(), 9);
    for (name, wanted) in models.as_object().unwrap() {
        let layers = wanted["layers"].as_str().unwrap();
        for device in devices() {
            let mut model = chain(layers).device(device);
            let taken = model.load_weights_from(path("torch", wanted["file"].as_str().unwrap()));
            let taken = taken.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(taken.is_complete() && taken.left.is_empty(), "{name}: {taken}");
            assert!(taken.unused.is_empty() && taken.notes.is_empty(), "{name}: {taken}");
            let apart = apart(&model.predict(&samples(wanted, layers))?, &wanted["y"]);
            assert!(apart < 2e-6, "{name}: predictions are {apart} apart");
        }
    }
    Ok(())
}

#[test]
fn floats_of_16_bits_are_read() -> Result<()> {
    for (name, tensor) in [("mlp_halves", "0.weight"), ("tokens", "embed.weight")] {
        let file = TensorFile::read(path("torch", &format!("{name}.safetensors")))?;
        assert_eq!(file.tensor(tensor)?.dtype(), DType::F32, "{name}");
    }
    Ok(())
}

#[test]
fn what_keras_wrote_predicts_alike_under_all_of_its_names() -> Result<()> {
    let folder = TempDir::new().unwrap();
    let models = fixture("keras-names/models.json");
    for (name, wanted) in models.as_object().unwrap() {
        let layers = wanted["layers"].as_str().unwrap();
        let renamed = folder.path().join(format!("{name}.safetensors"));
        TensorFile::read(path("keras-names", &format!("{name}.npz")))?.write(&renamed)?;
        let mut files = vec![path("keras-names", &format!("{name}.npz")), renamed];
        if cfg!(feature = "keras") {
            files.extend(["keras", "weights.h5"].map(|ending| path("keras-names", &format!("{name}.{ending}"))));
        }
        for file in files {
            let described = Model::load(path("keras-names", &format!("{name}.json")))?;
            for mut model in [chain(layers).into_model(), described.device(Device::cpu())] {
                let taken = model.load_weights_from(&file).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert!(taken.is_complete() && taken.unused.is_empty(), "{}: {taken}", file.display());
                let apart = apart(&model.predict(&shaped(&wanted["x"]))?, &wanted["y"]);
                assert!(apart < 2e-6, "{}: predictions are {apart} apart", file.display());
            }
        }
    }
    Ok(())
}

/// A file of weights under these names, filled with their places in the list.
fn file(folder: &TempDir, tensors: &[(&str, &[usize])]) -> PathBuf {
    let path = folder.path().join("weights.safetensors");
    let numbered = (1..).zip(tensors).map(|(number, &(name, shape))| {
        (name, Tensor::new(shape.to_vec(), vec![number as f32; shape.iter().product()]).unwrap())
    });
    let file = numbered.fold(TensorFile::new(), |file, (name, tensor)| file.with(name, tensor));
    file.write(&path).unwrap();
    path
}

/// What is taken of such a file, and the first number of each weight; 0 stands for one that was left.
fn taken(layers: &str, tensors: &[(&str, &[usize])]) -> Result<(WeightMatches, Vec<f32>)> {
    let folder = TempDir::new().unwrap();
    let mut model = chain(layers);
    let zeros: Vec<Tensor> = model.weights()?.iter().map(|weight| weight * 0.0).collect();
    model.set_weights(&zeros)?;
    let taken = model.load_weights_from(file(&folder, tensors))?;
    let firsts = model.weights()?.iter().map(|weight| weight.values().to_f32()[0]).collect();
    Ok((taken, firsts))
}

#[test]
fn a_layer_gets_all_of_its_weights_or_none() -> Result<()> {
    let layers = "input 4, dense 3 name=a, dense 3 name=b, dense 3 name=c, dense 2 name=d";
    let (taken, weights) = taken(
        layers,
        &[
            ("a/kernel", &[4, 3]),
            ("a/bias", &[3]),
            ("b/kernel", &[3, 3]),
            ("c/kernel", &[3, 3]),
            ("c/bias", &[4]),
            ("optimizer/a/kernel/velocity", &[4, 3]),
            ("e/kernel", &[4, 3]),
        ],
    )?;
    assert_eq!(weights, [1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(
        taken.to_string(),
        "2 of 8 weights are in the file, by their names\n  b stays as it was: the file has no bias of it\n  \
         c stays as it was: c/bias is (4,) in the file, (3,) here\n  d stays as it was: not in the file\n  \
         not used: b/kernel, c/kernel, c/bias, e/kernel\n"
    );
    Ok(())
}

#[test]
fn names_that_keras_numbers_go_by_their_order() -> Result<()> {
    let layers = "input 4, dense 3, dense 3 name=mine, dense 2";
    let names: [(&str, &[usize]); 5] = [
        ("net/dense_7/kernel", &[4, 3]),
        ("net/dense_7/bias", &[3]),
        ("net/dense_12/kernel", &[3, 2]),
        ("net/dense_12/bias", &[2]),
        ("net/other/kernel", &[3, 3]),
    ];
    let (found, weights) = taken(layers, &names)?;
    assert_eq!(weights, [1.0, 2.0, 0.0, 0.0, 3.0, 4.0]);
    assert_eq!(
        found.to_string(),
        "4 of 6 weights are in the file\n  dense: kernel <- net/dense_7/kernel, bias <- net/dense_7/bias\n  \
         dense_1: kernel <- net/dense_12/kernel, bias <- net/dense_12/bias\n  mine stays as it was: not in the file\n  \
         not used: net/other/kernel\n"
    );
    // By their names they are the second and the third, by their order the first and the second.
    let layers = "input 3, dense 3 use_bias=false, dense 3 use_bias=false, dense 3 use_bias=false";
    let said = taken(layers, &[("dense_1/kernel", &[3, 3]), ("dense_2/kernel", &[3, 3])]);
    says(
        said,
        &["weights.safetensors: is ambiguous", "dense_1/kernel is dense_1/kernel", "dense_1/kernel is dense_2/kernel"],
    );
    // Where their shapes tell, nothing is open.
    let layers = "input 3, dense 4 use_bias=false, dense 3 use_bias=false, dense 3 use_bias=false";
    let (_, weights) = taken(layers, &[("dense_1/kernel", &[4, 3]), ("dense_2/kernel", &[3, 3])])?;
    assert_eq!(weights, [0.0, 1.0, 2.0]);
    Ok(())
}

const TWO: [(&str, &[usize]); 2] = [("encoder.0.weight", &[3, 3]), ("decoder.0.weight", &[3, 3])];

#[test]
fn modules_go_by_name_shape_and_number() -> Result<()> {
    let layers = |names: [&str; 2]| names.map(|name| format!("dense 3 use_bias=false{name}")).join(", ");
    let said = taken(&format!("input 3, {}", layers(["", ""])), &TWO);
    says(
        said,
        &["is ambiguous: dense, dense_1 may be decoder.0, encoder.0", "give the layers the names of their modules"],
    );
    let named = format!("input 3, {}", layers([" name=encoder_0", " name=decoder_0"]));
    assert_eq!(taken(&named, &TWO)?.1, [1.0, 2.0]);
    let half = format!("input 3, {}", layers(["", " name=decoder_0"]));
    assert_eq!(taken(&half, &TWO)?.1, [1.0, 2.0]);
    // Numbers are an order: 10 comes behind 2.
    let numbered: [(&str, &[usize]); 2] = [("fc10.weight", &[3, 3]), ("fc2.weight", &[3, 3])];
    let (found, weights) = taken(&format!("input 3, {}", layers(["", ""])), &numbered)?;
    assert_eq!(weights, [2.0, 1.0]);
    assert!(found.to_string().contains("dense: kernel <- fc2.weight (transposed)\n"), "{found}");
    // One that has the name, and other shapes, is no other layer's.
    let (found, weights) = taken(
        "input 3, dense 3 use_bias=false, dense 2 name=fc2",
        &[("fc1.weight", &[3, 3]), ("fc2.weight", &[3, 3])],
    )?;
    assert_eq!(weights, [1.0, 0.0, 0.0]);
    assert!(found.left[0].1.starts_with("fc2 of the file has its name"), "{found}");
    Ok(())
}

#[test]
fn an_order_that_cannot_be_told_is_no_order() -> Result<()> {
    let layers = "input 4 4 2, conv2d 3 3, permute 3 1 2, flatten, dense 2";
    let tensors: [(&str, &[usize]); 4] =
        [("0.weight", &[3, 2, 3, 3]), ("0.bias", &[3]), ("3.weight", &[2, 12]), ("3.bias", &[2])];
    let (found, _) = taken(layers, &tensors)?;
    assert_eq!((found.matched.len(), found.left.len()), (2, 1), "{found}");
    assert!(found.left[0].1.contains("PyTorch has channels first, and permute moves them"), "{found}");
    let tensors: [(&str, &[usize]); 4] =
        [("weight_ih_l0", &[6, 3]), ("weight_hh_l0", &[6, 2]), ("bias_ih_l0", &[6]), ("bias_hh_l0", &[6])];
    says(
        taken("input 4 3, gru 2 reset_after=false", &tensors),
        &["no layer of the model's", "gru: ", "set reset_after"],
    );
    let (_, weights) = taken("input 4 3, gru 2", &tensors)?;
    assert_eq!(weights, [1.0, 2.0, 3.0]);
    Ok(())
}

#[test]
fn settings_that_a_file_does_not_say_are_told() -> Result<()> {
    let tensors: [(&str, &[usize]); 2] = [("norm.weight", &[3]), ("norm.bias", &[3])];
    let (found, _) = taken("input 3, layer_normalization", &tensors)?;
    assert_eq!(found.notes.len(), 1, "{found}");
    assert!(found.to_string().contains("its epsilon is 0.001, PyTorch's is 0.00001 unless"), "{found}");
    assert!(taken("input 3, layer_normalization epsilon=1e-5", &tensors)?.0.notes.is_empty());
    Ok(())
}

#[test]
fn a_file_with_nothing_of_the_models_is_refused() {
    let layers = "input 4, dense 3";
    says(
        taken(layers, &[("hidden/kernel", &[4, 3]), ("hidden/bias", &[3])]),
        &[
            "no layer of the model's, by name and shape",
            "it has hidden/kernel (4, 3), hidden/bias (3,)",
            "dense/kernel (4, 3)",
        ],
    );
    says(
        taken(layers, &[("dense/kernel", &[5, 3]), ("dense/bias", &[3])]),
        &["dense: dense/kernel is (5, 3) in the file, (4, 3) here"],
    );
    says(taken(layers, &[]), &["holds no weights"]);
    let mut unbuilt = Sequential::new().add(Dense::new(3));
    says(unbuilt.load_weights_from("nowhere.npz"), &["not built yet"]);
    says(chain(layers).load_weights_from("nowhere.npz"), &["nowhere.npz"]);
}
