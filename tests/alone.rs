//! What a build without the crate's features does otherwise than one with them. What both do alike the suite proves; it
//! is linted without features, too.
#![cfg(not(any(feature = "gpu", feature = "fetch", feature = "progress")))]

use kiln::prelude::*;

#[test]
fn a_model_is_trained_saved_and_loaded() {
    let x = Tensor::new([4, 2], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]).unwrap();
    let y = Tensor::new([4, 1], vec![0.0f32, 1.0, 1.0, 1.0]).unwrap();
    let data = Dataset::new(x.clone(), y).unwrap();
    let mut model = Sequential::new().add(Dense::new(1).activation(Activation::Sigmoid));
    model.compile(Sgd { learning_rate: 1.0, ..Sgd::default() }, Loss::BinaryCrossentropy, [Metric::Accuracy]).unwrap();
    // The bar is the feature `progress`; the lines of text are there without.
    let history = model.fit(&data, Fit::new().epochs(60).batch_size(4).verbose(1)).unwrap();
    assert_eq!(history.epochs().last().unwrap().get("accuracy"), Some(1.0));
    let path = std::env::temp_dir().join(format!("kiln-alone-{}.safetensors", std::process::id()));
    model.save(&path).unwrap();
    let mut loaded = Sequential::load(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(loaded.predict(&x).unwrap(), model.predict(&x).unwrap());
}

#[test]
fn the_devices_are_those_of_the_processor() {
    let choice = Device::choose("auto").unwrap();
    assert!(!choice.device.is_gpu() && choice.reason == "Kiln was built without its GPU backend", "{}", choice.reason);
    for name in ["gpu", "nvidia", "0"] {
        let message = Device::choose(name).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains("cpu"), "{message}");
    }
}

#[test]
fn a_named_set_that_is_nowhere_says_what_would_fetch_it() {
    let nowhere = std::env::temp_dir().join(format!("kiln-nowhere-{}", std::process::id()));
    let options = kiln::data::LoadOptions { folder: Some(nowhere), ..Default::default() };
    let message = kiln::data::SETS[0].load(options).unwrap_err().to_string();
    assert!(message.contains("With Kiln's feature `fetch` they would be fetched"), "{message}");
}
