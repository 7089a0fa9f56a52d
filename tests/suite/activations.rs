//! Activations and their gradients against Keras' own values in float64: `scripts/golden-activations` made the fixture.

use kiln::device::{Device, Executor};
use kiln::graph::{Graph, Leaf, Type};
use kiln::nn::Activation;
use kiln::ops::binary::Binary;
use kiln::ops::copy::Copy;
use kiln::ops::sum::Sum;
use kiln::plan::{Arena, BufferId, Plan};
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
    (0..n).map(|i| if name == "log_softmax" { (i as f64).sin() } else { 1.0 }).collect()
}

fn run(device: &Device, name: &str, x: &[f64]) -> [Vec<f64>; 2] {
    let mut g = Graph::new();
    let input = g.leaf(Leaf::Input(0), Type::float([x.len()]));
    let dy = g.leaf(Leaf::Input(1), Type::float([x.len()]));
    let y = Activation::by_name(name).unwrap().append(&mut g, input).unwrap();
    let weighted = g.apply(Binary::Mul, &[y, dy]).unwrap();
    let loss = g.apply(Sum::new(0..1), &[weighted]).unwrap();
    let dx = g.gradients(loss, &[input]).unwrap()[0];
    for (i, value) in [y, dx].into_iter().enumerate() {
        let place = g.leaf(Leaf::Output(i), g.ty(value).clone());
        g.effect(Copy, &[value], &[place]).unwrap();
    }
    let mut executor = Executor::new(device).unwrap();
    let plan = executor.load(&Plan::new(name, &g, &Arena::default())).unwrap();
    executor.write(BufferId::Input(0), &Values::F64(x.to_vec())).unwrap();
    executor.write(BufferId::Input(1), &Values::F64(cotangent(name, x.len()))).unwrap();
    executor.run(plan, 1).unwrap();
    [0, 1].map(|i| pollster::block_on(executor.read(BufferId::Output(i), 0..x.len())).unwrap().to_f64())
}

/// The largest error of any activation, in units of `epsilon` of what a change of x by its own last digit would make
/// of the value: |f| + |x f'|. Little can be better in the tails of exponentials. Slopes, most of which cross zero,
/// are measured by |f'|, or 1 where that is larger. Name, error of the value, of the slope.
fn worst(device: &Device, epsilon: f64) -> Vec<(String, f64, f64)> {
    let (x, curves) = golden();
    let mut found = Vec::new();
    for Curve { name, y, dx } in &curves {
        let [found_y, found_dx] = run(device, name, &x);
        let (mut of_y, mut of_dx) = (0.0f64, 0.0f64);
        for i in 0..x.len() {
            // Through the cotangent of a row no slope of a single element is left.
            let slope = if name == "log_softmax" { 1.0 } else { dx[i] };
            let scale = y[i].abs() + (x[i] * slope).abs();
            of_y = of_y.max((found_y[i] - y[i]).abs() / scale.max(f64::from(f32::MIN_POSITIVE)));
            of_dx = of_dx.max((found_dx[i] - dx[i]).abs() / dx[i].abs().max(1.0));
        }
        found.push((name.clone(), of_y / epsilon, of_dx / epsilon));
    }
    found
}

fn assert_within(device: &Device, epsilon: f64, most: f64) {
    let worst = worst(device, epsilon);
    println!("{device}: {worst:.1?}");
    let wrong: Vec<_> = worst.iter().filter(|(_, y, dx)| !(*y <= most && *dx <= most)).collect();
    assert!(wrong.is_empty(), "{device}: errors of value and slope over {most} units of {epsilon:e}: {wrong:?}");
    assert!(worst.len() >= 17, "{} activations are too few to be all", worst.len());
}

#[test]
fn the_f64_reference_is_keras() {
    assert_within(&Device::reference(), 1e-12, 1.0);
}

#[test]
fn the_cpu_is_keras_within_its_digits() {
    assert_within(&Device::cpu(), 2f64.powi(-23), 4.0);
}

#[cfg(feature = "gpu")]
#[test]
fn the_adapter_is_keras_within_its_digits() {
    // exp is good to 3 + 2|x| ulps in WGSL.
    assert_within(&crate::common::adapter(), 2f64.powi(-23), 8.0);
}

#[test]
fn keras_other_names_are_known() {
    for (alias, name) in [("swish", "silu"), ("hard_swish", "hard_silu"), ("ReLU", "relu")] {
        assert_eq!(Activation::by_name(alias).unwrap(), Activation::by_name(name).unwrap());
    }
}
