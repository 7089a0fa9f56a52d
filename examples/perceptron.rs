//! The first neuron there was: a step of a weighted sum, taught by the delta rule.
//!
//! `cargo run --example perceptron [-- --device NAME]` learns AND and OR within some epochs, and never XOR, which no
//! line parts.

mod common;

use kiln::device::Function;
use kiln::graph::{Graph, Id, Leaf, Type};
use kiln::ops::binary::Binary;
use kiln::ops::matmul::MatMul;
use kiln::prelude::*;

const LEARNING_RATE: f64 = 0.1;
const EPOCHS: usize = 100;
const POINTS: [[f32; 2]; 4] = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];

/// One sample x (1, 2) with its target t (1, 1): y = step(x w + b), then w += rate (t - y) x' and b += rate (t - y).
fn delta_rule() -> Result<Graph> {
    let mut g = Graph::new();
    let shapes = [[1, 2], [1, 1], [2, 1], [1, 1]];
    let [x, t, w, b]: [Id; 4] = std::array::from_fn(|i| g.leaf(Leaf::Input(i), Type::float(shapes[i])));
    let product = g.apply(MatMul::new(false, false), &[x, w])?;
    let sum = g.apply(Binary::Add, &[product, b])?;
    let zero = g.fill(0.0, [1, 1]);
    let y = g.apply(Binary::Greater, &[sum, zero])?;
    let error = g.apply(Binary::Sub, &[t, y])?;
    let rate = g.fill(LEARNING_RATE, [1, 1]);
    let step = g.apply(Binary::Mul, &[error, rate])?;
    let change = g.apply(MatMul::new(true, false), &[x, step])?;
    for (i, (value, change)) in [(w, change), (b, step)].into_iter().enumerate() {
        let changed = g.apply(Binary::Add, &[value, change])?;
        g.output(i, changed)?;
    }
    g.output(2, y)?;
    Ok(g)
}

pub fn main() -> anyhow::Result<()> {
    let device = common::device()?;
    let mut learn = Function::new(&device, &delta_rule()?)?;
    for (name, targets) in
        [("AND", [0.0f32, 0.0, 0.0, 1.0]), ("OR", [0.0, 1.0, 1.0, 1.0]), ("XOR", [0.0, 1.0, 1.0, 0.0])]
    {
        let (mut w, mut b) = (Tensor::new([2, 1], vec![0.0f32; 2])?, Tensor::new([1, 1], vec![0.0f32])?);
        let (mut wrong, mut epoch) = (4, 0);
        while wrong > 0 && epoch < EPOCHS {
            (wrong, epoch) = (0, epoch + 1);
            for (point, target) in POINTS.iter().zip(targets) {
                let sample = Tensor::new([1, 2], point.to_vec())?;
                let results = learn.call(&[sample, Tensor::new([1, 1], vec![target])?, w, b])?;
                let [new_w, new_b, y]: [Tensor; 3] = results.try_into().expect("three outputs");
                wrong += usize::from(y.values().to_f32()[0] != target);
                (w, b) = (new_w, new_b);
            }
        }
        let ([w1, w2], b) = ([0, 1].map(|i| w.values().to_f64()[i]), b.values().to_f64()[0]);
        match wrong {
            0 => println!("{name}: all four right after {epoch} epochs, {w1:.1} x1 + {w2:.1} x2 > {:.1}", -b),
            _ => println!("{name}: {wrong} of four still wrong after {epoch} epochs"),
        }
    }
    Ok(())
}
