//! MNIST read row by row: an LSTM has the 28 rows of a digit as 28 steps.
//!
//! `cargo run --release --example mnist_lstm [-- --device NAME --limit N --epochs N]` trains in batches of 128 and prints the test
//! accuracy.

mod common;

use kiln::prelude::*;

pub fn main() -> anyhow::Result<()> {
    let args = common::Args::read(8)?;
    let mnist = kiln::data::mnist()?;
    let mut model = Sequential::new().add(Lstm::new(128)).add(Dense::new(10).activation("softmax")).device(args.device);
    model.compile(Adam::new(0.002), "sparse_categorical_crossentropy", ["accuracy"])?;
    model.fit(&mnist.train.head(args.limit), Fit::new().epochs(args.epochs).batch_size(128))?;
    print!("{}", model.summary()?);
    for (name, value) in model.evaluate(&mnist.test)?.iter() {
        println!("test {name}: {value:.4}");
    }
    Ok(())
}
