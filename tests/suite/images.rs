//! Layers of edges, sizes, scales and augmentation against Keras' own outputs (`scripts/golden-images`), what they refuse, saved
//! models with them, and how random ones draw.

use kiln::data::Dataset;
use kiln::nn::layers::{DataFormat, Fill, Interpolation};
use kiln::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{devices, executors, fixture, says, shaped as tensor, trained_on};

fn of(layer: impl Layer + 'static) -> Sequential {
    Sequential::new().add(layer)
}

/// The script's layer of a name that draws nothing.
fn fixed(name: &str) -> Sequential {
    let first = DataFormat::ChannelsFirst;
    let bilinear = Interpolation::Bilinear;
    match name {
        "zero_padding1d" => of(ZeroPadding1D::new(1)),
        "zero_padding1d_first" => of(ZeroPadding1D::new([2, 1]).data_format(first)),
        "zero_padding2d" => of(ZeroPadding2D::new(1)),
        "zero_padding2d_two" => of(ZeroPadding2D::new([2, 0])),
        "zero_padding2d_first" => of(ZeroPadding2D::new([[1, 0], [2, 3]]).data_format(first)),
        "cropping1d" => of(Cropping1D::new(1)),
        "cropping1d_uneven" => of(Cropping1D::new([0, 3])),
        "cropping2d" => of(Cropping2D::new([[1, 2], [0, 1]])),
        "cropping2d_first" => of(Cropping2D::new([1, 2]).data_format(first)),
        "up_sampling1d" => of(UpSampling1D::new(3)),
        "up_sampling2d" => of(UpSampling2D::new(2)),
        "up_sampling2d_first" => of(UpSampling2D::new([1, 3]).data_format(first)),
        "up_sampling2d_bilinear" => of(UpSampling2D::new([2, 3]).interpolation(bilinear)),
        "up_sampling2d_bilinear_first" => of(UpSampling2D::new(2).interpolation(bilinear).data_format(first)),
        "rescaling" => of(Rescaling::new(0.25).offset(-1.0)),
        "rescaling_each" => of(Rescaling::new([0.5, 2.0, 3.0]).offset([1.0, 0.0, -1.0])),
        "resizing" => of(Resizing::new(7, 3)),
        "resizing_nearest" => of(Resizing::new(5, 9).interpolation("nearest")),
        "resizing_first" => of(Resizing::new(2, 8).data_format(first)),
        "resizing_crop" => of(Resizing::new(4, 4).crop_to_aspect_ratio(true)),
        "resizing_crop_rows" => of(Resizing::new(3, 5).crop_to_aspect_ratio(true)),
        "resizing_pad" => of(Resizing::new(4, 6).pad_to_aspect_ratio(true).fill_value(0.5)),
        "resizing_pad_rows" => of(Resizing::new(6, 6).pad_to_aspect_ratio(true)),
        "center_crop" | "center_crop_whole" => of(CenterCrop::new(3, 2)),
        "center_crop_first" => of(CenterCrop::new(2, 3).data_format(first)),
        "center_crop_small" => of(CenterCrop::new(5, 4)),
        "normalization_given" => of(Normalization::new().mean_and_variance(0.5, 4.0)),
        "normalization_each" => of(Normalization::new().mean_and_variance([0.5, 1.0, -2.0], [4.0, 0.0, 9.0])),
        "normalization_invert" => {
            let norm = Normalization::new().axes([1, 2]).mean_and_variance([1.0, 2.0], [4.0, 0.25]);
            of(norm.invert(true))
        }
        other => panic!("{other} is none of the script's layers"),
    }
}

/// The worst error, as a share of the largest number.
fn apart(found: &Tensor, wanted: &Tensor) -> f64 {
    assert_eq!(found.shape(), wanted.shape());
    let [found, wanted] = [found, wanted].map(|tensor| tensor.values().to_f64());
    let largest = wanted.iter().fold(1.0f64, |most, x| most.max(x.abs()));
    found.iter().zip(wanted).fold(0.0, |worst: f64, (f, w)| worst.max((f - w).abs())) / largest
}

