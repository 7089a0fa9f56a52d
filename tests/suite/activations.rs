//! Activations and their gradients against Keras' own values in float64: `scripts/golden-activations` made the fixture.

#[cfg(feature = "gpu")]
use std::fmt::Write as _;

use kiln::device::Executor;
use kiln::graph::{Graph, Leaf, Type};
use kiln::nn::activation::NAMES;
use kiln::ops::binary::Binary;
use kiln::ops::sum::Sum;
use kiln::plan::{Arena, BufferId, Plan};
use kiln::prelude::*;
use kiln::tensor::Values;
use serde_json::Value;

use crate::common::{fixture, numbers};

/// Value and gradient of an activation at the fixture's points.
struct Curve {
    name: String,
    y: Vec<f64>,
    dx: Vec<f64>,
}

fn golden() -> (Vec<f64>, Vec<Curve>) {
    let golden: Value = fixture("keras-activations.json");
    let curves = golden["activations"].as_object().expect("a table").iter();
    let curve = |(name, c): (&String, &Value)| Curve { name: name.clone(), y: numbers(&c["y"]), dx: numbers(&c["dx"]) };
    (numbers(&golden["x"]), curves.map(curve).collect())
}

/// The cotangent of the fixture: the derivative of a row's activation needs one that is not constant.
fn cotangent(name: &str, n: usize) -> Vec<f64> {
    (0..n).map(|i| if name.ends_with("softmax") { (i as f64).sin() } else { 1.0 }).collect()
}

fn activation(name: &str) -> Activation {
    match name {
        "leaky_relu_settings" => Activation::LeakyRelu { negative_slope: 0.01 },
        "elu_settings" => Activation::Elu { alpha: 1.75 },
        name => Activation::by_name(name).unwrap(),
    }
}

fn run(device: &Device, activation: Activation, x: &[f64], cotangent: Vec<f64>) -> [Vec<f64>; 2] {
    let mut g = Graph::new();
    let input = g.leaf(Leaf::Input(0), Type::float([x.len()]));
    let dy = g.leaf(Leaf::Input(1), Type::float([x.len()]));
    let y = activation.append(&mut g, input).unwrap();
    let weighted = g.apply(Binary::Mul, &[y, dy]).unwrap();
    let loss = g.apply(Sum::new(0..1), &[weighted]).unwrap();
    let dx = g.gradients(loss, &[input]).unwrap()[0];
    for (i, value) in [y, dx].into_iter().enumerate() {
        g.output(i, value).unwrap();
    }
    let mut executor = Executor::new(device).unwrap();
    let plan = executor.load(&Plan::new("an activation", &g, &Arena::default()).unwrap()).unwrap();
    executor.write(BufferId::Input(0), &Values::F64(x.to_vec())).unwrap();
    executor.write(BufferId::Input(1), &Values::F64(cotangent)).unwrap();
    executor.run(plan, 1).unwrap();
    [0, 1].map(|i| executor.read(BufferId::Output(i), 0..x.len()).unwrap().to_f64())
}

/// The largest error of each activation as a share of what a change of x by its own size would make of the value:
/// |f| + |x f'|. Little can be better in the tails of exponentials. Slopes, most of which cross zero, are measured by
/// |f'|, or 1 where that is larger. Name, error of the value, of the slope.
fn worst(device: &Device) -> Vec<(String, f64, f64)> {
    let (x, curves) = golden();
    let most = x.iter().copied().fold(f64::MIN, f64::max);
    let mut found = Vec::new();
    for Curve { name, y, dx } in &curves {
        let [found_y, found_dx] = run(device, activation(name), &x, cotangent(name, x.len()));
        let (mut of_y, mut of_dx) = (0.0f64, 0.0f64);
        for i in 0..x.len() {
            // Through the cotangent of a row no slope of a single element is left: there the largest x is taken off first.
            let change = match name.as_str() {
                "softmax" => (x[i] - most) * y[i],
                "log_softmax" => x[i] - most,
                _ => x[i] * dx[i],
            };
            let scale = y[i].abs() + change.abs();
            of_y = of_y.max((found_y[i] - y[i]).abs() / scale.max(f64::from(f32::MIN_POSITIVE)));
            of_dx = of_dx.max((found_dx[i] - dx[i]).abs() / dx[i].abs().max(1.0));
        }
        found.push((name.clone(), of_y, of_dx));
    }
    found
}

