//! Pictures of models: what is in them and where it stands.
#![cfg(feature = "plot")]

use kiln::plot::{ModelPlot, plot_model};
use kiln::prelude::*;
use tempfile::TempDir;

use crate::common::says;

fn svg(plot: &ModelPlot) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.svg");
    plot.save(&path).unwrap();
    std::fs::read_to_string(path).unwrap()
}

/// The texts of a picture, each with its place in units: four a pixel.
fn texts(svg: &str) -> Vec<(String, [f64; 2])> {
    let number = |tag: &str, name: &str| {
        let from = tag.find(&format!(" {name}=\"")).unwrap() + name.len() + 3;
        tag[from..].split('"').next().unwrap().parse().unwrap()
    };
    let texts = svg.split("<text").skip(1).map(|rest| {
        let (tag, content) = rest.split_once('>').unwrap();
        let content = content.split("</text>").next().unwrap().trim();
        (content.to_string(), [number(tag, "x"), number(tag, "y")])
    });
    texts.collect()
}

fn at(texts: &[(String, [f64; 2])], text: &str) -> [f64; 2] {
    let found: Vec<_> = texts.iter().filter(|(found, _)| found == text).collect();
    assert_eq!(found.len(), 1, "{text:?} in {texts:?}");
    found[0].1
}

/// Two inputs, a skip connection, a model inside, and two outputs.
fn model() -> Model {
    let (image, age) = (Input::new([28, 28]).named("image"), Input::new([1]).named("age"));
    let flat = Flatten.apply(&image).unwrap();
    let first = Dense::new(64).activation(Activation::Relu).apply(&flat).unwrap();
    let block = Sequential::new().add(Dense::new(64)).add(BatchNormalization::new()).named("block");
    let inner = Dropout::new(0.2).apply(block.trainable(false).apply(&first).unwrap()).unwrap();
    let sum = Add.apply([&first, &inner]).unwrap();
    let all = Concatenate::new().apply((&sum, &age)).unwrap();
    let kind = Dense::new(10).activation(Activation::Softmax).named("kind").apply(&all).unwrap();
    let price = Dense::new(1).named("price").apply(&all).unwrap();
    Model::new((&image, &age), [kind, price]).unwrap().named("both")
}

#[test]
fn each_layer_is_a_box_below_those_that_it_reads() {
    let plot = plot_model(&model()).unwrap().show_layer_names(true);
    let svg = svg(&plot);
    let texts = texts(&svg);
    let at = |text: &str| at(&texts, text);
    assert_eq!(texts[0].0, "both");
    let down = [
        "image (InputLayer)",
        "flatten (Flatten)",
        "dense (Dense)",
        "block (Sequential)",
        "dropout (Dropout)",
        "add (Add)",
        "concatenate (Concatenate)",
        "kind (Dense)",
    ];
    for pair in down.windows(2) {
        assert!(at(pair[0])[1] < at(pair[1])[1], "{pair:?}");
    }
    assert_eq!(at("kind (Dense)")[1], at("price (Dense)")[1], "the outputs stand side by side");
    assert_eq!(at("age (InputLayer)")[1], at("add (Add)")[1], "an input stands right above its reader");
    // A line and an arrow's head for each value that is read.
    assert_eq!((svg.matches("<polyline").count(), svg.matches("<polygon").count()), (10, 10));
    assert!(!svg.contains("shape:") && !svg.contains("rainable") && !svg.contains("BatchNormalization"));
}

#[test]
fn boxes_show_what_is_asked_for() {
    let plain = svg(&plot_model(&model()).unwrap());
    assert!(plain.contains("\nConcatenate\n") && !plain.contains("concatenate"));
    let whole = plot_model(&model()).unwrap().show_shapes(true).show_layer_names(true).show_trainable(true);
    let whole = svg(&whole.expand_nested(true));
    let texts = texts(&whole);
    for text in [
        "Output shape: (None, 28, 28)",
        "Input shape: [(None, 64), (None, 1)]",
        "Output shape: (None, 65)",
        "block (Sequential)",
        "dense (Dense)",
        "batch_normalization (BatchNormalization)",
    ] {
        assert!(texts.iter().any(|(found, _)| found == text), "{text} in {texts:?}");
    }
    let count = |wanted: &str| texts.iter().filter(|(text, _)| text == wanted).count();
    // The model inside and its two layers are frozen.
    assert_eq!((count("Trainable"), count("Non-trainable")), (3, 3));
    let of = |text: &str| at(&texts, text);
    let [block, inside, after] =
        ["block (Sequential)", "batch_normalization (BatchNormalization)", "dropout (Dropout)"].map(of);
    assert!(block[1] < inside[1] && inside[1] < after[1]);
    // One line more within the frame, of two layers.
    assert_eq!(whole.matches("<polyline").count(), 11);
}

#[test]
fn a_chain_has_no_input_and_a_shared_layer_one_box() {
    let chain = Sequential::new().add(Input::new([3])).add(Dense::new(2)).add(Dense::new(1).named("last"));
    let picture = svg(&plot_model(&chain).unwrap().show_layer_names(true));
    assert!(!picture.contains("InputLayer"));
    assert_eq!(picture.matches("<polyline").count(), 1);
    let (a, b) = (Input::new([3]), Input::new([3]));
    let code = Dense::new(3).shared();
    let again = code.apply(code.apply(&a).unwrap()).unwrap();
    let both = Subtract.apply([&again, &code.apply(&b).unwrap()]).unwrap();
    let picture = svg(&plot_model(&Model::new([&a, &b], both).unwrap()).unwrap());
    assert_eq!(picture.matches("\nDense\n").count(), 1);
    // Two inputs, itself, and the difference.
    assert_eq!(picture.matches("<polyline").count(), 4);
}

#[test]
fn a_png_has_the_boxes_and_names_are_escaped() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.png");
    plot_model(&model()).unwrap().show_shapes(true).save(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap()[1..4], *b"PNG");
    let odd = Sequential::new().add(Input::new([3])).add(Dense::new(2).named("a<b>&\u{1b}"));
    assert!(svg(&plot_model(&odd).unwrap().show_layer_names(true)).contains("a&lt;b&gt;&amp;\\u{1b} (Dense)"));
}

#[test]
fn what_cannot_be_drawn_is_said() {
    says(plot_model(&Sequential::new().add(Dense::new(1))).map(drop), &["not built yet"]);
    says(plot_model(&model()).unwrap().save("model.pdf"), &["model.pdf", ".png or .svg"]);
    let deep = (0..2001).fold(Sequential::new().add(Input::new([2])), |model, _| model.add(Activation::Tanh));
    says(plot_model(&deep).unwrap().save("model.svg"), &["2001 layers are too many for a picture; 2000 at most"]);
    // Each layer reads all before it.
    let x = Input::new([2]);
    let mut all = vec![x.value()];
    for _ in 0..40 {
        all.push(Concatenate::new().apply(all.iter().chain([&x.value()]).collect::<Vec<_>>()).unwrap());
        let last = all.pop().unwrap();
        all.push(Dense::new(2).apply(last).unwrap());
    }
    let dense = Model::new(&x, all.last().unwrap()).unwrap();
    says(plot_model(&dense).unwrap().save("model.svg"), &["connections", "too many for a picture"]);
}
