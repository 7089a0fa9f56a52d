//! The convolutional network of the notes on MNIST: two convolutions, max pooling, dropout.
//!
//! `cargo run --release --example mnist_cnn [-- --device NAME --limit N --epochs N]` trains in batches of 200 until the loss on the
//! last tenth of the training samples has not fallen for three epochs, and prints the test accuracy.

mod common;

use kiln::prelude::*;

pub fn main() -> anyhow::Result<()> {
    let args = common::Args::read(20)?;
    let mnist = kiln::data::mnist()?;
    let mut model = Sequential::new()
        .add(Reshape::new([28, 28, 1]))
        .add(Conv2D::new(32, 3).activation("relu"))
        .add(Conv2D::new(64, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Dropout::new(0.25))
        .add(Flatten)
        .add(Dense::new(128).activation("relu"))
        .add(Dropout::new(0.5))
        .add(Dense::new(10).activation("softmax"))
        .device(args.device);
    // The mean of the weights over the last epochs is better than any of them.
    let adam = Adam::default().use_ema(true).ema_momentum(0.998);
    model.compile(adam, "sparse_categorical_crossentropy", ["accuracy"])?;
    let stop = EarlyStopping::new().patience(3).restore_best_weights(true);
    let fit = Fit::new().epochs(args.epochs).batch_size(200).validation_split(0.1);
    let fit = fit.callback(SwapEmaWeights::new().swap_on_epoch(true)).callback(stop);
    model.fit(&mnist.train.head(args.limit), fit)?;
    print!("{}", model.summary()?);
    for (name, value) in model.evaluate(&mnist.test)?.iter() {
        println!("test {name}: {value:.4}");
    }
    Ok(())
}