/// All errors of a device, each of which must be within `most`.
fn all(device: &Device, most: f64) -> Vec<(String, f64, f64)> {
    let worst = worst(device);
    let wrong: Vec<_> = worst.iter().filter(|(_, y, dx)| !(*y <= most && *dx <= most)).collect();
    assert!(wrong.is_empty(), "{device}: errors of value and slope over {most:e}: {wrong:?}");
    worst
}

const DIGIT: f64 = 1.0 / 8_388_608.0;

fn of_the_reference() -> Vec<(String, f64, f64)> {
    all(&Device::reference(), 1e-12)
}

fn of_the_cpu() -> Vec<(String, f64, f64)> {
    all(&Device::cpu(), 4.0 * DIGIT)
}

#[cfg(feature = "gpu")]
fn of_the_adapter() -> Vec<(String, f64, f64)> {
    // exp is good to 3 + 2|x| ulps in WGSL.
    all(&crate::common::adapter(), 8.0 * DIGIT)
}

#[test]
fn the_f64_reference_is_keras() {
    of_the_reference();
}

#[test]
fn the_cpu_is_keras_within_its_digits() {
    of_the_cpu();
}

#[cfg(feature = "gpu")]
#[test]
fn the_adapter_is_keras_within_its_digits() {
    of_the_adapter();
}

#[test]
fn the_table_names_every_activation() {
    let names: Vec<String> = golden().1.into_iter().map(|curve| curve.name).collect();
    #[cfg(feature = "gpu")]
    crate::common::write_parity("Activations", table);
    crate::common::assert_parity_lists(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for (name, wanted) in NAMES {
        let tested = wanted == Activation::Linear || names.iter().any(|name| activation(name) == wanted);
        assert!(tested, "tests/fixtures/keras-activations.json lacks {name}");
    }
}

#[cfg(feature = "gpu")]
fn table() -> String {
    let mut text = String::from(
        "\
Value and slope at 43 points from -20 to 20, softmax and its logarithm of all of them as one row: the worst error of each.
A value's is a share of |f| + |x f'|, what a change of x, in a row of its distance from the largest, by its own size would
make; a slope's a share of |f'|, or of 1 where that is larger. The judge is Keras 3.15.1 on JAX in float64 (`scripts/golden-activations`). An activation must be
within 4 units of 2^-23 = 1.2e-7 on the CPU, within 8 on the adapter, whose exponential WGSL lets be 3 + 2|x| units off,
and in f64 within 1e-12. `_settings` are told another number than Keras' default.

| activation | f32 CPU | adapter | f64 reference |
|---|---|---|---|
",
    );
    let columns = [of_the_cpu(), of_the_adapter(), of_the_reference()];
    for (i, (name, ..)) in columns[0].iter().enumerate() {
        let [cpu, gpu, reference] = [0, 1, 2].map(|c: usize| {
            let (_, value, slope) = &columns[c][i];
            format!("{}, {}", crate::common::shown(*value), crate::common::shown(*slope))
        });
        writeln!(text, "| `{name}` | {cpu} | {gpu} | {reference} |").unwrap();
    }
    text
}

/// Of 0 the side of x is not to be told from y: it is relu, gradient and all.
#[test]
fn of_no_negative_side_is_left_relu() {
    for activation in [Activation::LeakyRelu { negative_slope: 0.0 }, Activation::Elu { alpha: 0.0 }] {
        let [y, dx] = run(&Device::reference(), activation, &[-2.0, -1.0, 1.0, 2.0], [1.0; 4].to_vec());
        assert_eq!((y, dx), (vec![0.0, 0.0, 1.0, 2.0], vec![0.0, 0.0, 1.0, 1.0]), "{activation:?}");
    }
}

#[test]
fn the_negative_side_takes_no_other_number() {
    for (number, text) in [(-0.5, "-0.5"), (f64::NAN, "NaN"), (1e300, "1000")] {
        for (name, activation) in [
            ("negative_slope", Activation::LeakyRelu { negative_slope: number }),
            ("alpha", Activation::Elu { alpha: number }),
        ] {
            let mut model = Sequential::new().add(Dense::new(3).activation(activation));
            let said = model.build([2]).expect_err("it was accepted").to_string();
            assert!(said.starts_with(&format!("{name}: {text}")) && said.contains("0 or more"), "{said}");
        }
    }
}

#[test]
fn keras_other_names_are_known() {
    for (alias, name) in [("swish", "silu"), ("hard_swish", "hard_silu"), ("ReLU", "relu")] {
        assert_eq!(Activation::by_name(alias).unwrap(), Activation::by_name(name).unwrap());
    }
}
