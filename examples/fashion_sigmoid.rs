//! Fashion-MNIST by one hidden layer with sigmoid: 784-100-10.
//!
//! `cargo run --release --example fashion_sigmoid [-- --device NAME --limit N --epochs N]` prints the figures of 5
//! epochs beside those of the notes. Seeds and Keras' own figures: docs/fashion-mnist.md.

mod common;

use kiln::prelude::*;

pub fn main() -> anyhow::Result<()> {
    let args = common::Args::read(5)?;
    let model = Sequential::new()
        .add(Flatten)
        .add(Dense::new(100).activation(Activation::Sigmoid))
        .add(Dense::new(10).activation(Activation::Softmax));
    common::train(model, RmsProp::default(), args, &[("loss", 0.3335), ("accuracy", 0.8784)])
}
