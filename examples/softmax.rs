//! Softmax of numbers whose exponentials no float holds.
//!
//! `cargo run --example softmax [DEVICE]` prints [0, 0, 0.268941, 0.731059]: no overflow.

use kiln::device::Function;
use kiln::graph::{Graph, Leaf, Type};
use kiln::ops::softmax::Softmax;
use kiln::prelude::*;

fn main() -> anyhow::Result<()> {
    let device = std::env::args().nth(1).unwrap_or_else(|| "auto".into());
    let mut graph = Graph::new();
    let x = graph.leaf(Leaf::Input(0), Type::float([1, 4]));
    let y = graph.apply(Softmax, &[x])?;
    graph.output(0, y)?;
    let x = Tensor::new([1, 4], vec![1.0f32, 2.0, 788.0, 789.0])?;
    let y = Function::new(&Device::choose(&device)?.device, &graph)?.call(std::slice::from_ref(&x))?;
    println!("e to the power of 789 is {} in f32", 789.0f32.exp());
    println!("softmax of\n{x}\nis\n{}", y[0]);
    Ok(())
}
