//! Fashion-MNIST by a softmax alone: 784-10.
//!
//! `cargo run --release --example fashion_softmax [-- --device NAME --limit N --epochs N]` prints the figures of 5
//! epochs beside those of the notes. Seeds and Keras' own figures: docs/fashion-mnist.md.

mod common;

use kiln::prelude::*;

pub fn main() -> anyhow::Result<()> {
    let args = common::Args::read(5)?;
    let model = Sequential::new().add(Flatten).add(Dense::new(10).activation(Activation::Softmax));
    let notes = [("accuracy", 0.8551), ("val_loss", 0.4579), ("val_accuracy", 0.8483)];
    common::train(model, RmsProp::default(), args, &notes)
}
