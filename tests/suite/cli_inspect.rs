//! `kiln inspect`, and the part of a model up to a layer that it asks.

use std::fs;

use image::{Rgb, RgbImage};
use kiln::data::SETS;
use kiln::prelude::*;

use crate::cli::{command, fixture, output, run, says};
use crate::common::devices;

#[test]
fn a_part_of_a_model_gives_what_its_layer_does() {
    for device in devices() {
        let [image, age] = [Input::new([6]), Input::new([2])];
        let hidden = Dense::new(5).activation("tanh").named("hidden").shared();
        let first = hidden.apply(&image).unwrap();
        let again = hidden.apply(Dense::new(6).named("between").apply(&first).unwrap()).unwrap();
        let skip = Add.apply([first, again]).unwrap();
        let both = Concatenate::new().apply([skip, Dense::new(3).named("aged").apply(&age).unwrap()]).unwrap();
        let y = Dense::new(2).activation("softmax").apply(both).unwrap();
        let mut model = Model::new([image, age], y).unwrap().device(device.clone());
        model.compile("sgd", "sparse_categorical_crossentropy", []).unwrap();
        let x = [
            Tensor::new([4, 6], (0..24).map(|i| i as f32 / 24.0).collect::<Vec<_>>()).unwrap(),
            Tensor::new([4, 2], vec![0.5f32; 8]).unwrap(),
        ];
        let data = Dataset::new((x[0].clone(), x[1].clone()), Tensor::from([0u32, 1, 1, 0])).unwrap();
        model.fit(&data, Fit::new().epochs(2).verbose(0)).unwrap();
        let [kernel, bias] = ["hidden/kernel", "hidden/bias"].map(|path| model.weight(path).unwrap());
        let mut part = model.up_to("hidden").unwrap();
        assert_eq!(part.layers().count(), 1, "layers that it does not need are left out");
        let found = part.predict_all(&[&x[0], &x[1]]).unwrap().remove(0).values().to_f64();
        let wanted = x[0].dot(&kernel).unwrap().try_add(&bias).unwrap().values().to_f64();
        assert!(found.iter().zip(wanted).all(|(found, wanted)| (found - wanted.tanh()).abs() < 1e-5), "{device}");
        // Behind what it reads, the whole: to the bit.
        let whole = model.output_names().remove(0);
        let mut part = model.up_to(&whole).unwrap();
        let asked = [&x[0], &x[1]];
        assert_eq!(part.predict_all(&asked).unwrap(), model.predict_all(&asked).unwrap(), "{device}");
    }
}

/// A chain stays one, takes samples as the whole does, and names of layers are suggested.
#[test]
fn a_part_of_a_chain_scales_samples_as_the_whole() {
    let mut model = Sequential::from_text("flatten, dense 3 name=hidden, dropout 0.5, dense 2 softmax")
        .unwrap()
        .device(Device::cpu());
    model.compile("sgd", "sparse_categorical_crossentropy", []).unwrap();
    let x = Tensor::new([2, 2, 2], vec![0u8, 50, 100, 150, 200, 250, 255, 5]).unwrap();
    model.fit(&Dataset::new(x.clone(), Tensor::from([0u32, 1])).unwrap(), Fit::new().verbose(0)).unwrap();
    let shares = x.values().to_f64().iter().map(|x| *x as f32 / 255.0).collect::<Vec<_>>();
    let wanted = Tensor::new([2, 4], shares).unwrap().dot(&model.weight("hidden/kernel").unwrap()).unwrap();
    let wanted = wanted.try_add(&model.weight("hidden/bias").unwrap()).unwrap().values().to_f64();
    let found = model.up_to("hidden").unwrap().predict(&x).unwrap().values().to_f64();
    assert!(found.iter().zip(&wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-6), "{found:?}, {wanted:?}");
    let said = model.up_to("hiden").unwrap_err().to_string();
    says(&said, &["did you mean \"hidden\"?"]);
}

