//! A model and layers with names of their own, trained for long by plain gradient descent.
//!
//! `cargo run --release --example fashion_named [-- --device NAME --limit N --epochs N]` prints the table with the
//! names, then the figures of 100 epochs beside those of the notes.

mod common;

use kiln::prelude::*;

pub fn main() -> anyhow::Result<()> {
    let args = common::Args::read(100)?;
    let model = Sequential::new()
        .named("fashion")
        .add(Flatten)
        .add(Dense::new(100).activation(Activation::Sigmoid).named("hidden"))
        .add(Dense::new(10).activation(Activation::Softmax).named("output"));
    common::train(model, Sgd::default(), args, &[("val_loss", 0.3638), ("val_accuracy", 0.8678)])
}
