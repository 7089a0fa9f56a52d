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

/// A `.npy` as `np.save` has it, but for its header, which is given.
fn npy(header: &str, elements: &[u8]) -> Vec<u8> {
    let len = u16::try_from(header.len()).unwrap().to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &len, header.as_bytes(), elements].concat()
}

/// An archive of files, stored.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut local, mut list) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        let len = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let name_len = u16::try_from(name.len()).unwrap().to_le_bytes();
        let shared = [&[20u8, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &sum.sum().to_le_bytes(), &len, &len, &name_len, &[0; 2]];
        let at = u32::try_from(local.len()).unwrap().to_le_bytes();
        local.extend([b"PK\x03\x04", &shared.concat()[..], name.as_bytes(), bytes].concat());
        list.extend([b"PK\x01\x02\x14\x00", &shared.concat()[..], &[0; 10], &at, name.as_bytes()].concat());
    }
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    let [at, len] = [&local, &list].map(|part| u32::try_from(part.len()).unwrap().to_le_bytes());
    [&local[..], &list, b"PK\x05\x06\0\0\0\0", &count, &count, &len, &at, &[0; 2]].concat()
}

#[test]
fn headers_are_read_as_python_reads_them() {
    let floats: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].into_iter().flat_map(f32::to_le_bytes).collect();
    for header in [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 2L), }\n",
        "{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (2, 2)}",
        "{'shape' : ( 2,2 ) , 'fortran_order'  :False,'descr':u'=f4'}   \n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [2, 2]}",
    ] {
        let bytes = archive(&[("x.npy", &npy(header, &floats))]);
        let npz = Npz::parse(&bytes, Path::new("set.npz")).unwrap();
        assert_eq!(npz.samples("x").unwrap(), Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]), "{header}");
    }
    for (header, part) in [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, -2)}", "extent of -2"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': 4}", "no tuple"),
        ("{'descr': '<f4', 'fortran_order': 0, 'shape': (4,)}", "neither True nor False"),
        ("{'descr': '<f4', 'shape': (4,)}", "no fortran_order"),
        ("{'descr': '<f4' 'fortran_order'", "no dict of Python's"),
    ] {
        let bytes = archive(&[("x.npy", &npy(header, &floats))]);
        let read = Npz::parse(&bytes, Path::new("set.npz")).and_then(|npz| npz.samples("x"));
        says(&text(read), &["set.npz: ", "\"x\"", part]);
    }
}

/// np.savez takes what else lies in the archive, and tells arrays by their bytes.
#[test]
fn other_members_may_lie_beside() {
    let array = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}", &[7, 9]);
    let files: [(&str, &[u8]); 4] = [("readme.txt", b"hello"), ("x.npy", &array), ("bare", &array), ("folder/", b"")];
    let npz = Npz::parse(&archive(&files), Path::new("set.npz")).unwrap();
    assert_eq!(npz.names().collect::<Vec<_>>(), ["x", "bare"]);
    assert_eq!(npz.samples("bare").unwrap(), Tensor::from([7u8, 9]));
    let twice: [(&str, &[u8]); 2] = [("x.npy", &array), ("x", &array)];
    says(&text(Npz::parse(&archive(&twice), Path::new("set.npz"))), &["holds \"x\" twice"]);
}

#[test]
fn numbers_of_other_machines_and_of_half_the_width_are_read() {
    let sample = |dtype: &str, elements: &[u8]| {
        let header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': (3,)}}");
        let bytes = archive(&[("x.npy", &npy(&header, elements))]);
        Npz::parse(&bytes, Path::new("set.npz")).unwrap().samples("x").unwrap().values().to_f64()
    };
    assert_eq!(sample(">i2", &[0, 1, 1, 0, 255, 255]), [1.0, 256.0, -1.0]);
    let wide: Vec<u8> = [0.5f64, -2.0, 1e300].into_iter().flat_map(f64::to_be_bytes).collect();
    assert_eq!(sample(">f8", &wide), [0.5, -2.0, 1e300]);
    // NumPy's float16: the smallest, the largest and a third.
    let halves = [0x0001u16, 0xfbff, 0x3555];
    let little: Vec<u8> = halves.into_iter().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = halves.into_iter().flat_map(u16::to_be_bytes).collect();
    let wanted = [2f64.powi(-24), -65504.0, 0.333_251_953_125];
    assert_eq!((sample("<f2", &little), sample(">f2", &big)), (wanted.to_vec(), wanted.to_vec()));
    let rest: Vec<u8> = [0x7c00u16, 0x7e00, 0x8000].into_iter().flat_map(u16::to_le_bytes).collect();
    let [infinite, nan, zero] = sample("<f2", &rest)[..] else { panic!("three") };
    assert!(infinite == f64::INFINITY && nan.is_nan() && zero == 0.0 && zero.is_sign_negative());
}

#[test]
fn a_column_of_whole_numbers_is_labels() {
    let x = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1)}", &[7, 9]);
    let ints = npy("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 1)}", &[3, 0, 1, 0]);
    let [whole, part] = [[2.0f32, 0.0], [2.0, 0.5]].map(|values| {
        let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1)}", &bytes)
    });
    let bytes = archive(&[("x.npy", &x), ("ints.npy", &ints), ("whole.npy", &whole), ("part.npy", &part)]);
    let npz = Npz::parse(&bytes, Path::new("set.npz")).unwrap();
    assert_eq!(*npz.dataset("x", "ints").unwrap().y(), Tensor::from([3u32, 1]));
    let floats = npz.dataset("x", "whole").unwrap();
    assert_eq!(*floats.y(), Tensor::from([[2.0f32], [0.0]]));
    assert_eq!(*floats.with_labels().unwrap().y(), Tensor::from([2u32, 0]));
    says(&text(npz.dataset("x", "part").unwrap().with_labels()), &["y: row 1: 0.5 is no class index"]);
    let column = Tensor::new([2, 1], vec![1u8, 0]).unwrap();
    let set = Dataset::new(Tensor::from([[1.0f32], [2.0]]), column).unwrap();
    assert_eq!(*set.y(), Tensor::from([1u32, 0]));
}

#[test]
fn what_is_wrong_names_file_and_array() {
    let [npz, _] = both("data-types");
    for (x, y, parts) in [
        ("x_float23", "y_int64", &["array \"x_float23\" is unknown; did you mean \"x_float32\"?"][..]),
        ("x_float32", "below", &["array \"below\": the number -1 at [1] is no class index"]),
        ("odd", "y_int64", &["array \"odd\": the number 16777217 at [0, 1] f32 does not hold exactly"]),
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
