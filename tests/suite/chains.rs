//! Networks written as text: what they are, and what is said of a text that is none.

use std::path::{Path, PathBuf};

use kiln::nn::Chain;
use kiln::prelude::*;

use crate::common::MERGES;

const LAYERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/nn/layers/");

fn refused(text: &str) -> String {
    text.parse::<Chain>().expect_err(text).to_string()
}

/// The parts that a message has, and what stands above the carets.
#[track_caller]
fn says(text: &str, parts: &[&str], word: &str) {
    let said = refused(text);
    for part in parts {
        assert!(said.contains(part), "no {part:?} in: {said}");
    }
    let lines: Vec<&str> = said.lines().collect();
    let [_, shown, carets] = lines[..] else { panic!("not three lines: {said}") };
    let pointed: String =
        shown.chars().zip(carets.chars()).filter(|(_, caret)| *caret == '^').map(|(c, _)| c).collect();
    assert_eq!(pointed, word, "{said}");
}

#[test]
fn a_text_is_the_same_net_as_its_calls() {
    let text = "flatten, dense 8 relu kernel_regularizer=l2(l2=0.1) kernel_constraint=max_norm name=hidden,
        batch_normalization momentum=0.9, dropout 0.25, reshape 4 2, permute 2 1, layer_normalization axis=-1, Flatten,
        rms_normalization, dense 6 leaky_relu(negative_slope=0.3) use_bias=false trainable=false, gaussian_noise 0.1,
        prelu, activation tanh, dense units=3 activation=softmax";
    let written = Sequential::from_text(text).unwrap().device(Device::cpu());
    let hidden = Dense::new(8).activation("relu").kernel_regularizer(Regularizer::l2(0.1));
    let called = Sequential::new()
        .add(Flatten)
        .add(hidden.kernel_constraint(Constraint::max_norm(2.0)).named("hidden"))
        .add(BatchNormalization::new().momentum(0.9))
        .add(Dropout::new(0.25))
        .add(Reshape::new([4, 2]))
        .add(Permute::new([2, 1]))
        .add(LayerNormalization::new())
        .add(Flatten)
        .add(RmsNormalization::new())
        .add(Dense::new(6).activation(Activation::LeakyRelu { negative_slope: 0.3 }).use_bias(false).trainable(false))
        .add(GaussianNoise::new(0.1))
        .add(PRelu::new())
        .add(Activation::Tanh)
        .add(Dense::new(3).activation("softmax"))
        .device(Device::cpu());
    let files = [written, called].map(|mut model| {
        model.compile("adam", "sparse_categorical_crossentropy", []).unwrap();
        model.build([2, 3]).unwrap();
        model.to_bytes().unwrap()
    });
    assert!(files[0] == files[1], "the saved models differ");
}

