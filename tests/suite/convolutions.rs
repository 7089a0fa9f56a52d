//! Convolution layers: Keras' values and gradients (`scripts/golden-convolutions`), shapes, settings in files, and what they refuse.

use kiln::prelude::*;
use serde_json::Value;

use crate::common::{Shift, executors, fixture, numbers, says, shaped as tensor};

const FIRST: &str = "channels_first";

/// The script's layer of a name.
fn layer(name: &str) -> Box<dyn Layer> {
    match name.split(' ').next().unwrap() {
        "conv2d" => Box::new(conv2d(name)),
        "conv1d" => Box::new(conv1d(name)),
        "conv2d_transpose" => Box::new(conv2d_transpose(name)),
        "depthwise_conv2d" => Box::new(depthwise_conv2d(name)),
        "separable_conv2d" => Box::new(separable_conv2d(name)),
        _ => other_of_sequences(name),
    }
}

fn conv2d(name: &str) -> Conv2D {
    match name {
        "conv2d" => Conv2D::new(3, 3),
        "conv2d valid" => Conv2D::new(2, (3, 2)).strides([2, 3]).activation(Activation::Tanh),
        "conv2d same" => Conv2D::new(5, [3, 2]).strides(2).activation("relu").padding("same"),
        "conv2d same larger" => Conv2D::new(1, [5, 4]).use_bias(false).padding(kiln::nn::layers::Padding::Same),
        "conv2d dilated" => Conv2D::new(2, [2, 3]).dilation_rate([3, 2]).activation("softmax"),
        "conv2d strided past" => Conv2D::new(4, 2).strides([5, 3]),
        "conv2d groups" => Conv2D::new(6, [3, 1]).groups(3).padding("same"),
        "conv2d one" => Conv2D::new(7, 1),
        "conv2d first" => {
            Conv2D::new(3, [2, 3]).strides([1, 2]).activation("sigmoid").padding("same").data_format(FIRST)
        }
        "conv2d first softmax" => Conv2D::new(4, 2).groups(2).activation("softmax").data_format(FIRST),
        other => panic!("{other} is none of the script's cases"),
    }
}

fn conv1d(name: &str) -> Conv1D {
    match name {
        "conv1d" => Conv1D::new(3, 3),
        "conv1d same" => Conv1D::new(2, 4).strides(3).activation("tanh").padding("same"),
        "conv1d causal" => Conv1D::new(3, 2).dilation_rate(3).padding("causal"),
        "conv1d causal strided" => Conv1D::new(4, 3).strides(2).groups(2).padding("causal"),
        "conv1d first" => {
            Conv1D::new(3, 5).dilation_rate(2).activation("log_softmax").padding("same").data_format(FIRST)
        }
        other => panic!("{other} is none of the script's cases"),
    }
}

fn conv2d_transpose(name: &str) -> Conv2DTranspose {
    match name {
        "conv2d_transpose" => Conv2DTranspose::new(3, 2),
        "conv2d_transpose valid" => Conv2DTranspose::new(2, [3, 2]).strides([2, 3]).activation("tanh"),
        "conv2d_transpose same" => Conv2DTranspose::new(3, [3, 4]).strides(2).activation("relu").padding("same"),
        "conv2d_transpose padded" => Conv2DTranspose::new(2, [3, 2]).strides([2, 3]).output_padding([1, 2]),
        "conv2d_transpose same padded" => {
            Conv2DTranspose::new(1, [3, 4]).strides([3, 2]).output_padding([0, 1]).padding("same")
        }
        "conv2d_transpose padded by 0" => {
            Conv2DTranspose::new(2, [5, 2]).strides([2, 1]).output_padding(0).padding("same")
        }
        "conv2d_transpose strided past" => Conv2DTranspose::new(2, [1, 2]).strides([3, 5]).padding("same"),
        "conv2d_transpose dilated" => {
            Conv2DTranspose::new(2, [3, 2]).dilation_rate([2, 3]).use_bias(false).padding("same")
        }
        "conv2d_transpose first" => {
            Conv2DTranspose::new(3, [2, 3]).strides([1, 2]).activation("softmax").data_format(FIRST)
        }
        other => panic!("{other} is none of the script's cases"),
    }
}

