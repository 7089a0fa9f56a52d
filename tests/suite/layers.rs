//! Layers that give samples their shape: what they compute, how the summary shows them, and what they refuse.

use kiln::nn::layers::Fill;
use kiln::prelude::*;

use crate::common::{devices, trained_on};

fn pixels() -> Tensor {
    Tensor::new([2, 28, 28], (0..2 * 784).map(|i| i as f32).collect::<Vec<_>>()).unwrap()
}

/// As Keras 3.15.1 prints the same model: the input stands in no row.
const SUMMARY: &str = "\
Model: \"sequential\"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ reshape (Reshape)               │ (None, 4, 4, 49)       │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ permute (Permute)               │ (None, 49, 4, 4)       │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ flatten (Flatten)               │ (None, 784)            │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense (Dense)                   │ (None, 10)             │         7,850 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 7,850 (30.66 KB)
 Trainable params: 7,850 (30.66 KB)
 Non-trainable params: 0 (0.00 B)
";

#[test]
fn a_model_that_begins_with_its_input_is_built() {
    let input = Sequential::new().add(Input::new([28, 28]));
    let model = input.add(Reshape::new([4, -1, 49])).add(Permute::new([3, 1, 2])).add(Flatten).add(Dense::new(10));
    assert_eq!(model.summary().unwrap().to_string(), SUMMARY);
    let mut named = Sequential::new().add(Input::new([3]).named("pixels")).add(Dense::new(2)).device(Device::cpu());
    assert_eq!(named.parameter_paths().unwrap(), ["dense/kernel", "dense/bias"]);
    assert_eq!(named.weights().unwrap()[0].shape().to_string(), "(3, 2)");
    named.build([3]).unwrap();
    assert_eq!(named.summary().unwrap().rows.len(), 1);
}

#[test]
fn the_input_changes_nothing_else() {
    let data = Dataset::new(pixels(), Tensor::new([2], vec![0u32, 1]).unwrap()).unwrap();
    let run = |model: Sequential| {
        let mut model = model.add(Flatten).add(Dropout::new(0.5)).add(Dense::new(2)).device(Device::cpu());
        model.compile(Sgd::default(), Loss::SparseCategoricalCrossentropyFromLogits, []).unwrap();
        model.fit(&data, Fit::new().epochs(2).batch_size(2).verbose(0)).unwrap();
        model.weights().unwrap()
    };
    // In the place of the input a layer that does nothing, too: random numbers are told apart by a layer's place.
    assert_eq!(run(Sequential::new().add(Input::new([28, 28]))), run(Sequential::new().add(Reshape::new([28, 28]))));
}

#[test]
fn samples_are_reshaped_and_permuted_as_tensors_are() {
    let x = pixels();
    let wanted = x.reshape(&[2, 4, 4, 49]).unwrap().permute(&[0, 3, 1, 2]).unwrap();
    for device in devices() {
        let model = Sequential::new().add(Reshape::new([4, -1, 49])).add(Permute::new([3, 1, 2]));
        assert_eq!(model.device(device.clone()).predict(&x).unwrap(), wanted, "{device}");
    }
}

/// A dense layer before them: gradients go back through both.
#[test]
fn gradients_find_their_way_back() {
    let x = Tensor::new([6, 4], (0..24).map(|i| (i * 7 % 11) as f32 / 11.0 - 0.5).collect::<Vec<_>>()).unwrap();
    let data = Dataset::new(x, Tensor::new([6], vec![0u32, 1, 2, 0, 1, 2]).unwrap()).unwrap();
    let run = |device: Device, shaped: bool| {
        let mut model = Sequential::new().add(Dense::new(6).activation(Activation::Tanh)).device(device);
        if shaped {
            // Together they leave every number where it was.
            model = model.add(Reshape::new([2, 3])).add(Permute::new([2, 1])).add(Permute::new([2, 1]));
        }
        let mut model = model.add(Flatten).add(Dense::new(3));
        model.compile(Sgd::default(), Loss::SparseCategoricalCrossentropyFromLogits, []).unwrap();
        let history = model.fit(&data, Fit::new().epochs(20).batch_size(3).verbose(0)).unwrap();
        history.batch_losses().to_vec()
    };
    for device in devices() {
        assert_eq!(run(device.clone(), true), run(device.clone(), false), "{device}");
    }
}