/// How far a layer that draws nothing is from Keras.
fn error_of_fixed(name: &str, case: &Value, device: &Device) -> f64 {
    let found = fixed(name).device(device.clone()).predict(&tensor(&case["x"])).unwrap();
    apart(&found, &tensor(&case["y"]))
}

#[test]
fn layers_give_what_keras_gives() {
    let golden = fixture("keras-images.json");
    let cases = golden["fixed"].as_object().unwrap();
    assert!(cases.len() > 20);
    for (name, case) in cases {
        for device in executors() {
            let error = error_of_fixed(name, case, &device);
            assert!(error < 1e-6, "{name} on {device}: {error:e} from Keras");
        }
    }
}

fn adapted(name: &str) -> Normalization {
    match name {
        "normalization" => Normalization::new(),
        "normalization_all" => Normalization::new().axes([]),
        "normalization_pixels" => Normalization::new().axes([1, -1]),
        "normalization_back" => Normalization::new().invert(true),
        other => panic!("{other} is none of the script's layers"),
    }
}

#[test]
fn normalization_adapts_as_keras_does() {
    let golden = fixture("keras-images.json");
    for (name, case) in golden["adapted"].as_object().unwrap() {
        let (x, data) = (tensor(&case["x"]), tensor(&case["data"]));
        for device in executors() {
            let mut norm = adapted(name);
            norm.adapt(&data).unwrap();
            let mut model = Sequential::new().add(Input::new(&x.shape()[1..])).add(norm).device(device.clone());
            assert_eq!(model.summary().unwrap().rows[0].non_trainable, 2 * tensor(&case["mean"]).values().len() + 1);
            let found = model.predict(&x).unwrap();
            assert!(apart(&found, &tensor(&case["y"])) < 1e-6, "{name} on {device}");
            for state in ["mean", "variance"] {
                let kept = model.weight(&format!("normalization/{state}")).unwrap();
                assert!(apart(&kept, &tensor(&case[state])) < 1e-6, "{name} on {device}: {state}");
            }
        }
    }
}

#[test]
fn what_normalization_was_adapted_to_is_kept_and_rests() {
    let x = Tensor::from([[0.0f32, 10.0], [4.0, 30.0], [2.0, 20.0]]);
    let data = Dataset::new(x.clone(), Tensor::from([[1.0f32], [2.0], [3.0]])).unwrap();
    let path = TempDir::new().unwrap().path().join("model.safetensors");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    for device in devices() {
        let mut norm = Normalization::new();
        norm.adapt_to(&data).unwrap();
        let inner = Sequential::new().add(norm.clone().trainable(true).named("scaled"));
        let mut model = Sequential::new().add(inner.named("front")).add(Dense::new(1)).device(device.clone());
        model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
        model.fit(&data, Fit::new().epochs(2).verbose(0)).unwrap();
        let mean = model.weight("front/scaled/mean").unwrap();
        assert_eq!(mean, Tensor::from([2.0f32, 20.0]), "{device}");
        model.save(&path).unwrap();
        let mut loaded = Sequential::load(&path).unwrap().device(device.clone());
        assert_eq!(loaded.weights().unwrap(), model.weights().unwrap());
        assert_eq!(loaded.predict(&x).unwrap(), model.predict(&x).unwrap(), "{device}");
    }
}

