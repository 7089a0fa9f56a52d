//! Pooling layers: Keras' values and gradients (`scripts/golden-pooling`), shapes, settings in files, and what they refuse.

use kiln::nn::layers::Masking;
use kiln::prelude::*;
use serde_json::Value;

use crate::common::{Shift, executors, fixture, numbers, says, shaped as tensor};

/// The script's case of a name, behind what its gradient is of.
fn of(name: &str) -> Sequential {
    let model = if name.contains("masked") { Sequential::new().add(Masking::default()) } else { Sequential::new() };
    model.add(Shift).add(layer(name))
}

/// The layer of a case.
fn layer(name: &str) -> Box<dyn Layer> {
    let first = "channels_first";
    match name {
        "max" => Box::new(MaxPooling2D::default()),
        "max valid" => Box::new(MaxPooling2D::new((3, 2)).strides([2, 1])),
        "max same" => Box::new(MaxPooling2D::new(3).strides(2).padding("same")),
        "max same larger" => Box::new(MaxPooling2D::new(5).strides(1).padding("same")),
        "max first" => Box::new(MaxPooling2D::new(2).strides(3).padding("same").data_format(first)),
        "average" => Box::new(AveragePooling2D::new(2)),
        "average valid" => Box::new(AveragePooling2D::new([2, 3]).strides([1, 2])),
        "average same" => Box::new(AveragePooling2D::new(3).strides(2).padding("same")),
        "average same larger" => Box::new(AveragePooling2D::new([4, 5]).strides(1).padding("same")),
        "average first" => Box::new(AveragePooling2D::new([1, 3]).padding("same").data_format(first)),
        "max 1d" => Box::new(MaxPooling1D::default()),
        "max 1d same first" => Box::new(MaxPooling1D::new(3).strides(2).padding("same").data_format(first)),
        "average 1d" => Box::new(AveragePooling1D::new(3).strides(2)),
        "average 1d same" => Box::new(AveragePooling1D::new(4).strides(3).padding("same")),
        _ => of_any_extent(name),
    }
}

fn of_any_extent(name: &str) -> Box<dyn Layer> {
    let first = "channels_first";
    match name {
        "global average" => Box::new(GlobalAveragePooling2D::new()),
        "global average first" => Box::new(GlobalAveragePooling2D::new().data_format(first).keepdims(true)),
        "global max" => Box::new(GlobalMaxPooling2D::new().keepdims(true)),
        "global max first" => Box::new(GlobalMaxPooling2D::new().data_format(first)),
        "global average 1d" => Box::new(GlobalAveragePooling1D::new().keepdims(true)),
        "global average 1d masked" => Box::new(GlobalAveragePooling1D::new()),
        "global average 1d masked kept" => Box::new(GlobalAveragePooling1D::new().keepdims(true)),
        "global max 1d" => Box::new(GlobalMaxPooling1D::new().data_format(first)),
        "adaptive average" => Box::new(AdaptiveAveragePooling2D::new([2, 3])),
        "adaptive average even" => Box::new(AdaptiveAveragePooling2D::new(2)),
        "adaptive average one" => Box::new(AdaptiveAveragePooling2D::new(1)),
        "adaptive average first" => Box::new(AdaptiveAveragePooling2D::new([3, 4]).data_format(first)),
        "adaptive average 1d" => Box::new(AdaptiveAveragePooling1D::new(3)),
        "adaptive max" => Box::new(AdaptiveMaxPooling2D::new([2, 3])),
        "adaptive max 1d" => Box::new(AdaptiveMaxPooling1D::new(4).data_format(first)),
        other => panic!("{other} is none of the script's cases"),
    }
}

#[test]
fn values_and_gradients_are_keras() {
    let golden = fixture("keras-pooling.json");
    for (name, case) in golden["cases"].as_object().unwrap() {
        let (x, target) = (tensor(&case["x"]), tensor(&case["target"]));
        for (i, device) in executors().into_iter().enumerate() {
            // The first is the reference.
            let limit = if i == 0 { 1e-12 } else { 1e-6 };
            let near = |what: &str, found: &Tensor, wanted: &Value| {
                assert_eq!(found.shape(), tensor(wanted).shape(), "{name} on {device}: {what}");
                let pairs = found.values().to_f64().into_iter().zip(numbers(&wanted["values"]));
                let apart = pairs.map(|(found, wanted)| (found - wanted).abs()).fold(0.0, f64::max);
                assert!(apart <= limit, "{name} on {device}: {what} is {apart:e} from Keras'");
            };
            let mut model = of(name).device(device.clone());
            model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
            near("y", &model.predict(&x).unwrap(), &case["y"]);
            let gradients = model.gradients_on_batch(&Dataset::new(x.clone(), target.clone()).unwrap()).unwrap();
            assert_eq!(gradients.len(), 1);
            near("the gradient", &gradients[0].1, &case["gradient"]);
        }
    }
}

#[test]
fn the_script_has_every_pooling_layer() {
    let golden = fixture("keras-pooling.json");
    let tried: Vec<String> =
        golden["cases"].as_object().unwrap().keys().map(|name| format!("{:?}", of(name))).collect();
    let table = include_str!("../../src/nn/layers/pooling/mod.rs").lines();
    let classes: Vec<&str> = table.filter_map(|line| Some(line.trim().split_once(" => Box::new(")?.0)).collect();
    assert_eq!(classes.len(), 12, "{classes:?}");
    let is_tried = |class: &&str| tried.iter().any(|model| model.contains(class.trim_matches('"')));
    assert!(classes.iter().all(is_tried), "of {classes:?} some are in no case");
}

