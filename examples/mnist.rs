//! The first network of every course: 784-512-10 on MNIST.
//!
//! `cargo run --release --example mnist [DEVICE]` prints the test accuracy; Keras reaches 0.979 with these settings.

use kiln::prelude::*;

fn main() -> anyhow::Result<()> {
    let device = std::env::args().nth(1).unwrap_or_else(|| "auto".into());
    let mnist = kiln::data::mnist()?;
    let mut model = Sequential::new()
        .add(Flatten)
        .add(Dense::new(512).activation(Activation::Relu))
        .add(Dense::new(10).activation(Activation::Softmax))
        .device(Device::choose(&device)?.device);
    model.compile(RmsProp::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
    model.fit(&mnist.train, Fit::new().epochs(5).batch_size(128))?;
    let scores = model.evaluate(&mnist.test)?;
    print!("{}", model.summary()?);
    for (name, value) in scores.iter() {
        println!("test {name}: {value:.4}");
    }
    Ok(())
}