/// Bytes as batches have them; a set in parts as whole.
#[test]
fn normalization_sees_what_batches_have() {
    let pixels: Vec<u8> = (0..300_000).map(|i| (i % 1009 * 7 % 251) as u8).collect();
    let bytes = Tensor::new([300, 1000], pixels).unwrap();
    let data = Dataset::new(bytes.clone(), Tensor::new([300], vec![0u32; 300]).unwrap()).unwrap();
    let states = |norm: Normalization| {
        let mut model = Sequential::new().add(Input::new([1000])).add(norm).device(Device::cpu());
        model.weights().unwrap()
    };
    let mut norm = Normalization::new().axes([]);
    norm.adapt(&bytes).unwrap();
    let found = states(norm);
    let values: Vec<f64> = bytes.values().to_f64().iter().map(|x| f64::from(*x as f32 * (1.0 / 255.0))).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64;
    for (found, wanted) in found.iter().zip([mean, variance]) {
        assert!((found.values().to_f64()[0] - wanted).abs() < 1e-7 * wanted, "{found:?}, expected {wanted}");
    }
    let mut norm = Normalization::new().axes([]);
    norm.adapt_to(&data).unwrap();
    assert_eq!(states(norm), found);
}

/// The script's layer of a name that draws between two equal ends.
fn drawn(name: &str) -> Box<dyn Layer> {
    let even = |number: f64| [number, number];
    match name {
        "rotation" => Box::new(RandomRotation::new(even(0.125))),
        "rotation_back" => Box::new(RandomRotation::new(even(-0.3)).fill_mode("wrap")),
        "rotation_nearest" => Box::new(RandomRotation::new(even(0.07)).fill_mode(Fill::Nearest)),
        "rotation_constant" => Box::new(RandomRotation::new(even(0.2)).fill_mode(Fill::Constant).fill_value(0.5)),
        "rotation_pixels" => Box::new(RandomRotation::new(even(0.11)).interpolation("nearest")),
        "rotation_first" => Box::new(RandomRotation::new(even(0.4)).data_format("channels_first")),
        "quarter" => Box::new(RandomRotation::new(even(0.25))),
        "zoom" => Box::new(RandomZoom::new(even(0.5))),
        "zoom_both" => Box::new(RandomZoom::new(even(-0.25)).width_factor(even(0.75)).fill_mode(Fill::Wrap)),
        "zoom_constant" => {
            let zoom = RandomZoom::new(even(1.0)).width_factor(even(-0.5));
            Box::new(zoom.fill_mode("constant").fill_value(-2.0))
        }
        "zoom_nearest" => Box::new(RandomZoom::new(even(0.75)).fill_mode("nearest").data_format("channels_first")),
        "zoom_pixels" => Box::new(RandomZoom::new(even(-0.4)).interpolation("nearest")),
        "brightness" => Box::new(RandomBrightness::new(even(0.25)).value_range([-2.0, 2.0])),
        "brightness_less" => Box::new(RandomBrightness::new(even(-0.125)).value_range([-1.0, 1.5])),
        "contrast" => Box::new(RandomContrast::new([-0.5, 0.5]).value_range([-2.0, 2.0])),
        "contrast_first" => {
            let contrast = RandomContrast::new([-0.25, 0.25]).value_range([-8.0, 8.0]);
            Box::new(contrast.data_format("channels_first"))
        }
        other => panic!("{other} is none of the script's layers"),
    }
}

/// Places are 256ths of a pixel. Where Keras' are not, they are half of that off along both axes, and neighbours differ by twice the
/// largest number at most.
#[test]
fn images_are_changed_as_keras_does() {
    let golden = fixture("keras-images.json");
    let between = ["rotation", "rotation_back", "rotation_nearest", "rotation_constant", "rotation_first"];
    for (name, case) in golden["random"].as_object().unwrap() {
        let x = tensor(&case["x"]);
        let limit = if between.contains(&name.as_str()) { 0.008 } else { 1e-6 };
        let mut all = Vec::new();
        for device in devices() {
            let found = trained_on(drawn(name), &x, &device);
            let apart = apart(&found, &tensor(&case["y"]));
            assert!(apart < limit, "{name} on {device}: {apart:e} from Keras");
            all.push(found);
            // In use images are what they were.
            let mut model = Sequential::new().add(drawn(name)).device(device.clone());
            assert_eq!(model.predict(&x).unwrap(), x, "{name} on {device}");
        }
        for found in &all[1..] {
            assert!(apart(found, &all[0]) < 1e-6, "{name}: devices differ");
        }
    }
}

