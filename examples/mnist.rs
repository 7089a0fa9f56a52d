//! The first network of every course: 784-512-10 on MNIST.
//!
//! `cargo run --release --example mnist [-- --device NAME --limit N --epochs N]` prints the test accuracy; Keras reaches
//! 0.979 with these settings.

mod common;

use kiln::prelude::*;

pub fn main() -> anyhow::Result<()> {
    let args = common::Args::read(5)?;
    let mnist = kiln::data::mnist()?;
    let mut model = Sequential::new()
        .add(Flatten)
        .add(Dense::new(512).activation(Activation::Relu))
        .add(Dense::new(10).activation(Activation::Softmax))
        .device(args.device);
    model.compile(RmsProp::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
    model.fit(&mnist.train.head(args.limit), Fit::new().epochs(args.epochs).batch_size(128))?;
    let scores = model.evaluate(&mnist.test)?;
    print!("{}", model.summary()?);
    for (name, value) in scores.iter() {
        println!("test {name}: {value:.4}");
    }
    Ok(())
}
