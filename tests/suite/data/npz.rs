//! Data sets in NumPy's archives, which `scripts/interop --write` had NumPy write.

use std::path::Path;

use kiln::data::Npz;
use kiln::prelude::*;
use kiln::{DType, Values};

use super::{says, text};

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The set stored and deflated.
fn both(name: &str) -> [Npz; 2] {
    ["", "-compressed"].map(|packed| Npz::open(fixture(&format!("{name}{packed}.npz"))).unwrap())
}

const TYPES: [&str; 11] =
    ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"];

#[test]
fn a_file_with_keras_names_is_a_split() {
    for npz in both("data-keras") {
        assert_eq!(npz.names().collect::<Vec<_>>(), ["x_train", "y_train", "x_test", "y_test"]);
        let set = npz.split().unwrap();
        let pixels: Vec<u8> = (0..24).map(|i| i * 10).collect();
        assert_eq!(*set.train.x(), Tensor::new([4, 2, 3], pixels).unwrap());
        assert_eq!((set.train.y(), set.train.scale()), (&Tensor::from([1u32, 0, 2, 1]), 1.0 / 255.0));
        assert_eq!(*set.test.x(), Tensor::new([2, 2, 3], vec![255u8; 12]).unwrap());
        assert_eq!(*set.test.y(), Tensor::from([2u32, 0]));
    }
}

#[test]
fn every_type_of_numpys_is_samples_and_targets() {
    for npz in both("data-types") {
        for name in TYPES {
            let set = npz.dataset(&format!("x_{name}"), &format!("y_{name}")).unwrap();
            let large = if name == "bool" { [1.0, 1.0, 1.0, 1.0] } else { [2.0, 3.0, 4.0, 100.0] };
            let [c, d, e, f] = large;
            assert_eq!(set.x().values().to_f64(), [0.0, 1.0, c, d, e, f], "{name}");
            assert_eq!(set.x().dtype(), if name == "uint8" { DType::U8 } else { DType::F32 }, "{name}");
            let float = name.starts_with("float");
            let labels = if float { Values::F32(vec![1.0, 0.0]) } else { Values::U32(vec![1, 0]) };
            assert_eq!((set.y().values(), set.y().shape().to_string()), (&labels, "(2,)".into()), "{name}");
        }
        let x = npz.samples("negative").unwrap();
        assert_eq!(x, Tensor::from([[-1.0f32, -128.0, -3.0], [3.0, 4.0, 127.0]]));
        // In Fortran's order in the file.
        let x = npz.samples("turned").unwrap();
        assert_eq!(x, Tensor::new([2, 3, 4], (-6..18).map(|i| i as f32).collect::<Vec<_>>()).unwrap());
        // Whole numbers that are not one a row are values.
        let set = npz.dataset("x_float32", "one_hot").unwrap();
        assert_eq!(*set.y(), Tensor::from([[0.0f32, 0.0, 1.0], [1.0, 0.0, 0.0]]));
    }
}

#[test]
fn what_is_wrong_names_file_and_array() {
    let [npz, _] = both("data-types");
    for (x, y, parts) in [
        ("x_float23", "y_int64", &["array \"x_float23\" is unknown; did you mean \"x_float32\"?"][..]),
        ("x_float32", "below", &["array \"below\": the number -1 at [1] is no class index"]),
        ("odd", "y_int64", &["array \"odd\": the number 16777217 at [0, 1] f32 does not hold exactly"]),
        ("half", "y_int64", &["array \"half\": is of type \"<f2\"", "float32", "astype"]),
        ("big_endian", "y_int64", &["array \"big_endian\": is of type \">f4\"", "little-endian"]),
        ("x_float32", "words", &["array \"words\": is of type \"<U1\""]),
        ("nan", "y_int64", &["arrays \"nan\" as x and \"y_int64\" as y: x: row 1, column 0: NaN is not finite"]),
        ("x_float32", "three", &["\"three\" as y", "holds 2 samples", "holds 3 targets"]),
        ("empty", "y_int64", &["\"empty\" as x", "holds nothing"]),
    ] {
        let text = text(npz.dataset(x, y));
        says(&text, &[&["data-types.npz: "], parts].concat());
    }
    says(&text(npz.split()), &["array \"x_train\" is unknown"]);
    says(&text(Npz::open(fixture("none.npz"))), &["none.npz: "]);
    says(&text(Npz::open(fixture("python.safetensors"))), &["python.safetensors: is no .npz archive", "np.savez"]);
}

#[test]
fn damaged_archives_are_refused_and_never_panic() {
    let parse = |bytes: &[u8]| Npz::parse(bytes, Path::new("set.npz"));
    for name in ["data-keras.npz", "data-keras-compressed.npz"] {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let whole = parse(&bytes).unwrap().split().unwrap();
        for len in 0..bytes.len() {
            says(&text(parse(&bytes[..len])), &["set.npz: "]);
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x10;
            // What is left are dates and the like: no fault gives other numbers.
            if let Ok(set) = parse(&bytes).and_then(|npz| npz.split()) {
                assert_eq!((&set.train, &set.test), (&whole.train, &whole.test), "{name}, byte {at}");
            }
        }
    }
}

#[test]
fn a_model_is_trained_on_an_archive() {
    let [npz, _] = both("data-keras");
    let set = npz.split().unwrap();
    for device in crate::common::devices() {
        let mut model = Sequential::new().add(Flatten).add(Dense::new(3).activation(Activation::Softmax));
        model = model.device(device);
        model.compile(Adam::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
        let history = model.fit(&set.train, Fit::new().epochs(20).batch_size(4).verbose(0)).unwrap();
        let losses = history.batch_losses();
        assert!(losses[19] < losses[0], "{losses:?}");
    }
}
