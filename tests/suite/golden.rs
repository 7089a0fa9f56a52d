//! Keras' own trajectory: 784-512-10 and three smaller nets under RMSprop for 50 steps from the same weights and batches.
//!
//! `scripts/golden-keras` made the fixtures with Keras 3; weights and batches come from a formula in integers that is
//! written there and here.

use kiln::prelude::*;
use serde_json::Value;

use crate::common::{distance, fixture, numbers};

fn hash(index: u32, stream: u32) -> u32 {
    let mut h = index.wrapping_mul(0x9E37_79B1).wrapping_add(stream.wrapping_mul(0x85EB_CA77));
    h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
    h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

/// In [-1, 1), exact in f32.
fn signed(index: u32, stream: u32) -> f32 {
    2.0 * ((hash(index, stream) >> 8) as f32 / 16_777_216.0) - 1.0
}

fn kernel(fan_in: u32, fan_out: u32, stream: u32) -> Tensor {
    let limit = (6.0 / f64::from(fan_in + fan_out)).sqrt() as f32;
    let values: Vec<f32> = (0..fan_in * fan_out).map(|k| signed(k, stream) * limit).collect();
    Tensor::new([fan_in as usize, fan_out as usize], values).unwrap()
}

fn class(row: u32) -> u32 {
    hash(row, 3) % 10
}

fn label(row: u32) -> u32 {
    let noise = hash(row, 4);
    if noise & 7 == 0 { (noise >> 3) % 10 } else { class(row) }
}

fn pixel(row: u32, draw: u32, j: u32) -> u8 {
    let (y, x) = (j / 28, j % 28);
    if !(3..25).contains(&y) || !(3..25).contains(&x) {
        return 0;
    }
    let chance = if hash(class(row) * 784 + j, 6) % 100 < 30 { 60 } else { 22 };
    let h = hash((draw * 6400 + row) * 784 + j, 5);
    if h % 100 < chance { (1 + (h >> 16) % 255) as u8 } else { 0 }
}

/// The first rows with a net's draws, 0 where there are no more of them. Pixels as bytes, or as the f32 numbers that the
/// float64 replay starts from.
fn data(golden: &Value, count: usize, bytes: bool) -> Dataset {
    let draws = golden["draws"].as_str().unwrap().chars().map(|c| c.to_digit(36).unwrap());
    let draws: Vec<u32> = draws.chain(std::iter::repeat(0)).take(count).collect();
    let rows = 0..count as u32;
    let pixels: Vec<u8> =
        rows.clone().flat_map(|r| (0..784).map(move |j| (r, j))).map(|(r, j)| pixel(r, draws[r as usize], j)).collect();
    let floats = |pixels: &[u8]| pixels.iter().map(|&p| f32::from(p) * (1.0 / 255.0)).collect::<Vec<f32>>();
    let x = if bytes { Tensor::new([count, 784], pixels) } else { Tensor::new([count, 784], floats(&pixels)) }.unwrap();
    Dataset::new(x, Tensor::new([count], rows.map(label).collect::<Vec<_>>()).unwrap()).unwrap()
}

/// Kernel and bias of each layer, where layers are of these extents.
fn start(extents: &[usize]) -> Vec<Tensor> {
    let layers = extents.windows(2).zip(1..).flat_map(|(pair, stream)| {
        let zeros = Tensor::new([pair[1]], vec![0.0f32; pair[1]]).unwrap();
        [kernel(pair[0] as u32, pair[1] as u32, stream), zeros]
    });
    layers.collect()
}

const NAMES: [&str; 4] = ["kernel_1", "bias_1", "kernel_2", "bias_2"];
const GOLDEN: [usize; 3] = [784, 512, 10];

/// The entries of a tensor that the fixture keeps.
fn sample(of: &Value, tensor: &Tensor) -> Vec<f64> {
    let stride = of["stride"].as_u64().unwrap() as usize;
    tensor.values().to_f64().into_iter().step_by(stride).collect()
}

/// The largest error of a run's losses, as a share.
fn loss_error(found: &[f64], golden: &Value) -> f64 {
    let wanted = numbers(golden);
    assert_eq!(found.len(), wanted.len());
    found.iter().zip(&wanted).map(|(a, b)| ((a - b) / b).abs()).fold(0.0, f64::max)
}

/// The largest error found: of a loss, and of a tensor's samples as |w - w_keras| / |w_keras - w_0|.
struct Distance {
    loss: f64,
    weights: f64,
}

/// Trains 1, 9 and 40 steps in three calls and compares after each.
fn follow(device: Device, kind: &str) -> Distance {
    let golden = fixture("keras-rmsprop-784-512-10.json");
    let data = data(&golden, 6400, kind == "f32");
    let mut model =
        Sequential::new().add(Dense::new(512).activation(Activation::Relu)).add(Dense::new(10)).device(device);
    model.build([784]).unwrap();
    let loss = Loss::SparseCategoricalCrossentropyFromLogits;
    model.compile(RmsProp::default(), loss, [Metric::Accuracy]).unwrap();
    model.set_weights(&start(&GOLDEN)).unwrap();
    let (mut losses, mut hits) = (Vec::new(), 0.0);
    let mut weights = 0.0f64;
    let (first, rest) = data.split_at(128);
    let (second, third) = rest.split_at(9 * 128);
    for (part, step) in [(first, "1"), (second, "10"), (third, "50")] {
        let fit = || Fit::new().batch_size(128).shuffle(false).verbose(0);
        let history = model.fit(&part, fit()).unwrap();
        losses.extend_from_slice(history.batch_losses());
        hits += history.get("accuracy")[0] * part.len() as f64;
        let tensors = model.weights().unwrap();
        for ((name, tensor), start) in NAMES.into_iter().zip(&tensors).zip(start(&GOLDEN)) {
            let of = &golden["tensors"][name];
            weights = weights.max(distance(&sample(of, tensor), &numbers(&of[kind][step]), &sample(of, &start)));
        }
    }
    let loss = loss_error(&losses, &golden[format!("losses_{kind}")]);
    let right: f64 = numbers(&golden["right_of_128_before_the_update"]).iter().sum();
    assert!((hits - right).abs() < 0.5, "{hits} right answers, Keras has {right}");
    Distance { loss, weights }
}

fn assert_near(found: &Distance, limits: (f64, f64), who: &str) {
    println!("{who}: loss {:.1e}, weights {:.1e} from Keras", found.loss, found.weights);
    assert!(found.loss < limits.0, "{who}: the loss is {:e} from Keras", found.loss);
    assert!(found.weights < limits.1, "{who}: the weights are {:e} from Keras", found.weights);
}

#[test]
fn the_formula_is_that_of_the_script() {
    let golden = fixture("keras-rmsprop-784-512-10.json");
    let check = &golden["self_check"];
    let data = data(&golden, 6400, true);
    let sum: u64 = data.head(128).x().values().to_f64().iter().map(|&x| x as u64).sum();
    assert_eq!(Some(sum), check["batch_0_pixel_sum"].as_u64(), "{check}");
    let labels: f64 = data.y().values().to_f64().iter().sum();
    assert_eq!(Some(labels), check["all_batches_label_sum"].as_f64());
    let hashes: Vec<f64> = (0..8).map(|i| f64::from(hash(i, 1))).collect();
    assert_eq!(hashes, numbers(&check["hash_0_to_7_stream_1"]));
    let kernel: Vec<f64> = start(&GOLDEN)[2].values().to_f64()[..4].to_vec();
    let wanted = numbers(&check["kernel_2_first_4"]);
    assert!(kernel.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-8), "{kernel:?} {wanted:?}");
}