#[cfg(feature = "gpu")]
const TABLE: &str = "\
What layers that learn nothing make of images and sequences: the worst error, as a share of the largest number or of 1. The judge is
Keras 3.15.1 on JAX in float32 (`scripts/golden-images`). Those that draw nothing must be within 1e-6. Those that draw at random draw
between two equal ends here; their places are 256ths of a pixel, and where Keras' are not, the error, within 0.008, is what lies
between. All devices draw the same places.

| layer | f32 CPU | adapter | f64 reference |
|---|---|---|---|
";

#[cfg(feature = "gpu")]
#[test]
fn the_table_of_layers_over_images_is_of_today() {
    let golden = fixture("keras-images.json");
    let all = |kind: &str| golden[kind].as_object().unwrap().clone();
    crate::common::write_parity("Layers over images", || {
        let devices = [Device::cpu(), crate::common::adapter(), Device::reference()];
        let row = |name: &str, errors: [f64; 3]| {
            let [cpu, adapter, reference] = errors.map(crate::common::shown);
            format!("| `{name}` | {cpu} | {adapter} | {reference} |\n")
        };
        let error_of_drawn = |name: &str, case: &Value, device: &Device| {
            apart(&trained_on(drawn(name), &tensor(&case["x"]), device), &tensor(&case["y"]))
        };
        let fixed = all("fixed");
        let fixed =
            fixed.iter().map(|(name, case)| row(name, devices.each_ref().map(|d| error_of_fixed(name, case, d))));
        let random = all("random");
        let random =
            random.iter().map(|(name, case)| row(name, devices.each_ref().map(|d| error_of_drawn(name, case, d))));
        TABLE.to_string() + &fixed.chain(random).collect::<String>()
    });
    let names = |kind: &str| all(kind).keys().cloned().collect::<Vec<_>>();
    let known = [names("fixed"), names("random")].concat();
    crate::common::assert_parity_lists(&known.iter().map(String::as_str).collect::<Vec<_>>());
}

/// A ramp of brightness tells by how much its image was turned, and by how much zoomed.
#[test]
fn each_image_is_moved_by_a_draw_of_its_own() {
    let (samples, extent) = (400, 9);
    let ramp = |i: usize| ((i % extent) as f32, (i / extent % extent) as f32);
    let columns: Vec<f32> = (0..samples * extent * extent).map(|i| ramp(i).0 - 4.0).collect();
    let x = Tensor::new([samples, extent, extent, 1], columns).unwrap();
    // The gradients of brightness along rows and columns, about the middle, where no edge is near.
    let slopes = |layer: Box<dyn Layer>, device: &Device| -> Vec<[f64; 2]> {
        let images = trained_on(layer, &x, device).values().to_f64();
        let at = |image: &[f64], r: usize, c: usize| image[r * extent + c];
        let slope =
            |image: &[f64]| [(at(image, 5, 4) - at(image, 3, 4)) / 2.0, (at(image, 4, 5) - at(image, 4, 3)) / 2.0];
        images.chunks(extent * extent).map(slope).collect()
    };
    for device in devices() {
        let turned = slopes(Box::new(RandomRotation::new(0.1)), &device);
        let turns: Vec<f64> = turned.iter().map(|[down, right]| -down.atan2(*right) / std::f64::consts::TAU).collect();
        even(&turns, [-0.1, 0.1]);
        assert!(turned.iter().all(|[down, right]| (down.hypot(*right) - 1.0).abs() < 0.01), "{device}");
        let zoomed = slopes(Box::new(RandomZoom::new(0.5).width_factor([-0.25, 0.5])), &device);
        even(&zoomed.iter().map(|[_, right]| *right).collect::<Vec<_>>(), [0.75, 1.5]);
    }
}

