//! Files of ONNX: what is written runs in ONNX' own runtime to the same predictions, which `scripts/interop-onnx` sees to.

mod golden;
mod hostile;
pub mod nets;
mod reading;

use std::path::{Path, PathBuf};

use kiln::io::TensorFile;
use kiln::prelude::*;

use crate::common::says;

/// Numbers between -1 and 1 that look like none in particular.
pub fn noise(shape: &[usize], seed: usize) -> Tensor {
    let number = |i: usize| ((i * 7919 + seed * 104_729 + 13) % 2003) as f32 / 1001.0 - 1.0;
    Tensor::new(shape, (0..shape.iter().product()).map(number).collect::<Vec<_>>()).unwrap()
}

/// Weights of which none is like another: biases are not zeros, variances are above 0.
pub fn stir(model: &mut Model) {
    let paths = model.parameter_paths().unwrap();
    let weights = model.weights().unwrap();
    let stirred = paths.iter().zip(&weights).enumerate().map(|(seed, (path, weight))| {
        let fresh = noise(weight.shape(), seed + 1);
        let (scale, shift) = if path.ends_with("variance") { (0.4, 1.0) } else { (0.5, 0.0) };
        let numbers = fresh.to_vec::<f32>().into_iter().map(|x| x * scale + shift).collect::<Vec<_>>();
        Tensor::new(weight.shape().clone(), numbers).unwrap()
    });
    model.set_weights(&stirred.collect::<Vec<_>>()).unwrap();
}

/// Samples of an input: tokens where a layer reads it as such.
pub fn samples(shape: &Shape, tokens: Option<usize>, seed: usize) -> Tensor {
    let shape = [&[3], &shape[..]].concat();
    match tokens {
        None => noise(&shape, seed),
        Some(rows) => {
            let numbers = (0..shape.iter().product::<usize>()).map(|i| ((i * 31 + seed * 7) % rows) as u32);
            Tensor::new(shape, numbers.collect::<Vec<_>>()).unwrap()
        }
    }
}

/// A folder of a test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Every net as a file of ONNX, with samples and what Kiln predicts of them: `scripts/interop-onnx` runs each in ONNX' runtime.
#[test]
fn onnx_files_for_python() {
    let folder = folder("onnx");
    let mut complaints = Vec::new();
    for net in nets::all() {
        let nets::Net { name, mut model, shapes, tokens } = net;
        stir(&mut model);
        if let Err(e) = model.export(folder.join(format!("{name}.onnx"))) {
            complaints.push(format!("{name}: {e}"));
            continue;
        }
        let x: Vec<Tensor> = shapes.iter().enumerate().map(|(i, shape)| samples(shape, tokens, i)).collect();
        let y = model.predict_all(&x.iter().collect::<Vec<_>>()).unwrap();
        let mut io = TensorFile::new();
        for (i, x) in x.into_iter().enumerate() {
            io = io.with(format!("input{i}"), x);
        }
        for (i, y) in y.into_iter().enumerate() {
            io = io.with(format!("output{i}"), y);
        }
        io.write(folder.join(format!("{name}.npz"))).unwrap();
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn what_onnx_lacks_is_refused_by_name() {
    let to_onnx = |layer: Box<dyn Layer>, shape: &[usize]| {
        let mut model = Sequential::new().add(Input::new(shape.to_vec())).add(layer).device(Device::cpu());
        model.to_onnx()
    };
    let relu6 = Lstm::new(2).activation("relu6").named("walker");
    says(to_onnx(Box::new(relu6), &[4, 3]), &["walker", "lstm", "relu6"]);
    let mut model = Sequential::new().add(Input::new([3])).add(Dense::new(2)).device(Device::cpu());
    says(model.export("net.tflite"), &["net.tflite", ".onnx"]);
    let (x, state) = (Input::new([4, 3]), Input::new([2]));
    let y = Gru::new(2).named("reader").apply([&Masking::new(0.0).apply(&x).unwrap(), &state.value()]).unwrap();
    let mut masked = Model::new([&x, &state], y).unwrap().device(Device::cpu());
    says(masked.to_onnx(), &["reader", "both a mask and first states"]);
    let stateful = Sequential::new().add(Input::new([4, 3])).add(Gru::new(2).stateful(8).named("keeper"));
    says(stateful.device(Device::cpu()).to_onnx(), &["keeper", "8"]);
}

/// `kiln export` writes what `Model::export` does, and nothing over the model itself.
#[cfg(feature = "cli")]
#[test]
fn the_command_exports() {
    let folder = folder("onnx-command");
    let (model, output) = (folder.join("net.safetensors"), folder.join("net.onnx"));
    let mut net = Sequential::new().add(Input::new([4])).add(Dense::new(2)).device(Device::cpu());
    net.save(&model).unwrap();
    let kiln = |paths: [&Path; 2]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_kiln")).arg("export").args(paths).output().unwrap()
    };
    assert!(kiln([&model, &output]).status.success());
    assert_eq!(std::fs::read(&output).unwrap(), net.to_onnx().unwrap());
    for (paths, words) in
        [([&*model, &*model], "which would be lost"), ([&*model, &*folder.join("net.tflite")], ".onnx")]
    {
        let refused = kiln(paths);
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && text.contains(words), "{text}");
    }
}
