//! MNIST to 99% test accuracy in as few seconds as we know how to: from the process' start to the test result.
//!
//! `cargo run --release --example mnist_99 [-- --device NAME --seed N]` prints the test accuracy and the seconds. Net and schedule are
//! fixed; the test set is read once, at the end.

mod common;

use std::time::Instant;

use kiln::prelude::*;

const EPOCHS: usize = 2;
const BATCH: usize = 50;

pub fn main() -> anyhow::Result<()> {
    let start = Instant::now();
    let (device, seed) = common::device_and_seed()?;
    let mnist = kiln::data::mnist()?;
    let steps = EPOCHS * mnist.train.len().div_ceil(BATCH);
    let mut model = Sequential::new()
        .add(Reshape::new([28, 28, 1]))
        .add(Conv2D::new(16, 5).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(32, 5).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Flatten)
        .add(Dropout::new(0.3))
        .add(Dense::new(10).activation("softmax"))
        .seed(seed)
        .device(device);
    let rate = common::one_cycle(0.005, steps, 5);
    model.compile(Scheduled::new(Adam::default(), rate), "sparse_categorical_crossentropy", ["accuracy"])?;
    model.fit(&mnist.train, Fit::new().epochs(EPOCHS).batch_size(BATCH).verbose(0))?;
    let scores = model.evaluate(&mnist.test)?;
    let accuracy = scores.get("accuracy").expect("compiled with it");
    println!("test accuracy {accuracy:.4} after {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