fn depthwise_conv2d(name: &str) -> DepthwiseConv2D {
    match name {
        "depthwise_conv2d" => DepthwiseConv2D::new(3),
        "depthwise_conv2d same" => {
            DepthwiseConv2D::new([3, 2]).strides(2).depth_multiplier(2).activation("relu").padding("same")
        }
        "depthwise_conv2d dilated" => DepthwiseConv2D::new(2).dilation_rate([2, 3]).depth_multiplier(3).use_bias(false),
        "depthwise_conv2d strided and dilated" => {
            DepthwiseConv2D::new([2, 3]).strides(2).dilation_rate([3, 2]).padding("same")
        }
        "depthwise_conv2d first" => {
            DepthwiseConv2D::new([2, 3]).depth_multiplier(2).activation("tanh").data_format(FIRST)
        }
        other => panic!("{other} is none of the script's cases"),
    }
}

fn separable_conv2d(name: &str) -> SeparableConv2D {
    match name {
        "separable_conv2d" => SeparableConv2D::new(3, 2),
        "separable_conv2d same" => {
            SeparableConv2D::new(2, [3, 2]).strides(2).depth_multiplier(2).activation("tanh").padding("same")
        }
        "separable_conv2d first" => {
            let layer = SeparableConv2D::new(5, 3).dilation_rate([1, 2]).use_bias(false).activation("softmax");
            layer.padding("same").data_format(FIRST)
        }
        other => panic!("{other} is none of the script's cases"),
    }
}

fn other_of_sequences(name: &str) -> Box<dyn Layer> {
    match name {
        "conv1d_transpose" => Box::new(Conv1DTranspose::new(2, 3).strides(2)),
        "conv1d_transpose same" => Box::new(Conv1DTranspose::new(3, 4).strides(3).activation("tanh").padding("same")),
        "conv1d_transpose padded" => Box::new(Conv1DTranspose::new(1, 5).strides(3).output_padding(2).padding("same")),
        "conv1d_transpose first" => {
            Box::new(Conv1DTranspose::new(2, 3).dilation_rate(2).padding("same").data_format(FIRST))
        }
        "depthwise_conv1d" => Box::new(DepthwiseConv1D::new(3).strides(2).depth_multiplier(2).padding("same")),
        "depthwise_conv1d first" => {
            Box::new(DepthwiseConv1D::new(2).dilation_rate(3).activation("sigmoid").data_format(FIRST))
        }
        "separable_conv1d" => Box::new(SeparableConv1D::new(3, 3).depth_multiplier(2)),
        "separable_conv1d first" => {
            Box::new(SeparableConv1D::new(1, 4).strides(3).activation("relu").padding("same").data_format(FIRST))
        }
        other => panic!("{other} is none of the script's cases"),
    }
}

/// The layer of a case by a name, with the case's weights, on samples of the case's shape.
fn of(name: &str, case: &Value, device: Device) -> Sequential {
    let sample = tensor(&case["x"]).shape()[1..].to_vec();
    let mut model = Sequential::new().add(Input::new(sample)).add(Shift).add(layer(name).named("layer")).device(device);
    model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
    let weights = case["weights"].as_object().unwrap();
    assert_eq!(model.parameters().unwrap().len(), weights.len() + 1, "{name}");
    for (weight, values) in weights {
        model.set_weight(&format!("layer/{weight}"), &tensor(values)).unwrap();
    }
    model
}

#[test]
fn values_and_gradients_are_keras() {
    let golden = fixture("keras-convolutions.json");
    for (name, case) in golden["cases"].as_object().unwrap() {
        let (x, target) = (tensor(&case["x"]), tensor(&case["target"]));
        for (i, device) in executors().into_iter().enumerate() {
            // The first is the reference.
            let limit = if i == 0 { 1e-9 } else { 2e-6 };
            let near = |what: &str, found: &Tensor, wanted: &Value| {
                assert_eq!(found.shape(), tensor(wanted).shape(), "{name} on {device}: {what}");
                let pairs = found.values().to_f64().into_iter().zip(numbers(&wanted["values"]));
                let apart =
                    pairs.map(|(found, wanted)| (found - wanted).abs() / wanted.abs().max(1.0)).fold(0.0, f64::max);
                assert!(apart <= limit, "{name} on {device}: {what} is {apart:e} from Keras'");
            };
            let mut model = of(name, case, device.clone());
            near("y", &model.predict(&x).unwrap(), &case["y"]);
            let gradients = model.gradients_on_batch(&Dataset::new(x.clone(), target.clone()).unwrap()).unwrap();
            assert_eq!(gradients.len(), case["gradients"].as_object().unwrap().len(), "{name}");
            for (path, gradient) in &gradients {
                near(path, gradient, &case["gradients"][path.rsplit('/').next().unwrap()]);
            }
        }
    }
}