#[test]
fn an_error_points_at_the_word() {
    for (text, parts, word) in [
        (
            "flatten, dens 10",
            &["layers: \"dens\" is unknown; did you mean \"dense\"? There are: ", "dense"][..],
            "dens",
        ),
        ("relu, dense 3", &["as a layer it is `activation relu`"], "relu"),
        ("dense relu", &["units of dense: expected a whole number", "found \"relu\""], "relu"),
        ("dense", &["units is missing; write `dense UNITS [ACTIVATION]`"], "dense"),
        ("dense 3 rellu", &["did you mean \"relu\"?"], "rellu"),
        ("dense 3 relu 0.5", &["\"0.5\" is one value too many for `dense UNITS [ACTIVATION]`"], "0.5"),
        (
            "dense 3 use_bais=false",
            &["dense has no such setting", "did you mean \"use_bias\"?", "kernel_constraint"],
            "use_bais=false",
        ),
        ("dense 3 use_bias=0", &["use_bias of dense: expected true or false, found 0"], "use_bias=0"),
        ("dense units=3 relu", &["a value without a name stands before those with one"], "relu"),
        ("dense 3 units=4", &["units is given a second time"], "units=4"),
        ("dense 3 class=4", &["the class stands before its settings"], "class=4"),
        ("dense 3,, dense 4", &["expected a layer here"], ""),
        ("", &["expected a layer here, such as `dense 10 softmax`"], ""),
        ("reshape 3,5", &["\"5\" is no layer; values for several axes are written 3x5"], "5"),
        ("reshape (3, 5", &["`)` is missing for this bracket"], "("),
        ("dense 3)", &["`)` closes nothing"], ")"),
        ("dense 3@", &["\"3@\" is no value"], "3@"),
        ("dense 3 kernel_initializer=he_norml", &["did you mean \"he_normal\"?"], "kernel_initializer=he_norml"),
        ("random_flip horizontl", &["did you mean \"horizontal\"?"], "horizontl"),
        ("flatten,\n  dröpout 0.5,\n  dense 3", &["did you mean \"dropout\"?"], "dröpout"),
    ] {
        if word.is_empty() {
            assert!(parts.iter().all(|part| refused(text).contains(part)), "{}", refused(text));
        } else {
            says(text, parts, word);
        }
    }
    // Of a long text only what stands around the word.
    let long = format!("{}dens 3{}", "dense 100 relu, ".repeat(20), ", dense 100 relu".repeat(20));
    says(&long, &["\n  …"], "dens");
    assert!(refused(&long).lines().all(|line| line.starts_with("layers: ") || line.chars().count() < 120));
}

/// A layer that does not take its input is named where it stands, as of any model.
#[test]
fn a_layer_that_does_not_fit_is_pointed_at() {
    let chain: Chain = "flatten, spatial_dropout1d 0.5, dense 3".parse().unwrap();
    let mut model = Sequential::from(&chain);
    let said = chain.explain(model.build([4, 4]).unwrap_err()).to_string();
    assert!(said.starts_with("layers: layer \"spatial_dropout1d\": takes sequences"), "{said}");
    assert!(said.ends_with("           ^^^^^^^^^^^^^^^^^^^^^"), "{said}");
}

/// The files in a folder and in those below.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    folders.iter().flat_map(|folder| sources(folder)).chain(files).collect()
}

/// Whoever adds a layer that takes one input says in one line how it is written.
#[test]
fn every_layer_that_a_file_keeps_can_be_written() {
    let table = std::fs::read_to_string(format!("{LAYERS}arguments.rs")).unwrap();
    let files: String = sources(Path::new(LAYERS)).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let arms = files.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" => Box::new("));
    let classes: Vec<&str> = arms.map(|(class, _)| class).filter(|class| !MERGES.contains(class)).collect();
    assert!(classes.len() > 15, "{classes:?}");
    for class in classes {
        assert!(table.contains(&format!("(\"{class}\", \"")), "{class} has no line in {LAYERS}arguments.rs");
        // Without its arguments it is known, or refused for the lack of them.
        let said = class.parse::<Chain>().map_or_else(|e| e.to_string(), |_| String::new());
        assert!(said.is_empty() || said.contains(" is missing; write `"), "{class}: {said}");
    }
}

/// A number stands for each axis; what a layer is not told has Keras' default.
#[test]
fn pooling_is_written_as_keras_has_it() {
    let text = "input 12 10 3, max_pooling2d 2, max_pooling2d, max_pooling2d (2, 1) strides=1,
        average_pooling2d 2x1 strides=1 padding=same, adaptive_average_pooling2d 4, global_max_pooling2d keepdims=true,
        reshape 3 1, max_pooling1d 2 padding=same, average_pooling1d 2 strides=1, global_average_pooling1d, dense 2 softmax";
    let model = Sequential::from_text(text).unwrap();
    let shapes: Vec<String> = model.summary().unwrap().rows.iter().map(|row| row.outputs[0].to_string()).collect();
    let config = |name: &str| model.layer(name).unwrap().config();
    assert_eq!(config("max_pooling2d_1"), config("max_pooling2d"), "the default is 2");
    assert_eq!(shapes[..4], ["(1, 6, 5, 3)", "(1, 3, 2, 3)", "(1, 2, 2, 3)", "(1, 2, 2, 3)"], "{shapes:?}");
    assert_eq!(shapes[shapes.len() - 2..], ["(1, 1)", "(1, 2)"], "{shapes:?}");
    says("max_pooling2d (2, 2, 2)", &["pool_size of max_pooling2d: expected two numbers, found 3"], "(2, 2, 2)");
    says("max_pooling1d (2, 2)", &["expected one number, found 2"], "(2, 2)");
}