#[track_caller]
fn refused(model: Sequential, parts: &[&str]) {
    let mut model = model;
    let text = model.build([28, 28]).expect_err("it was accepted").to_string();
    parts.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in: {text}"));
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let with = |layer: Reshape| Sequential::new().add(layer);
    refused(with(Reshape::new([5, -1])), &["layer \"reshape\"", "(28, 28) cannot become [5, -1]", "784 elements"]);
    refused(with(Reshape::new([5, 5])), &["(28, 28) cannot become [5, 5]", "784 elements"]);
    refused(with(Reshape::new([-1, -1])), &["layer \"reshape\"", "only one extent can be -1"]);
    refused(with(Reshape::new([-2, 4])), &["-2 is no extent"]);
    refused(with(Reshape::new([0, -1])), &["cannot become [0, -1]"]);
    let with = |dims: &[usize]| Sequential::new().add(Permute::new(dims));
    refused(with(&[0, 1]), &["layer \"permute\"", "dims [0, 1] is no order of axes", "from 1 on"]);
    refused(with(&[1, 1]), &["dims [1, 1]"]);
    refused(with(&[1, 2, 3]), &["dims [1, 2, 3] is for samples of 3 axes", "given (1, 28, 28)"]);
}

#[test]
fn the_input_comes_first_and_is_held_to() {
    let late = Sequential::new().add(Flatten).add(Input::new([784]));
    refused(late, &["layer \"input_layer\"", "comes first", "behind another layer"]);
    let twice = Sequential::new().add(Input::new([28, 28])).add(Input::new([28, 28]));
    refused(twice, &["layer \"input_layer_1\"", "once"]);
    let other = Sequential::new().named("net").add(Input::new([784])).add(Dense::new(2));
    refused(other, &["model \"net\"", "built for samples of (784,)", "these are (28, 28)"]);
    let scalar = Sequential::new().add(Input::new([])).add(Dense::new(2));
    let text = scalar.summary().unwrap_err().to_string();
    assert!(text.contains("layer \"dense\"") && text.contains("one or more axes"), "{text}");
}

/// Images of 4 x 5 pixels of 2 channels, all different.
fn images(n: usize) -> Tensor {
    let pixels: Vec<f32> = (0..n * 40).map(|i| (i * 37 % 1009) as f32 / 100.0).collect();
    Tensor::new([n, 4, 5, 2], pixels).unwrap()
}

/// How far from `y` a layer brings images in training: the mean squared error of one step, behind a layer that changes
/// nothing.
fn trained_loss(layer: impl Layer + 'static, x: &Tensor, y: &Tensor, device: &Device) -> f64 {
    let mut model = Sequential::new().add(layer).add(Flatten).add(Dense::new(40)).device(device.clone());
    model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
    model.build([4, 5, 2]).unwrap();
    let identity = (0..1600).map(|i| if i % 41 == 0 { 1.0f32 } else { 0.0 }).collect::<Vec<_>>();
    model
        .set_weights(&[Tensor::new([40, 40], identity).unwrap(), Tensor::new([40], vec![0.0f32; 40]).unwrap()])
        .unwrap();
    let data = Dataset::new(x.clone(), y.reshape(&[-1, 40]).unwrap()).unwrap();
    // In use the images are what they were.
    let scores = model.evaluate(&Dataset::new(x.clone(), x.reshape(&[-1, 40]).unwrap()).unwrap()).unwrap();
    assert_eq!(scores.get("loss"), Some(0.0));
    let fit = Fit::new().batch_size(x.rows()).shuffle(false).verbose(0);
    model.fit(&data, fit).unwrap().get("loss")[0]
}

#[test]
fn images_are_augmented_in_training_alone() {
    let x = images(64);
    for device in devices() {
        let loss = |layer: RandomFlip, y: &Tensor| trained_loss(layer, &x, y, &device);
        // Against the images and against all of them flipped: each image adds to one of the two alone.
        let flipped = x.slice("..., ::-1, :").unwrap();
        let apart = trained_loss(RandomTranslation::new(0.0, 0.0), &x, &flipped, &device);
        let parts = [&x, &flipped].map(|y| loss(RandomFlip::horizontal(), y) / apart);
        assert!((parts[0] + parts[1] - 1.0).abs() < 1e-5 && parts.iter().all(|part| *part > 0.2), "{parts:?}");
        let upside_down = x.slice(":, ::-1").unwrap();
        let apart = trained_loss(RandomTranslation::new(0.0, 0.0), &x, &upside_down, &device);
        let parts = [&x, &upside_down].map(|y| loss(RandomFlip::vertical(), y) / apart);
        assert!((parts[0] + parts[1] - 1.0).abs() < 1e-5 && parts.iter().all(|part| *part > 0.2), "{parts:?}");
        assert!(loss(RandomFlip::horizontal_and_vertical(), &x) > 0.0);

        let noise = trained_loss(GaussianNoise::new(0.5), &x, &x, &device);
        // Of 2,560 squares: the deviation of their mean is 0.007.
        assert!((noise - 0.25).abs() < 0.035, "{noise}");
        assert!(trained_loss(RandomTranslation::new(0.3, 0.3), &x, &x, &device) > 0.1);
        let still = trained_loss(RandomTranslation::new(0.0, 0.0).fill_mode(Fill::Constant), &x, &x, &device);
        assert_eq!(still, 0.0);
    }
}