#[test]
fn the_script_has_every_convolution() {
    let golden = fixture("keras-convolutions.json");
    let tried: Vec<&str> = golden["cases"].as_object().unwrap().keys().map(|name| layer(name).kind()).collect();
    let table = include_str!("../../src/nn/layers/convolution/mod.rs").lines();
    let classes: Vec<&str> = table.filter_map(|line| Some(line.trim().split_once(" => Box::new(")?.0)).collect();
    assert_eq!(classes.len(), 8, "{classes:?}");
    assert!(classes.iter().all(|class| tried.contains(&class.trim_matches('"'))), "of {classes:?} some are in no case");
}

#[test]
fn settings_come_back_from_files() {
    let golden = fixture("keras-convolutions.json");
    for (name, case) in golden["cases"].as_object().unwrap() {
        let x = tensor(&case["x"]);
        let mut model = Sequential::new()
            .add(Input::new(x.shape()[1..].to_vec()))
            .add(layer(name).named("layer"))
            .device(Device::cpu());
        let mut loaded = Sequential::from_bytes(model.to_bytes().unwrap()).unwrap().device(Device::cpu());
        let said = |model: &Sequential| model.keras_layer("layer").unwrap().to_json();
        assert_eq!(said(&loaded), said(&model), "{name}");
        assert_eq!(loaded.predict(&x).unwrap(), model.predict(&x).unwrap(), "{name}");
    }
}

#[test]
fn text_names_sizes_for_one_axis_or_for_each() {
    let text = "conv2d 8 3 relu padding=same, depthwise_conv2d 3 depth_multiplier=2, separable_conv2d 4 3 strides=2, \
                conv2d_transpose 3 3 strides=2 output_padding=1";
    let mut model = Sequential::from_text(text).unwrap();
    model.build([13, 15, 2]).unwrap();
    let shapes = |model: &Sequential| -> Vec<Vec<usize>> {
        model.summary().unwrap().rows.iter().map(|row| row.outputs[0][1..].to_vec()).collect()
    };
    assert_eq!(shapes(&model), [[13, 15, 8], [11, 13, 16], [5, 6, 4], [12, 14, 3]]);
    let mut model = Sequential::from_text("conv1d 4 3 padding=causal, conv1d_transpose 2 5 strides=3").unwrap();
    model.build([7, 2]).unwrap();
    assert_eq!(shapes(&model), [[7, 4], [23, 2]]);
}