/// Numbers that tell places: the parts of images that are left are whole ones, from everywhere, the same on all devices.
#[test]
fn each_image_is_cut_at_a_place_of_its_own() {
    let (samples, rows, columns) = (300, 5, 4);
    let places: Vec<f32> = (0..samples * rows * columns).map(|i| (i % (rows * columns)) as f32).collect();
    let x = Tensor::new([samples, rows, columns, 1], places.clone()).unwrap();
    let first = Tensor::new([samples, 1, rows, columns], places).unwrap();
    let mut all = Vec::new();
    for device in devices() {
        let found = trained_on(Box::new(RandomCrop::new(3, 2)), &x, &device).values().to_f32();
        let mut counts = [0; 9];
        for part in found.chunks(6) {
            let (row, column) = (part[0] as usize / columns, part[0] as usize % columns);
            let wanted: Vec<f32> = (0..6).map(|i| ((row + i / 2) * columns + column + i % 2) as f32).collect();
            assert_eq!(part, wanted, "{device}");
            counts[row * 3 + column] += 1;
        }
        // Of 300 a ninth; the standard deviation is 5.4.
        assert!(counts.iter().all(|count: &usize| count.abs_diff(33) < 27), "{device}: {counts:?}");
        let channels_first = Box::new(RandomCrop::new(3, 2).data_format("channels_first"));
        assert_eq!(trained_on(channels_first, &first, &device).values().to_f32(), found, "{device}");
        // In use it is the middle that is left, and smaller images are brought to the size.
        let mut model = of(RandomCrop::new(3, 2)).device(device.clone());
        assert_eq!(model.predict(&x).unwrap().values().to_f32()[..6], [5.0, 6.0, 9.0, 10.0, 13.0, 14.0]);
        let (larger, middle) = (RandomCrop::new(6, 3), CenterCrop::new(6, 3));
        let wanted = of(middle).device(device.clone()).predict(&x).unwrap();
        assert_eq!(trained_on(Box::new(larger), &x, &device), wanted, "{device}");
        all.push(found);
    }
    assert!(all.iter().all(|found| *found == all[0]), "devices differ");
}

/// In training each image by a number of its own.
#[test]
fn brightness_and_contrast_are_drawn_for_each_image() {
    let x = Tensor::new([400, 1, 2, 1], [-1.0f32, 1.0].repeat(400)).unwrap();
    for device in devices() {
        let of = |layer: Box<dyn Layer>| trained_on(layer, &x, &device).values().to_f64();
        let bright = of(Box::new(RandomBrightness::new([-0.125, 0.25]).value_range([-4.0, 4.0])));
        even(&bright.chunks(2).map(|image| image[0] + 1.0).collect::<Vec<_>>(), [-1.0, 2.0]);
        assert!(bright.chunks(2).all(|image| (image[1] - image[0] - 2.0).abs() < 1e-6), "{device}");
        for (contrast, ends) in [(RandomContrast::new([0.5, 1.0]), [0.5, 2.0]), (RandomContrast::new(0.5), [1.0, 1.5])]
        {
            let found = of(Box::new(contrast.value_range([-4.0, 4.0])));
            even(&found.chunks(2).map(|image| image[1]).collect::<Vec<_>>(), ends);
            assert!(found.chunks(2).all(|image| (image[0] + image[1]).abs() < 1e-6), "{device}");
        }
    }
}

/// That numbers lie between two ends, as many in each quarter.
#[track_caller]
fn even(numbers: &[f64], [low, high]: [f64; 2]) {
    let shares: Vec<f64> = numbers.iter().map(|number| (number - low) / (high - low)).collect();
    assert!(shares.iter().all(|share| (-0.01..1.01).contains(share)), "{numbers:?}");
    for quarter in 0..4 {
        let count = shares.iter().filter(|share| (**share * 4.0).floor() == f64::from(quarter)).count();
        // Of 400 a quarter; the standard deviation is 8.7.
        assert!(count.abs_diff(100) < 44, "quarter {quarter}: {count}");
    }
}