#[test]
fn the_summary_has_keras_shapes() {
    let rows = |model: Sequential| -> Vec<String> {
        let text = model.summary().unwrap().to_string();
        text.lines()
            .filter_map(|line| Some(format!("(None{})", line.split_once("(None")?.1.split_once(')')?.0)))
            .collect()
    };
    let images = Sequential::new()
        .add(Input::new([28, 27, 3]))
        .add(MaxPooling2D::new([3, 2]).strides([2, 3]))
        .add(AveragePooling2D::new(2).padding(kiln::nn::layers::Padding::Same))
        .add(AdaptiveAveragePooling2D::new([3, 2]))
        .add(GlobalMaxPooling2D::new());
    assert_eq!(rows(images), ["(None, 13, 9, 3)", "(None, 7, 5, 3)", "(None, 3, 2, 3)", "(None, 3)"]);
    let sequences = Sequential::new()
        .add(Input::new([4, 30]))
        .add(MaxPooling1D::new(4).data_format("channels_first"))
        .add(AveragePooling1D::new(3).strides(1).padding("same").data_format("channels_first"))
        .add(AdaptiveMaxPooling1D::new(5).data_format("channels_first"))
        .add(GlobalAveragePooling1D::new().keepdims(true).data_format("channels_first"));
    assert_eq!(rows(sequences), ["(None, 4, 7)", "(None, 4, 7)", "(None, 4, 5)", "(None, 4, 1)"]);
}

#[test]
fn settings_come_back_from_files() {
    let golden = fixture("keras-pooling.json");
    for (name, case) in golden["cases"].as_object().unwrap() {
        let x = tensor(&case["x"]);
        let mut model =
            Sequential::new().add(Input::new(x.shape()[1..].to_vec())).add(layer(name)).device(Device::cpu());
        let mut loaded = Sequential::from_bytes(model.to_bytes().unwrap()).unwrap().device(Device::cpu());
        let of_layer = model.layers().last().unwrap().0.to_string();
        let said = |model: &Sequential| model.keras_layer(&of_layer).unwrap().to_json();
        assert_eq!(said(&loaded), said(&model), "{name}");
        assert_eq!(loaded.predict(&x).unwrap(), model.predict(&x).unwrap(), "{name}");
    }
}

#[test]
fn text_names_sizes_for_one_axis_or_for_each() {
    let images =
        "max_pooling2d, average_pooling2d 3 strides=1 padding=same, adaptive_max_pooling2d 2, global_max_pooling2d";
    let mut model = Sequential::from_text(images).unwrap();
    model.build([12, 14, 3]).unwrap();
    let text = model.summary().unwrap().to_string();
    assert!(["(None, 6, 7, 3)", "(None, 2, 2, 3)", "(None, 3)"].iter().all(|shape| text.contains(shape)), "{text}");
    let mut model = Sequential::from_text("max_pooling1d 3 strides=2, average_pooling1d 2").unwrap();
    model.build([11, 3]).unwrap();
    assert!(model.summary().unwrap().to_string().contains("(None, 2, 3)"));
    let refused = Sequential::from_text("average_pooling2d").unwrap_err().to_string();
    assert!(refused.contains("pool_size is missing; write `average_pooling2d"), "{refused}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |extents: &[usize], layer: Box<dyn Layer>, parts: &[&str]| {
        says(Sequential::new().add(Input::new(extents.to_vec())).add(layer).summary(), parts);
    };
    let image = [5, 7, 2];
    let larger = MaxPooling2D::new([6, 2]).named("pool");
    refused(&image, Box::new(larger), &["layer \"pool\"", "pool_size [6, 2]", "images of [5, 7]", "padding \"same\""]);
    refused(
        &[3, 2],
        Box::new(AveragePooling1D::new(4)),
        &["average_pooling1d", "pool_size 4", "sequences of length 3"],
    );
    let first = MaxPooling2D::new(6).data_format("channels_first");
    refused(&[9, 5, 7], Box::new(first), &["pool_size [6, 6]", "images of [5, 7]"]);
    refused(&image, Box::new(MaxPooling2D::new([0, 2])), &["pool_size [0, 2]", "1 or more"]);
    refused(&image, Box::new(MaxPooling2D::new(2).strides([1, 0])), &["strides [1, 0]", "1 or more"]);
    refused(&image, Box::new(MaxPooling2D::new(usize::MAX).padding("same")), &["pool_size", "1 or more"]);
    refused(&image, Box::new(MaxPooling2D::new(2).padding("causal")), &["\"valid\" or \"same\""]);
    refused(&image, Box::new(MaxPooling2D::new(2).padding("sme")), &["max_pooling2d", "did you mean \"same\""]);
    let misspelt = GlobalMaxPooling2D::new().data_format("channels_lst");
    refused(&image, Box::new(misspelt), &["data_format", "did you mean \"channels_last\""]);
    let flat = &["takes images (batch, height, width, channels)", "was given (1, 28, 28)", "Reshape"];
    refused(&[28, 28], Box::new(MaxPooling2D::new(2)), flat);
    refused(&[28, 28], Box::new(GlobalAveragePooling2D::new()), flat);
    refused(&[28, 28], Box::new(AdaptiveMaxPooling2D::new(2)), flat);
    refused(&image, Box::new(GlobalAveragePooling1D::new()), &["takes sequences (batch, steps, channels)"]);
    refused(&image, Box::new(AdaptiveAveragePooling2D::new([2, 0])), &["output_size [2, 0]", "1 or more"]);
    let huge = AveragePooling2D::new(200).padding("same");
    refused(&[300, 300, 1], Box::new(huge), &["average_pooling2d", "at most 16384 pixels", "200 by 200"]);
}