#[test]
fn f32_on_the_cpu_follows_keras() {
    // Keras' own float32 strays from float64 by 1.6e-7 in loss and 9.1e-7 in weights on this net.
    assert_near(&follow(Device::cpu(), "f32"), (1e-5, 1e-5), "f32 CPU");
}

#[test]
fn the_reference_follows_keras_in_float64() {
    // The fixture keeps ten digits of weights that the first step moves by about a hundredth of themselves.
    assert_near(&follow(Device::reference(), "f64"), (1e-9, 5e-9), "f64 reference");
}

#[cfg(feature = "gpu")]
#[test]
fn the_adapter_follows_keras() {
    assert_near(&follow(crate::common::adapter(), "f32"), (1e-5, 1e-5), "adapter");
}

/// Follows a smaller net for 50 steps. In f32 all is within ten times what Keras' own float32 strays from float64 there,
/// in f64 within 1e-9.
fn follow_small(device: &Device, kind: &str, name: &str, extents: &[usize], hidden: Option<Activation>) {
    let golden = &fixture("keras-rmsprop-nets.json")["nets"][name];
    let limit = |drift: &Value| if kind == "f32" { 10.0 * drift.as_f64().unwrap() } else { 1e-9 };
    let mut model = Sequential::new().device(device.clone());
    if let Some(activation) = hidden {
        model = model.add(Dense::new(extents[1]).activation(activation));
    }
    let mut model = model.add(Dense::new(10).activation(Activation::Softmax));
    model.build([784]).unwrap();
    model.compile(RmsProp::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    model.set_weights(&start(extents)).unwrap();
    let data = data(golden, 1600, kind == "f32");
    let history = model.fit(&data, Fit::new().batch_size(32).shuffle(false).verbose(0)).unwrap();

    let loss = loss_error(history.batch_losses(), &golden[format!("losses_{kind}")]);
    assert!(loss < limit(&golden["loss_drift"]), "{device}, {name}: the loss is {loss:e} from Keras");
    let (hits, right) = (history.get("accuracy")[0] * 1600.0, golden["right"].as_f64().unwrap());
    assert!((hits - right).abs() < 0.5, "{device}, {name}: {hits} right answers, Keras has {right}");
    for ((tensor, found), start) in NAMES.into_iter().zip(&model.weights().unwrap()).zip(&start(extents)) {
        let (of, limit) = (&golden["tensors"][tensor], limit(&golden["tensors"][tensor]["drift"]));
        let apart = distance(&sample(of, found), &numbers(&of[kind]), &sample(of, start));
        // Of all entries how far they have moved together: what the kept ones do not show shows there.
        let moved =
            found.values().to_f64().iter().zip(start.values().to_f64()).map(|(w, s)| (w - s).powi(2)).sum::<f64>();
        let wanted = of[format!("moved_{kind}")].as_f64().unwrap();
        let norm = (moved.sqrt() / wanted - 1.0).abs();
        println!(
            "{device}, {name}, {tensor}: {apart:.1e} and {norm:.1e} from Keras, the loss {loss:.1e}; limit {limit:.1e}"
        );
        assert!(apart < limit && norm < limit, "{device}, {name}, {tensor}: {apart:e} and {norm:e}, limit {limit:e}");
    }
}

fn follow_all_small(device: &Device, kind: &str) {
    follow_small(device, kind, "784-10", &[784, 10], None);
    follow_small(device, kind, "784-100-10 sigmoid", &[784, 100, 10], Some(Activation::Sigmoid));
    follow_small(device, kind, "784-100-10 relu", &[784, 100, 10], Some(Activation::Relu));
}

#[test]
fn smaller_nets_in_f32_on_the_cpu_follow_keras() {
    follow_all_small(&Device::cpu(), "f32");
}

#[test]
fn the_reference_follows_smaller_nets_in_float64() {
    follow_all_small(&Device::reference(), "f64");
}

#[cfg(feature = "gpu")]
#[test]
fn the_adapter_follows_smaller_nets() {
    follow_all_small(&crate::common::adapter(), "f32");
}