/// What is in front of an augmentation learns through it.
#[test]
fn gradients_go_through_all_of_them() {
    let values: Vec<f32> = (0..2 * 5 * 5 * 2).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
    let data = Dataset::new(Tensor::new([2, 5, 5, 2], values).unwrap(), Tensor::from([[1.0f32], [-1.0]])).unwrap();
    let run = |device: Device| {
        let mut model = Sequential::new()
            .add(Input::new([5, 5, 2]))
            .add(Dense::new(2).kernel_initializer("ones"))
            .add(RandomRotation::new([0.1, 0.2]).fill_mode("constant"))
            .add(RandomZoom::new(0.3))
            .add(RandomCrop::new(4, 3))
            .add(RandomBrightness::new(0.001).value_range([-100.0, 100.0]))
            .add(RandomContrast::new([0.1, 0.2]).value_range([-100.0, 100.0]))
            .add(ZeroPadding2D::new(1))
            .add(Resizing::new(4, 6))
            .add(UpSampling2D::new(2).interpolation("bilinear"))
            .add(Cropping2D::new(1))
            .add(Rescaling::new(0.5))
            .add(Normalization::new())
            .add(Flatten)
            .add(Dense::new(1))
            .device(device);
        model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
        let losses = model.fit(&data, Fit::new().epochs(4).verbose(0)).unwrap().batch_losses().to_vec();
        assert!(model.gradients().unwrap()[0].values().to_f64().iter().all(|g| *g != 0.0));
        losses
    };
    let all: Vec<Vec<f64>> = executors().into_iter().map(run).collect();
    for losses in &all[1..] {
        let apart = losses.iter().zip(&all[0]).map(|(a, b)| (a - b).abs() / b).fold(0.0, f64::max);
        assert!(apart < 1e-4, "{losses:?}, the reference {:?}", all[0]);
    }
}

#[test]
fn settings_come_back_from_files() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    let golden = fixture("keras-images.json");
    let fixed = golden["fixed"].as_object().unwrap().iter().map(|(name, case)| (fixed(name), case));
    let random = golden["random"].as_object().unwrap().iter();
    let all = fixed.chain(random.map(|(name, case)| (Sequential::new().add(drawn(name)), case)));
    for (mut model, case) in all {
        model.build(&tensor(&case["x"]).shape()[1..]).unwrap();
        model = model.device(Device::cpu());
        model.save(&path).unwrap();
        let loaded = Sequential::load(&path).unwrap();
        let config = |model: &Sequential| model.layers().next().map(|(_, layer)| layer.config()).unwrap();
        assert_eq!(config(&loaded), config(&model));
    }
}

#[track_caller]
fn refused(layer: impl Layer + 'static, sample: &[usize], parts: &[&str]) {
    says(Sequential::new().add(Input::new(sample)).add(layer.named("own")).summary(), &[&["own"], parts].concat());
}