/// Numbers, pairs and pairs of pairs stand for the edges of images, as in Keras.
#[test]
fn layers_over_images_are_written_as_keras_has_them() {
    let text = "input 12 10 3, random_flip, random_translation 0.1 0.1, random_rotation 0.1, random_zoom 0.2,
        random_brightness 0.1 value_range=(0, 1), random_contrast 0.1, random_crop 12 10, center_crop 12 10, rescaling 2 -1, normalization, zero_padding2d, zero_padding2d 2, zero_padding2d ((1, 0), (0, 2)), cropping2d 1x2,
        up_sampling2d, up_sampling2d (1, 2) interpolation=bilinear, resizing 6 5 interpolation=nearest, reshape 30 3,
        up_sampling1d 2, zero_padding1d, zero_padding1d (3, 0), cropping1d 1";
    let model = Sequential::from_text(text).unwrap();
    let rows = model.summary().unwrap().rows;
    let shape = |name: &str| rows.iter().find(|row| row.name == name).map(|row| row.outputs[0].to_string()).unwrap();
    for (name, wanted) in [
        ("normalization", "(1, 12, 10, 3)"),
        ("zero_padding2d", "(1, 14, 12, 3)"),
        ("zero_padding2d_1", "(1, 18, 16, 3)"),
        ("zero_padding2d_2", "(1, 19, 18, 3)"),
        ("cropping2d", "(1, 17, 14, 3)"),
        ("up_sampling2d", "(1, 34, 28, 3)"),
        ("up_sampling2d_1", "(1, 34, 56, 3)"),
        ("resizing", "(1, 6, 5, 3)"),
        ("up_sampling1d", "(1, 60, 3)"),
        ("zero_padding1d", "(1, 62, 3)"),
        ("zero_padding1d_1", "(1, 65, 3)"),
        ("cropping1d", "(1, 63, 3)"),
    ] {
        assert_eq!(shape(name), wanted, "{name}");
    }
}

#[test]
fn convolutions_are_written_as_keras_has_them() {
    let text =
        "input 12 10 3, conv2d 4 3 relu, conv2d 4 3x1 strides=(2, 1) padding=same use_bias=false, depthwise_conv2d 3,
        separable_conv2d 6 3 relu padding=same, conv2d_transpose 2 3 strides=2, reshape -1 2, conv1d 3 5 padding=causal,
        conv1d_transpose 2 2, global_max_pooling1d, dense 2 softmax";
    let model = Sequential::from_text(text).unwrap();
    let rows = model.summary().unwrap().rows;
    let shapes: Vec<String> = rows.iter().take(5).map(|row| row.outputs[0].to_string()).collect();
    assert_eq!(shapes, ["(1, 10, 8, 4)", "(1, 5, 8, 4)", "(1, 3, 6, 4)", "(1, 3, 6, 6)", "(1, 7, 13, 2)"]);
    says("conv2d 32 3 rellu", &["activation of conv2d: ", "did you mean \"relu\"?"], "rellu");
    says("conv2d 32", &["kernel_size is missing; write `conv2d FILTERS KERNEL_SIZE [ACTIVATION]`"], "conv2d");
    says("conv2d 32 3 paddng=same", &["did you mean \"padding\"?", "dilation_rate"], "paddng=same");
}
