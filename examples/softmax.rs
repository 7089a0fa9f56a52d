//! Softmax of numbers whose exponentials no float holds.
//!
//! `cargo run --example softmax [-- --device NAME]` prints [0, 0, 0.268941, 0.731059]: no overflow.

mod common;

use kiln::device::Function;
use kiln::graph::{Graph, Leaf, Type};
use kiln::ops::softmax::Softmax;
use kiln::prelude::*;

pub fn main() -> anyhow::Result<()> {
    let device = common::device()?;
    let mut graph = Graph::new();
    let x = graph.leaf(Leaf::Input(0), Type::float([1, 4]));
    let y = graph.apply(Softmax, &[x])?;
    graph.output(0, y)?;
    let x = Tensor::new([1, 4], vec![1.0f32, 2.0, 788.0, 789.0])?;
    let y = Function::new(&device, &graph)?.call(std::slice::from_ref(&x))?;
    println!("e to the power of 789 is {} in f32", 789.0f32.exp());
    println!("softmax of\n{x}\nis\n{}", y[0]);
    Ok(())
}
