//! Fashion-MNIST by a dense net whose blocks add what they are given: the gradient has a way around each.
//!
//! `cargo run --release --example fashion_residual [-- --device NAME --limit N --epochs N]` trains 784-64 and four blocks of 64
//! for 5 epochs and prints the last one's figures.

mod common;

use kiln::prelude::*;

fn model() -> Result<Model> {
    let dense = || Dense::new(64).activation(Activation::Relu).kernel_initializer(Initializer::HeNormal);
    let pixels = Input::new([28, 28]).named("pixels");
    let mut x = dense().apply(Flatten.apply(&pixels)?)?;
    for _ in 0..4 {
        let inner = dense().apply(&x)?;
        x = Add.apply([&x, &inner])?;
    }
    Model::new(&pixels, Dense::new(10).activation(Activation::Softmax).apply(x)?)
}

pub fn main() -> anyhow::Result<()> {
    common::train(model()?, Adam::default(), common::Args::read(5)?, &[])
}