#[test]
fn what_does_not_fit_is_refused() {
    refused(ZeroPadding1D::new(1), &[3], &["takes sequences (batch, steps, channels), was given (1, 3)"]);
    refused(
        ZeroPadding2D::new(1),
        &[28, 28],
        &["takes images (batch, height, width, channels)", "a Reshape before it"],
    );
    refused(ZeroPadding2D::new(usize::MAX), &[2, 2, 1], &["2^32 elements or more"]);
    refused(ZeroPadding2D::new(1 << 16), &[2, 2, 1], &["2^32 elements or more"]);
    refused(
        Cropping2D::new([[1, 2], [0, 0]]),
        &[3, 2, 1],
        &["leaves nothing of axis 1 of (1, 3, 2, 1); give less than 3"],
    );
    refused(Cropping1D::new(usize::MAX), &[3, 2], &["leaves nothing of axis 1"]);
    refused(UpSampling2D::new([0, 2]), &[3, 2, 1], &["the size [0, 2] leaves nothing"]);
    refused(UpSampling1D::new(usize::MAX), &[3, 2], &["1 to 16000 elements along an axis"]);
    refused(UpSampling2D::new(2).interpolation("bicubic"), &[3, 2, 1], &["interpolation", "\"bicubic\"", "bilinear"]);
    refused(UpSampling2D::new(2).data_format("last"), &[3, 2, 1], &["data_format", "\"last\"", "channels_last"]);
    refused(Resizing::new(0, 2), &[3, 2, 1], &["0 rows and 2 columns are no image"]);
    let both = Resizing::new(2, 2).crop_to_aspect_ratio(true).pad_to_aspect_ratio(true);
    refused(both, &[3, 2, 1], &["to crop and to pad", "choose one"]);
    refused(CenterCrop::new(2, 0), &[3, 2, 1], &["2 rows and 0 columns are no image"]);
    refused(RandomCrop::new(2, 2), &[3, 2], &["takes images (batch, height, width, channels)"]);
    refused(RandomBrightness::new(1.5), &[3, 2, 1], &["the factor is 1.5; give numbers from -1 to 1"]);
    refused(
        RandomBrightness::new(0.5).value_range([1.0, 0.0]),
        &[3, 2, 1],
        &["value_range is 1 to 0", "lower end first"],
    );
    refused(RandomContrast::new([-0.5, 0.25]), &[3, 2, 1], &["from 1 - -0.5 to 1 + 0.25"]);
    refused(Rescaling::new([1.0, 2.0]), &[3], &["scale of (2,) does not go with (1, 3)"]);
    refused(Rescaling::new(1.0).offset(f64::NAN), &[3], &["offset has NaN"]);
    refused(RandomRotation::new(1.5), &[3, 2, 1], &["the factor is 1.5; give numbers from -1 to 1"]);
    refused(RandomRotation::new(f64::NAN), &[3, 2, 1], &["the factor is NaN"]);
    refused(RandomRotation::new(0.1).fill_mode("mirror"), &[3, 2, 1], &["fill_mode", "\"mirror\"", "reflect"]);
    refused(RandomRotation::new(0.1), &[784], &["takes images", "put it before a Flatten"]);
    refused(RandomZoom::new([-1.0, 0.0]), &[3, 2, 1], &["height_factor is -1; give numbers above -1 and up to 1"]);
    refused(RandomZoom::new(0.1).width_factor(2.0), &[3, 2, 1], &["width_factor is 2"]);
    refused(RandomTranslation::new(0.1, 0.1).fill_mode("mirror"), &[3, 2, 1], &["\"mirror\""]);
}

#[test]
fn what_normalization_cannot_take_is_refused() {
    refused(Normalization::new().mean_and_variance([1.0, 2.0], [1.0, 2.0]), &[3], &["mean of (1, 2) does not go with"]);
    refused(
        Normalization::new().mean_and_variance([1.0], [1.0, 2.0]),
        &[2],
        &["its mean is of (1,), its variance of (2,)"],
    );
    refused(Normalization::new().axes([]).mean_and_variance([1.0], [1.0]), &[2], &["more axes than the 0"]);
    refused(Normalization::new().mean_and_variance(1.0, -2.0), &[2], &["-2 is no variance"]);
    refused(Normalization::new().axes([0]), &[2], &["axis 0 of (1, 2) is the samples'"]);
    let mut norm = Normalization::new();
    says(norm.adapt(&Tensor::new([0, 2], Vec::<f32>::new()).unwrap()), &["Normalization", "no samples to adapt to"]);
    says(norm.adapt(&Tensor::from([[1.0f32], [f32::NAN]])), &["Normalization", "sample 1 has NaN"]);
    says(Normalization::new().axes([2]).adapt(&Tensor::from([[1.0f32]])), &["axis 2"]);
    says(Normalization::new().axes([1, -1]).adapt(&Tensor::from([[1.0f32]])), &["name the samples' own, or one twice"]);
    let mut given = Normalization::new().mean_and_variance(0.0, 1.0);
    says(given.adapt(&Tensor::from([[1.0f32]])), &["a mean and a variance that were given"]);
    norm.adapt(&Tensor::from([[1.0f32, 2.0], [3.0, 4.0]])).unwrap();
    refused(norm, &[3], &["was adapted to data with (2,) means, of (1, 3) it has (3,)"]);
}
