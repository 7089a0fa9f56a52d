//! The bare graph: two constants and their sum, then an input that is given at the run.
//!
//! `cargo run --example constants [-- --device NAME]` prints 30 twice.

mod common;

use kiln::device::Function;
use kiln::graph::{Graph, Leaf, Type};
use kiln::ops::binary::Binary;
use kiln::prelude::*;

pub fn main() -> anyhow::Result<()> {
    let device = common::device()?;

    let mut graph = Graph::new();
    let (a, b) = (graph.fill(10.0, [1]), graph.fill(20.0, [1]));
    let sum = graph.apply(Binary::Add, &[a, b])?;
    graph.output(0, sum)?;
    println!("10 + 20 = {}", Function::new(&device, &graph)?.call(&[])?[0]);

    let mut graph = Graph::new();
    let (a, b) = (graph.leaf(Leaf::Input(0), Type::float([1])), graph.leaf(Leaf::Input(1), Type::float([1])));
    let sum = graph.apply(Binary::Add, &[a, b])?;
    graph.output(0, sum)?;
    let mut add = Function::new(&device, &graph)?;
    let inputs = [10.0f32, 20.0].map(|x| Tensor::new([1], vec![x]));
    let [a, b] = inputs;
    println!("fed 10 and 20: {}", add.call(&[a?, b?])?[0]);
    Ok(())
}