#[test]
fn what_cannot_be_augmented_is_refused() {
    let refused = |layer: Sequential, sample: &[usize], part: &str| {
        let mut model = layer;
        let refusal = model.build(sample).unwrap_err().to_string();
        assert!(refusal.contains(part), "{refusal}");
    };
    let flat = "takes images (batch, height, width, ...), was given (1, 784); put it before a Flatten";
    refused(Sequential::new().add(RandomFlip::horizontal()), &[784], flat);
    refused(Sequential::new().add(RandomTranslation::new(0.1, 0.1)), &[784], flat);
    refused(Sequential::new().add(RandomTranslation::new(0.1, 1.5)), &[28, 28], "the factor 1.5 is not in 0..=1");
    refused(Sequential::new().add(GaussianNoise::new(-1.0)), &[3], "the standard deviation -1 is not 0 or more");
    refused(Sequential::new().add(GaussianNoise::new(f64::NAN)), &[3], "NaN is not 0 or more");
}

/// What a layer gives of a batch of 64 samples of ones in training.
fn in_training(layer: impl Layer + 'static, sample: &[usize], device: &Device) -> Vec<f64> {
    let ones = vec![1.0f32; 64 * sample.iter().product::<usize>()];
    trained_on(layer, &Tensor::new([&[64], sample].concat(), ones).unwrap(), device).values().to_f64()
}

#[test]
fn spatial_dropout_drops_whole_channels() {
    for device in devices() {
        for (given, places) in [
            (in_training(SpatialDropout1D::new(0.25), &[5, 8], &device), 5),
            (in_training(SpatialDropout2D::new(0.25), &[3, 4, 8], &device), 12),
        ] {
            let samples = given.chunks(places * 8);
            assert!(
                samples.clone().all(|sample| sample.chunks(8).all(|channels| channels == &sample[..8])),
                "{device}"
            );
            assert!(given.iter().all(|&y| y == 0.0 || (y - 1.0 / 0.75).abs() < 1e-6), "{device}");
            let dropped = samples.flat_map(|sample| &sample[..8]).filter(|&&y| y == 0.0).count();
            // Of 512 a quarter; the standard deviation is 9.8.
            assert!((dropped as f64 - 128.0).abs() < 50.0, "{device}: {dropped}");
        }
    }
    let refused = |layer: Sequential, part: &str| crate::common::says(layer.summary(), &["spatial_dropout", part]);
    refused(Sequential::new().add(Input::new([4])).add(SpatialDropout1D::new(0.5)), "takes sequences");
    refused(Sequential::new().add(Input::new([4, 2])).add(SpatialDropout1D::new(1.0)), "the rate 1 is not in 0..1");
}

#[test]
fn gaussian_dropout_multiplies_by_noise_of_dropouts_variance() {
    for device in devices() {
        let given = in_training(GaussianDropout::new(0.2), &[40], &device);
        let mean = given.iter().sum::<f64>() / given.len() as f64;
        let variance = given.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / given.len() as f64;
        // Of 2,560 numbers: standard deviations 0.01 and 0.007.
        assert!((mean - 1.0).abs() < 0.05 && (variance - 0.25).abs() < 0.035, "{device}: {mean} {variance}");
    }
}

#[test]
fn prelu_learns_its_slope() {
    let x = Tensor::from([[-2.0f32, 3.0], [-1.0, -4.0]]);
    for device in devices() {
        let alpha = Initializer::Constant(0.25);
        let mut model =
            Sequential::new().add(Input::new([2])).add(PRelu::new().alpha_initializer(alpha)).device(device.clone());
        assert_eq!(model.predict(&x).unwrap(), Tensor::from([[-0.5f32, 3.0], [-0.25, -1.0]]), "{device}");
        model.compile(Sgd { learning_rate: 1.0, ..Sgd::default() }, Loss::MeanSquaredError, []).unwrap();
        let target = Tensor::from([[0.0f32, 0.0], [0.0, 0.0]]);
        model.fit(&Dataset::new(x.clone(), target).unwrap(), Fit::new().batch_size(2).verbose(0)).unwrap();
        // The mean over both samples of the mean over two values of 2 y x.
        assert_eq!(model.weights().unwrap()[0], Tensor::from([0.25f32 - 0.625, 0.25 - 2.0]), "{device}");
        let shared = Sequential::new().add(Input::new([5, 3])).add(PRelu::new().shared_axes([1]));
        assert_eq!(shared.summary().unwrap().rows[0].parameters, 3);
    }
    let refused = Sequential::new().add(Input::new([5, 3])).add(PRelu::new().shared_axes([3]));
    crate::common::says(refused.summary(), &["layer \"p_re_lu\"", "shares axis 3 of (1, 5, 3); give 1 to 2"]);
}
