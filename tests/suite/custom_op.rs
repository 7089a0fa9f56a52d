//! `examples/custom_op.rs`: an op, a kernel and a layer of a user's own need nothing that only Kiln can reach.

#[path = "../../examples/custom_op.rs"]
#[expect(dead_code, reason = "its main, which a program of its own runs")]
mod example;

use kiln::prelude::*;

use crate::common::devices;

#[test]
fn an_op_of_ones_own_passes_the_checks_of_kilns() {
    for device in devices() {
        assert_eq!(example::check_op(&device).unwrap(), [], "{device}");
    }
}

#[test]
fn a_layer_of_ones_own_trains_alike_on_every_device() {
    let snake = example::SnakeLayer { start: 3.0 };
    let wanted = example::train(&Device::reference(), snake, 40).unwrap();
    assert!(wanted[0] < 0.01, "snake learns a sine: {wanted:?}");
    for device in devices() {
        let found = example::train(&device, snake, 40).unwrap();
        // After 160 steps of Adam the error that is left has kept four digits and more on the CPU. WGSL promises sin
        // to 2^-11 only: on SwiftShader it was 0.5% off.
        let most = if device.is_gpu() { 2e-2 } else { 1e-4 };
        let near = found.iter().zip(&wanted).all(|(f, w)| (f - w).abs() < most * w);
        assert!(near, "{device}: {found:?}, not {wanted:?}");
    }
}

#[test]
fn a_layer_of_ones_own_is_named_in_errors() {
    let mut model = Sequential::new().add(example::SnakeLayer { start: 1.0 });
    let text = model.build([]).unwrap_err().to_string();
    assert!(text.contains("layer \"snake\": expected samples of one or more axes"), "{text}");
}

#[test]
fn a_layer_of_several_inputs_a_state_and_a_mask_trains_and_passes_over_padding() {
    let (data, folder) = (example::sequences(6, 6).unwrap(), tempfile::TempDir::new().unwrap());
    let path = folder.path().join("pooled.safetensors");
    for device in devices() {
        let mut model = example::pooled(&device, 6).unwrap();
        assert_eq!(model.summary().unwrap().non_trainable(), 2);
        model.fit(&data, Fit::new().epochs(40).batch_size(16).verbose(0)).unwrap();
        let loss = model.evaluate(&data).unwrap().get("loss").unwrap();
        assert!(loss < 1e-3, "{device}: {loss}");
        // More padding changes nothing, nor does a file, which keeps the state.
        let mut longer = example::pooled(&device, 9).unwrap();
        longer.set_weights(&model.weights().unwrap()).unwrap();
        let padded = longer.evaluate(&example::sequences(6, 9).unwrap()).unwrap().get("loss").unwrap();
        assert!((padded - loss).abs() < 1e-6, "{device}: {padded}, not {loss}");
        model.save(&path).unwrap();
        let custom = kiln::nn::CustomObjects::new()
            .layer("CenteredMean", |config| Ok(example::CenteredMean { momentum: config.take("momentum")? }));
        let mut again = Model::load_with(&path, &custom).unwrap().device(device.clone());
        assert_eq!(again.evaluate(&data).unwrap(), model.evaluate(&data).unwrap(), "{device}");
    }
}