#[test]
fn kernels_start_by_keras_fans() {
    let mut model = Sequential::new()
        .add(Input::new([20, 32]))
        .add(Conv1D::new(64, 5).kernel_initializer("he_uniform"))
        .device(Device::cpu());
    let found = model.weights().unwrap()[0].values().to_f64();
    let (bound, largest) = ((6.0f64 / (5.0 * 32.0)).sqrt(), found.iter().fold(0.0, |a: f64, x| a.max(x.abs())));
    assert!(largest < bound && largest > 0.995 * bound, "{largest} of {bound}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |extents: &[usize], layer: Box<dyn Layer>, parts: &[&str]| {
        says(Sequential::new().add(Input::new(extents.to_vec())).add(layer).summary(), parts);
    };
    let image = [5, 7, 2];
    let larger = Conv2D::new(1, [6, 2]).named("conv");
    refused(
        &image,
        Box::new(larger),
        &["layer \"conv\"", "kernel_size [6, 2]", "images of [5, 7]", "padding \"same\""],
    );
    let dilated = Conv1D::new(1, 3).dilation_rate(2);
    refused(&[4, 2], Box::new(dilated), &["\"conv1d\"", "kernel_size 3 at dilation_rate 2", "sequences of length 4"]);
    let first = Conv2D::new(1, 6).data_format("channels_first");
    refused(&[9, 5, 7], Box::new(first), &["kernel_size [6, 6]", "images of [5, 7]"]);
    refused(&image, Box::new(Conv2D::new(0, 3)), &["\"conv2d\"", "0 filters make nothing", "1 or more"]);
    refused(&image, Box::new(Conv2D::new(1, [0, 2])), &["kernel_size [0, 2]", "1 or more"]);
    refused(&image, Box::new(Conv2D::new(1, 2).strides([1, 0])), &["strides [1, 0]", "1 or more"]);
    refused(&[5, 2], Box::new(Conv1D::new(1, 2).dilation_rate(0)), &["dilation_rate 0", "1 or more"]);
    refused(&image, Box::new(Conv2D::new(1, usize::MAX).padding("same")), &["kernel_size", "1 or more"]);
    let reaching = Conv2D::new(1, 1 << 16).dilation_rate(1 << 16).padding("same");
    refused(&image, Box::new(reaching), &["kernel_size [65536, 65536] at dilation_rate [65536, 65536] is too large"]);
    let both = Conv2D::new(1, 2).strides([1, 2]).dilation_rate([2, 1]);
    refused(&image, Box::new(both), &["strides [1, 2] and dilation_rate [2, 1] do not go together"]);
    refused(&image, Box::new(Conv2D::new(3, 2).groups(3)), &["2 channels are not cut into 3 groups of one size"]);
    refused(&image, Box::new(Conv2D::new(3, 2).groups(2)), &["3 filters are not cut into 2 groups of one size"]);
    refused(&image, Box::new(Conv2D::new(3, 2).groups(0)), &["0 groups"]);
    refused(&image, Box::new(Conv2D::new(2, 2).padding("causal")), &["\"valid\" or \"same\"", "for Conv1D"]);
    refused(&image, Box::new(Conv2D::new(2, 2).padding("sme")), &["\"conv2d\"", "did you mean \"same\""]);
    refused(&image, Box::new(Conv2D::new(2, 2).kernel_initializer("he")), &["he_normal"]);
    refused(&[28, 28], Box::new(Conv2D::new(1, 2)), &["takes images (batch, height, width, channels)", "(1, 28, 28)"]);
    refused(&image, Box::new(Conv1D::new(1, 2)), &["takes sequences (batch, steps, channels)"]);
    let padded = Conv2DTranspose::new(1, 3).strides(2).output_padding([1, 2]);
    refused(&image, Box::new(padded), &["output_padding [1, 2] is not below the strides [2, 2]"]);
    let padded = Conv1DTranspose::new(1, 3).output_padding(1);
    refused(&[5, 2], Box::new(padded), &["conv1d_transpose", "output_padding 1 is not below the strides 1"]);
    let nothing = Conv2DTranspose::new(1, 2).strides(2).output_padding(0).padding("same");
    refused(&[1, 1, 1], Box::new(nothing), &["conv2d_transpose", "makes 0 pixels"]);
    let both = Conv1DTranspose::new(1, 3).strides(2).dilation_rate(2);
    refused(&[5, 2], Box::new(both), &["strides 2 and dilation_rate 2 do not go together"]);
    let huge = Conv2DTranspose::new(1, 2).strides((1 << 30) - 1);
    refused(&image, Box::new(huge), &["conv2d_transpose", "makes 5368709115 pixels"]);
    let large = Conv2DTranspose::new(1, 2).strides(1 << 20);
    refused(&image, Box::new(large), &["2^32 elements"]);
    refused(&image, Box::new(DepthwiseConv2D::new(6)), &["kernel_size [6, 6]", "images of [5, 7]"]);
    refused(&image, Box::new(DepthwiseConv2D::new(2).depth_multiplier(0)), &["depth_multiplier", "1 or more"]);
    refused(&[5, 2], Box::new(SeparableConv1D::new(0, 2)), &["0 filters make nothing"]);
    refused(&[5, 2], Box::new(SeparableConv1D::new(3, 2).padding("causal")), &["\"valid\" or \"same\""]);
    refused(&image, Box::new(SeparableConv2D::new(3, 2).pointwise_constraint("max")), &["max_norm"]);
}