#[test]
fn filters_and_maps_are_drawn() {
    let folder = fixture();
    let name = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let [model, images, maps] = [name("m.safetensors"), name(SETS[0].files[2].name), name("maps.svg")];
    let net = "gaussian_noise 0.1 name=look, flatten, dense 48 relu name=hidden, reshape 4 4 3 name=map, flatten, dense 10 softmax";
    output(
        folder.path(),
        &["train", "mnist", "--device", "cpu", "-q", "--epochs", "1", "--layers", net, "--save", &model],
    );
    // In the folder that it is called in, by the names of the picture and the layer.
    let said =
        command(folder.path(), &["inspect", &model, &images, "--device", "cpu"]).current_dir(&folder).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap() + &String::from_utf8(said.stderr).unwrap();
    says(
        &said,
        &["t10k-images-idx3-ubyte-hidden.png: hidden (Dense): 48 filters of 28 x 28; 48 outputs, from 0.000 to "],
    );
    let png = fs::read(folder.path().join("t10k-images-idx3-ubyte-hidden.png")).unwrap();
    assert!(image::load_from_memory(&png).unwrap().width() > 500);
    let inspect = |layer: &str| {
        output(folder.path(), &["inspect", &model, &images, "--device", "cpu", "--layer", layer, "--output", &maps])
    };
    says(&inspect("map"), &["maps.svg: map (Reshape): 3 maps of 4 x 4, from "]);
    let svg = fs::read_to_string(&maps).unwrap();
    says(&svg, &["map: t10k-images-idx3-ubyte", "the picture", "3 maps of 4 x 4, from 0.000 to "]);
    says(&inspect("look"), &["look (GaussianNoise): 1 map of 28 x 28, from 0.000 to 0.969"]);
    says(&inspect("dense"), &["dense (Dense): a kernel of 48 x 10, which is not drawn", "; 10 outputs, from "]);
    for (args, parts) in [
        (vec!["--layer", "hiden"], &["did you mean \"hidden\"?"][..]),
        (vec!["--output", "maps.jpg"], &["give a name that ends in .png or .svg"]),
        (vec!["--output", &images], &["output: ", "is the picture, which would be lost"]),
    ] {
        let (code, _, stderr) =
            run(folder.path(), &[&["inspect", &model, &images, "--device", "cpu"], &args[..]].concat());
        assert_eq!(code, Some(1), "{stderr}");
        says(&stderr, parts);
    }
}

/// A net of the kind that images are for: filters of the first layer, maps of each.
#[test]
fn the_filters_and_maps_of_convolutions_are_drawn() {
    let folder = fixture();
    let name = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let [model, images, drawn] = [name("m.safetensors"), name(SETS[0].files[2].name), name("maps.png")];
    let net = "conv2d 4 3 relu, conv2d 6 3 relu strides=2, max_pooling2d 2, dropout 0.25, flatten, dense 10 softmax";
    let train = ["train", "mnist", "--device", "cpu", "-q", "--epochs", "1", "--limit", "60", "--batch-size", "20"];
    output(folder.path(), &[&train[..], &["--layers", net, "--save", &model]].concat());
    let inspect = |more: &[&str]| {
        output(folder.path(), &[&["inspect", &model, &images, "--device", "cpu", "--output", &drawn], more].concat())
    };
    says(&inspect(&[]), &["conv2d (Conv2D): 4 filters of 3 x 3; 4 maps of 26 x 26, from 0.000 to "]);
    let second =
        "conv2d_1 (Conv2D): a kernel of 3 x 3 x 4 x 6, which is not drawn: it is no picture; 6 maps of 12 x 12";
    says(&inspect(&["--layer", "conv2d_1"]), &[second]);
    says(&inspect(&["--layer", "max_pooling2d"]), &["max_pooling2d (MaxPooling2D): 6 maps of 6 x 6"]);
}

#[test]
fn a_model_of_colours_sees_a_picture_in_colour() {
    let folder = tempfile::TempDir::new().unwrap();
    let name = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    for (class, red) in [("a", 250), ("b", 10)] {
        fs::create_dir_all(folder.path().join("red").join(class)).unwrap();
        for i in 0..4u8 {
            let picture = RgbImage::from_fn(6, 5, |x, y| Rgb([red, i * 20, (x * y) as u8]));
            picture.save(folder.path().join("red").join(class).join(format!("{i}.png"))).unwrap();
        }
    }
    let [red, model, picture, drawn] = [name("red"), name("m.safetensors"), name("red/a/0.png"), name("drawn.png")];
    let train = [
        "train",
        &red,
        "--device",
        "cpu",
        "-q",
        "--hidden",
        "3",
        "--epochs",
        "1",
        "--test-split",
        "0.3",
        "--save",
        &model,
    ];
    output(folder.path(), &train);
    let said = output(folder.path(), &["inspect", &model, &picture, "--device", "cpu", "--output", &drawn]);
    says(&said, &["drawn.png: dense (Dense): 3 filters of 5 x 6; 3 outputs"]);
    // The picture itself is there in its colours.
    let pixels = image::open(&drawn).unwrap().into_rgb8();
    assert!(pixels.pixels().any(|pixel| pixel.0[0] > 240 && pixel.0[1] == 0 && pixel.0[2] < 30));
}
